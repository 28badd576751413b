//! Tests that the case engine checks files, controls access and applies a decision to the person.

use std::time::Duration;

use kycport::{KycStatus, KycTier, cases::Outcome, mock::Endpoint};
use serde_json::{Value, json};

use crate::case_desk::{CASES, CaseClient, Part, error_body, pictures};

// K4, K47, K54
#[tokio::test]
async fn a_case_is_hidden_from_clients_without_access() {
    let api = CaseClient::new().await;
    let kyc = &api.kyc;
    let case = api.open(&api.ada).await;
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
        let strangers = api.request(method, &path, other).send().await;
        assert_eq!(strangers, (404, error_body("case_not_found")), "{path}");
        let nowhere = api.request(method, &nobodys, kyc.tenant()).send().await;
        assert_eq!(nowhere, strangers, "{path}");
        let bare = path.trim_end_matches('/');
        let bare = api.request(method, bare, kyc.tenant()).send().await;
        assert_eq!(bare.0, 404, "{path}");
        let wrong = api.request("PUT", &path, kyc.tenant()).send().await;
        assert_eq!(wrong.0, 405, "{path}");
    }
    other.revoke_status_right();
    kyc.switch(|switches| switches.status_rate_limit = Some((0, Duration::from_secs(10))));
    for (method, path) in of(&case) {
        let no_right = api.request(method, &path, other).send().await;
        assert_eq!(no_right, (403, error_body("forbidden")), "{path}");
        let too_often = api.request(method, &path, kyc.tenant()).send().await;
        assert_eq!(too_often, (429, error_body("rate_limited")), "{path}");
    }
}

// K75: JSON with a duplicate name is ambiguous.
#[tokio::test]
async fn duplicate_json_members_are_rejected_when_a_case_is_opened() {
    let api = CaseClient::new().await;
    let id = api.ada.id();
    for twice in [
        format!(r#"{{"person_id":"{id}","level":"t2","level":"t3"}}"#),
        format!(r#"{{"person_id":"{id}","person_id":"{id}","level":"t2"}}"#),
    ] {
        let request = api.request("POST", CASES, api.kyc.tenant());
        let answer = request.body("application/json", twice.clone()).await;
        assert_eq!(answer, (400, error_body("invalid_request")), "{twice}");
    }
}

// K75
#[tokio::test]
async fn only_json_opens_a_case() {
    let api = CaseClient::new().await;
    let good = json!({ "person_id": api.ada.id(), "level": "t2" }).to_string();
    for (content_type, status) in [
        ("application/json", 201),
        ("Application/JSON; charset=utf-8", 201),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ] {
        let request = api.request("POST", CASES, api.kyc.tenant());
        let (answered, response) = request.body(content_type, good.clone()).await;
        assert_eq!(answered, status, "{content_type}");
        let refused = response == error_body("unsupported_media_type");
        assert_eq!(refused, status == 415, "{content_type}");
    }
}

// case 137
#[tokio::test]
async fn the_request_log_contains_no_body() {
    let api = CaseClient::new().await;
    let case = api.open(&api.ada).await;
    let path = format!("{CASES}{case}/decide/");
    let request = api.request("POST", &path, api.kyc.tenant());
    request
        .body("application/json", r#"{"outcome":"a secret"}"#)
        .await;
    for (endpoint, result) in [
        (Endpoint::OpenCase, api.ada.id()),
        (Endpoint::DecideCase, "a secret"),
    ] {
        let requests = api.kyc.requests(endpoint);
        let listed_tier = format!("{:?}", requests.last().unwrap());
        assert!(!listed_tier.contains(result), "{listed_tier}");
    }
}

// K43, K54, K58
#[tokio::test]
async fn a_fault_has_the_error_codes_of_its_endpoint() {
    let api = CaseClient::new().await;
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
        let fault = api.kyc.on(endpoint).fail(status).once();
        let path = endpoint.path().replace("{case_id}", "any");
        let method = if endpoint == Endpoint::ReadCase {
            "GET"
        } else {
            "POST"
        };
        let response = api.request(method, &path, api.kyc.tenant()).send().await;
        assert_eq!(response, (status, error_body(code)), "{endpoint}");
        fault.assert_hit();
    }
}

// K58
#[tokio::test]
async fn a_file_type_is_detected_from_its_first_and_last_bytes() {
    let api = CaseClient::new().await;
    let case = api.open(&api.ada).await;
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
            "wrong content type",
            "image/png",
            webp(12),
            415,
            "unsupported_media_type",
        ),
        (
            "only the first bytes",
            "image/png",
            b"\x89PNG\r\n\x1a\n".to_vec(),
            400,
            "unreadable_file",
        ),
    ] {
        let parts = [("document", content_type, content), selfie.clone()];
        let (answered, response) = api.upload(&case, &parts).await;
        assert_eq!(answered, status, "{what}");
        assert!(status == 200 || response == error_body(error), "{what}");
    }
}

// K53, K76
#[tokio::test]
async fn a_part_that_only_the_engine_may_set_is_rejected() {
    let api = CaseClient::new().await;
    let case = api.open(&api.ada).await;
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
        let (status, response) = api.upload(&case, &parts).await;
        let refused = (status, response) == (400, error_body("precomputed_verdict"));
        assert_eq!(refused, is_claim, "{name}");
        assert!(is_claim || status == 200, "{name}");
    }
}

