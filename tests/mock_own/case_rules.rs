//! What the engine sees, whom it answers, and what a decision leaves.

use std::time::Duration;

use kycport::{KycStatus, KycTier, cases::Outcome, mock::Endpoint};
use serde_json::{Value, json};

use crate::case_desk::{CASES, CaseDesk, Part, no, pictures};

// K4, K47, K54
#[tokio::test]
async fn whoever_is_not_let_in_learns_nothing_about_a_case() {
    let desk = CaseDesk::new().await;
    let kyc = &desk.kyc;
    let case = desk.open(&desk.ada).await;
    let of = |case: &str| {
        [
            ("GET", format!("{CASES}{case}/")),
            ("POST", format!("{CASES}{case}/upload/")),
            ("POST", format!("{CASES}{case}/decide/")),
        ]
    };
    let other = kyc.other_tenant();
    for (method, path) in of(&case) {
        let nobodys = path.replace(&case, "case_of_nobody");
        let strangers = desk.request(method, &path, other).send().await;
        assert_eq!(strangers, (404, no("case_not_found")), "{path}");
        let nowhere = desk.request(method, &nobodys, kyc.tenant()).send().await;
        assert_eq!(nowhere, strangers, "{path}");
        let bare = path.trim_end_matches('/');
        let bare = desk.request(method, bare, kyc.tenant()).send().await;
        assert_eq!(bare.0, 404, "{path}");
        let wrong = desk.request("PUT", &path, kyc.tenant()).send().await;
        assert_eq!(wrong.0, 405, "{path}");
    }
    other.revoke_status_right();
    kyc.switch(|switches| switches.status_rate_limit = Some((0, Duration::from_secs(10))));
    for (method, path) in of(&case) {
        let no_right = desk.request(method, &path, other).send().await;
        assert_eq!(no_right, (403, no("forbidden")), "{path}");
        let too_often = desk.request(method, &path, kyc.tenant()).send().await;
        assert_eq!(too_often, (429, no("rate_limited")), "{path}");
    }
}

