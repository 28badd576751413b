//! Tests that each login sends the correct authorization request and stores a separate state.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kycport::mock::{Endpoint, MockIssuer};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::{
    recording_store::{self, SESSION, setup_on},
    stages::everywhere,
    support::setup,
    visitor::{LOGIN_COOKIES, SESSION_COOKIE, set_and_deleted},
};

const MINUTE: Duration = Duration::from_secs(60);

fn is_256_bits(text: &str) -> bool {
    text.len() == 43
        && URL_SAFE_NO_PAD
            .decode(text)
            .is_ok_and(|bytes| bytes.len() == 32)
}

#[tokio::test]
async fn every_login_has_its_own_state_nonce_and_pkce_challenge() {
    // Covers threat cases 25, 26.
    let (kyc, app, ada) = setup().await;
    let browser = kyc.browser();
    let mut secrets = BTreeSet::new();
    for _ in 0..5 {
        kyc.forget_requests();
        browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
        let asked = kyc.requests(Endpoint::Authorize);
        let asked = asked.iter().find(|r| r.method() == "GET").unwrap();
        let redeemed = kyc.requests(Endpoint::Token);
        let verifier = redeemed.last().unwrap().form("code_verifier").unwrap();
        let challenge = asked.query("code_challenge").unwrap();

        assert_eq!(asked.query("code_challenge_method"), Some("S256"));
        assert_eq!(asked.query("response_type"), Some("code"));
        assert_eq!(
            challenge,
            URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
        );
        for name in ["state", "nonce"] {
            let value = asked.query(name).unwrap();
            assert!(is_256_bits(value), "{name}");
            secrets.insert(value.to_owned());
        }
        assert!(is_256_bits(verifier));
        secrets.insert(verifier.to_owned());
    }
    assert_eq!(secrets.len(), 15);
}

