//! Scenarios of a tenant at KYCPort. The scenarios run against the mock, or against the issuer in
//! the environment variables. See `target.rs`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

mod target;

use axum::Router;
use kycport::{
    KycStatus, KycTier, RelyingParty, Secret,
    cases::{CaptureFile, CaseError, CaseStatus, Outcome, Upload},
    kyc::StatusError,
    mock::samples,
    oidc::{CallbackParams, LoginRequest, UserinfoError},
    web::Delivery,
};
use target::Target;
use tokio::sync::mpsc;

/// 43 unreserved characters that match no challenge.
const WRONG_VERIFIER: &str = "wrong-wrong-wrong-wrong-wrong-wrong-wrong-0";

// Contract rows K1, K2, K10
#[tokio::test]
async fn a_login_starts() {
    let target = Target::new().await;
    let app = target.relying_party();
    let (url, _) = app.oidc().begin(&LoginRequest::new()).await.unwrap();
    let text: Vec<_> = url.query_pairs().collect();
    assert!(text.contains(&("code_challenge_method".into(), "S256".into())));
}

// Contract rows K20 to K22, K30, K31, K35
#[tokio::test]
async fn the_id_token_and_userinfo_of_a_login_agree() {
    let target = Target::new().await;
    let Some(ada) = target.controlled_person() else {
        return target::skip("a login needs a controllable person");
    };
    let app = target.relying_party();
    let (url, transaction) = app.oidc().begin(&LoginRequest::new()).await.unwrap();
    let callback = ada.complete_login(&url).await;
    let params = CallbackParams::parse(callback.query().unwrap()).unwrap();
    let signed_in = app.oidc().finish(transaction, params).await.unwrap();
    assert_eq!(signed_in.claims.subject, ada.id());
    assert_eq!(signed_in.claims.kyc_status, Some(KycStatus::Verified));

    let token = &signed_in.tokens.access_token;
    let response = app.oidc().userinfo(token, ada.id()).await.unwrap();
    assert_eq!(response.kyc_status, signed_in.claims.kyc_status);
    assert_eq!(response.kyc_tier, signed_in.claims.kyc_tier);
}

// Contract row K35
#[tokio::test]
async fn userinfo_rejects_an_invalid_access_token() {
    let target = Target::new().await;
    let app = target.relying_party();
    let token = Secret::new("not-a-token");
    let refused = app.oidc().userinfo(&token, "anybody").await.unwrap_err();
    assert!(matches!(refused, UserinfoError::TokenRejected), "{refused}");
}

// Contract row K24
#[tokio::test]
async fn an_unknown_code_is_rejected() {
    let target = Target::new().await;
    let (status, response) = target.exchange("never-issued", WRONG_VERIFIER).await;
    assert_eq!((status, &response["error"]), (400, &"invalid_grant".into()));
}

// Contract row K11
#[tokio::test]
async fn a_wrong_verifier_is_rejected() {
    let target = Target::new().await;
    let Some((code, _)) = target.code().await else {
        return target::skip("a code needs a controllable person");
    };
    let (status, response) = target.exchange(&code, WRONG_VERIFIER).await;
    assert_eq!((status, &response["error"]), (400, &"invalid_grant".into()));
}

// Contract row K24
#[tokio::test]
async fn a_code_works_once() {
    let target = Target::new().await;
    let Some((code, verifier)) = target.code().await else {
        return target::skip("a code needs a controllable person");
    };
    let (status, response) = target.exchange(&code, verifier).await;
    assert_eq!(status, 200);
    assert!(response["id_token"].is_string() && response["access_token"].is_string());
    let (status, response) = target.exchange(&code, verifier).await;
    assert_eq!((status, &response["error"]), (400, &"invalid_grant".into()));
}

// Contract rows K40, K41
#[tokio::test]
async fn a_tenant_reads_a_status() {
    let target = Target::new().await;
    let Some(person) = target.person_id() else {
        return target::skip("a status needs KYCPORT_SCENARIO_PERSON");
    };
    let app = target.relying_party();
    let response = app.status().status(person).await.unwrap();
    let known = |status: &KycStatus| !matches!(status, KycStatus::Unknown(_));
    assert!(response.kyc_status.is_some_and(|it| known(&it)));
    assert!(
        response
            .kyc_tier
            .is_some_and(|it| !matches!(it, KycTier::Unknown(_)))
    );
}

