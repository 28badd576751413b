//! Tests that the hosted verification page and silent login work.

use std::time::Duration;

use kycport::{
    KycStatus, KycTier,
    mock::{Endpoint, Page},
};
use url::Url;

use crate::support::{BACK, TestIssuer, and, payload, query, set};

impl TestIssuer {
    fn verify_url(&self, params: &[(&str, &str)]) -> Url {
        Url::parse_with_params(&self.kyc.url(Endpoint::Verify), params).unwrap()
    }

    /// Completes a verification on the hosted page. Returns the first response and follows no
    /// redirect.
    async fn verify(&self, params: &[(&str, &str)], how: &str) -> Page {
        let url = self.verify_url(params);
        let visit = self.browser.request(http::Method::POST, url);
        let visit = visit.form(&[("verification", how)]).stay();
        visit.send().await.unwrap()
    }

    /// Sends a request with `prompt=none` and this parameter. Returns the error, or `code` after a
    /// success.
    async fn silent_login(&self, name: &str, value: &str) -> String {
        let request = and(set(self.request(), name, value), "prompt", "none");
        let page = self.browser.open(self.authorize_url(&request)).await;
        let to = page.unwrap().location().unwrap();
        query(&to, "error").unwrap_or_else(|| query(&to, "code").map(|_| "code".into()).unwrap())
    }
}

// K18, K91, K86
#[tokio::test]
async fn a_signed_in_person_verifies_and_returns() {
    let issuer = TestIssuer::new().await;
    let eve = issuer.kyc.person("eve").tier(KycTier::T1).create();
    let page = issuer.browser.get(issuer.verify_url(&[])).await.unwrap();
    assert_eq!(page.status(), 403);
    let requests = issuer.kyc.requests(Endpoint::Verify);
    let refusal = requests.last().unwrap().refusal().unwrap();
    assert_eq!((refusal.error, refusal.row), ("login_required", "K91"));

    let login = issuer.authorize_url(&issuer.request());
    issuer.browser.start_sign_in(login, &eve).await.unwrap();
    let page = issuer.browser.get(issuer.verify_url(&[])).await.unwrap();
    page.assert_ok();
    assert!(page.body().contains("Your tier is <strong>t1</strong>."));
    assert!(page.body().contains("at tier <strong>t2</strong>"));
    assert!(!page.body().contains("<script") && !page.body().contains(BACK));

    let client = issuer.kyc.client().id();
    let back = [("client_id", client), ("redirect_uri", BACK)];
    let asking = [back[0], back[1], ("acr_values", "t3")];
    let page = issuer
        .browser
        .get(issuer.verify_url(&asking))
        .await
        .unwrap();
    assert!(page.body().contains("at tier <strong>t3</strong>") && page.body().contains(BACK));
    for (params, how, status, tier, to) in [
        (&asking[..], "skip", KycStatus::Verified, KycTier::T1, BACK),
        (&asking, "pass", KycStatus::Verified, KycTier::T3, BACK),
        // A person who already has the requested tier cannot change the status or the tier with a
        // form.
        (&asking, "fail", KycStatus::Verified, KycTier::T3, BACK),
        (&[], "fail", KycStatus::Verified, KycTier::T3, "/verify"),
    ] {
        let page = issuer.verify(params, how).await;
        assert_eq!(page.status(), 303, "{how}");
        assert_eq!(page.header("location"), Some(to), "{how}");
        assert_eq!((eve.status(), eve.tier()), (status, tier), "{how}");
    }
    eve.reject();
    issuer.verify(&[], "pending").await;
    assert_eq!(eve.status(), KycStatus::Pending);
    issuer.verify(&[], "pass").await;
    assert_eq!(
        (eve.status(), eve.tier()),
        (KycStatus::Verified, KycTier::T1)
    );
}

