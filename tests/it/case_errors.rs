//! Tests that the case client returns the correct error for each error response of KYCPort.

use std::time::Duration;

use kycport::{
    Config, KycTier, RelyingParty, TransportError,
    cases::{
        CaptureFile, CaseError, CaseStatus, Outcome, OutcomeUnknownCause, Upload, WaitOutcome,
    },
    mock::{Endpoint, MockIssuer, Person, samples},
    web::CaptureError,
};
use serde_json::json;

const REDIRECT: &str = "http://127.0.0.1:1/auth/callback";
const MUTATIONS: [Endpoint; 3] = [
    Endpoint::OpenCase,
    Endpoint::UploadCase,
    Endpoint::DecideCase,
];

/// Creates a case of Ada that is ready for a decision, and clears the request log.
async fn setup() -> (MockIssuer, Person, String) {
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").create();
    let cases = client(&kyc).cases().clone();
    let case = cases.open(ada.id(), &KycTier::T2).await.unwrap();
    cases.upload(&case.id, upload()).await.unwrap();
    kyc.forget_requests();
    (kyc, ada, case.id)
}

fn client(kyc: &MockIssuer) -> RelyingParty {
    let ms = Duration::from_millis;
    let config = kyc
        .config(REDIRECT)
        .max_attempts(3)
        .retry_pause(ms(1))
        .retry_deadline(Duration::from_secs(20));
    RelyingParty::new(config.build().unwrap()).unwrap()
}

fn upload() -> Upload {
    Upload::new(
        CaptureFile::bytes(samples::document("ada")),
        CaptureFile::bytes(samples::selfie("ada")),
    )
}

/// Calls the operation of `endpoint` and returns its error.
async fn fail(party: &RelyingParty, endpoint: Endpoint, person: &Person, case: &str) -> CaseError {
    let cases = party.cases();
    match endpoint {
        Endpoint::OpenCase => cases.open(person.id(), &KycTier::T2).await.unwrap_err(),
        Endpoint::UploadCase => cases.upload(case, upload()).await.unwrap_err(),
        Endpoint::DecideCase => cases.decide(case).await.unwrap_err(),
        _ => cases.get(case).await.unwrap_err(),
    }
}

#[tokio::test]
async fn a_401_or_403_is_not_retried_and_the_error_hides_the_key() {
    // Covers threat case 114.
    let (kyc, ada, case) = setup().await;
    let key = kyc.tenant().api_key().to_owned();
    for endpoint in [MUTATIONS.as_slice(), &[Endpoint::ReadCase]].concat() {
        for status in [401, 403] {
            let party = client(&kyc);
            kyc.forget_requests();
            let echo = r#"{"error":"brand_new"}"#;
            let _fault = kyc
                .on(endpoint)
                .answer(status, "application/json", echo)
                .always();
            let error = fail(&party, endpoint, &ada, &case).await;
            let CaseError::Rejected {
                status: received,
                code: Some(code),
                ..
            } = &error
            else {
                panic!("{endpoint}: {error:?}");
            };
            assert_eq!((*received, code.as_str()), (status, "brand_new"));
            kyc.requests(endpoint).assert_count(1);
            let shown = format!("{error} {error:?} {:?}", party.cases());
            assert!(!shown.contains(&key), "{shown}");
        }
    }
    let client = kyc.client();
    let keyless = Config::builder(client.id(), REDIRECT)
        .client_secret(client.secret().unwrap())
        .issuer(kyc.issuer())
        .discovery_url(kyc.discovery_url());
    let keyless = RelyingParty::new(keyless.build().unwrap()).unwrap();
    kyc.forget_requests();
    for endpoint in [MUTATIONS.as_slice(), &[Endpoint::ReadCase]].concat() {
        let error = fail(&keyless, endpoint, &ada, &case).await;
        assert_eq!(error, CaseError::NoTenantKey, "{endpoint}");
        kyc.requests(endpoint).assert_count(0);
    }
}