// K78
#[tokio::test]
async fn the_outcome_marker_is_read_at_both_ends_of_the_document() {
    let api = CaseClient::new().await;
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
        let case = api.open(&api.person(slug)).await;
        let [_, selfie] = pictures(slug);
        let parts = [("document", "application/pdf", document), selfie];
        assert_eq!(api.upload(&case, &parts).await.0, 200, "{slug}");
        assert_eq!(api.decide(&case).await.1["outcome"], outcome, "{slug}");
    }
}

// K77
#[tokio::test]
async fn a_document_or_selfie_of_another_person_is_rejected() {
    let api = CaseClient::new().await;
    let (kyc, bob) = (&api.kyc, api.person("bob"));
    let decided = async |person, [mut document, mut selfie]: [Part; 2]| {
        // The engine ignores file names and text parts.
        (document.0, selfie.0) = ("document", "selfie");
        let case = api.open(person).await;
        assert_eq!(api.upload(&case, &[document, selfie]).await.0, 200);
        api.decide(&case).await.1
    };
    let foreign = api.open_as(kyc.other_tenant(), &bob).await;
    let parts = pictures("bob");
    let done = api.upload_as(kyc.other_tenant(), &foreign, &parts).await;
    assert_eq!(done.0, 200);
    let [document, selfie] = pictures("bob");
    let [own_document, own_selfie] = pictures("ada");
    let rejected = |response: &Value| {
        let result = (response["outcome"].clone(), response["risk_level"].clone());
        result == (json!("rejected"), json!("high"))
    };
    let [eve, mallory, trent, carol] =
        ["eve", "mallory", "trent", "carol"].map(|slug| api.person(slug));
    let face = decided(&eve, [own_document.clone(), selfie.clone()]).await;
    assert!(rejected(&face), "the selfie of another person: {face}");
    let paper = decided(&mallory, [document.clone(), own_selfie]).await;
    assert!(rejected(&paper), "the document of another person: {paper}");
    let [sheet, _] = pictures("trent");
    let twice = decided(&trent, [sheet.clone(), sheet]).await;
    assert!(
        rejected(&twice),
        "a selfie that equals the document: {twice}"
    );
    let [document, selfie] = pictures("carol");
    decided(&carol, [document.clone(), selfie.clone()]).await;
    let again = decided(&carol, [document, selfie]).await;
    assert!(
        !rejected(&again),
        "files that the same person uploads again: {again}"
    );
}

// K74
#[tokio::test]
async fn a_decision_changes_the_status() {
    let api = CaseClient::new().await;
    let kyc = &api.kyc;
    for (slug, before, tier, outcome, after, listed_tier) in [
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
            api.request("GET", &path, kyc.tenant()).send().await.1
        };
        let first = status().await;
        let case = api.open(&person).await;
        api.upload(&case, &pictures(slug)).await;
        assert_eq!(status().await, first, "{slug}: no decision yet");
        kyc.cases().next_outcome(outcome);
        assert_eq!(api.decide(&case).await.0, 200);
        let now = status().await;
        assert_eq!(now["kyc_status"], after, "{slug}");
        assert_eq!(now["kyc_tier"], listed_tier, "{slug}");
    }
}

// K55, K57
#[tokio::test]
async fn a_reviewer_decides_a_case_in_review() {
    let api = CaseClient::new().await;
    let case = api.open(&api.ada).await;
    let missing = api.kyc.cases().review(&case, &Outcome::Approved);
    missing.unwrap_err();
    api.upload(&case, &pictures("ada")).await;
    api.kyc.cases().next_outcome(Outcome::Review);
    let engine = api.decide(&case).await.1;
    assert_eq!(engine["outcome"], "review");
    assert_eq!(engine["human_verified"], false);
    let waiting = api.read(&case).await;
    assert_eq!(waiting["status"], "deciding");
    assert_eq!(waiting["decision"], Value::Null);
    let again = api.decide(&case).await;
    assert_eq!(again, (409, error_body("decision_pending")));
    let late = api.upload(&case, &pictures("ada")).await;
    assert_eq!(late, (409, error_body("case_not_open")));
    api.kyc.cases().review(&case, &Outcome::Approved).unwrap();
    let decided = api.read(&case).await;
    assert_eq!(decided["status"], "decided");
    assert_eq!(decided["decision"]["outcome"], "approved");
    assert_eq!(decided["decision"]["human_verified"], true);
    assert_eq!(api.now(&case).human_verified, Some(true));
    assert_eq!(api.ada.status(), KycStatus::Verified);
    let again = api.decide(&case).await;
    assert_eq!(again, (409, error_body("already_decided")));
}

// case 124, K59
#[tokio::test]
async fn an_idempotency_key_opens_one_case_if_enabled() {
    let api = CaseClient::new().await;
    let kyc = &api.kyc;
    let open = async |tenant, level: &str| {
        let body = json!({ "person_id": api.ada.id(), "level": level });
        let request = api.request("POST", CASES, tenant);
        let request = request.header("idempotency-key", "one");
        let (status, response) = request.body("application/json", body.to_string()).await;
        (
            status,
            response["id"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let (first, second) = (
        open(kyc.tenant(), "t2").await,
        open(kyc.tenant(), "t2").await,
    );
    assert_eq!((first.0, second.0), (201, 201));
    assert_ne!(first.1, second.1, "the idempotency key was not ignored");
    kyc.switch(|switches| switches.honour_idempotency_key = true);
    let third = open(kyc.tenant(), "t2").await;
    assert_eq!(open(kyc.tenant(), "t2").await, third);
    assert_eq!(open(kyc.tenant(), "t3").await.0, 422);
    let foreign = open(kyc.other_tenant(), "t3").await;
    assert_eq!(foreign.0, 201, "two tenants can use equal idempotency keys");
    assert_eq!(kyc.cases().all().len(), 4);
}
