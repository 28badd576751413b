//! Tests that an app's own API accepts valid access tokens and rejects all other tokens.

use std::time::Duration;

use axum::http::Method;
use kycport::{
    Clock as _, KycTier,
    mock::{Browser, Page, Tamper},
    store::StoreError,
};

use crate::recording_store::{ASSURANCE, Op, TestApp, setup};

async fn ask(setup: &TestApp, path: &str, headers: &[(&str, &str)]) -> Page {
    let browser = setup.kyc.browser();
    let mut visit = browser.request(Method::GET, setup.app.url(path)).fetch();
    for (name, value) in headers {
        visit = visit.header(name, value);
    }
    visit.stay().send().await.unwrap()
}

fn access_token(setup: &TestApp) -> String {
    let mint = setup.kyc.mint();
    mint.access_token(&setup.ada, setup.kyc.client()).sign()
}

#[tokio::test]
async fn bearer_errors_follow_rfc_6750() {
    // Covers threat cases 84, 85.
    let setup = setup().await;
    let good = format!("Bearer {}", access_token(&setup));
    let (mint, client) = (setup.kyc.mint(), setup.kyc.client());
    let bearer = |token: String| format!("Bearer {token}");
    let id_token = bearer(mint.id_token(&setup.ada, client, "n").sign());
    let foreign = setup.kyc.public_client();
    let foreign = bearer(mint.access_token(&setup.ada, foreign).sign());
    let tampered = |tamper| bearer(mint.access_token(&setup.ada, client).tamper(tamper).sign());
    let (flipped, expired) = (tampered(Tamper::ForeignKey), tampered(Tamper::Expired));
    let none = Some("Bearer");
    let invalid = Some("Bearer error=\"invalid_token\"");
    let malformed = Some("Bearer error=\"invalid_request\"");
    let long = format!("Bearer {}", "a".repeat(20_000));
    for (values, status, challenge) in [
        (vec![], 401, none),
        (vec!["Basic dXNlcjpwYXNz"], 401, none),
        (vec!["Bearer"], 400, malformed),
        (vec!["Bearer "], 400, malformed),
        (vec!["Bearer a b"], 400, malformed),
        (vec![good.as_str(), good.as_str()], 400, malformed),
        (vec!["Bearer garbage"], 401, invalid),
        (vec!["Bearer ..."], 401, invalid),
        (vec![long.as_str()], 401, invalid),
        (vec![id_token.as_str()], 401, invalid),
        (vec![foreign.as_str()], 401, invalid),
        (vec![flipped.as_str()], 401, invalid),
        (vec![expired.as_str()], 401, invalid),
        (vec![good.as_str()], 200, None),
    ] {
        let headers: Vec<_> = values.iter().map(|v| ("authorization", *v)).collect();
        let page = ask(&setup, "/api/me", &headers).await;
        assert_eq!(page.status(), status, "{values:.60?}");
        assert_eq!(page.header("www-authenticate"), challenge, "{values:.60?}");
        if status != 200 {
            assert_eq!(page.header("cache-control"), Some("no-store"));
            assert_eq!(page.body(), "");
        }
    }
    let shouted = good.replace("Bearer", "BEARER");
    ask(&setup, "/api/me", &[("authorization", &shouted)])
        .await
        .assert_ok();
}

#[tokio::test]
async fn without_keys_the_response_is_503() {
    // Covers threat case 95.
    let setup = setup().await;
    let good = format!("Bearer {}", access_token(&setup));
    setup.kyc.stop().unwrap();
    let page = ask(&setup, "/api/me", &[("authorization", &good)]).await;
    page.assert_status(503);
    assert_eq!(page.header("www-authenticate"), None);
    assert!(page.header("retry-after").is_some());
}

#[tokio::test]
async fn an_exhausted_key_budget_causes_503() {
    // Covers threat case 13.
    let setup = setup().await;
    let good = access_token(&setup);
    let header = format!("Bearer {good}");
    let page = ask(&setup, "/api/me", &[("authorization", &header)]).await;
    page.assert_ok();
    let (_, rest) = good.split_once('.').unwrap();
    for (kid, status) in [("1", 401), ("2", 401), ("3", 503)] {
        let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#);
        let made_up = format!("Bearer {}.{rest}", crate::mint::b64(header));
        let page = ask(&setup, "/api/me", &[("authorization", &made_up)]).await;
        page.assert_status(status);
        assert_eq!(page.header("retry-after").is_some(), status == 503);
    }
}

/// Returns the status of the API's response to this token.
async fn api(setup: &TestApp, token: &str) -> u16 {
    let header = format!("Bearer {token}");
    let page = ask(setup, "/api/me", &[("authorization", &header)]).await;
    let challenge = page.header("www-authenticate");
    match page.status() {
        401 => assert_eq!(challenge, Some("Bearer error=\"invalid_token\"")),
        503 => assert!(page.header("retry-after").is_some() && challenge.is_none()),
        _ => {}
    }
    page.status()
}

async fn signed_in(setup: &TestApp) -> Browser {
    let browser = setup.kyc.browser();
    let login = setup.app.url("/auth/login");
    browser.sign_in(login, &setup.ada).await.unwrap();
    browser
}

