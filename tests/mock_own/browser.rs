//! The authorize page, and the browser that uses it.

use http::Method;
use kycport::mock::{Endpoint, MockIssuer};
use url::Url;

use crate::support::{BACK, Desk, and, query, set};

#[tokio::test]
async fn the_page_needs_no_script_and_is_never_kept_or_framed() {
    let desk = Desk::new().await;
    desk.kyc
        .person("eve")
        .name("<script>alert(\"Eve\")</script>")
        .create();
    let page = desk
        .browser
        .get(desk.authorize_url(&desk.request()))
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
async fn a_hint_chooses_beforehand_and_consents_if_so_switched() {
    let desk = Desk::new().await;
    let bob = desk.kyc.person("bob").create();
    for hint in ["bob", bob.id(), "bob@example.test"] {
        let url = desk.authorize_url(&and(desk.request(), "login_hint", hint));
        desk.kyc.switch(|switches| switches.auto_consent = false);
        let page = desk.browser.open(&url).await.unwrap();
        let chosen = format!("value=\"{}\" required checked", bob.id());
        assert!(page.assert_ok().body().contains(&chosen), "{hint}");
        desk.kyc.switch(|switches| switches.auto_consent = true);
        let to = desk.browser.open(&url).await.unwrap().location().unwrap();
        assert!(query(&to, "code").is_some(), "{hint}");
    }
    let nobody = desk.authorize_url(&and(desk.request(), "login_hint", "nobody"));
    desk.browser.open(nobody).await.unwrap().assert_status(200);
}

#[tokio::test]
async fn a_browser_that_was_here_needs_no_page_with_prompt_none() {
    let desk = Desk::new().await;
    desk.code().await;
    let silent = desk.authorize_url(&and(desk.request(), "prompt", "none"));
    let to = desk
        .browser
        .open(&silent)
        .await
        .unwrap()
        .location()
        .unwrap();
    assert!(query(&to, "code").is_some());
    // Another browser was not here.
    let to = desk
        .kyc
        .browser()
        .open(&silent)
        .await
        .unwrap()
        .location()
        .unwrap();
    assert_eq!(query(&to, "error").as_deref(), Some("login_required"));
    // This one was, but too long ago.
    desk.kyc.clock().advance(std::time::Duration::from_secs(61));
    let aged = and(and(desk.request(), "prompt", "none"), "max_age", "60");
    let to = desk.browser.open(desk.authorize_url(&aged)).await.unwrap();
    assert_eq!(
        query(&to.location().unwrap(), "error").as_deref(),
        Some("login_required")
    );
    desk.kyc.sign_everyone_out();
    let to = desk
        .browser
        .open(&silent)
        .await
        .unwrap()
        .location()
        .unwrap();
    assert_eq!(query(&to, "error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn it_sends_what_chromium_sends() {
    let desk = Desk::new().await;
    let login = desk.authorize_url(&desk.request());
    desk.browser.start_sign_in(&login, &desk.ada).await.unwrap();
    let requests = desk.kyc.requests(Endpoint::Authorize);
    let sent: Vec<_> = requests
        .iter()
        .map(|r| ["sec-fetch-site", "sec-fetch-mode", "origin"].map(|name| r.header(name)))
        .collect();
    let origin = Some(desk.kyc.origin());
    assert_eq!(
        sent,
        [
            [Some("none"), Some("navigate"), None],
            [Some("same-origin"), Some("navigate"), origin],
        ]
    );
    let evil = Url::parse("https://evil.test/").unwrap();
    let visit = desk.browser.request(Method::POST, &login).from(&evil);
    visit.send().await.unwrap();
    let requests = desk.kyc.requests(Endpoint::Authorize);
    let last = requests.last().unwrap();
    assert_eq!(last.header("sec-fetch-site"), Some("cross-site"));
    assert_eq!(last.header("origin"), Some("https://evil.test"));
}

#[tokio::test]
async fn its_jar_keeps_cookies_as_chromium_does() {
    let kyc = MockIssuer::start().await;
    let url = kyc.discovery_url();
    let browser = kyc.browser();
    for (cookie, kept) in [
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
        assert_eq!(browser.cookie(&url, name).is_some(), kept, "{cookie}");
    }
    // A deletion needs the attributes that the name requires, too (case 108).
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
async fn a_cookie_stays_at_home_when_its_same_site_says_so() {
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
async fn a_login_elsewhere_is_no_authorize_page() {
    let desk = Desk::new().await;
    let failure = desk
        .browser
        .sign_in(desk.kyc.discovery_url(), &desk.ada)
        .await;
    assert!(failure.unwrap_err().to_string().contains("authorize page"));
    let unregistered = set(desk.request(), "redirect_uri", "https://evil.test/");
    let login = desk.authorize_url(&unregistered);
    let failure = desk.browser.sign_in(login, &desk.ada).await.unwrap_err();
    assert!(failure.to_string().contains("400"), "{failure}");
    assert!(!format!("{failure:?}").contains(BACK));
}

// case 137
#[tokio::test]
async fn what_is_shown_for_debugging_has_no_secret() {
    let desk = Desk::new().await;
    let code = desk.code().await;
    let page = desk.token(&desk.exchange(&code)).await;
    let secret = desk.kyc.client().secret().unwrap();
    let token = page.json()["access_token"].as_str().unwrap().to_owned();
    let shown = format!(
        "{:?} {:?} {:?} {page:?} {:?} {:?}",
        desk.kyc,
        desk.kyc.client(),
        desk.browser,
        desk.kyc.requests(Endpoint::Token),
        desk.kyc.requests(Endpoint::Authorize),
    );
    for hidden in [secret, &code, &token, crate::support::VERIFIER] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
    assert!(shown.contains("POST /api/oidc/token/"));
}
