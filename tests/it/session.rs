//! Tests that a session has the correct cookie and limits, and that it ends.

use std::{collections::BTreeSet, time::Duration};

use axum::{Router, http::Method, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use kycport::{
    SignedIn,
    mock::{Browser, Endpoint, MockIssuer, Page},
    store::StoreError,
    web::SignedOutMe,
};
use serde_json::Value;

use crate::{
    recording_store::{
        ACTIVITY, LOGIN, Op, RecordingStore, SESSION, TOKENS, TestApp, setup, setup_on,
    },
    stages::{everywhere, everywhere_unsealed},
    support::raw,
    visitor::{LOGIN_COOKIES, SESSION_COOKIE as COOKIE},
};
const MINUTE: Duration = Duration::from_secs(60);

async fn signed_in(setup: &TestApp) -> Browser {
    let browser = setup.kyc.browser();
    let login = setup.app.url("/auth/login?return_to=/vault");
    browser
        .sign_in(login, &setup.ada)
        .await
        .unwrap()
        .assert_ok();
    browser
}

async fn me(setup: &TestApp, browser: &Browser) -> Page {
    browser.fetch(setup.app.url("/auth/me")).await.unwrap()
}

async fn get_from(setup: &TestApp, browser: &Browser, path: &str) -> Page {
    browser.open(setup.app.url(path)).await.unwrap()
}

/// Sends a request from a new browser. The request contains only the cookies in `cookie`.
async fn with_cookie(setup: &TestApp, path: &str, cookie: &str) -> Page {
    setup
        .kyc
        .browser()
        .request(Method::GET, setup.app.url(path))
        .header("cookie", cookie)
        .fetch()
        .stay()
        .send()
        .await
        .unwrap()
}

fn session_key(setup: &TestApp, browser: &Browser) -> String {
    browser.cookie(setup.app.url("/"), COOKIE).unwrap()
}

fn assert_private(page: &Page) {
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let vary: Vec<_> = page.headers().get_all("vary").iter().collect();
    assert_eq!(vary, ["cookie"], "{page:?}");
}

fn attributes(set_cookie: &str) -> BTreeSet<&str> {
    set_cookie.split("; ").skip(1).collect()
}

#[tokio::test]
async fn cookies_have_exactly_the_required_attributes() {
    // Covers threat case 90.
    let setup = setup().await;
    let browser = setup.kyc.browser();
    let login = browser.open(setup.app.url("/auth/login")).await.unwrap();
    let cookies: Vec<_> = login.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies.len(), 1);
    let cookie = cookies[0].to_str().unwrap();
    let (name, _) = cookie.split_once('=').unwrap();
    assert_eq!(name.strip_prefix(LOGIN_COOKIES).unwrap().len(), 12);
    assert_eq!(
        attributes(cookie),
        BTreeSet::from([
            "HttpOnly",
            "Secure",
            "SameSite=Lax",
            "Path=/",
            "Max-Age=1200"
        ])
    );

    let callback = browser
        .start_sign_in(setup.app.url("/auth/login"), &setup.ada)
        .await
        .unwrap();
    let page = browser.open(callback).await.unwrap();
    let cookies: Vec<_> = page.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies.len(), 2);
    let deleted = cookies[0].to_str().unwrap();
    assert!(deleted.starts_with(LOGIN_COOKIES), "{deleted}");
    let mut parts = attributes(deleted);
    parts.retain(|part| !part.starts_with("Expires="));
    assert_eq!(
        parts,
        BTreeSet::from(["HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=0"])
    );
    let cookie = cookies[1].to_str().unwrap();
    let (name, value) = cookie.split_once(';').unwrap().0.split_once('=').unwrap();
    assert_eq!((name, value.len()), (COOKIE, 64));
    assert_eq!(
        attributes(cookie),
        BTreeSet::from(["HttpOnly", "Secure", "SameSite=Lax", "Path=/"])
    );
    assert_private(&page);
}

