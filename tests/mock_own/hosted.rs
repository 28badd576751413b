//! The hosted page at which a person verifies, and how silently one can sign in.

use std::time::Duration;

use kycport::{
    KycStatus, KycTier,
    mock::{Endpoint, Page},
};
use url::Url;

use crate::support::{BACK, Desk, and, payload, query, set};

impl Desk {
    fn verify_url(&self, params: &[(&str, &str)]) -> Url {
        Url::parse_with_params(&self.kyc.url(Endpoint::Verify), params).unwrap()
    }

    /// Ends a verification there, and stops at the answer.
    async fn verify(&self, params: &[(&str, &str)], how: &str) -> Page {
        let url = self.verify_url(params);
        let visit = self.browser.request(http::Method::POST, url);
        let visit = visit.form(&[("verification", how)]).stay();
        visit.send().await.unwrap()
    }

    /// What `prompt=none` says, with this besides; `code` if it is a code.
    async fn silently(&self, name: &str, value: &str) -> String {
        let request = and(set(self.request(), name, value), "prompt", "none");
        let page = self.browser.open(self.authorize_url(&request)).await;
        let to = page.unwrap().location().unwrap();
        query(&to, "error").unwrap_or_else(|| query(&to, "code").map(|_| "code".into()).unwrap())
    }
}

// K18, K91, K86
#[tokio::test]
async fn who_is_signed_in_verifies_there_and_goes_back() {
    let desk = Desk::new().await;
    let eve = desk.kyc.person("eve").tier(KycTier::T1).create();
    let page = desk.browser.get(desk.verify_url(&[])).await.unwrap();
    assert_eq!(page.status(), 403);
    let requests = desk.kyc.requests(Endpoint::Verify);
    let refusal = requests.last().unwrap().refusal().unwrap();
    assert_eq!((refusal.error, refusal.row), ("login_required", "K91"));

    let login = desk.authorize_url(&desk.request());
    desk.browser.start_sign_in(login, &eve).await.unwrap();
    let page = desk.browser.get(desk.verify_url(&[])).await.unwrap();
    page.assert_ok();
    assert!(page.body().contains("You are <strong>t1</strong>."));
    assert!(page.body().contains("to <strong>t2</strong>"));
    assert!(!page.body().contains("<script") && !page.body().contains(BACK));

    let client = desk.kyc.client().id();
    let back = [("client_id", client), ("redirect_uri", BACK)];
    let asking = [back[0], back[1], ("acr_values", "t3")];
    let page = desk.browser.get(desk.verify_url(&asking)).await.unwrap();
    assert!(page.body().contains("to <strong>t3</strong>") && page.body().contains(BACK));
    for (params, how, status, tier, to) in [
        (&asking[..], "skip", KycStatus::Verified, KycTier::T1, BACK),
        (&asking, "pass", KycStatus::Verified, KycTier::T3, BACK),
        // Whoever is that far has nothing to do, whatever the form says.
        (&asking, "fail", KycStatus::Verified, KycTier::T3, BACK),
        (&[], "fail", KycStatus::Verified, KycTier::T3, "/verify"),
    ] {
        let page = desk.verify(params, how).await;
        assert_eq!(page.status(), 303, "{how}");
        assert_eq!(page.header("location"), Some(to), "{how}");
        assert_eq!((eve.status(), eve.tier()), (status, tier), "{how}");
    }
    eve.reject();
    desk.verify(&[], "pending").await;
    assert_eq!(eve.status(), KycStatus::Pending);
    desk.verify(&[], "pass").await;
    assert_eq!(
        (eve.status(), eve.tier()),
        (KycStatus::Verified, KycTier::T1)
    );
}