// K75: JSON in which a name stands twice says two things.
#[tokio::test]
async fn no_member_comes_twice_when_a_case_is_opened() {
    let desk = CaseDesk::new().await;
    let id = desk.ada.id();
    for twice in [
        format!(r#"{{"person_id":"{id}","level":"t2","level":"t3"}}"#),
        format!(r#"{{"person_id":"{id}","person_id":"{id}","level":"t2"}}"#),
    ] {
        let request = desk.request("POST", CASES, desk.kyc.tenant());
        let answer = request.body("application/json", twice.clone()).await;
        assert_eq!(answer, (400, no("invalid_request")), "{twice}");
    }
}

// K75
#[tokio::test]
async fn only_json_opens_a_case() {
    let desk = CaseDesk::new().await;
    let good = json!({ "person_id": desk.ada.id(), "level": "t2" }).to_string();
    for (content_type, status) in [
        ("application/json", 201),
        ("Application/JSON; charset=utf-8", 201),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ] {
        let request = desk.request("POST", CASES, desk.kyc.tenant());
        let (answered, told) = request.body(content_type, good.clone()).await;
        assert_eq!(answered, status, "{content_type}");
        let refused = told == no("unsupported_media_type");
        assert_eq!(refused, status == 415, "{content_type}");
    }
}

// case 137
#[tokio::test]
async fn the_log_shows_nothing_of_a_body() {
    let desk = CaseDesk::new().await;
    let case = desk.open(&desk.ada).await;
    let path = format!("{CASES}{case}/decide/");
    let request = desk.request("POST", &path, desk.kyc.tenant());
    request
        .body("application/json", r#"{"outcome":"a secret"}"#)
        .await;
    for (endpoint, said) in [
        (Endpoint::OpenCase, desk.ada.id()),
        (Endpoint::DecideCase, "a secret"),
    ] {
        let requests = desk.kyc.requests(endpoint);
        let shown = format!("{:?}", requests.last().unwrap());
        assert!(!shown.contains(said), "{shown}");
    }
}

// K43, K54, K58
#[tokio::test]
async fn a_fault_speaks_the_words_of_its_endpoint() {
    let desk = CaseDesk::new().await;
    for (endpoint, status, code) in [
        (Endpoint::OpenCase, 404, "person_not_found"),
        (Endpoint::ReadCase, 404, "case_not_found"),
        (Endpoint::UploadCase, 404, "case_not_found"),
        (Endpoint::DecideCase, 404, "case_not_found"),
        (Endpoint::ReadCase, 401, "invalid_api_key"),
        (Endpoint::DecideCase, 403, "forbidden"),
        (Endpoint::OpenCase, 429, "rate_limited"),
        (Endpoint::UploadCase, 413, "file_too_large"),
        (Endpoint::UploadCase, 415, "unsupported_media_type"),
    ] {
        let fault = desk.kyc.on(endpoint).fail(status).once();
        let path = endpoint.path().replace("{case_id}", "any");
        let method = if endpoint == Endpoint::ReadCase {
            "GET"
        } else {
            "POST"
        };
        let told = desk.request(method, &path, desk.kyc.tenant()).send().await;
        assert_eq!(told, (status, no(code)), "{endpoint}");
        fault.assert_hit();
    }
}

// K58
#[tokio::test]
async fn a_file_is_told_from_its_begin_and_its_end() {
    let desk = CaseDesk::new().await;
    let case = desk.open(&desk.ada).await;
    let webp = |length: u8| [b"RIFF", &[length, 0, 0, 0][..], b"WEBPVP8 ...."].concat();
    let [_, selfie] = pictures("ada");
    for (what, content_type, content, status, error) in [
        (
            "jpeg",
            "image/jpeg",
            b"\xff\xd8\xff\xe0..\xff\xd9".to_vec(),
            200,
            "",
        ),
        (
            "jpeg, cut",
            "image/jpeg",
            b"\xff\xd8\xff\xe0..".to_vec(),
            400,
            "unreadable_file",
        ),
        ("webp", "image/webp", webp(12), 200, ""),
        ("webp, cut", "image/webp", webp(13), 400, "unreadable_file"),
        (
            "pdf",
            "application/pdf",
            b"%PDF-1.7\n%%EOF\n".to_vec(),
            200,
            "",
        ),
        (
            "pdf, cut",
            "application/pdf",
            b"%PDF-1.7\n".to_vec(),
            400,
            "unreadable_file",
        ),
        (
            "a lie",
            "image/png",
            webp(12),
            415,
            "unsupported_media_type",
        ),
        (
            "begin alone",
            "image/png",
            b"\x89PNG\r\n\x1a\n".to_vec(),
            400,
            "unreadable_file",
        ),
    ] {
        let parts = [("document", content_type, content), selfie.clone()];
        let (answered, told) = desk.upload(&case, &parts).await;
        assert_eq!(answered, status, "{what}");
        assert!(status == 200 || told == no(error), "{what}");
    }
}

// K53, K76
#[tokio::test]
async fn a_name_that_claims_a_verdict_is_refused_and_no_other() {
    let desk = CaseDesk::new().await;
    let case = desk.open(&desk.ada).await;
    for (name, is_claim) in [
        ("human_verified", true),
        ("kyc_status", true),
        ("kyc_tier", true),
        ("liveness_score", true),
        ("risk_level", true),
        ("applicant_Face-Match", true),
        ("applicant_decision", true),
        ("applicant_status", true),
        ("applicant_marital_status", false),
        ("applicant_given_name", false),
        ("applicant_scored_by", true),
        ("applicant_country", false),
    ] {
        let [document, selfie] = pictures("ada");
        let parts: [Part; 3] = [document, selfie, (name, "", b"x".to_vec())];
        let (status, told) = desk.upload(&case, &parts).await;
        let refused = (status, told) == (400, no("precomputed_verdict"));
        assert_eq!(refused, is_claim, "{name}");
        assert!(is_claim || status == 200, "{name}");
    }
}

// K78
#[tokio::test]
async fn the_word_counts_at_either_end_of_the_document() {
    let desk = CaseDesk::new().await;
    let padding = vec![b'.'; 100 * 1024];
    let word = b"KYCPORT-MOCK:rejected ";
    let begin: [&[u8]; 4] = [b"%PDF-1.7\n", word, &padding, b"\n%%EOF"];
    let middle: [&[u8]; 5] = [b"%PDF-1.7\n", &padding, word, &padding, b"\n%%EOF"];
    let end: [&[u8]; 4] = [b"%PDF-1.7 \n", &padding, word, b"\n%%EOF"];
    for (slug, document, outcome) in [
        ("begin", begin.concat(), "rejected"),
        ("middle", middle.concat(), "approved"),
        ("end", end.concat(), "rejected"),
    ] {
        let case = desk.open(&desk.person(slug)).await;
        let [_, selfie] = pictures(slug);
        let parts = [("document", "application/pdf", document), selfie];
        assert_eq!(desk.upload(&case, &parts).await.0, 200, "{slug}");
        assert_eq!(desk.decide(&case).await.1["outcome"], outcome, "{slug}");
    }
}

// K77
#[tokio::test]
async fn a_face_and_a_document_are_one_persons_alone() {
    let desk = CaseDesk::new().await;
    let (kyc, bob) = (&desk.kyc, desk.person("bob"));
    let decided = async |person, [mut document, mut selfie]: [Part; 2]| {
        // Names and texts play no role.
        (document.0, selfie.0) = ("document", "selfie");
        let case = desk.open(person).await;
        assert_eq!(desk.upload(&case, &[document, selfie]).await.0, 200);
        desk.decide(&case).await.1
    };
    let foreign = desk.open_as(kyc.other_tenant(), &bob).await;
    let parts = pictures("bob");
    let done = desk.upload_as(kyc.other_tenant(), &foreign, &parts).await;
    assert_eq!(done.0, 200);
    let [document, selfie] = pictures("bob");
    let [own_document, own_selfie] = pictures("ada");
    let rejected = |told: &Value| {
        let said = (told["outcome"].clone(), told["risk_level"].clone());
        said == (json!("rejected"), json!("high"))
    };
    let [eve, mallory, trent, carol] =
        ["eve", "mallory", "trent", "carol"].map(|slug| desk.person(slug));
    let face = decided(&eve, [own_document.clone(), selfie.clone()]).await;
    assert!(rejected(&face), "another's face: {face}");
    let paper = decided(&mallory, [document.clone(), own_selfie]).await;
    assert!(rejected(&paper), "another's document: {paper}");
    let [sheet, _] = pictures("trent");
    let twice = decided(&trent, [sheet.clone(), sheet]).await;
    assert!(rejected(&twice), "the document is no face: {twice}");
    let [document, selfie] = pictures("carol");
    decided(&carol, [document.clone(), selfie.clone()]).await;
    let again = decided(&carol, [document, selfie]).await;
    assert!(!rejected(&again), "the same person: {again}");
}

// K74
#[tokio::test]
async fn a_decision_shows_in_the_status() {
    let desk = CaseDesk::new().await;
    let kyc = &desk.kyc;
    for (slug, before, tier, outcome, after, shown) in [
        (
            "a",
            KycStatus::Unverified,
            KycTier::T0,
            Outcome::Approved,
            "verified",
            "t2",
        ),
        (
            "b",
            KycStatus::Verified,
            KycTier::T3,
            Outcome::Approved,
            "verified",
            "t3",
        ),
        (
            "c",
            KycStatus::Verified,
            KycTier::T1,
            Outcome::Approved,
            "verified",
            "t2",
        ),
        (
            "d",
            KycStatus::Rejected,
            KycTier::T3,
            Outcome::Approved,
            "verified",
            "t2",
        ),
        (
            "e",
            KycStatus::Verified,
            KycTier::T3,
            Outcome::Rejected,
            "rejected",
            "t3",
        ),
        (
            "f",
            KycStatus::Unverified,
            KycTier::T0,
            Outcome::Review,
            "pending",
            "t0",
        ),
        (
            "g",
            KycStatus::Verified,
            KycTier::T1,
            Outcome::Review,
            "verified",
            "t1",
        ),
    ] {
        let person = kyc.person(slug).status(before).tier(tier).create();
        let status = async || {
            let path = Endpoint::Status.path().replace("{person_id}", person.id());
            desk.request("GET", &path, kyc.tenant()).send().await.1
        };
        let first = status().await;
        let case = desk.open(&person).await;
        desk.upload(&case, &pictures(slug)).await;
        assert_eq!(status().await, first, "{slug}: nothing was decided");
        kyc.cases().next_outcome(outcome);
        assert_eq!(desk.decide(&case).await.0, 200);
        let now = status().await;
        assert_eq!(now["kyc_status"], after, "{slug}");
        assert_eq!(now["kyc_tier"], shown, "{slug}");
    }
}

// K55, K57
#[tokio::test]
async fn a_reviewer_ends_what_the_engine_left_open() {
    let desk = CaseDesk::new().await;
    let case = desk.open(&desk.ada).await;
    let missing = desk.kyc.cases().review(&case, &Outcome::Approved);
    missing.unwrap_err();
    desk.upload(&case, &pictures("ada")).await;
    desk.kyc.cases().next_outcome(Outcome::Review);
    let engine = desk.decide(&case).await.1;
    assert_eq!(engine["outcome"], "review");
    assert_eq!(engine["human_verified"], false);
    let waiting = desk.read(&case).await;
    assert_eq!(waiting["status"], "deciding");
    assert_eq!(waiting["decision"], Value::Null);
    let again = desk.decide(&case).await;
    assert_eq!(again, (409, no("decision_pending")));
    let late = desk.upload(&case, &pictures("ada")).await;
    assert_eq!(late, (409, no("case_not_open")));
    desk.kyc.cases().review(&case, &Outcome::Approved).unwrap();
    let decided = desk.read(&case).await;
    assert_eq!(decided["status"], "decided");
    assert_eq!(decided["decision"]["outcome"], "approved");
    assert_eq!(decided["decision"]["human_verified"], true);
    assert_eq!(desk.now(&case).human_verified, Some(true));
    assert_eq!(desk.ada.status(), KycStatus::Verified);
    let again = desk.decide(&case).await;
    assert_eq!(again, (409, no("already_decided")));
}

// case 124, K59
#[tokio::test]
async fn a_key_opens_one_case_where_it_is_heeded() {
    let desk = CaseDesk::new().await;
    let kyc = &desk.kyc;
    let open = async |tenant, level: &str| {
        let body = json!({ "person_id": desk.ada.id(), "level": level });
        let request = desk.request("POST", CASES, tenant);
        let request = request.header("idempotency-key", "one");
        let (status, told) = request.body("application/json", body.to_string()).await;
        (status, told["id"].as_str().unwrap_or_default().to_owned())
    };
    let (first, second) = (
        open(kyc.tenant(), "t2").await,
        open(kyc.tenant(), "t2").await,
    );
    assert_eq!((first.0, second.0), (201, 201));
    assert_ne!(first.1, second.1, "not heeded");
    kyc.switch(|switches| switches.honour_idempotency_key = true);
    let third = open(kyc.tenant(), "t2").await;
    assert_eq!(open(kyc.tenant(), "t2").await, third);
    assert_eq!(open(kyc.tenant(), "t3").await.0, 422);
    let foreign = open(kyc.other_tenant(), "t3").await;
    assert_eq!(foreign.0, 201, "another tenant's keys are its own");
    assert_eq!(kyc.cases().all().len(), 4);
}
