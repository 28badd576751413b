//! What a tenant does at KYCPort, written once and run against any issuer: the mock, or the one
//! that the environment names. `target.rs` says how.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
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

/// 43 unreserved characters that no challenge was made of.
const WRONG_VERIFIER: &str = "wrong-wrong-wrong-wrong-wrong-wrong-wrong-0";

// K1, K2, K10
#[tokio::test]
async fn a_login_begins() {
    let target = Target::new().await;
    let app = target.relying_party();
    let (url, _) = app.oidc().begin(&LoginRequest::new()).await.unwrap();
    let said: Vec<_> = url.query_pairs().collect();
    assert!(said.contains(&("code_challenge_method".into(), "S256".into())));
}

// K20 to K22, K30, K31, K35
#[tokio::test]
async fn a_person_signs_in_and_userinfo_says_the_same() {
    let target = Target::new().await;
    let Some(ada) = target.somebody() else {
        return target::skip("signing in needs a person who does what a test says");
    };
    let app = target.relying_party();
    let (url, transaction) = app.oidc().begin(&LoginRequest::new()).await.unwrap();
    let callback = ada.comes_back_from(&url).await;
    let params = CallbackParams::parse(callback.query().unwrap()).unwrap();
    let signed_in = app.oidc().finish(transaction, params).await.unwrap();
    assert_eq!(signed_in.claims.subject, ada.id());
    assert_eq!(signed_in.claims.kyc_status, Some(KycStatus::Verified));

    let token = &signed_in.tokens.access_token;
    let told = app.oidc().userinfo(token, ada.id()).await.unwrap();
    assert_eq!(told.kyc_status, signed_in.claims.kyc_status);
    assert_eq!(told.kyc_tier, signed_in.claims.kyc_tier);
}

// K35
#[tokio::test]
async fn userinfo_says_nothing_to_a_token_that_is_none() {
    let target = Target::new().await;
    let app = target.relying_party();
    let token = Secret::new("not-a-token");
    let refused = app.oidc().userinfo(&token, "anybody").await.unwrap_err();
    assert!(matches!(refused, UserinfoError::TokenRejected), "{refused}");
}

// K24
#[tokio::test]
async fn a_code_that_was_never_issued_gives_nothing() {
    let target = Target::new().await;
    let (status, told) = target.exchange("never-issued", WRONG_VERIFIER).await;
    assert_eq!((status, &told["error"]), (400, &"invalid_grant".into()));
}

// K11
#[tokio::test]
async fn a_wrong_verifier_gives_nothing() {
    let target = Target::new().await;
    let Some((code, _)) = target.code().await else {
        return target::skip("a code needs a person who does what a test says");
    };
    let (status, told) = target.exchange(&code, WRONG_VERIFIER).await;
    assert_eq!((status, &told["error"]), (400, &"invalid_grant".into()));
}

// K24
#[tokio::test]
async fn a_code_works_once() {
    let target = Target::new().await;
    let Some((code, verifier)) = target.code().await else {
        return target::skip("a code needs a person who does what a test says");
    };
    let (status, told) = target.exchange(&code, verifier).await;
    assert_eq!(status, 200);
    assert!(told["id_token"].is_string() && told["access_token"].is_string());
    let (status, told) = target.exchange(&code, verifier).await;
    assert_eq!((status, &told["error"]), (400, &"invalid_grant".into()));
}

// K40, K41
#[tokio::test]
async fn a_tenant_reads_a_status() {
    let target = Target::new().await;
    let Some(person) = target.person_id() else {
        return target::skip("a status needs KYCPORT_SCENARIO_PERSON");
    };
    let app = target.relying_party();
    let told = app.status().status(person).await.unwrap();
    let known = |status: &KycStatus| !matches!(status, KycStatus::Unknown(_));
    assert!(told.kyc_status.is_some_and(|it| known(&it)));
    assert!(
        told.kyc_tier
            .is_some_and(|it| !matches!(it, KycTier::Unknown(_)))
    );
}

// K43
#[tokio::test]
async fn a_status_is_refused_with_a_code() {
    let target = Target::new().await;
    let Some(key) = target.api_key() else {
        return target::skip("a status needs KYCPORT_TENANT_API_KEY");
    };
    for (key, person, says) in [
        (key, "nobody-whom-anybody-knows", (404, "person_not_found")),
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

// K50 to K55
#[tokio::test]
async fn a_case_goes_from_its_opening_to_a_decision() {
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

// K60 to K63
#[tokio::test]
async fn what_happens_to_a_person_is_delivered() {
    let target = Target::new().await;
    let Some((kyc, ada)) = target.mock() else {
        return target::skip("a delivery needs an endpoint that the issuer reaches");
    };
    let (tell, mut told) = mpsc::unbounded_channel();
    let app = kyc.serve(|config| {
        let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
        let handler = move |delivery: Delivery| {
            let stands = delivery.assurance().and_then(|it| it.kyc_status.clone());
            let sent = tell.send((delivery.event().event_type().to_string(), stands));
            async { sent.map_err(std::io::Error::other) }
        };
        let receiver = kycport.webhooks(handler).build().unwrap();
        Router::new().route_service("/hooks", receiver)
    });
    let app = app.await.unwrap();
    kyc.webhooks().subscribe(app.url("/hooks"));
    ada.reject();
    kyc.webhooks().settled().await;
    let (kind, stands) = told.recv().await.unwrap();
    assert_eq!(kind, "kyc.status_changed");
    assert_eq!(stands, Some(KycStatus::Rejected));
}

/// The suite, in another process, against a mock that it knows by its environment alone.
#[test]
fn another_issuer_is_only_an_environment_away() {
    if target::is_named() {
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
    let said = String::from_utf8_lossy(&suite.stdout) + String::from_utf8_lossy(&suite.stderr);
    assert!(suite.status.success(), "{said}");
    // What needs a person under control, and no more.
    assert_eq!(said.matches("SKIPPED").count(), 4, "{said}");
    assert!(kyc.requests(kycport::mock::Endpoint::DecideCase).count() > 0);
}
