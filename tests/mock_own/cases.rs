//! Tests that the case API of the mock rejects invalid requests and checks uploads, over plain
//! HTTP.

use http::Method;
use kycport::{
    KycStatus, KycTier,
    cases::{CaseStatus, Outcome},
    mock::{Endpoint, MockIssuer, Page, Person, samples},
};
use serde_json::{Value, json};

const CASES: &str = "/api/v1/verification/cases/";

struct CaseApi {
    kyc: MockIssuer,
    ada: Person,
}

impl CaseApi {
    async fn new() -> Self {
        let kyc = MockIssuer::start().await;
        let ada = unverified(&kyc, "ada");
        Self { kyc, ada }
    }

    async fn post(&self, path: &str, body: &Value) -> Page {
        self.post_as(self.kyc.tenant().api_key(), path, body).await
    }

    async fn post_as(&self, key: &str, path: &str, body: &Value) -> Page {
        let url = format!("{}{path}", self.kyc.origin());
        let bearer = format!("Bearer {key}");
        let browser = self.kyc.browser();
        let visit = browser.request(Method::POST, url).fetch();
        let visit = visit.header("authorization", &bearer).json(body);
        visit.send().await.unwrap()
    }

    async fn open(&self, person: &Person) -> String {
        let body = json!({ "person_id": person.id(), "level": "t2" });
        let page = self.post(CASES, &body).await;
        page.assert_status(201);
        page.json()["id"].as_str().unwrap().to_owned()
    }

    async fn upload(&self, case: &str, parts: &[(&str, &str, Vec<u8>)]) -> (u16, Value) {
        let mut body = Vec::new();
        for (name, content_type, content) in parts {
            let file = if content_type.is_empty() {
                String::new()
            } else {
                format!("; filename=\"f\"\r\ncontent-type: {content_type}")
            };
            let head = format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"{file}");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(b"\r\n\r\n");
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--b--\r\n");
        self.upload_raw(case, "multipart/form-data; boundary=b", body)
            .await
    }

    async fn upload_raw(&self, case: &str, content_type: &str, body: Vec<u8>) -> (u16, Value) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client
            .post(format!("{}{CASES}{case}/upload/", self.kyc.origin()))
            .bearer_auth(self.kyc.tenant().api_key())
            .header("content-type", content_type)
            .body(body)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap())
    }

    async fn decide(&self, case: &str) -> Page {
        self.post(&format!("{CASES}{case}/decide/"), &json!({}))
            .await
    }
}

fn unverified(kyc: &MockIssuer, slug: &str) -> Person {
    let person = kyc.person(slug).status(KycStatus::Unverified);
    person.tier(KycTier::T0).create()
}

fn pictures(seed: &str) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        ("document", "image/png", samples::document(seed)),
        ("selfie", "image/png", samples::selfie(seed)),
    ]
}

#[tokio::test]
async fn an_invalid_request_opens_no_case() {
    let api = CaseApi::new().await;
    let id = api.ada.id();
    let other = api.kyc.person("hidden");
    let other = other.only_for(api.kyc.other_tenant()).create();
    for (body, status, error, row) in [
        (
            json!({ "person_id": id, "level": "t9" }),
            400,
            "invalid_level",
            "K75",
        ),
        (
            json!({ "person_id": id, "level": "t0" }),
            400,
            "invalid_level",
            "K75",
        ),
        (json!({ "person_id": id }), 400, "invalid_request", "K75"),
        (
            json!({ "person_id": 7, "level": "t2" }),
            400,
            "invalid_request",
            "K75",
        ),
        (json!([id, "t2"]), 400, "invalid_request", "K75"),
        (
            json!({ "person_id": id, "level": "t2", "x": 1 }),
            400,
            "invalid_request",
            "K75",
        ),
        (
            json!({ "person_id": id, "level": "t2", "outcome": "approved" }),
            400,
            "precomputed_verdict",
            "K53",
        ),
        (
            json!({ "person_id": id, "level": "t2", "kyc_status": "verified" }),
            400,
            "precomputed_verdict",
            "K53",
        ),
        (
            json!({ "person_id": "nobody", "level": "t2" }),
            404,
            "person_not_found",
            "K43",
        ),
        (
            json!({ "person_id": other.id(), "level": "t2" }),
            404,
            "person_not_found",
            "K43",
        ),
    ] {
        let page = api.post(CASES, &body).await;
        assert_eq!(
            (page.status(), page.json()),
            (status, json!({ "error": error })),
            "{body}"
        );
        let log = api.kyc.requests(Endpoint::OpenCase);
        assert_eq!(log.last().unwrap().refusal().unwrap().row, row);
    }
    let good = json!({ "person_id": id, "level": "t2" });
    let page = api.post_as("wrong", CASES, &good).await;
    assert_eq!(
        (page.status(), page.json()),
        (401, json!({ "error": "invalid_api_key" }))
    );
    let page = api.post("/api/v1/verification/cases", &good).await;
    assert_eq!(page.status(), 404);
    assert!(api.kyc.cases().all().is_empty());
}