// Contract row K43
#[tokio::test]
async fn a_rejected_status_request_has_an_error_code() {
    let target = Target::new().await;
    let Some(key) = target.api_key() else {
        return target::skip("a status needs KYCPORT_TENANT_API_KEY");
    };
    for (key, person, says) in [
        (key, "unknown-person", (404, "person_not_found")),
        ("not-a-key", "anybody", (401, "invalid_api_key")),
    ] {
        let app = target.relying_party_with(|config| config.tenant_api_key(key));
        let refused = app.status().status(person).await.unwrap_err();
        let StatusError::Rejected { status, code, .. } = &refused else {
            unreachable!("{refused}");
        };
        assert_eq!((*status, code.as_deref()), (says.0, Some(says.1)));
    }
}

// Contract rows K50 to K55
#[tokio::test]
async fn a_case_is_opened_and_decided() {
    let target = Target::new().await;
    let Some(person) = target.person_id().filter(|_| target.may_open_cases()) else {
        return target::skip("cases need KYCPORT_SCENARIO_CASES=open and KYCPORT_SCENARIO_PERSON");
    };
    let app = target.relying_party();
    let cases = app.cases();
    let case = cases.open(person, &KycTier::T2).await.unwrap();
    assert_eq!(
        (&*case.person_id, &case.status),
        (person, &CaseStatus::Opened)
    );
    let early = cases.decide(&case.id).await.unwrap_err();
    assert!(
        matches!(early, CaseError::Rejected { status: 409, .. }),
        "{early}"
    );

    let document = CaptureFile::bytes(samples::document(&case.id));
    let selfie = CaptureFile::bytes(samples::selfie(&case.id));
    let received = cases.upload(&case.id, Upload::new(document, selfie)).await;
    assert!(received.unwrap().contains(&"document".to_owned()));
    let decision = cases.decide(&case.id).await.unwrap();
    assert!(!matches!(decision.outcome, Outcome::Unknown(_)));
    let read = cases.get(&case.id).await.unwrap();
    let over = [CaseStatus::Deciding, CaseStatus::Decided];
    assert!(over.contains(&read.status), "{}", read.status);
}

// Contract rows K60 to K63
#[tokio::test]
async fn a_change_of_a_person_is_delivered() {
    let target = Target::new().await;
    let Some((kyc, ada)) = target.mock() else {
        return target::skip("a delivery needs an endpoint that the issuer reaches");
    };
    let (sender, mut response) = mpsc::unbounded_channel();
    let app = kyc.serve(|config| {
        let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
        let handler = move |delivery: Delivery| {
            let stands = delivery.assurance().and_then(|it| it.kyc_status.clone());
            let sent = sender.send((delivery.event().event_type().to_string(), stands));
            async { sent.map_err(std::io::Error::other) }
        };
        let receiver = kycport.webhooks(handler).build().unwrap();
        Router::new().route_service("/hooks", receiver)
    });
    let app = app.await.unwrap();
    kyc.webhooks().subscribe(app.url("/hooks"));
    ada.reject();
    kyc.webhooks().settled().await;
    let (kind, stands) = response.recv().await.unwrap();
    assert_eq!(kind, "kyc.status_changed");
    assert_eq!(stands, Some(KycStatus::Rejected));
}

/// Runs the suite in another process, against a mock that is configured by the environment only.
#[test]
fn the_environment_selects_another_issuer() {
    if target::uses_environment() {
        return;
    }
    let kyc = kycport::mock::MockIssuer::start_blocking();
    let ada = kyc.person("ada").create();
    let suite = std::process::Command::new(std::env::current_exe().unwrap())
        .envs(kyc.environment(target::REDIRECT_URI))
        .env("KYCPORT_SCENARIOS", "environment")
        .env("KYCPORT_SCENARIO_PERSON", ada.id())
        .env("KYCPORT_SCENARIO_CASES", "open")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&suite.stdout) + String::from_utf8_lossy(&suite.stderr);
    assert!(suite.status.success(), "{text}");
    // The suite skips only the scenarios that need a controllable person.
    assert_eq!(text.matches("SKIPPED").count(), 4, "{text}");
    assert!(kyc.requests(kycport::mock::Endpoint::DecideCase).count() > 0);
}