#[tokio::test]
async fn every_login_creates_a_new_session_key_and_revokes_the_old_key() {
    // Covers threat case 91.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        let before = browser.clone();

        browser
            .sign_in(setup.app.url("/auth/login"), &setup.ada)
            .await
            .unwrap()
            .assert_ok();

        assert_ne!(session_key(&setup, &browser), session_key(&setup, &before));
        me(&setup, &before).await.assert_status(401);
        me(&setup, &browser).await.assert_ok();
        assert_eq!(setup.store.bodies(SESSION).await.len(), 1);
        assert_eq!(setup.store.bodies(TOKENS).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_fixated_session_key_is_never_adopted() {
    // Covers threat case 92.
    everywhere(async |setup| {
        let attacker = signed_in(&setup).await;
        for planted in ["A".repeat(64), session_key(&setup, &attacker)] {
            let victim = setup.kyc.browser();
            let plant = format!("{COOKIE}={planted}; Path=/; Secure");
            victim.set_cookie(setup.app.url("/"), &plant);

            let bob = setup.kyc.person("bob").create();
            victim
                .sign_in(setup.app.url("/auth/login"), &bob)
                .await
                .unwrap()
                .assert_ok();

            assert_ne!(session_key(&setup, &victim), planted);
            with_cookie(&setup, "/auth/me", &format!("{COOKIE}={planted}"))
                .await
                .assert_status(401);
            assert_eq!(me(&setup, &victim).await.json()["subject"], bob.id());
        }
    })
    .await;
}

#[tokio::test]
async fn a_malformed_session_cookie_is_signed_out() {
    // Covers threat case 93.
    everywhere(async |setup| {
    let browser = signed_in(&setup).await;
    let key = session_key(&setup, &browser);
    let planted = "A".repeat(64);
    let huge = "A".repeat(20_000);
    for cookie in [
        format!("{COOKIE}="),
        COOKIE.to_owned(),
        format!("{COOKIE}={}", &key[..63]),
        format!("{COOKIE}={key}A"),
        format!("{COOKIE}=\"{key}\""),
        format!("{COOKIE}={}", key.to_uppercase()),
        format!("{COOKIE}={huge}"),
        format!("{COOKIE}=../../etc/passwd"),
        format!("{COOKIE}=%00%ff; {COOKIE}"),
        format!("{COOKIE}={planted}; {COOKIE}={key}"),
        format!("{COOKIE}={key}; {COOKIE}={planted}"),
        format!("{COOKIE}={key}; {COOKIE}={key}"),
        format!("kycport={key}"),
        format!("__host-kycport={key}"),
        format!("x{COOKIE}={key}"),
        ";;;=;=".to_owned(),
    ] {
        let page = with_cookie(&setup, "/auth/me", &cookie).await;
        assert_eq!(page.status(), 401, "{cookie:.80}");
        let page = with_cookie(&setup, "/", &cookie).await;
        assert_eq!((page.status(), page.body()), (200, "signed out"));
    }
    let odd = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncookie: __Host-kycport=\xff\xfe\r\n\r\n";
    let answer = raw(&setup.app, odd).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.80}");
    assert!(answer.ends_with("signed out"));
    me(&setup, &browser).await.assert_ok();
    })
    .await;
}

#[tokio::test]
async fn keys_of_other_records_open_no_session() {
    // Covers threat case 94.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        let id = me(&setup, &browser).await.json()["session"]["id"].clone();
        let id = id.as_str().unwrap();
        let callback = browser
            .start_sign_in(setup.app.url("/auth/login"), &setup.ada)
            .await
            .unwrap();
        let state = callback.query_pairs().find(|(name, _)| name == "state");
        let state = state.unwrap().1.into_owned();
        let cookies = browser.cookies(setup.app.url("/"));
        let login = cookies.iter().find(|(it, _)| it.starts_with(LOGIN_COOKIES));
        let login = &login.unwrap().1;
        let key = session_key(&setup, &browser);
        for other in [
            state.clone(),
            login.clone(),
            // The first value has the length of a key, and the second value also has an owner.
            format!("{state}{}", &key[43..]),
            login[..64].to_owned(),
            format!("{}{}", &login[..43], &key[43..]),
            id.to_owned(),
            format!("{id}{}", &key[22..]),
        ] {
            let cookie = format!("{COOKIE}={other}");
            with_cookie(&setup, "/auth/me", &cookie)
                .await
                .assert_status(401);
        }
        // A session key cannot complete a login.
        let url = format!("/auth/callback?state={key}&code=x");
        setup.kyc.forget_requests();
        let signed_out = setup.kyc.browser();
        get_from(&setup, &signed_out, &url).await.assert_status(400);
        let page = get_from(&setup, &browser, &url).await;
        assert_eq!(page.header("location"), Some("/"));
        assert_eq!(page.header("set-cookie"), None);
        setup.kyc.requests(Endpoint::Token).assert_count(0);
    })
    .await;
}