#[tokio::test]
async fn the_text_of_an_error_response_is_not_logged() {
    // Covers threat case 114.
    const CANARY: &str = "ada lovelace was rejected";
    let (kyc, ada, case) = setup().await;
    let party = client(&kyc);
    let (log, _logging) = crate::leaks::Log::capture();
    for body in [
        json!({ "error": "brand_new", "detail": CANARY }),
        json!({ "error": "brand_new", "message": CANARY }),
        json!({ "error": CANARY, "detail": CANARY }),
    ] {
        for endpoint in [MUTATIONS.as_slice(), &[Endpoint::ReadCase]].concat() {
            let on = kyc.on(endpoint);
            let _fault = on
                .answer(400, "application/json", body.to_string())
                .always();
            let error = fail(&party, endpoint, &ada, &case).await;
            let shown = format!("{error} {error:?} {:?}", CaptureError::from(error.clone()));
            assert!(!shown.contains(CANARY), "{shown}");
            let CaseError::Rejected { message, code, .. } = error else {
                panic!("{endpoint}: {error:?}");
            };
            assert_eq!(message.unwrap().as_str(), CANARY);
            let named = (body["error"] == "brand_new").then_some("brand_new");
            assert_eq!(code.as_deref(), named);
        }
        let on = kyc.on(Endpoint::Status);
        let _fault = on
            .answer(400, "application/json", body.to_string())
            .always();
        let error = party.status().status(ada.id()).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(CANARY), "{shown}");
    }
    assert!(!log.text().contains(CANARY), "{}", log.text());
}