#[tokio::test]
async fn a_token_from_before_all_sessions_were_revoked_is_rejected() {
    let setup = setup().await;
    setup.kyc.clock().freeze();
    let early = access_token(&setup);
    assert_eq!(api(&setup, &early).await, 200);
    // Revoking one session does not revoke the person's other sessions.
    for (everywhere, expected) in [("", 200), ("?everywhere=1", 401)] {
        let browser = signed_in(&setup).await;
        let logout = setup.app.url(&format!("/auth/logout{everywhere}"));
        let page = browser.request(Method::POST, logout).fetch().send().await;
        page.unwrap().assert_status(204);
        assert_eq!(api(&setup, &early).await, expected, "{everywhere}");
    }
    // The clocks of KYCPort and of the app may differ by a minute.
    setup.kyc.clock().advance(Duration::from_secs(60));
    assert_eq!(api(&setup, &access_token(&setup)).await, 401);
    setup.kyc.clock().advance(Duration::from_secs(1));
    assert_eq!(api(&setup, &access_token(&setup)).await, 200);
    assert_eq!(api(&setup, &early).await, 401);
}

#[tokio::test]
async fn a_later_revocation_with_an_earlier_time_accepts_no_token_again() {
    let setup = setup().await;
    signed_in(&setup).await;
    let clock = setup.kyc.clock();
    clock.freeze();
    clock.advance(Duration::from_secs(600));
    let token = access_token(&setup);
    let sign_out = async || {
        let browser = signed_in(&setup).await;
        let url = setup.app.url("/auth/logout?everywhere=1");
        let page = browser.request(Method::POST, url).fetch().send().await;
        page.unwrap().assert_status(204);
    };
    sign_out().await;
    assert_eq!(api(&setup, &token).await, 401);
    // The clock of the instance that revokes the sessions a second time is behind.
    let now = clock.now();
    clock.jump_to(now.saturating_sub(Duration::from_secs(300)));
    sign_out().await;
    clock.jump_to(now);
    assert_eq!(api(&setup, &token).await, 401);
}

#[tokio::test]
async fn a_revocation_that_fails_rejects_tokens_and_can_be_repeated() {
    let setup = setup().await;
    let token = access_token(&setup);
    let browser = signed_in(&setup).await;
    let logout = setup.app.url("/auth/logout?everywhere=1");
    let post = async || {
        let request = browser.request(Method::POST, logout.as_str());
        request.fetch().send().await.unwrap().status()
    };
    setup.store.fail_with(Op::Revoke, StoreError::Unreachable);
    assert_eq!(post().await, 503);
    assert_eq!(api(&setup, &token).await, 401);
    setup.store.heal();
    assert_eq!(post().await, 204);
    assert_eq!(api(&setup, &token).await, 401);
}

#[tokio::test]
async fn a_token_of_a_rejected_person_is_rejected() {
    let setup = setup().await;
    let token = access_token(&setup);
    signed_in(&setup).await;
    assert_eq!(api(&setup, &token).await, 200);
    setup.ada.reject();
    let browser = signed_in(&setup).await;
    assert_eq!(api(&setup, &token).await, 401);
    setup.ada.verify(KycTier::T2);
    let page = browser.fetch(setup.app.url("/sensitive")).await.unwrap();
    page.assert_ok();
    assert_eq!(api(&setup, &token).await, 200);
}

#[tokio::test]
async fn a_token_gets_503_if_the_store_cannot_be_read() {
    let setup = setup().await;
    let token = access_token(&setup);
    signed_in(&setup).await;
    setup.store.forget();
    assert_eq!(api(&setup, &token).await, 200);
    assert_eq!(
        (setup.store.count(Op::Read), setup.store.operations()),
        (1, 1)
    );
    setup.store.fail();
    assert_eq!(api(&setup, &token).await, 503);
    setup.store.heal();
    assert_eq!(api(&setup, &token).await, 200);
    let damaged = |_: &[u8]| b"\x01not a record".to_vec();
    setup.store.replace(ASSURANCE, damaged).await;
    assert_eq!(api(&setup, &token).await, 503);
}

#[tokio::test]
async fn identity_headers_do_not_authenticate() {
    // Covers threat case 87.
    let setup = setup().await;
    let good = format!("Bearer {}", access_token(&setup));
    let id = setup.ada.id().to_owned();
    for (name, value) in [
        ("authorization", good.as_str()),
        ("x-user", &id),
        ("x-forwarded-user", &id),
        ("x-forwarded-email", &setup.ada.email()),
        ("x-remote-user", &id),
        ("remote-user", &id),
        ("x-auth-request-user", &id),
        ("oidc_claim_sub", &id),
        ("x-forwarded-access-token", &good),
    ] {
        let page = ask(&setup, "/", &[(name, value)]).await;
        assert_eq!(page.body(), "signed out", "{name}");
        for path in ["/vault", "/auth/me", "/token"] {
            let page = ask(&setup, path, &[(name, value)]).await;
            assert_eq!(page.status(), 401, "{name} {path}");
        }
    }
    // A session cookie does not authenticate API requests.
    let browser = setup.kyc.browser();
    browser
        .sign_in(setup.app.url("/auth/login"), &setup.ada)
        .await
        .unwrap();
    let page = browser.fetch(setup.app.url("/api/me")).await.unwrap();
    page.assert_status(401);
}
