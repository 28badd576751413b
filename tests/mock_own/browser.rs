//! Tests that a person can use the sign-in page, and that the mock's browser behaves like a real
//! browser.

use http::Method;
use kycport::mock::{Endpoint, MockIssuer};
use url::Url;

use crate::support::{BACK, TestIssuer, and, query, set};

#[tokio::test]
async fn the_authorization_page_needs_no_script_and_is_never_cached_or_framed() {
    let issuer = TestIssuer::new().await;
    issuer
        .kyc
        .person("eve")
        .name("<script>alert(\"Eve\")</script>")
        .create();
    let page = issuer
        .browser
        .get(issuer.authorize_url(&issuer.request()))
        .await
        .unwrap();
    page.assert_ok();
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(!page.body().contains("<script"));
    assert!(page.body().contains("&lt;script&gt;"));
    assert!(page.body().contains("lang=\"en\"") && page.body().contains("<fieldset>"));
}

#[tokio::test]
async fn a_login_hint_preselects_the_person_and_can_consent_automatically() {
    let issuer = TestIssuer::new().await;
    let bob = issuer.kyc.person("bob").create();
    for hint in ["bob", bob.id(), "bob@example.test"] {
        let url = issuer.authorize_url(&and(issuer.request(), "login_hint", hint));
        issuer.kyc.switch(|switches| switches.auto_consent = false);
        let page = issuer.browser.open(&url).await.unwrap();
        let chosen = format!("value=\"{}\" required checked", bob.id());
        assert!(page.assert_ok().body().contains(&chosen), "{hint}");
        issuer.kyc.switch(|switches| switches.auto_consent = true);
        let to = issuer.browser.open(&url).await.unwrap().location().unwrap();
        assert!(query(&to, "code").is_some(), "{hint}");
    }
    let unknown_hint = issuer.authorize_url(&and(issuer.request(), "login_hint", "nobody"));
    issuer
        .browser
        .open(unknown_hint)
        .await
        .unwrap()
        .assert_status(200);
}