#[tokio::test]
async fn no_setting_weakens_the_authorization_request() {
    // Covers threat cases 26, 27.
    let kyc = MockIssuer::start().await;
    for name in [
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    ] {
        let config = kyc
            .config("http://127.0.0.1:3000/auth/callback")
            .authorize_parameter(name, "plain");
        assert!(config.build().is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_login_link_accepts_only_return_to() {
    // Covers threat case 27.
    let (kyc, app, _) = setup().await;
    let injected = "/auth/login?redirect_uri=https%3A%2F%2Fevil.example&scope=admin&state=x&nonce=x\
        &client_id=x&code_challenge=x&code_challenge_method=plain&response_type=token\
        &response_mode=fragment&prompt=none&request=x&acr_values=t0\
        &return_to=/vault%26redirect_uri%3Dhttps://evil.example";

    let page = kyc.browser().open(app.url(injected)).await.unwrap();

    let to = page.location().unwrap();
    let pairs: Vec<_> = to.query_pairs().collect();
    let query: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(query.len(), pairs.len(), "a parameter is repeated");
    assert_eq!(
        query.keys().map(AsRef::as_ref).collect::<Vec<&str>>(),
        [
            "client_id",
            "code_challenge",
            "code_challenge_method",
            "nonce",
            "redirect_uri",
            "response_type",
            "scope",
            "state",
        ]
    );
    assert_eq!(query["redirect_uri"], app.url("/auth/callback"));
    assert_eq!(query["client_id"], kyc.client().id());
    assert_eq!(query["scope"], "openid kyc");
    assert_eq!(query["response_type"], "code");
    assert_eq!(query["code_challenge_method"], "S256");
}

#[tokio::test]
async fn a_repeated_return_to_is_ignored() {
    // Covers threat case 27.
    let (kyc, app, ada) = setup().await;
    let page = kyc
        .browser()
        .sign_in(
            app.url("/auth/login?return_to=/vault&return_to=/cached"),
            &ada,
        )
        .await
        .unwrap();
    assert_eq!(page.url().as_str(), app.url("/"));
}

#[tokio::test]
async fn no_request_header_changes_the_redirect_uri() {
    // Covers threat case 30.
    let (kyc, app, _) = setup().await;
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "4443"),
        ("x-forwarded-prefix", "/evil.example"),
        ("x-original-url", "https://evil.example/"),
        ("x-rewrite-url", "https://evil.example/"),
        ("forwarded", "for=1.2.3.4;host=evil.example;proto=https"),
    ] {
        let page = kyc
            .browser()
            .request(Method::GET, app.url("/auth/login"))
            .header(name, value)
            .stay()
            .send()
            .await
            .unwrap();
        let to = page.location().unwrap();
        let mut query = to.query_pairs();
        let redirect_uri = query.find(|(name, _)| name == "redirect_uri").unwrap().1;
        assert_eq!(redirect_uri, app.url("/auth/callback"), "{name}");
        assert_eq!(to.origin().ascii_serialization(), kyc.origin());

        let page = kyc
            .browser()
            .request(Method::GET, app.url("/vault"))
            .header(name, value)
            .stay()
            .send()
            .await
            .unwrap();
        assert_eq!(
            page.header("location"),
            Some("/auth/login?return_to=%2Fvault")
        );
    }
}

#[tokio::test]
async fn a_fifth_pending_login_evicts_the_oldest_login_of_the_same_browser() {
    // Covers threat cases 28, 100.
    everywhere(async |recording_store::TestApp { kyc, app, ada, .. }| {
        let (browser, other) = (kyc.browser(), kyc.browser());
        let others = other
            .start_sign_in(app.url("/auth/login"), &ada)
            .await
            .unwrap();
        let mut callbacks = Vec::new();
        for _ in 0..5 {
            let started = browser.start_sign_in(app.url("/auth/login"), &ada).await;
            callbacks.push(started.unwrap());
        }
        kyc.forget_requests();

        let mut callbacks = callbacks.into_iter();
        let first = browser.open(callbacks.next().unwrap()).await.unwrap();

        first.assert_status(400);
        let explained = first.body().contains("cannot be completed here");
        assert!(explained, "{}", first.body());
        kyc.requests(Endpoint::Token).assert_count(0);
        for callback in callbacks {
            browser.open(callback).await.unwrap().assert_status(303);
        }
        other.open(others).await.unwrap().assert_status(303);
        kyc.requests(Endpoint::Token).assert_count(5);
    })
    .await;
}

#[tokio::test]
async fn parallel_tabs_each_return_to_their_own_page() {
    // Covers threat cases 29, 97.
    everywhere(async |recording_store::TestApp { kyc, app, ada, .. }| {
        let browser = kyc.browser();
        let mut tabs = Vec::new();
        for path in ["/vault?tab=1", "/vault?tab=2", "/nested/vault?tab=3"] {
            let login = format!("{}{path}", app.url("/auth/login?return_to="));
            tabs.push((path, browser.start_sign_in(login, &ada).await.unwrap()));
        }

        for (path, callback) in tabs.into_iter().rev() {
            let page = browser.get(callback).await.unwrap();
            page.assert_ok();
            assert_eq!(page.url().as_str(), app.url(path));
        }
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_logins_writes_no_record_and_ends_no_session() {
    // Covers threat cases 28, 100.
    let recording_store::TestApp {
        kyc,
        app,
        ada,
        store,
        ..
    } = setup_on(MockIssuer::start().await, 60, |config| config).await;
    let browser = kyc.browser();
    browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    // The session was last used 25 minutes ago. The session ends after 30 minutes without use.
    kyc.clock().advance(25 * MINUTE);
    browser.get(app.url("/vault")).await.unwrap().assert_ok();
    kyc.clock().advance(25 * MINUTE);

    let visitor = kyc.browser();
    store.forget();
    for _ in 0..150 {
        visitor.clear_cookies();
        visitor
            .open(app.url("/auth/login"))
            .await
            .unwrap()
            .assert_status(303);
    }

    assert_eq!(store.writes(), 0);
    let page = browser.get(app.url("/vault")).await.unwrap();
    assert_eq!(page.url().path(), "/vault");
}

#[tokio::test]
async fn a_prefetch_starts_no_login() {
    // Covers threat case 28.
    let recording_store::TestApp {
        kyc, app, store, ..
    } = recording_store::setup().await;
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("sec-purpose", "prefetch;anonymous-client-ip"),
        ("purpose", "prefetch"),
    ] {
        let page = kyc
            .browser()
            .request(Method::GET, app.url("/auth/login"))
            .header(name, value)
            .stay()
            .send()
            .await
            .unwrap();
        page.assert_status(403);
        assert_eq!(page.header("set-cookie"), None);
        assert_eq!(page.header("cache-control"), Some("no-store"));
    }
    assert_eq!(store.operations(), 0);
}

#[tokio::test]
async fn a_head_request_starts_and_completes_no_login() {
    // Covers threat case 43.
    let recording_store::TestApp {
        kyc,
        app,
        ada,
        store,
        ..
    } = recording_store::setup().await;
    let browser = kyc.browser();
    let callback = browser
        .start_sign_in(app.url("/auth/login"), &ada)
        .await
        .unwrap();
    store.forget();
    for url in [app.url("/auth/login"), callback.to_string()] {
        let page = browser.request(Method::HEAD, url).stay().send().await;
        let page = page.unwrap();
        page.assert_status(405);
        assert_eq!(page.header("set-cookie"), None);
    }
    assert_eq!(store.writes(), 0);
    browser.open(callback).await.unwrap().assert_status(303);
}

#[tokio::test]
async fn another_site_can_only_start_a_login() {
    // Covers threat case 31.
    let recording_store::TestApp {
        kyc,
        app,
        ada,
        store,
        ..
    } = recording_store::setup().await;
    let evil = Url::parse("https://evil.example/").unwrap();
    let browser = kyc.browser();

    let page = browser
        .request(Method::GET, app.url("/auth/login?return_to=/vault"))
        .from(&evil)
        .stay()
        .send()
        .await
        .unwrap();

    page.assert_status(303);
    let (set, deleted) = set_and_deleted(&page);
    assert_eq!((set.len(), deleted.len()), (1, 0));
    assert!(set[0].starts_with(LOGIN_COOKIES), "{set:?}");
    assert_eq!(store.records(SESSION).await.len(), 0);
    assert_eq!(browser.cookie(app.url("/"), SESSION_COOKIE), None);
    let me = browser.fetch(app.url("/auth/me")).await.unwrap();
    me.assert_status(401);

    // The forged login does not change the session of the browser.
    browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    let session = browser.cookie(app.url("/"), SESSION_COOKIE);
    browser
        .request(Method::GET, app.url("/auth/login"))
        .from(&evil)
        .stay()
        .send()
        .await
        .unwrap()
        .assert_status(303);
    assert_eq!(browser.cookie(app.url("/"), SESSION_COOKIE), session);
    let me = browser.fetch(app.url("/auth/me")).await.unwrap();
    assert_eq!(me.json()["subject"], ada.id());
}

#[tokio::test]
async fn a_login_is_not_started_while_the_store_is_down() {
    // Covers threat case 45.
    let recording_store::TestApp {
        kyc, app, store, ..
    } = recording_store::setup().await;
    store.fail();
    let page = kyc.browser().open(app.url("/auth/login")).await.unwrap();
    page.assert_status(503);
    assert_eq!(page.location(), None);
    assert_eq!(page.header("set-cookie"), None);
}