#[tokio::test]
async fn a_store_outage_admits_no_request_and_signs_no_person_out() {
    // Covers threat case 95.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        setup.store.fail();

        for path in ["/vault", "/", "/token", "/cached"] {
            let page = get_from(&setup, &browser, path).await;
            page.assert_status(503);
            assert!(
                page.body().contains("temporarily unavailable"),
                "{}",
                page.body()
            );
            assert_eq!(page.header("set-cookie"), None);
            assert_eq!(page.header("retry-after"), Some("1"));
            assert_private(&page);
        }
        for path in ["/vault", "/", "/auth/me"] {
            let page = browser.fetch(setup.app.url(path)).await.unwrap();
            page.assert_status(503);
            assert_eq!(
                page.header("content-type"),
                Some("application/problem+json")
            );
            assert_eq!(page.json()["code"], "store_unavailable");
            assert_eq!(page.json()["status"], 503);
            assert_eq!(page.header("set-cookie"), None);
            assert!(!page.body().contains("canary"));
        }
        // The app does not read the store for a request without a cookie.
        let page = setup.kyc.browser().get(setup.app.url("/")).await.unwrap();
        assert_eq!(page.body(), "signed out");

        setup.store.heal();
        me(&setup, &browser).await.assert_ok();
        get_from(&setup, &browser, "/vault").await.assert_ok();
    })
    .await;
}

#[tokio::test]
async fn a_store_timeout_is_treated_as_an_outage() {
    // Covers threat case 95.
    let setup = setup().await;
    let browser = signed_in(&setup).await;
    let gate = setup.store.hold(Op::Read, SESSION);
    setup.store.hang();
    let url = setup.app.url("/auth/me");
    let asking = tokio::spawn(async move { browser.fetch(url).await.unwrap() });
    gate.reached().await;

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();

    asking.await.unwrap().assert_status(503);
}

#[tokio::test]
async fn an_unreadable_session_gets_503() {
    // Covers threat case 95.
    let errors = [
        StoreError::Unreachable,
        StoreError::Timeout,
        StoreError::AccessDenied,
        StoreError::ReadOnly,
        StoreError::Full,
        StoreError::Busy,
        StoreError::Starting,
        StoreError::Schema,
        StoreError::Damaged,
        StoreError::Failed,
    ];
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        for error in errors {
            setup.store.fail_with(Op::Read, error);
            let page = get_from(&setup, &browser, "/vault").await;
            page.assert_status(503);
            assert_eq!(page.header("set-cookie"), None);
            setup.store.heal();
        }
        get_from(&setup, &browser, "/vault").await.assert_ok();
    })
    .await;
}

#[tokio::test]
async fn an_unreadable_activity_record_only_shortens_the_session() {
    // Covers threat case 95.
    everywhere(async |setup| {
        setup.kyc.clock().freeze();
        let browser = signed_in(&setup).await;
        setup.kyc.clock().advance(20 * MINUTE);
        get_from(&setup, &browser, "/vault").await.assert_ok();
        setup.store.replace(ACTIVITY, |_| b"junk".to_vec()).await;
        me(&setup, &browser).await.assert_ok();
        // The app treats the session as unused since its creation.
        setup.kyc.clock().advance(10 * MINUTE);
        me(&setup, &browser).await.assert_status(401);
    })
    .await;
}