#[tokio::test]
async fn an_upload_is_validated() {
    let api = CaseApi::new().await;
    let case = api.open(&api.ada).await;
    let png = || samples::document("ada");
    let (document, selfie) = (("document", "image/png", png()), pictures("ada").remove(1));
    let with = |part| vec![document.clone(), selfie.clone(), part];
    let instead = |content_type, content| vec![("document", content_type, content), selfie.clone()];
    let mut cut = png();
    cut.truncate(cut.len() - 4);
    let text = |name, value: &str| (name, "", value.as_bytes().to_vec());
    for (parts, status, error) in [
        (vec![], 400, "missing_part"),
        (vec![document.clone()], 400, "missing_part"),
        (vec![selfie.clone()], 400, "missing_part"),
        (
            with(text("applicant_document_type", "id_card")),
            400,
            "missing_part",
        ),
        (instead("image/png", Vec::new()), 400, "unreadable_file"),
        (instead("image/png", cut), 400, "unreadable_file"),
        (instead("image/jpeg", png()), 415, "unsupported_media_type"),
        (
            instead("image/gif", b"GIF89a".to_vec()),
            415,
            "unsupported_media_type",
        ),
        (instead("", png()), 415, "unsupported_media_type"),
        (
            vec![
                document.clone(),
                ("selfie", "application/pdf", b"%PDF-1.7 %%EOF".to_vec()),
            ],
            415,
            "unsupported_media_type",
        ),
        (
            instead("image/png", samples::document_of_size("ada", 20 << 20)),
            413,
            "file_too_large",
        ),
        (
            with(text("outcome", "approved")),
            400,
            "precomputed_verdict",
        ),
        (
            with(text("applicant_face_match", "1")),
            400,
            "precomputed_verdict",
        ),
        (
            with(text("liveness_mode", "asleep")),
            400,
            "invalid_liveness_mode",
        ),
        (with(text("extra", "x")), 400, "unknown_part"),
        (with(document.clone()), 400, "invalid_request"),
    ] {
        let (answered, response) = api.upload(&case, &parts).await;
        assert_eq!((answered, response), (status, json!({ "error": error })));
        let now = api.kyc.cases().find(&case).unwrap();
        assert_eq!((now.status, now.files.len()), (CaseStatus::Opened, 0));
    }
    for (content_type, body) in [
        ("application/json", "{}"),
        ("multipart/form-data", "--b--"),
        (
            "multipart/form-data; boundary=b",
            "--b\r\ncontent-disposition: form-data; name=\"document\"\r\n\r\nx",
        ),
    ] {
        let (status, response) = api.upload_raw(&case, content_type, body.into()).await;
        assert_eq!(
            (status, response),
            (400, json!({ "error": "invalid_request" }))
        );
    }
    let pdf = instead("application/pdf", b"%PDF-1.7\nand so on\n%%EOF\n".to_vec());
    assert_eq!(api.upload(&case, &pdf).await.0, 200);
}