#[tokio::test]
async fn debug_output_of_a_decided_case_contains_no_person_and_no_outcome() {
    let (kyc, ada, case) = setup().await;
    kyc.cases().next_outcome(Outcome::Rejected);
    let party = client(&kyc);
    let decision = party.cases().decide(&case).await.unwrap();
    let read = party.cases().get(&case).await.unwrap();
    let waited = party
        .cases()
        .wait_until_decided(&case, Duration::from_secs(30));
    let waited = waited.await.unwrap();
    let shown = format!("{decision:?} {read:?} {waited:?}").to_lowercase();
    for hidden in [ada.id(), "rejected", "low", "medium", "high", "full"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[tokio::test]
async fn a_rate_limit_pauses_all_calls_and_no_mutation_is_repeated() {
    // Covers threat cases 115, 116.
    for limited in MUTATIONS {
        let (kyc, ada, case) = setup().await;
        kyc.clock().freeze();
        let party = client(&kyc);
        let retry_after = Duration::from_secs(300);
        let fault = kyc.on(limited).fail(429);
        let _fault = fault.add_header("retry-after", "300").once();
        let error = fail(&party, limited, &ada, &case).await;
        assert_eq!(error, CaseError::RateLimited { retry_after }, "{limited}");
        kyc.requests(limited).assert_count(1);
        kyc.forget_requests();
        for endpoint in [MUTATIONS.as_slice(), &[Endpoint::ReadCase]].concat() {
            let error = fail(&party, endpoint, &ada, &case).await;
            assert!(matches!(error, CaseError::RateLimited { .. }), "{error:?}");
            kyc.requests(endpoint).assert_count(0);
        }
        kyc.clock().advance(retry_after);
        party.cases().get(&case).await.unwrap();
    }
}

#[tokio::test]
async fn a_503_with_retry_after_means_that_the_outcome_is_unknown() {
    // Threat cases 115, 122: a proxy may return 503 although the operation succeeded.
    for mutation in MUTATIONS {
        let (kyc, ada, case) = setup().await;
        let fault = kyc.on(mutation).after().fail(503);
        let _fault = fault.add_header("retry-after", "1").always();
        let error = fail(&client(&kyc), mutation, &ada, &case).await;
        let unknown = OutcomeUnknownCause::Status { status: 503 };
        assert_eq!(error, CaseError::OutcomeUnknown(unknown), "{mutation}");
        kyc.requests(mutation).assert_count(1);
    }
}

#[tokio::test]
async fn a_read_is_retried_twice_and_follows_no_redirect() {
    // Covers threat cases 116, 120.
    let (kyc, ada, case) = setup().await;
    let party = client(&kyc);
    let fault = kyc.on(Endpoint::ReadCase).fail(500).always();
    let error = fail(&party, Endpoint::ReadCase, &ada, &case).await;
    assert_eq!(error, CaseError::Unavailable { status: 500 });
    kyc.requests(Endpoint::ReadCase).assert_count(3);
    drop(fault);
    let elsewhere = kyc.status_url(ada.id());
    let _fault = kyc
        .on(Endpoint::ReadCase)
        .redirect(307, &elsewhere)
        .always();
    let error = fail(&party, Endpoint::ReadCase, &ada, &case).await;
    let redirect = TransportError::Redirect { status: 307 };
    assert_eq!(error, CaseError::Transport(redirect));
    kyc.requests(Endpoint::Status).assert_count(0);
}

#[tokio::test]
async fn without_a_response_the_outcome_of_open_once_is_unknown() {
    // Covers threat case 122.
    let (kyc, ada, _) = setup().await;
    let party = client(&kyc);
    let key = "0123456789abcdef0123456789abcdef";
    let open = || party.cases().open_once(ada.id(), &KycTier::T2, key);
    let fault = kyc.on(Endpoint::OpenCase).after().fail(502).always();
    let unknown = OutcomeUnknownCause::Status { status: 502 };
    assert_eq!(
        open().await.unwrap_err(),
        CaseError::OutcomeUnknown(unknown)
    );
    drop(fault);
    let _fault = kyc
        .on(Endpoint::OpenCase)
        .after()
        .drop_connection()
        .always();
    let unknown = OutcomeUnknownCause::Transport(TransportError::Broken);
    assert_eq!(
        open().await.unwrap_err(),
        CaseError::OutcomeUnknown(unknown)
    );
}

#[tokio::test]
async fn a_case_is_decided_only_with_a_final_status_and_outcome() {
    // Covers threat case 117.
    let (kyc, _, case) = setup().await;
    let party = client(&kyc);
    for (status, outcome, is_decided) in [
        ("decided", Some("approved"), true),
        ("decided", Some("APPROVED-ISH"), true),
        ("decided", Some("review"), false),
        ("decided", None, false),
        ("deciding", Some("approved"), false),
        ("done", Some("approved"), false),
    ] {
        let _fault = kyc
            .on(Endpoint::ReadCase)
            .edit(move |case| {
                case["status"] = status.into();
                case["decision"] = outcome
                    .map(|it| serde_json::json!({ "outcome": it }))
                    .into();
            })
            .once();
        let read = party.cases().get(&case).await.unwrap();
        assert_eq!(read.is_decided(), is_decided, "{status} {outcome:?}");
    }
}

#[tokio::test]
async fn waiting_returns_the_last_read_case_if_later_reads_fail() {
    let (kyc, ada, case) = setup().await;
    let ms = Duration::from_millis;
    let config = kyc
        .config(REDIRECT)
        .max_attempts(1)
        .retry_pause(ms(1))
        .retry_deadline(Duration::from_secs(20))
        .case_poll_interval(ms(1))
        .max_case_poll_interval(ms(5));
    let party = RelyingParty::new(config.build().unwrap()).unwrap();
    let deciding = serde_json::json!({
        "id": case, "person_id": ada.id(), "level": "t2", "status": "deciding",
    });
    let seen = kyc
        .on(Endpoint::ReadCase)
        .answer(200, "application/json", deciding.to_string())
        .once();
    let fault = kyc.on(Endpoint::ReadCase).fail(500).always();
    let waited = party.cases().wait_until_decided(&case, ms(1500)).await;
    seen.assert_hit();
    fault.assert_hit();
    let WaitOutcome::StillPending(seen) = waited.unwrap() else {
        panic!("expected StillPending");
    };
    assert_eq!(seen.status, CaseStatus::Deciding);
}