#[tokio::test]
async fn a_request_is_served_if_its_activity_cannot_be_recorded() {
    // Covers threat case 95.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        setup.kyc.clock().advance(2 * MINUTE);
        setup.store.fail_on(Op::Write, ACTIVITY);
        get_from(&setup, &browser, "/vault").await.assert_ok();
    })
    .await;
}

#[tokio::test]
async fn a_route_outside_the_session_layer_admits_no_request() {
    // Covers threat case 95.
    async fn vault(_: SignedIn) -> &'static str {
        "open"
    }
    let kyc = MockIssuer::start().await;
    let app = kyc
        .serve(|_| Router::new().route("/vault", get(vault)))
        .await
        .unwrap();
    let page = kyc.browser().get(app.url("/vault")).await.unwrap();
    page.assert_status(500);
    assert!(page.body().contains("session_layer"));
}

#[tokio::test]
async fn activity_extends_a_session_and_is_written_once_a_minute() {
    // Covers threat case 96.
    everywhere(async |setup| {
        setup.kyc.clock().freeze();
        let browser = signed_in(&setup).await;
        setup.store.forget();
        for _ in 0..5 {
            setup.kyc.clock().advance(Duration::from_secs(11));
            get_from(&setup, &browser, "/vault").await.assert_ok();
        }
        assert_eq!(setup.store.writes(), 0);
        // Each request needs one store operation.
        assert_eq!(setup.store.operations(), 5);
        setup.kyc.clock().advance(Duration::from_secs(5));
        for _ in 0..10 {
            get_from(&setup, &browser, "/").await.assert_ok();
        }
        assert_eq!(setup.store.writes(), 1);

        for _ in 0..5 {
            setup.kyc.clock().advance(29 * MINUTE);
            get_from(&setup, &browser, "/vault").await.assert_ok();
        }
        setup.kyc.clock().advance(30 * MINUTE);
        get_from(&setup, &browser, "/vault")
            .await
            .assert_status(303);
        me(&setup, &browser).await.assert_status(401);
    })
    .await;
}

#[tokio::test]
async fn polling_does_not_extend_a_session() {
    // Covers threat case 96.
    everywhere(async |setup| {
        setup.kyc.clock().freeze();
        let browser = signed_in(&setup).await;
        setup.store.forget();
        for _ in 0..29 {
            setup.kyc.clock().advance(MINUTE);
            me(&setup, &browser).await.assert_ok();
        }
        assert_eq!(setup.store.writes(), 0);
        setup.kyc.clock().advance(MINUTE);
        me(&setup, &browser).await.assert_status(401);
        get_from(&setup, &browser, "/vault")
            .await
            .assert_status(303);
    })
    .await;
}

#[tokio::test]
async fn activity_does_not_extend_a_session_beyond_the_absolute_limit() {
    // Covers threat case 96.
    everywhere(async |setup| {
        setup.kyc.clock().freeze();
        let browser = signed_in(&setup).await;
        for _ in 0..(12 * 3 - 1) {
            setup.kyc.clock().advance(20 * MINUTE);
            get_from(&setup, &browser, "/vault").await.assert_ok();
        }
        let session = me(&setup, &browser).await.json()["session"].clone();
        assert_eq!(session["idle_expires_at"], session["expires_at"]);
        setup.kyc.clock().advance(Duration::from_secs(20 * 60 - 1));
        get_from(&setup, &browser, "/vault").await.assert_ok();
        setup.kyc.clock().advance(Duration::from_secs(1));
        get_from(&setup, &browser, "/vault")
            .await
            .assert_status(303);
        me(&setup, &browser).await.assert_status(401);
    })
    .await;
}