#[tokio::test]
async fn prompt_none_succeeds_in_a_browser_with_a_session() {
    let issuer = TestIssuer::new().await;
    issuer.code().await;
    let silent = issuer.authorize_url(&and(issuer.request(), "prompt", "none"));
    let to = issuer
        .browser
        .open(&silent)
        .await
        .unwrap()
        .location()
        .unwrap();
    assert!(query(&to, "code").is_some());
    // Another browser has no session.
    let to = issuer
        .kyc
        .browser()
        .open(&silent)
        .await
        .unwrap()
        .location()
        .unwrap();
    assert_eq!(query(&to, "error").as_deref(), Some("login_required"));
    // The first browser has a session, but the login is older than `max_age`.
    issuer
        .kyc
        .clock()
        .advance(std::time::Duration::from_secs(61));
    let aged = and(and(issuer.request(), "prompt", "none"), "max_age", "60");
    let to = issuer
        .browser
        .open(issuer.authorize_url(&aged))
        .await
        .unwrap();
    assert_eq!(
        query(&to.location().unwrap(), "error").as_deref(),
        Some("login_required")
    );
    issuer.kyc.sign_everyone_out();
    let to = issuer
        .browser
        .open(&silent)
        .await
        .unwrap()
        .location()
        .unwrap();
    assert_eq!(query(&to, "error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn the_browser_sends_the_headers_of_chromium() {
    let issuer = TestIssuer::new().await;
    let login = issuer.authorize_url(&issuer.request());
    issuer
        .browser
        .start_sign_in(&login, &issuer.ada)
        .await
        .unwrap();
    let requests = issuer.kyc.requests(Endpoint::Authorize);
    let sent: Vec<_> = requests
        .iter()
        .map(|r| ["sec-fetch-site", "sec-fetch-mode", "origin"].map(|name| r.header(name)))
        .collect();
    let origin = Some(issuer.kyc.origin());
    assert_eq!(
        sent,
        [
            [Some("none"), Some("navigate"), None],
            [Some("same-origin"), Some("navigate"), origin],
        ]
    );
    let evil = Url::parse("https://evil.test/").unwrap();
    let visit = issuer.browser.request(Method::POST, &login).from(&evil);
    visit.send().await.unwrap();
    let requests = issuer.kyc.requests(Endpoint::Authorize);
    let last = requests.last().unwrap();
    assert_eq!(last.header("sec-fetch-site"), Some("cross-site"));
    assert_eq!(last.header("origin"), Some("https://evil.test"));
}

#[tokio::test]
async fn the_cookie_jar_follows_chromium() {
    let kyc = MockIssuer::start().await;
    let url = kyc.discovery_url();
    let browser = kyc.browser();
    for (cookie, is_kept) in [
        ("a=1", true),
        ("b=1; Secure; Path=/", true),
        ("__Host-c=1; Secure; Path=/", true),
        ("__Host-d=1; Path=/", false),
        ("__Host-e=1; Secure", false),
        ("__Host-f=1; Secure; Path=/; Domain=127.0.0.1", false),
        ("__Secure-g=1", false),
        ("h=1; Path=/elsewhere", false),
        ("i=1; Max-Age=0", false),
        ("j=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", false),
    ] {
        let fault = kyc
            .on(Endpoint::Discovery)
            .add_header("set-cookie", cookie)
            .once();
        browser.fetch(&url).await.unwrap();
        fault.assert_hit();
        let name = cookie.split('=').next().unwrap();
        assert_eq!(browser.cookie(&url, name).is_some(), is_kept, "{cookie}");
    }
    // A header that deletes a cookie also needs the attributes that the name prefix requires (case
    // 108).
    for (header, left) in [
        ("__Host-c=; Path=/; Max-Age=0", true),
        ("__Host-c=; Secure; Path=/; Max-Age=0", false),
    ] {
        let fault = kyc
            .on(Endpoint::Discovery)
            .add_header("set-cookie", header)
            .once();
        browser.fetch(&url).await.unwrap();
        fault.assert_hit();
        assert_eq!(browser.cookie(&url, "__Host-c").is_some(), left, "{header}");
    }
    let other = browser.clone();
    other.clear_cookies();
    assert!(other.cookies(&url).is_empty() && !browser.cookies(&url).is_empty());
}

#[tokio::test]
async fn same_site_cookies_are_not_sent_cross_site() {
    let kyc = MockIssuer::start().await;
    let (url, browser) = (kyc.discovery_url(), kyc.browser());
    for cookie in [
        "strict=1; SameSite=Strict",
        "lax=1; SameSite=Lax",
        "none=1; SameSite=None; Secure",
    ] {
        browser.set_cookie(&url, cookie);
    }
    let evil = Url::parse("https://evil.test/").unwrap();
    for (method, names) in [
        (Method::GET, &["lax", "none"][..]),
        (Method::POST, &["none"]),
    ] {
        let visit = browser.request(method.clone(), &url).from(&evil);
        visit.send().await.unwrap();
        let requests = kyc.requests(Endpoint::Discovery);
        let sent = requests
            .last()
            .unwrap()
            .header("cookie")
            .unwrap()
            .to_owned();
        for name in ["strict", "lax", "none"] {
            assert_eq!(
                sent.contains(name),
                names.contains(&name),
                "{method} {name}"
            );
        }
    }
}

#[tokio::test]
async fn a_page_other_than_the_authorization_page_is_an_error() {
    let issuer = TestIssuer::new().await;
    let failure = issuer
        .browser
        .sign_in(issuer.kyc.discovery_url(), &issuer.ada)
        .await;
    assert!(failure.unwrap_err().to_string().contains("sign-in page"));
    let unregistered = set(issuer.request(), "redirect_uri", "https://evil.test/");
    let login = issuer.authorize_url(&unregistered);
    let failure = issuer
        .browser
        .sign_in(login, &issuer.ada)
        .await
        .unwrap_err();
    assert!(failure.to_string().contains("400"), "{failure}");
    assert!(!format!("{failure:?}").contains(BACK));
}

// case 137
#[tokio::test]
async fn debug_output_contains_no_secret() {
    let issuer = TestIssuer::new().await;
    let code = issuer.code().await;
    let page = issuer.token(&issuer.exchange(&code)).await;
    let secret = issuer.kyc.client().secret().unwrap();
    let token = page.json()["access_token"].as_str().unwrap().to_owned();
    let debug_output = format!(
        "{:?} {:?} {:?} {page:?} {:?} {:?}",
        issuer.kyc,
        issuer.kyc.client(),
        issuer.browser,
        issuer.kyc.requests(Endpoint::Token),
        issuer.kyc.requests(Endpoint::Authorize),
    );
    for hidden in [secret, &code, &token, crate::support::VERIFIER] {
        assert!(!debug_output.contains(hidden), "{hidden} in {debug_output}");
    }
    assert!(debug_output.contains("POST /api/oidc/token/"));
}
