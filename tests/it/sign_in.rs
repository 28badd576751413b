//! Tests that login, session and logout work from end to end.

use axum::http::Method;
use kycport::mock::Endpoint;

use crate::support::{setup, setup_with};

#[tokio::test]
async fn a_person_signs_in_and_returns_to_the_requested_page() {
    let (kyc, app, ada) = setup().await;
    let browser = kyc.browser();

    let page = browser
        .sign_in(app.url("/auth/login?return_to=/vault"), &ada)
        .await
        .unwrap();

    page.assert_ok();
    assert_eq!(page.url().as_str(), app.url("/vault"));
    assert_eq!(page.body(), format!("the vault of {}", ada.id()));
}

#[tokio::test]
async fn a_guarded_page_redirects_to_login_and_back() {
    let (kyc, app, ada) = setup().await;

    let page = kyc
        .browser()
        .sign_in(app.url("/nested/vault?a=1"), &ada)
        .await
        .unwrap();

    page.assert_ok();
    assert_eq!(page.url().as_str(), app.url("/nested/vault?a=1"));
}

#[tokio::test]
async fn me_returns_the_signed_in_person() {
    let (kyc, app, ada) = setup_with(|config| config.scopes(["openid", "email", "kyc"])).await;
    let browser = kyc.browser();
    browser
        .fetch(app.url("/auth/me"))
        .await
        .unwrap()
        .assert_status(401);
    browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();

    let me = browser.fetch(app.url("/auth/me")).await.unwrap();

    me.assert_ok();
    let me = me.json();
    assert_eq!(me["issuer"], kyc.issuer());
    assert_eq!(me["subject"], ada.id());
    assert_eq!(me["claims"]["email"], ada.email());
    assert_eq!(me["claims"]["name"], serde_json::Value::Null); // not granted
    assert_eq!(me["assurance"]["kyc_status"], "verified");
    assert_eq!(me["assurance"]["kyc_tier"], "t2");
    assert!(
        me["session"]["expires_at"].as_i64().unwrap()
            > me["session"]["created_at"].as_i64().unwrap()
    );
}

#[tokio::test]
async fn me_hides_the_aml_result_by_default() {
    for shows in [None, Some(false), Some(true)] {
        let (kyc, app, ada) = setup_with(|config| match shows {
            Some(shows) => config.me_shows_aml(shows),
            None => config,
        })
        .await;
        let browser = kyc.browser();
        for (clear, shown) in [(Some(true), true), (Some(false), false)] {
            ada.set_aml_clear(clear);
            browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
            // The guard asks KYCPort. The app then knows the new result.
            browser.fetch(app.url("/sensitive")).await.unwrap();

            let me = browser.fetch(app.url("/auth/me")).await.unwrap();

            me.assert_ok();
            let assurance = me.json()["assurance"].clone();
            let found = assurance.get("aml_clear").cloned();
            let expected = (shows == Some(true)).then(|| shown.into());
            assert_eq!(found, expected, "{shows:?} {clear:?}");
            assert_eq!(assurance["kyc_status"], "verified");
        }
    }
}

#[tokio::test]
async fn logout_ends_the_session_permanently() {
    // Covers threat cases 108, 109.
    let (kyc, app, ada) = setup().await;
    let browser = kyc.browser();
    browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    let stolen = browser.clone();

    let page = browser
        .post_form(app.url("/auth/logout"), &[])
        .await
        .unwrap();

    page.assert_ok();
    assert_eq!(page.body(), "signed out");
    assert_eq!(browser.cookie(app.url("/"), "__Host-kycport"), None);
    stolen
        .fetch(app.url("/auth/me"))
        .await
        .unwrap()
        .assert_status(401);
}

#[tokio::test]
async fn a_login_with_warm_caches_sends_one_request_to_kycport() {
    let (kyc, app, ada) = setup().await;
    kyc.browser()
        .sign_in(app.url("/auth/login"), &ada)
        .await
        .unwrap()
        .assert_ok();
    kyc.forget_requests();

    kyc.browser()
        .sign_in(app.url("/auth/login"), &ada)
        .await
        .unwrap()
        .assert_ok();

    kyc.requests(Endpoint::Token).assert_count(1);
    for quiet in [Endpoint::Discovery, Endpoint::Jwks, Endpoint::Userinfo] {
        kyc.requests(quiet).assert_count(0);
    }
}

#[tokio::test]
async fn built_in_routes_reject_other_methods() {
    // Covers threat cases 43, 103.
    let (kyc, app, _) = setup().await;
    let browser = kyc.browser();
    for (method, path) in [
        (Method::HEAD, "/auth/login"),
        (Method::POST, "/auth/login"),
        (Method::HEAD, "/auth/callback?state=s&code=c"),
        (Method::POST, "/auth/callback"),
        (Method::GET, "/auth/logout"),
        (Method::POST, "/auth/me"),
    ] {
        let page = browser
            .request(method.clone(), app.url(path))
            .send()
            .await
            .unwrap();
        assert_eq!(page.status(), 405, "{method} {path}");
    }
}