#[tokio::test]
async fn session_limits_hold_if_the_store_keeps_records_longer() {
    // Covers threat case 96.
    everywhere(async |setup| {
        setup.kyc.clock().freeze();
        let browser = signed_in(&setup).await;
        for _ in 0..29 {
            setup.kyc.clock().advance(24 * MINUTE);
            get_from(&setup, &browser, "/vault").await.assert_ok();
        }
        // The store keeps every record longer than its session, and the session was used a moment
        // ago.
        for kind in [SESSION, ACTIVITY] {
            setup.store.replace(kind, <[u8]>::to_vec).await;
        }
        setup.kyc.clock().advance(Duration::from_secs(24 * 60 - 1));
        get_from(&setup, &browser, "/vault").await.assert_ok();
        setup.kyc.clock().advance(Duration::from_secs(1));
        me(&setup, &browser).await.assert_status(401);
        assert_eq!(setup.store.bodies(SESSION).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn simultaneous_requests_of_several_tabs_refresh_the_token_once() {
    // Covers threat case 97.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        setup.kyc.clock().advance(2 * MINUTE);
        setup.store.let_meet(Op::Read, SESSION, 20);
        let copies: Vec<Browser> = (0..20).map(|_| browser.clone()).collect();
        let url = setup.app.url("/token");
        let pages = join_all(copies.iter().map(|copy| copy.open(&url))).await;
        for page in pages {
            page.unwrap().assert_ok();
        }
        me(&setup, &browser).await.assert_ok();
        get_from(&setup, &browser, "/token").await.assert_ok();
        setup.kyc.requests(Endpoint::Token).assert_count(1);
        assert_eq!(setup.store.bodies(SESSION).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_pending_request_does_not_restore_a_revoked_session() {
    // Covers threat case 98.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        let (slow, stolen) = (browser.clone(), browser.clone());
        setup.kyc.clock().advance(2 * MINUTE);
        let gate = setup.store.hold(Op::Write, ACTIVITY);
        let url = setup.app.url("/vault");
        let under_way = tokio::spawn(async move { slow.open(url).await.unwrap() });
        gate.reached().await;
        setup.store.heal();

        browser
            .post_form(setup.app.url("/auth/logout"), &[])
            .await
            .unwrap()
            .assert_ok();
        gate.open();
        under_way.await.unwrap().assert_ok();

        me(&setup, &stolen).await.assert_status(401);
        get_from(&setup, &stolen, "/vault").await.assert_status(303);
        for kind in [SESSION, ACTIVITY, TOKENS] {
            assert_eq!(setup.store.bodies(kind).await.len(), 0, "{kind:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn activity_is_recorded_if_the_handler_fails() {
    // The layer of tower-sessions does not store changes if the response is a 5xx.
    everywhere(async |setup| {
        setup.kyc.clock().freeze();
        let browser = signed_in(&setup).await;
        setup.kyc.clock().advance(20 * MINUTE);
        get_from(&setup, &browser, "/broken")
            .await
            .assert_status(500);
        assert_private(&get_from(&setup, &browser, "/broken").await);
        setup.kyc.clock().advance(20 * MINUTE);
        me(&setup, &browser).await.assert_ok();
    })
    .await;
}

#[tokio::test]
async fn responses_with_personal_data_are_not_cached() {
    // Covers threat case 99.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        for path in ["/vault", "/", "/cached", "/token", "/nested/vault"] {
            assert_private(get_from(&setup, &browser, path).await.assert_ok());
        }
        assert_private(me(&setup, &browser).await.assert_ok());
        // The browser must not cache the redirect to the login either.
        let without_session = setup.kyc.browser();
        assert_private(
            get_from(&setup, &without_session, "/vault")
                .await
                .assert_status(303),
        );
        assert_private(me(&setup, &without_session).await.assert_status(401));
        let stale = with_cookie(&setup, "/", &format!("{COOKIE}={}", "A".repeat(64))).await;
        assert_private(stale.assert_ok());
    })
    .await;
}

#[tokio::test]
async fn visitors_without_a_session_create_no_record() {
    // Covers threat case 100.
    everywhere(async |setup| {
        let browser = setup.kyc.browser();
        for path in ["/", "/vault", "/auth/me", "/nested/vault", "/nowhere"] {
            for cookie in [None, Some(format!("{COOKIE}={}", "A".repeat(64)))] {
                let mut visit = browser.request(Method::GET, setup.app.url(path)).stay();
                if let Some(cookie) = &cookie {
                    visit = visit.header("cookie", cookie);
                }
                let page = visit.send().await.unwrap();
                assert_eq!(page.header("set-cookie"), None, "{path}");
            }
        }
        assert_eq!(setup.store.writes(), 0);
        assert_eq!(setup.store.len().await, 0);
    })
    .await;
}

#[tokio::test]
async fn an_undecodable_record_is_not_a_session() {
    // Covers threat cases 94, 95.
    type Change = fn(&[u8]) -> Vec<u8>;
    let changes: [Change; 6] = [
        |_| Vec::new(),
        |_| b"foreign".to_vec(),
        |body| [&[0], &body[1..]].concat(),
        |body| [&[3], &body[1..]].concat(),
        |body| body[..body.len() - 1].to_vec(),
        |body| [body, b"}"].concat(),
    ];
    everywhere(async |setup| {
        for change in changes {
            let browser = signed_in(&setup).await;
            me(&setup, &browser).await.assert_ok();
            setup.store.replace(SESSION, change).await;
            assert_signed_out_and_can_sign_in(&setup, &browser).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_record_with_invalid_members_is_not_a_session() {
    // Covers threat cases 94, 95.
    type Change = fn(&mut Value);
    let changes: [Change; 6] = [
        |record| *record = "foreign".into(),
        |record| *record = Value::Null,
        |record| record["subject"] = Value::Null,
        |record| record["subject"] = "person_other".into(),
        |record| record["mark"] = Value::Null,
        |record| drop(record.as_object_mut().unwrap().remove("expires_at")),
    ];
    everywhere_unsealed(async |setup| {
        for change in changes {
            let browser = signed_in(&setup).await;
            me(&setup, &browser).await.assert_ok();
            setup.store.rewrite(SESSION, change).await;
            assert_signed_out_and_can_sign_in(&setup, &browser).await;
        }
    })
    .await;
}

async fn assert_signed_out_and_can_sign_in(setup: &TestApp, browser: &Browser) {
    me(setup, browser).await.assert_status(401);
    let page = get_from(setup, browser, "/").await;
    assert_eq!(page.body(), "signed out");
    let again = browser.sign_in(setup.app.url("/auth/login"), &setup.ada);
    again.await.unwrap().assert_ok();
    let out = browser.post_form(setup.app.url("/auth/logout"), &[]);
    out.await.unwrap().assert_ok();
    assert_eq!(setup.store.bodies(SESSION).await.len(), 0);
}

#[tokio::test]
async fn record_ids_do_not_reveal_session_keys() {
    // Covers threat case 137.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        setup.kyc.clock().advance(2 * MINUTE);
        get_from(&setup, &browser, "/vault").await.assert_ok();
        let key = session_key(&setup, &browser);
        let bytes = URL_SAFE_NO_PAD.decode(&key).unwrap();
        // The last 16 bytes of the key are the owner, and the store also contains the owner.
        let random = &bytes[..32];
        let shows = |stored: &[u8]| {
            let contains = |part: &[u8]| stored.windows(part.len()).any(|it| it == part);
            random.windows(8).any(contains) || contains(&key.as_bytes()[..16])
        };
        let entries = setup.store.entries(|_| true).await;
        let kinds: BTreeSet<_> = entries.iter().map(|(_, key, _)| key.family).collect();
        assert!(kinds.len() >= 4, "{kinds:?}");
        for (owner, key, entry) in entries {
            assert!(!shows(&entry.body) && !shows(&key.id.0) && !shows(&owner.to_bytes()));
        }
    })
    .await;
}

#[tokio::test]
async fn a_person_is_identified_by_issuer_and_subject_only() {
    // Covers threat case 83.
    let kyc = MockIssuer::start().await;
    let setup = setup_on(kyc, 1000, |c| c.scopes(["openid", "email", "kyc"])).await;
    let mallory = setup.kyc.person("mallory").create();
    mallory.set_email(&setup.ada.email());
    let (ada, other) = (signed_in(&setup).await, setup.kyc.browser());
    other
        .sign_in(setup.app.url("/auth/login"), &mallory)
        .await
        .unwrap();
    let (ada, other) = (me(&setup, &ada).await, me(&setup, &other).await);
    assert_eq!(
        ada.json()["claims"]["email"],
        other.json()["claims"]["email"]
    );
    assert_eq!(other.json()["subject"], mallory.id());
    assert_ne!(ada.json()["subject"], other.json()["subject"]);

    // The app keeps a subject that looks like an email address unchanged.
    let odd = "ada\u{ff20}example.test";
    mallory.set_email(odd);
    let browser = setup.kyc.browser();
    browser
        .sign_in(setup.app.url("/auth/login"), &mallory)
        .await
        .unwrap();
    assert_eq!(me(&setup, &browser).await.json()["claims"]["email"], odd);
}

#[tokio::test]
async fn me_returns_null_without_a_session_if_configured() {
    let kyc = MockIssuer::start().await;
    let setup = setup_on(kyc, 1000, |c| c.signed_out_me(SignedOutMe::Null)).await;
    let page = me(&setup, &setup.kyc.browser()).await;
    assert_eq!((page.status(), page.body()), (200, "null"));
    assert_private(&page);
    setup.store.fail();
    let cookie = format!("{COOKIE}={}", "A".repeat(64));
    with_cookie(&setup, "/auth/me", &cookie)
        .await
        .assert_status(503);
}

#[tokio::test]
async fn a_panicking_handler_does_not_affect_other_requests() {
    // Covers threat case 140.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        setup.kyc.clock().advance(2 * MINUTE);
        for _ in 0..3 {
            let panicked = browser.open(setup.app.url("/panic")).await;
            assert!(panicked.is_err());
            get_from(&setup, &browser, "/vault").await.assert_ok();
        }
        let other = signed_in(&setup).await;
        get_from(&setup, &other, "/token").await.assert_ok();
    })
    .await;
}

#[tokio::test]
async fn a_disconnecting_client_does_not_affect_other_requests() {
    // Covers threat case 140.
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        for (op, kind) in [
            (Op::Read, SESSION),
            (Op::Write, ACTIVITY),
            (Op::Read, TOKENS),
        ] {
            setup.kyc.clock().advance(2 * MINUTE);
            let gate = setup.store.hold(op, kind);
            let (leaving, url) = (browser.clone(), setup.app.url("/token"));
            let asking = tokio::spawn(async move { leaving.open(url).await });
            gate.reached().await;
            asking.abort();
            assert!(asking.await.is_err());
            setup.store.heal();
            get_from(&setup, &browser, "/vault").await.assert_ok();
            get_from(&setup, &browser, "/token").await.assert_ok();
        }
        // The browser disconnects during the callback. The app does not send the code twice, and
        // the next login works.
        for held in [RecordingStore::hold, RecordingStore::hold_after] {
            setup.kyc.forget_requests();
            let callback = browser
                .start_sign_in(setup.app.url("/auth/login"), &setup.ada)
                .await
                .unwrap();
            let gate = held(&setup.store, Op::Acquire, LOGIN);
            let (leaving, url) = (browser.clone(), callback.clone());
            let asking = tokio::spawn(async move { leaving.open(url).await });
            gate.reached().await;
            asking.abort();
            assert!(asking.await.is_err());
            setup.store.heal();
            gate.open();
            // A reload of the callback completes the login.
            browser.open(callback).await.unwrap().assert_status(303);
            setup.kyc.requests(Endpoint::Token).assert_count(1);
            signed_in(&setup).await;
            get_from(&setup, &browser, "/vault").await.assert_ok();
        }
    })
    .await;
}

#[tokio::test]
async fn concurrent_requests_record_one_use_of_the_session() {
    let setup = setup().await;
    let browser = signed_in(&setup).await;
    setup.kyc.clock().freeze();
    setup.kyc.clock().advance(2 * MINUTE);
    setup.store.forget();
    // All requests read the last use before any request records its use.
    setup.store.let_meet(Op::Read, SESSION, 9);
    let copies: Vec<_> = (0..9).map(|_| browser.clone()).collect();
    let pages = join_all(copies.iter().map(|copy| get_from(&setup, copy, "/vault"))).await;
    for page in pages {
        page.assert_ok();
    }
    assert_eq!(setup.store.writes(), 1);
    setup.kyc.clock().advance(2 * MINUTE);
    get_from(&setup, &browser, "/vault").await.assert_ok();
    assert_eq!(setup.store.writes(), 2);
}