// K12, K26, K91
#[tokio::test]
async fn the_page_never_redirects_to_an_unregistered_uri() {
    let issuer = TestIssuer::new().await;
    issuer.code().await;
    let (own, evil) = (issuer.kyc.client().id(), "https://evil.test/");
    let slash = format!("{BACK}/");
    for (params, row) in [
        (&[("redirect_uri", BACK)][..], "K91"),
        (&[("client_id", own)], "K91"),
        (&[("client_id", "nobody"), ("redirect_uri", BACK)], "K91"),
        (&[("client_id", own), ("redirect_uri", evil)], "K12"),
        (&[("client_id", own), ("redirect_uri", &slash)], "K12"),
        (&[("client_id", own), ("client_id", own)], "K26"),
    ] {
        let page = issuer
            .browser
            .open(issuer.verify_url(params))
            .await
            .unwrap();
        let posted = issuer.verify(params, "pass").await;
        for page in [page, posted] {
            assert_eq!((page.status(), page.location()), (400, None), "{params:?}");
            assert!(page.body().contains(row), "{params:?}");
        }
    }
    let page = issuer.verify(&[], "bribe").await;
    assert_eq!(page.status(), 400);
    assert!(page.body().contains("K91"));
}

// K91: Browsers send the issuer's cookie to the two pages of the issuer, and to no app on the same
// host.
#[tokio::test]
async fn the_issuer_cookie_is_sent_to_its_own_pages_only() {
    let issuer = TestIssuer::new().await;
    issuer.code().await;
    let knows = |path: &str| {
        let url = format!("{}{path}", issuer.kyc.origin());
        issuer.browser.cookie(url, "kycport_mock_issuer").is_some()
    };
    assert!(knows("/authorize") && knows("/verify"));
    assert!(!knows("/") && !knows("/auth/callback") && !knows("/verify-me"));
}

// K17, K92
#[tokio::test]
async fn a_silent_login_needs_an_earlier_login_and_consent() {
    let issuer = TestIssuer::new().await;
    assert_eq!(
        issuer.silent_login("scope", "openid").await,
        "login_required"
    );
    let request = set(issuer.request(), "scope", "openid email");
    let login = issuer.authorize_url(&request);
    issuer
        .browser
        .start_sign_in(login, &issuer.ada)
        .await
        .unwrap();
    let globex = issuer.kyc.public_client().id();
    for (name, value, says) in [
        ("scope", "openid email", "code"),
        ("scope", "openid", "code"),
        ("scope", "openid kyc", "consent_required"),
        ("client_id", globex, "consent_required"),
    ] {
        assert_eq!(
            issuer.silent_login(name, value).await,
            says,
            "{name} {value}"
        );
    }
    let requests = issuer.kyc.requests(Endpoint::Authorize);
    assert_eq!(requests.last().unwrap().refusal().unwrap().row, "K92");
    issuer.kyc.switch(|switches| switches.auto_consent = true);
    assert_eq!(issuer.silent_login("client_id", globex).await, "code");
}

// K16, K17
#[tokio::test]
async fn every_other_prompt_shows_the_page_and_sets_a_new_auth_time() {
    let issuer = TestIssuer::new().await;
    issuer.kyc.clock().freeze();
    issuer.code().await;
    issuer.kyc.clock().advance(Duration::from_secs(600));
    for (name, value) in [
        ("prompt", "login"),
        ("prompt", "consent"),
        ("prompt", "login consent"),
        ("prompt", "select_account"),
        ("max_age", "0"),
        ("max_age", "3600"),
        ("response_mode", "query"),
        ("login_hint", "ada"),
        ("ui_locales", "en"),
    ] {
        let login = issuer.authorize_url(&and(issuer.request(), name, value));
        issuer
            .browser
            .open(&login)
            .await
            .unwrap()
            .assert_status(200);
        let to = issuer
            .browser
            .start_sign_in(&login, &issuer.ada)
            .await
            .unwrap();
        let form = issuer.exchange(&query(&to, "code").unwrap());
        let tokens = issuer.token(&form).await.json();
        let claims = payload(tokens["id_token"].as_str().unwrap());
        assert_eq!(claims["auth_time"], claims["iat"], "{name}={value}");
    }
    // A silent login keeps the `auth_time` of the earlier login.
    issuer.kyc.clock().advance(Duration::from_secs(60));
    let request = and(issuer.request(), "prompt", "none");
    let page = issuer.browser.open(issuer.authorize_url(&request)).await;
    let to = page.unwrap().location().unwrap();
    let form = issuer.exchange(&query(&to, "code").unwrap());
    let tokens = issuer.token(&form).await.json();
    let claims = payload(tokens["id_token"].as_str().unwrap());
    let (then, now) = (claims["auth_time"].as_i64(), claims["iat"].as_i64());
    assert_eq!(then.unwrap() + 60, now.unwrap());
}