// K12, K26, K91: nobody is sent on to an address for which nothing vouches.
#[tokio::test]
async fn it_sends_nobody_to_an_address_that_is_not_registered() {
    let desk = Desk::new().await;
    desk.code().await;
    let (own, evil) = (desk.kyc.client().id(), "https://evil.test/");
    let slash = format!("{BACK}/");
    for (params, row) in [
        (&[("redirect_uri", BACK)][..], "K91"),
        (&[("client_id", own)], "K91"),
        (&[("client_id", "nobody"), ("redirect_uri", BACK)], "K91"),
        (&[("client_id", own), ("redirect_uri", evil)], "K12"),
        (&[("client_id", own), ("redirect_uri", &slash)], "K12"),
        (&[("client_id", own), ("client_id", own)], "K26"),
    ] {
        let page = desk.browser.open(desk.verify_url(params)).await.unwrap();
        let posted = desk.verify(params, "pass").await;
        for page in [page, posted] {
            assert_eq!((page.status(), page.location()), (400, None), "{params:?}");
            assert!(page.body().contains(row), "{params:?}");
        }
    }
    let page = desk.verify(&[], "bribe").await;
    assert_eq!(page.status(), 400);
    assert!(page.body().contains("K91"));
}

// K91: the cookie of this issuer goes to its two pages, and to no app on the same host.
#[tokio::test]
async fn its_session_is_for_its_own_pages() {
    let desk = Desk::new().await;
    desk.code().await;
    let knows = |path: &str| {
        let url = format!("{}{path}", desk.kyc.origin());
        desk.browser.cookie(url, "kycport_mock_issuer").is_some()
    };
    assert!(knows("/authorize") && knows("/verify"));
    assert!(!knows("/") && !knows("/auth/callback") && !knows("/verify-me"));
}

// K17, K92
#[tokio::test]
async fn silence_is_for_who_signed_in_and_allowed_it_before() {
    let desk = Desk::new().await;
    assert_eq!(desk.silently("scope", "openid").await, "login_required");
    let request = set(desk.request(), "scope", "openid email");
    let login = desk.authorize_url(&request);
    desk.browser.start_sign_in(login, &desk.ada).await.unwrap();
    let globex = desk.kyc.public_client().id();
    for (name, value, says) in [
        ("scope", "openid email", "code"),
        ("scope", "openid", "code"),
        ("scope", "openid kyc", "consent_required"),
        ("client_id", globex, "consent_required"),
    ] {
        assert_eq!(desk.silently(name, value).await, says, "{name} {value}");
    }
    let requests = desk.kyc.requests(Endpoint::Authorize);
    assert_eq!(requests.last().unwrap().refusal().unwrap().row, "K92");
    desk.kyc.switch(|switches| switches.auto_consent = true);
    assert_eq!(desk.silently("client_id", globex).await, "code");
}

// K16, K17
#[tokio::test]
async fn every_other_prompt_shows_the_page_and_is_a_login_of_now() {
    let desk = Desk::new().await;
    desk.kyc.clock().freeze();
    desk.code().await;
    desk.kyc.clock().advance(Duration::from_secs(600));
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
        let login = desk.authorize_url(&and(desk.request(), name, value));
        desk.browser.open(&login).await.unwrap().assert_status(200);
        let to = desk.browser.start_sign_in(&login, &desk.ada).await.unwrap();
        let form = desk.exchange(&query(&to, "code").unwrap());
        let tokens = desk.token(&form).await.json();
        let claims = payload(tokens["id_token"].as_str().unwrap());
        assert_eq!(claims["auth_time"], claims["iat"], "{name}={value}");
    }
    // And one without a page is a login of then.
    desk.kyc.clock().advance(Duration::from_secs(60));
    let request = and(desk.request(), "prompt", "none");
    let page = desk.browser.open(desk.authorize_url(&request)).await;
    let to = page.unwrap().location().unwrap();
    let form = desk.exchange(&query(&to, "code").unwrap());
    let tokens = desk.token(&form).await.json();
    let claims = payload(tokens["id_token"].as_str().unwrap());
    let (then, now) = (claims["auth_time"].as_i64(), claims["iat"].as_i64());
    assert_eq!(then.unwrap() + 60, now.unwrap());
}