#[tokio::test]
async fn the_last_complete_upload_replaces_the_previous_one() {
    let api = CaseApi::new().await;
    let case = api.open(&api.ada).await;
    let gate = api.kyc.on(Endpoint::UploadCase).hold_after(1);
    let (first, mut second) = (pictures("ada"), pictures("ada again"));
    // The upload is large enough to arrive in several pieces.
    let padding = (
        "document",
        "image/png",
        samples::document_of_size("ada", 1 << 20),
    );
    let slow = vec![padding, first[1].clone()];
    second.push(("applicant_given_name", "", b"Ada".to_vec()));
    let (slow, ()) = tokio::join!(api.upload(&case, &slow), async {
        gate.wait_for(1).await;
        gate.release();
        assert_eq!(api.upload(&case, &second).await.0, 200);
    });
    assert_eq!(slow.0, 200);
    let now = api.kyc.cases().find(&case).unwrap();
    let is_first = now.files["document"].size > 1 << 20;
    assert_eq!(now.texts.is_empty(), is_first);
}

#[tokio::test]
async fn outcomes_can_be_forced_in_four_ways() {
    let api = CaseApi::new().await;
    let kyc = &api.kyc;
    let outcome_of = async |slug: &str, name: &str, document: Vec<u8>| {
        let person = kyc.person(slug).name(name).status(KycStatus::Unverified);
        let person = person.tier(KycTier::T0).create();
        let case = api.open(&person).await;
        let parts = [
            ("document", "image/png", document),
            pictures(slug).remove(1),
        ];
        assert_eq!(api.upload(&case, &parts).await.0, 200);
        let outcome = api.decide(&case).await.json()["outcome"].clone();
        (case, outcome, person)
    };
    let (_, outcome, bob) = outcome_of("bob", "Bob", samples::document("bob")).await;
    assert_eq!(
        (outcome, bob.status(), bob.tier()),
        (json!("approved"), KycStatus::Verified, KycTier::T2)
    );
    // Eve uploads Bob's document.
    let (_, outcome, eve) = outcome_of("eve", "Eve", samples::document("bob")).await;
    assert_eq!(
        (outcome, eve.status()),
        (json!("rejected"), KycStatus::Rejected)
    );
    let bad = samples::document_that_is(&Outcome::Rejected, "cy");
    let (_, outcome, _) = outcome_of("cy", "Cy Approve", bad).await;
    assert_eq!(outcome, "rejected");
    let (case, outcome, dan) = outcome_of("dan", "Dan Review", samples::document("dan")).await;
    assert_eq!(
        (outcome, dan.status()),
        (json!("review"), KycStatus::Pending)
    );
    kyc.cases().review(&case, &Outcome::Review).unwrap_err();
    kyc.cases().review(&case, &Outcome::Rejected).unwrap();
    assert_eq!(dan.status(), KycStatus::Rejected);
    kyc.cases().review(&case, &Outcome::Approved).unwrap_err();
    kyc.cases().next_outcome(Outcome::Approved);
    let (_, outcome, _) = outcome_of("fay", "Fay Reject", samples::document("fay")).await;
    assert_eq!(outcome, "approved");
}

#[tokio::test]
async fn a_case_is_decided_once() {
    let api = CaseApi::new().await;
    let case = api.open(&api.ada).await;
    assert_eq!(
        api.decide(&case).await.json(),
        json!({ "error": "documents_missing" })
    );
    api.upload(&case, &pictures("ada")).await;
    let path = format!("{CASES}{case}/decide/");
    let verdict = json!({ "outcome": "approved" });
    let claimed = api.post(&path, &verdict).await;
    assert_eq!(
        (claimed.status(), claimed.json()),
        (400, json!({ "error": "precomputed_verdict" }))
    );
    let other = api.kyc.other_tenant();
    let foreign = api.post_as(other.api_key(), &path, &json!({})).await;
    assert_eq!(
        (foreign.status(), foreign.json()),
        (404, json!({ "error": "case_not_found" }))
    );
    let (one, two) = tokio::join!(api.decide(&case), api.decide(&case));
    let mut statuses = [one.status(), two.status()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let (status, response) = api.upload(&case, &pictures("ada")).await;
    assert_eq!(
        (status, response),
        (409, json!({ "error": "case_not_open" }))
    );
}
