//! Tests of the continuity of a session over a step-up: the session keeps its ID and its end, and
//! gets a new key.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use kycport::{
    KycTier,
    mock::{Browser, Endpoint, Page, Verification},
    web::{Revocation, SessionId},
};
use serde_json::Value;
use tokio::task::JoinHandle;
use url::Url;

use crate::{
    observed::Observed,
    recording_store::{
        ACTIVITY, ASSURANCE, Kind, Op, REFRESH_LEASE, SESSION, TOKENS, TestApp, setup,
    },
    refresh::{app_with_refresh_tokens, app_without_tenant_key},
    stages::{everywhere, sessions},
    visitor::{SESSION_COOKIE, session_cookie, set_and_deleted},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Time for which the key before a rotation is accepted.
const GRACE: Duration = Duration::from_secs(30);

/// Record kinds that belong to a session.
const SESSION_RECORDS: [Kind; 4] = [SESSION, ACTIVITY, TOKENS, REFRESH_LEASE];

/// Signs in as Ada, who is verified at t1.
async fn signed_in(setup: &TestApp) -> Browser {
    setup.ada.set_tier(KycTier::T1);
    let browser = setup.kyc.browser();
    let login = setup.app.url("/auth/login");
    let page = browser.sign_in(login, &setup.ada).await;
    page.unwrap().assert_ok();
    browser
}

/// Starts a step-up, and returns the URL of the callback.
async fn started(setup: &TestApp, browser: &Browser) -> Url {
    // The person clicks the link on the page with the reason, so that the number of step-ups is not
    // limited.
    let url = setup
        .app
        .url("/auth/step-up?again=1&tier=t2&return_to=/vault");
    let callback = browser.start_sign_in_verifying(url, &setup.ada, Verification::Pass);
    let callback = callback.await.unwrap();
    // A script of another site would send no cookie.
    browser.get(setup.app.url("/")).await.unwrap().assert_ok();
    callback
}

async fn step_up(setup: &TestApp, browser: &Browser) {
    let callback = started(setup, browser).await;
    let page = browser.get(callback).await.unwrap();
    assert_eq!(page.assert_ok().url().path(), "/vault");
}

/// Sends a request in a task while the test continues. The browser stores the cookies of the
/// response.
fn open(browser: &Browser, url: &Url) -> JoinHandle<(Page, Browser)> {
    let (browser, url) = (browser.clone(), url.clone());
    tokio::spawn(async move { (browser.open(url).await.unwrap(), browser) })
}

fn key(setup: &TestApp, browser: &Browser) -> String {
    browser.cookie(setup.app.url("/"), SESSION_COOKIE).unwrap()
}

/// Returns the status of `/auth/me` for this browser, and asserts that both instances return the
/// same status.
async fn me(setup: &TestApp, browser: &Browser) -> u16 {
    let url = setup.app.url("/auth/me");
    let one = browser.fetch(&url).await.unwrap().status();
    let other = browser.fetch(&url).await.unwrap().status();
    assert_eq!(one, other);
    one
}

async fn whole_me(setup: &TestApp, browser: &Browser) -> Value {
    let page = browser.fetch(setup.app.url("/auth/me")).await.unwrap();
    page.assert_ok().json()
}

async fn session_of(setup: &TestApp, browser: &Browser) -> Value {
    whole_me(setup, browser).await["session"].clone()
}

async fn id_of(setup: &TestApp, browser: &Browser) -> SessionId {
    let session = session_of(setup, browser).await;
    SessionId::parse(session["id"].as_str().unwrap()).unwrap()
}

/// Sends a request with this session key and without other cookies.
async fn with_key(setup: &TestApp, method: Method, path: &str, key: &str) -> Page {
    let browser = setup.kyc.browser();
    let request = browser.request(method, setup.app.url(path));
    let request = request.header("cookie", &session_cookie(key));
    request.fetch().send().await.unwrap()
}

fn sets_a_session_cookie(page: &Page) -> bool {
    let (set, _) = set_and_deleted(page);
    set.iter().any(|name| name == SESSION_COOKIE)
}

fn assert_login_revoked(page: &Page) {
    page.assert_status(401);
    assert!(page.body().contains("You were signed out"));
    assert!(!sets_a_session_cookie(page));
}

async fn assert_no_session_records(setup: &TestApp) {
    for kind in SESSION_RECORDS {
        assert_eq!(setup.store.bodies(kind).await.len(), 0, "{kind:?}");
    }
}

#[tokio::test]
async fn attempts_are_counted_over_instances_and_keys() {
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        step_up(&setup, &browser).await;
        let old = browser.clone();
        step_up(&setup, &browser).await;
        let url = setup.app.url("/auth/step-up?tier=t2&return_to=/vault");
        // Each instance, and the key before the last rotation.
        for browser in [&browser, &browser, &old, &old] {
            let page = browser.open(&url).await.unwrap();
            page.assert_status(403);
            assert!(page.body().contains("sent you back twice"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_step_up_keeps_the_session_id_and_its_end() {
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        let (observed, _listening) = Observed::listen();
        let before = session_of(&setup, &browser).await;
        let mut keys = vec![key(&setup, &browser)];
        for _ in 0..2 {
            setup.kyc.clock().advance(10 * MINUTE);
            step_up(&setup, &browser).await;

            let me = whole_me(&setup, &browser).await;
            for member in ["id", "created_at", "expires_at"] {
                assert_eq!(me["session"][member], before[member], "{member}");
            }
            // A step-up is a use of the session.
            let idle = |session: &Value| session["idle_expires_at"].as_i64().unwrap();
            assert!(idle(&me["session"]) >= idle(&before) + 600);
            assert_eq!(me["assurance"]["kyc_tier"], "t2");
            let key = key(&setup, &browser);
            assert_eq!(key.len(), 86);
            assert!(!keys.contains(&key));
            keys.push(key);
        }
        assert_eq!(observed.of("kycport.session.rotated").len(), 2);
        assert_eq!(observed.of("kycport.session.ended").len(), 0);
        for kind in [SESSION, ACTIVITY, TOKENS] {
            assert_eq!(setup.store.bodies(kind).await.len(), 1, "{kind:?}");
        }
        let listed = sessions(&setup).list(setup.ada.id()).await.unwrap();
        let [listed] = &listed[..] else {
            panic!("expected one session");
        };
        assert_eq!(listed.id, id_of(&setup, &browser).await);

        // A login creates another session and ends this session.
        let old = browser.clone();
        let login = setup.app.url("/auth/login");
        browser.sign_in(login, &setup.ada).await.unwrap();
        assert_ne!(session_of(&setup, &browser).await["id"], before["id"]);
        assert_eq!(me(&setup, &old).await, 401);
        assert_eq!(setup.store.bodies(SESSION).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_step_up_does_not_extend_the_session() {
    let setup = setup().await;
    setup.kyc.clock().freeze();
    let browser = signed_in(&setup).await;
    for _ in 0..35 {
        setup.kyc.clock().advance(20 * MINUTE);
        let page = browser.open(setup.app.url("/vault")).await.unwrap();
        page.assert_ok();
    }
    step_up(&setup, &browser).await;
    setup.kyc.clock().advance(19 * MINUTE + 59 * SECOND);
    assert_eq!(me(&setup, &browser).await, 200);
    setup.kyc.clock().advance(SECOND);
    assert_eq!(me(&setup, &browser).await, 401);
}

#[tokio::test]
async fn the_old_key_is_accepted_for_thirty_seconds() {
    // Covers threat case 91.
    everywhere(async |setup| {
        setup.kyc.clock().freeze();
        let browser = signed_in(&setup).await;
        let old = browser.clone();
        step_up(&setup, &browser).await;
        assert_ne!(key(&setup, &old), key(&setup, &browser));
        assert_eq!(me(&setup, &old).await, 200);
        assert_eq!(
            session_of(&setup, &old).await,
            session_of(&setup, &browser).await
        );
        setup.kyc.clock().advance(Duration::from_millis(29_900));
        assert_eq!(me(&setup, &old).await, 200);
        setup.kyc.clock().advance(Duration::from_millis(100));
        assert_eq!(me(&setup, &old).await, 401);
        assert_eq!(me(&setup, &browser).await, 200);

        // The key before the key before the last rotation is invalid immediately.
        let middle = browser.clone();
        step_up(&setup, &browser).await;
        let last = browser.clone();
        step_up(&setup, &browser).await;
        assert_eq!(me(&setup, &middle).await, 401);
        assert_eq!(me(&setup, &last).await, 200);
        assert_eq!(me(&setup, &browser).await, 200);
    })
    .await;
}

#[tokio::test]
async fn requests_during_a_rotation_are_never_rejected() {
    everywhere(async |setup| {
        let browser = signed_in(&setup).await;
        let callback = started(&setup, &browser).await;
        // The store has no assurance of the person, so the first write renews the session.
        setup.store.remove(ASSURANCE).await;
        let stop = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (old, url) = (browser.clone(), setup.app.url("/auth/me"));
                let stop = Arc::clone(&stop);
                tokio::spawn(async move {
                    let mut statuses = Vec::new();
                    while !stop.load(Ordering::SeqCst) {
                        statuses.push(old.fetch(&url).await.unwrap().status());
                    }
                    statuses
                })
            })
            .collect();
        let old = browser.clone();
        let before = setup.store.hold(Op::Write, SESSION);
        let after = setup.store.hold_after(Op::Write, SESSION);
        let under_way = open(&browser, &callback);
        before.reached().await;
        assert_eq!(me(&setup, &old).await, 200);
        before.open();
        after.reached().await;
        assert_eq!(me(&setup, &old).await, 200);
        after.open();
        let (page, browser) = under_way.await.unwrap();
        page.assert_status(303);
        assert_eq!(me(&setup, &old).await, 200);
        assert_eq!(me(&setup, &browser).await, 200);
        assert_ne!(key(&setup, &old), key(&setup, &browser));
        stop.store(true, Ordering::SeqCst);
        for statuses in join_all(tasks).await {
            let statuses = statuses.unwrap();
            assert!(statuses.len() >= 2, "{statuses:?}");
            assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        }
    })
    .await;
}

/// Way to end a session.
#[derive(Debug, Clone, Copy)]
enum End {
    Revoke,
    RevokeAll,
    Logout,
}

const ENDS: [End; 3] = [End::Revoke, End::RevokeAll, End::Logout];

/// Ends the session. A logout uses this session key.
async fn end(setup: &TestApp, end: End, id: SessionId, key: &str) {
    match end {
        End::Revoke => {
            let revoked = sessions(setup).revoke(setup.ada.id(), &id).await;
            assert_eq!(revoked, Ok(Revocation::Revoked));
        }
        End::RevokeAll => {
            let revoked = sessions(setup).revoke_all(setup.ada.id()).await;
            revoked.unwrap();
        }
        End::Logout => {
            let page = with_key(setup, Method::POST, "/auth/logout", key).await;
            page.assert_status(204);
        }
    }
}

#[tokio::test]
async fn a_revocation_ends_both_keys() {
    // Covers threat case 98.
    everywhere(async |setup| {
        for how in ENDS {
            // Before the callback. The person authenticated after the session had ended, so the
            // step-up creates another session.
            let browser = signed_in(&setup).await;
            let (old, id) = (browser.clone(), id_of(&setup, &browser).await);
            let callback = started(&setup, &browser).await;
            end(&setup, how, id, &key(&setup, &old)).await;
            browser.get(&callback).await.unwrap().assert_ok();
            assert_ne!(id_of(&setup, &browser).await, id, "{how:?}");
            assert_eq!(me(&setup, &old).await, 401, "{how:?}");
            let id = id_of(&setup, &browser).await;
            end(&setup, End::Revoke, id, "").await;

            // Before the write of the callback.
            let browser = signed_in(&setup).await;
            let (old, id) = (browser.clone(), id_of(&setup, &browser).await);
            let callback = started(&setup, &browser).await;
            let gate = setup.store.hold(Op::Write, SESSION);
            let under_way = open(&browser, &callback);
            gate.reached().await;
            setup.store.heal();
            end(&setup, how, id, &key(&setup, &old)).await;
            gate.open();
            let (page, browser) = under_way.await.unwrap();
            assert_login_revoked(&page);
            assert_eq!(me(&setup, &old).await, 401, "{how:?}");
            assert_eq!(me(&setup, &browser).await, 401, "{how:?}");
            assert_no_session_records(&setup).await;

            // After the write of the callback.
            let browser = signed_in(&setup).await;
            let (old, id) = (browser.clone(), id_of(&setup, &browser).await);
            let callback = started(&setup, &browser).await;
            setup.store.remove(ASSURANCE).await;
            let gate = setup.store.hold_after(Op::Write, SESSION);
            let under_way = open(&browser, &callback);
            gate.reached().await;
            setup.store.heal();
            end(&setup, how, id, &key(&setup, &old)).await;
            gate.open();
            let (page, browser) = under_way.await.unwrap();
            page.assert_status(303);
            assert_eq!(me(&setup, &old).await, 401, "{how:?}");
            assert_eq!(me(&setup, &browser).await, 401, "{how:?}");
            assert_no_session_records(&setup).await;

            // After the rotation, with each key.
            for is_new in [false, true] {
                let browser = signed_in(&setup).await;
                let (old, id) = (browser.clone(), id_of(&setup, &browser).await);
                step_up(&setup, &browser).await;
                let with = if is_new { &browser } else { &old };
                end(&setup, how, id, &key(&setup, with)).await;
                assert_eq!(me(&setup, &old).await, 401, "{how:?}");
                assert_eq!(me(&setup, &browser).await, 401, "{how:?}");
                assert_no_session_records(&setup).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_revocation_during_the_exchange_fences_the_rotation() {
    // Covers threat case 98.
    everywhere(async |setup| {
        for how in ENDS {
            let browser = signed_in(&setup).await;
            let (old, id) = (browser.clone(), id_of(&setup, &browser).await);
            let callback = started(&setup, &browser).await;
            let exchange = setup.kyc.on(Endpoint::Token).hold();
            let under_way = open(&browser, &callback);
            exchange.wait_for(1).await;
            end(&setup, how, id, &key(&setup, &old)).await;
            exchange.release();
            let (page, browser) = under_way.await.unwrap();
            assert_login_revoked(&page);
            assert_eq!(me(&setup, &old).await, 401, "{how:?}");
            assert_eq!(me(&setup, &browser).await, 401, "{how:?}");
            assert_no_session_records(&setup).await;
        }
    })
    .await;
}

/// Returns a key in the form of a rotated key, made of a public session ID and the ID of the owner.
fn forged(id: SessionId, owner: &[u8]) -> String {
    let id = URL_SAFE_NO_PAD.decode(id.to_string()).unwrap();
    URL_SAFE_NO_PAD.encode([&id, owner, &[7; 32]].concat())
}

#[tokio::test]
async fn a_public_id_is_not_a_key() {
    // Covers threat case 94.
    everywhere(async |setup| {
        for rotations in 0..3 {
            let browser = signed_in(&setup).await;
            let first = URL_SAFE_NO_PAD.decode(key(&setup, &browser)).unwrap();
            let owner = &first[32..];
            for _ in 0..rotations {
                step_up(&setup, &browser).await;
            }
            let id = id_of(&setup, &browser).await;
            let eve = setup.kyc.person("eve");
            let eve = eve.create();
            let other = setup.kyc.browser();
            let login = setup.app.url("/auth/login");
            other.sign_in(login, &eve).await.unwrap().assert_ok();
            let of_eve = URL_SAFE_NO_PAD.decode(key(&setup, &other)).unwrap();

            for forged in [forged(id, owner), forged(id, &of_eve[32..])] {
                let page = with_key(&setup, Method::GET, "/auth/me", &forged).await;
                page.assert_status(401);
                let page = with_key(&setup, Method::POST, "/auth/logout", &forged).await;
                page.assert_status(204);
                assert_eq!(me(&setup, &browser).await, 200);
                // A login in a browser with the forged key ends no other session.
                let planted = setup.kyc.browser();
                let cookie = format!("{}; Secure; Path=/", session_cookie(&forged));
                planted.set_cookie(setup.app.url("/"), &cookie);
                let login = setup.app.url("/auth/login");
                planted.sign_in(login, &eve).await.unwrap().assert_ok();
                assert_eq!(me(&setup, &browser).await, 200);
            }
            // A rotated key with the owner ID of another person opens no session.
            if rotations > 0 {
                let mut bytes = URL_SAFE_NO_PAD.decode(key(&setup, &browser)).unwrap();
                bytes[16..32].copy_from_slice(&of_eve[32..]);
                let forged = URL_SAFE_NO_PAD.encode(bytes);
                let page = with_key(&setup, Method::GET, "/auth/me", &forged).await;
                page.assert_status(401);
            }
            sessions(&setup).revoke_all(setup.ada.id()).await.unwrap();
            sessions(&setup).revoke_all(eve.id()).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_replaced_key_ends_no_session() {
    // Covers threat cases 91, 109.
    let setup = setup().await;
    let browser = signed_in(&setup).await;
    let first = key(&setup, &browser);
    step_up(&setup, &browser).await;
    let second = key(&setup, &browser);
    step_up(&setup, &browser).await;
    setup.kyc.clock().advance(GRACE + SECOND);
    for old in [first, second] {
        let page = with_key(&setup, Method::GET, "/auth/me", &old).await;
        page.assert_status(401);
        let page = with_key(&setup, Method::POST, "/auth/logout", &old).await;
        page.assert_status(204);
        let thief = setup.kyc.browser();
        let cookie = format!("{}; Secure; Path=/", session_cookie(&old));
        thief.set_cookie(setup.app.url("/"), &cookie);
        let login = setup.app.url("/auth/login");
        let eve = setup.kyc.person("eve").create();
        thief.sign_in(login, &eve).await.unwrap().assert_ok();
        assert_eq!(me(&setup, &browser).await, 200);
    }
}

#[tokio::test]
async fn an_invalid_digest_opens_no_session() {
    // Covers threat case 95.
    type Change = fn(&mut Value);
    let changes: [Change; 5] = [
        |record| record["key"] = "".into(),
        |record| record["key"] = "A".repeat(43).into(),
        |record| record["key"] = 7.into(),
        |record| record["previous_key"] = "x".into(),
        |record| record["rotations"] = (-1).into(),
    ];
    let setup = setup().await;
    for change in changes {
        let browser = signed_in(&setup).await;
        assert_eq!(me(&setup, &browser).await, 200);
        setup.store.rewrite(SESSION, change).await;
        assert_eq!(me(&setup, &browser).await, 401);
        setup.store.remove(SESSION).await;
    }
}

#[tokio::test]
async fn two_tabs_step_up_at_the_same_time() {
    // Covers threat case 97.
    everywhere(async |setup| {
        for together in [false, true] {
            let browser = signed_in(&setup).await;
            let id = id_of(&setup, &browser).await;
            let callbacks = [
                started(&setup, &browser).await,
                started(&setup, &browser).await,
            ];
            // Each tab sends the old key.
            let tabs = if together {
                setup.store.remove(ASSURANCE).await;
                setup.store.let_meet(Op::Write, SESSION, 2);
                let tabs = callbacks
                    .each_ref()
                    .map(|callback| open(&browser, callback));
                let tabs = join_all(tabs).await;
                setup.store.heal();
                tabs
            } else {
                let one = open(&browser, &callbacks[0]).await;
                vec![one, open(&browser, &callbacks[1]).await]
            };
            let mut keys = Vec::new();
            for tab in tabs {
                let (page, tab) = tab.unwrap();
                page.assert_status(303);
                if sets_a_session_cookie(&page) {
                    keys.push(key(&setup, &tab));
                }
            }
            // Only one response sets the cookie, so the order of the responses has no effect.
            let [new_key] = &keys[..] else {
                panic!("expected one new key: {}", keys.len());
            };
            setup.kyc.clock().advance(GRACE + SECOND);
            let cookie = format!("{}; Secure; Path=/", session_cookie(new_key));
            browser.set_cookie(setup.app.url("/"), &cookie);
            assert_eq!(me(&setup, &browser).await, 200);
            assert_eq!(id_of(&setup, &browser).await, id);
            assert_eq!(setup.store.bodies(SESSION).await.len(), 1);
            sessions(&setup).revoke_all(setup.ada.id()).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_step_up_whose_key_was_replaced_twice_keeps_the_session() {
    // Covers threat case 97.
    let setup = setup().await;
    let browser = signed_in(&setup).await;
    let callback = started(&setup, &browser).await;
    let gate = setup.store.hold(Op::Write, SESSION);
    let under_way = open(&browser, &callback);
    gate.reached().await;
    setup.store.heal();
    for _ in 0..2 {
        step_up(&setup, &browser).await;
    }
    gate.open();
    let (page, _) = under_way.await.unwrap();
    page.assert_status(303);
    assert!(!sets_a_session_cookie(&page));
    assert_eq!(me(&setup, &browser).await, 200);
}

#[tokio::test]
async fn a_store_outage_during_a_step_up_keeps_the_session() {
    // Covers threat case 95.
    let setup = setup().await;
    for (op, is_completed_by_a_reload) in [(Op::Read, true), (Op::Write, false)] {
        let browser = signed_in(&setup).await;
        let callback = started(&setup, &browser).await;
        setup.store.fail_on(op, SESSION);
        let page = browser.open(&callback).await.unwrap();
        page.assert_status(503);
        assert!(!sets_a_session_cookie(&page));
        setup.store.heal();
        assert_eq!(me(&setup, &browser).await, 200);
        // A failed read of the session precedes the code exchange, so a reload completes the
        // step-up.
        browser.get(&callback).await.unwrap().assert_ok();
        let tier = &whole_me(&setup, &browser).await["assurance"]["kyc_tier"];
        assert_eq!(tier == "t2", is_completed_by_a_reload, "{op:?}");
    }
}

#[tokio::test]
async fn a_refresh_during_a_rotation_keeps_the_session() {
    // Covers threat case 54.
    for is_rejected in [false, true] {
        let setup = app_with_refresh_tokens().await;
        let browser = signed_in(&setup).await;
        let id = id_of(&setup, &browser).await;
        setup.kyc.clock().advance(16 * MINUTE);
        let lease = setup.store.hold(Op::Write, REFRESH_LEASE);
        let url = Url::parse(&setup.app.url("/token")).unwrap();
        let refreshing = open(&browser, &url);
        lease.reached().await;
        if is_rejected {
            // After the rejection, the instance reads the tokens again.
            let read = setup.store.hold(Op::Read, TOKENS);
            let body = r#"{"error":"invalid_grant"}"#;
            let fault = setup.kyc.on(Endpoint::Token);
            let fault = fault.answer(400, "application/json", body).once();
            lease.open();
            read.reached().await;
            fault.assert_hit();
            drop(fault);
            step_up(&setup, &browser).await;
            read.open();
        } else {
            // KYCPort has returned new tokens, and the instance is about to write them.
            lease.let_one();
            lease.reached().await;
            step_up(&setup, &browser).await;
            lease.open();
        }
        let (page, old) = refreshing.await.unwrap();
        page.assert_ok();
        for tab in [&browser, &old] {
            assert_eq!(me(&setup, tab).await, 200);
            let page = tab.open(setup.app.url("/token")).await.unwrap();
            page.assert_ok();
        }
        assert_eq!(id_of(&setup, &browser).await, id);
        assert_eq!(setup.store.bodies(REFRESH_LEASE).await.len(), 0);
        let tokens = setup.store.records(TOKENS).await;
        assert_eq!(tokens.len(), 1);
    }
}

#[tokio::test]
async fn a_step_up_of_an_old_session_without_a_tenant_key_does_not_loop() {
    let setup = app_without_tenant_key().await;
    let browser = signed_in(&setup).await;
    let created_at = session_of(&setup, &browser).await["created_at"].clone();
    for _ in 0..33 {
        setup.kyc.clock().advance(HOUR / 3);
        let page = browser.open(setup.app.url("/vault")).await.unwrap();
        page.assert_ok();
    }
    step_up(&setup, &browser).await;
    assert_eq!(session_of(&setup, &browser).await["created_at"], created_at);
    let fault = setup.kyc.on(Endpoint::Userinfo).fail(401).once();
    // KYCPort issued the token a moment ago, so a further step-up would also fail.
    let page = browser.open(setup.app.url("/sensitive")).await.unwrap();
    page.assert_status(503);
    fault.assert_hit();
}
