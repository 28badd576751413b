//! Tests that the app can revoke one session of a person or all sessions of a person.

use std::time::Duration;

use axum::{Router, http::Method, routing::get};
use kycport::{
    KycTier, RelyingParty, SignedIn,
    mock::{Browser, Endpoint, MockIssuer, MockIssuerBuilder, Page, Person},
    store::StoreError,
    web::{Delivery, Revocation, SessionId},
};

use crate::{
    observed::Observed,
    recording_store::{ACTIVITY, Kind, Op, SESSION, TOKENS, TestApp, setup, setup_on},
    stages::{everywhere, everywhere_with, sessions},
    support::{tenant_app, tenant_app_of},
    test_handler::{SECRET, answer, deliver, event},
};

const COOKIE: &str = "__Host-kycport";
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn signed_in_as(setup: &TestApp, person: &Person) -> Browser {
    let browser = setup.kyc.browser();
    let page = browser.sign_in(setup.app.url("/auth/login"), person).await;
    page.unwrap().assert_ok();
    browser
}

async fn signed_in(setup: &TestApp) -> Browser {
    signed_in_as(setup, &setup.ada).await
}

async fn me(setup: &TestApp, browser: &Browser) -> u16 {
    let page = browser.fetch(setup.app.url("/auth/me")).await.unwrap();
    page.status()
}

async fn id(setup: &TestApp, browser: &Browser) -> SessionId {
    let page = browser.fetch(setup.app.url("/auth/me")).await.unwrap();
    SessionId::parse(page.json()["session"]["id"].as_str().unwrap()).unwrap()
}

async fn log_out(setup: &TestApp, browser: &Browser, fields: &[(&str, &str)]) -> Page {
    let url = setup.app.url("/auth/logout");
    let request = browser.request(Method::POST, url).form(fields);
    request.stay().send().await.unwrap()
}

#[tokio::test]
async fn a_sign_out_everywhere_revokes_only_the_sessions_of_its_person() {
    // Covers threat case 109.
    everywhere(async |setup| {
        let eve = setup.kyc.person("eve").create();
        let (here, there) = (signed_in(&setup).await, signed_in(&setup).await);
        let other = signed_in_as(&setup, &eve).await;
        let stolen = here.clone();

        let page = log_out(&setup, &here, &[("everywhere", "1")]).await;

        page.assert_status(303);
        assert_eq!(here.cookie(setup.app.url("/"), COOKIE), None);
        for browser in [&here, &there, &stolen] {
            assert_eq!(me(&setup, browser).await, 401);
            let page = browser.open(setup.app.url("/vault")).await.unwrap();
            page.assert_status(303);
        }
        assert_eq!(me(&setup, &other).await, 200);
        // A new login creates a valid session, even after many revocations of all sessions.
        for _ in 0..2 {
            let again = signed_in(&setup).await;
            let second = signed_in(&setup).await;
            assert_eq!(me(&setup, &again).await, 200);
            sessions(&setup).revoke_all(setup.ada.id()).await.unwrap();
            assert_eq!(me(&setup, &again).await, 401);
            assert_eq!(me(&setup, &second).await, 401);
            assert_eq!(me(&setup, &there).await, 401);
        }
    })
    .await;
}

#[tokio::test]
async fn the_form_field_everywhere_selects_the_scope_of_a_sign_out() {
    let setup = setup().await;
    for (fields, everywhere) in [
        (&[][..], false),
        (&[("everywhere", "")][..], false),
        (&[("everywhere", "0")], false),
        (&[("everywhere", "false")], false),
        (&[("elsewhere", "1")], false),
        (&[("everywhere", "1")], true),
        (&[("everywhere", "on")], true),
        (
            &[("a", "b"), ("everywhere", "0"), ("everywhere", "1")],
            true,
        ),
    ] {
        let (here, there) = (signed_in(&setup).await, signed_in(&setup).await);
        log_out(&setup, &here, fields).await.assert_status(303);
        let left = if everywhere { 401 } else { 200 };
        assert_eq!(me(&setup, &there).await, left, "{fields:?}");
    }
}

#[tokio::test]
async fn an_invalid_sign_out_form_ends_no_session() {
    let setup = setup().await;
    let browser = signed_in(&setup).await;
    let url = setup.app.url("/auth/logout");
    let large = "x".repeat(5000);
    let json = serde_json::json!({ "everywhere": "1" });
    for visit in [
        browser.request(Method::POST, &url).form(&[("x", &large)]),
        browser.request(Method::POST, &url).json(&json),
        browser
            .request(Method::POST, &url)
            .form(&[("everywhere", "1")])
            .header("content-type", "multipart/form-data; boundary=x"),
    ] {
        let page = visit.fetch().stay().send().await.unwrap();
        page.assert_status(400);
        assert_eq!(page.json()["code"], "malformed_form");
        assert_eq!(page.header("set-cookie"), None);
        assert_eq!(me(&setup, &browser).await, 200);
    }
}

#[tokio::test]
async fn a_failed_sign_out_everywhere_is_reported_as_failed() {
    // Covers threat cases 95, 108.
    everywhere(async |setup| {
        let (here, there) = (signed_in(&setup).await, signed_in(&setup).await);
        for (op, kind) in [(Op::Revoke, SESSION), (Op::Read, SESSION)] {
            setup.store.fail_on(op, kind);
            let page = log_out(&setup, &here, &[("everywhere", "1")]).await;
            page.assert_status(503);
            assert_eq!(page.header("set-cookie"), None);
            setup.store.heal();
            assert_eq!(me(&setup, &here).await, 200);
            assert_eq!(me(&setup, &there).await, 200);
        }
        setup.store.fail();
        let handle = sessions(&setup);
        let id = SessionId::parse("AAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(handle.revoke_all("x").await, Err(StoreError::Unreachable));
        assert_eq!(handle.revoke("x", &id).await, Err(StoreError::Unreachable));
        assert_eq!(handle.list("x").await, Err(StoreError::Unreachable));
        setup.store.heal();

        // The app cannot revoke all sessions of a person if the request has no session.
        let page = log_out(&setup, &setup.kyc.browser(), &[("everywhere", "1")]).await;
        page.assert_status(401);
        let page = log_out(&setup, &here, &[("everywhere", "1")]).await;
        page.assert_status(303);
        assert_eq!(me(&setup, &there).await, 401);
    })
    .await;
}

#[tokio::test]
async fn during_a_store_outage_requests_and_logins_get_503() {
    // Covers threat case 95.
    everywhere(async |setup| {
        let before = signed_in(&setup).await;
        sessions(&setup).revoke_all(setup.ada.id()).await.unwrap();
        let after = signed_in(&setup).await;
        setup.store.fail_on(Op::Read, SESSION);
        for browser in [&before, &after] {
            assert_eq!(me(&setup, browser).await, 503);
            let page = browser.open(setup.app.url("/vault")).await.unwrap();
            page.assert_status(503);
        }
        setup.store.heal();
        setup.store.fail_on(Op::Write, SESSION);
        let callback = after.start_sign_in(setup.app.url("/auth/login"), &setup.ada);
        let callback = callback.await.unwrap();
        after.open(callback).await.unwrap().assert_status(503);
    })
    .await;
}

#[tokio::test]
async fn a_pending_request_does_not_revive_a_revoked_session() {
    // Covers threat case 98.
    let renewing = |mock: MockIssuerBuilder| mock.issue_refresh_tokens(true);
    everywhere_with(
        renewing,
        |app| app,
        async |setup| {
            for (op, kind) in [(Op::Write, ACTIVITY), (Op::Write, TOKENS)] {
                for end in [End::One, End::All] {
                    revoke_during_write(&setup, op, kind, end).await;
                }
            }
        },
    )
    .await;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    One,
    All,
}

/// Revokes one session or all sessions while a request is about to store its activity or its
/// new tokens.
async fn revoke_during_write(setup: &TestApp, op: Op, kind: Kind, end: End) {
    let browser = signed_in(setup).await;
    let id = id(setup, &browser).await;
    // The access token has expired, and the app must update the last use of the session.
    setup.kyc.clock().advance(16 * MINUTE);
    let gate = setup.store.hold(op, kind);
    let (copy, url) = (browser.clone(), setup.app.url("/token"));
    let under_way = tokio::spawn(async move { copy.open(url).await.unwrap() });
    gate.reached().await;
    // Only this write waits. The revocation must not wait, although the revocation also writes
    // these records.
    setup.store.heal();

    let handle = sessions(setup);
    match end {
        End::One => assert_eq!(
            handle.revoke(setup.ada.id(), &id).await,
            Ok(Revocation::Revoked)
        ),
        End::All => handle.revoke_all(setup.ada.id()).await.unwrap(),
    }
    gate.open();
    under_way.await.unwrap();

    // The app did not write a record, because the session no longer exists.
    assert_eq!(setup.store.bodies(kind).await.len(), 0, "{kind:?}");
    // Both instances treat the browser as signed out.
    for _ in 0..2 {
        assert_eq!(me(setup, &browser).await, 401, "{kind:?}");
        let page = browser.open(setup.app.url("/token")).await.unwrap();
        page.assert_status(303);
    }
}

#[tokio::test]
async fn a_session_is_revoked_by_its_id() {
    // Covers threat case 109.
    everywhere(async |setup| {
        let eve = setup.kyc.person("eve").create();
        let (here, there) = (signed_in(&setup).await, signed_in(&setup).await);
        let handle = sessions(&setup);
        let (id, other) = (id(&setup, &here).await, id(&setup, &there).await);
        assert_ne!(id, other);

        // A person cannot revoke the session of another person.
        let foreign = handle.revoke(eve.id(), &id).await;
        assert_eq!(foreign, Ok(Revocation::NotFound));
        assert_eq!(me(&setup, &here).await, 200);

        assert_eq!(
            handle.revoke(setup.ada.id(), &id).await,
            Ok(Revocation::Revoked)
        );
        assert_eq!(me(&setup, &here).await, 401);
        assert_eq!(me(&setup, &there).await, 200);
        for kind in [SESSION, TOKENS] {
            assert_eq!(setup.store.bodies(kind).await.len(), 1);
        }
        let again = handle.revoke(setup.ada.id(), &id).await;
        assert_eq!(again, Ok(Revocation::NotFound));

        setup.store.fail_on(Op::Write, SESSION);
        let failed = handle.revoke(setup.ada.id(), &other).await;
        assert_eq!(failed, Err(StoreError::Unreachable));
        assert_eq!(me(&setup, &there).await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_session_id_does_not_authenticate() {
    // Covers threat case 94.
    let setup = setup().await;
    let browser = signed_in(&setup).await;
    let id = id(&setup, &browser).await;
    let key = browser.cookie(setup.app.url("/"), COOKIE).unwrap();
    assert!(!key.contains(&id.to_string()));
    for planted in [id.to_string(), format!("{id}{}", &key[22..])] {
        let attacker = setup.kyc.browser();
        let plant = format!("{COOKIE}={planted}; Path=/; Secure");
        attacker.set_cookie(setup.app.url("/"), &plant);
        assert_eq!(me(&setup, &attacker).await, 401);
    }
    // The session id in a handler equals the id in the list.
    let store = setup.store.clone();
    let named = setup.kyc.serve(|config| {
        let kycport = RelyingParty::new(config.store(store).build().unwrap()).unwrap();
        let unavailable = async || Err::<(), _>(StoreError::Unreachable);
        Router::new()
            .route("/unavailable", get(unavailable))
            .route(
                "/name",
                get(async |person: SignedIn| person.session_id().to_string()),
            )
            .layer(kycport.session_layer())
    });
    let named = named.await.unwrap();
    let page = browser
        .request(Method::GET, named.url("/name"))
        .header("cookie", &format!("{COOKIE}={key}"))
        .send();
    assert_eq!(page.await.unwrap().body(), id.to_string());
    // A handler that returns a store error causes the same response as the session layer.
    let page = browser.open(named.url("/unavailable")).await.unwrap();
    page.assert_status(503);
    assert_eq!(page.json()["code"], "store_unavailable");
    assert_eq!(page.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_person_can_list_their_sessions() {
    everywhere(async |setup| {
        let eve = setup.kyc.person("eve").create();
        let handle = sessions(&setup);
        assert_eq!(handle.list(setup.ada.id()).await, Ok(vec![]));
        setup.kyc.clock().freeze();
        let first = signed_in(&setup).await;
        setup.kyc.clock().advance(2 * MINUTE);
        let second = signed_in(&setup).await;
        signed_in_as(&setup, &eve).await;
        setup.kyc.clock().advance(2 * MINUTE);
        first.open(setup.app.url("/vault")).await.unwrap();

        let listed = handle.list(setup.ada.id()).await.unwrap();

        let ids: Vec<_> = listed.iter().map(|one| one.id).collect();
        let (first_id, second_id) = (id(&setup, &first).await, id(&setup, &second).await);
        assert_eq!(ids, [second_id, first_id]);
        // `/auth/me` does not count as a use. The vault was opened four minutes after the first
        // session began.
        let used = listed.iter().map(|one| one.last_used.since(one.created_at));
        let used: Vec<_> = used.collect();
        assert_eq!(used, [Duration::ZERO, 4 * MINUTE]);

        handle.revoke(setup.ada.id(), &first_id).await.unwrap();
        let listed = handle.list(setup.ada.id()).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].id, second_id);
        handle.revoke_all(setup.ada.id()).await.unwrap();
        assert_eq!(handle.list(setup.ada.id()).await, Ok(vec![]));
        assert_eq!(handle.list(eve.id()).await.unwrap().len(), 1);

        // A login succeeds although the list of sessions cannot be read.
        setup.store.fail_on(Op::List, SESSION);
        let unlisted = signed_in(&setup).await;
        assert_eq!(me(&setup, &unlisted).await, 200);
        let failed = handle.list(setup.ada.id()).await;
        assert_eq!(failed, Err(StoreError::Unreachable));
    })
    .await;
}

#[tokio::test]
async fn a_revocation_outlasts_every_session() {
    // Covers threat case 96.
    let kyc = MockIssuer::start().await;
    let setup = setup_on(kyc, 1000, |config| {
        config
            .session_idle_timeout(30 * DAY)
            .session_lifetime(30 * DAY)
    })
    .await;
    setup.kyc.clock().freeze();
    let before = signed_in(&setup).await;
    sessions(&setup).revoke_all(setup.ada.id()).await.unwrap();
    setup.kyc.clock().advance(29 * DAY);
    assert_eq!(me(&setup, &before).await, 401);
    // A session that is created after the revocation stays valid.
    let after = signed_in(&setup).await;
    setup.kyc.clock().advance(20 * DAY);
    assert_eq!(me(&setup, &after).await, 200);
    assert_eq!(me(&setup, &before).await, 401);
    sessions(&setup).revoke_all(setup.ada.id()).await.unwrap();
    assert_eq!(me(&setup, &after).await, 401);
}

#[tokio::test]
async fn pending_logins_use_no_session_capacity() {
    // Covers threat case 140.
    let kyc = MockIssuer::start().await;
    let setup = setup_on(kyc, 2, |config| config).await;
    let browser = signed_in(&setup).await;
    for _ in 0..10 {
        let page = setup.kyc.browser().get(setup.app.url("/auth/login")).await;
        page.unwrap().assert_ok();
    }
    assert_eq!(me(&setup, &browser).await, 200);
    sessions(&setup).revoke_all(setup.ada.id()).await.unwrap();
    assert_eq!(me(&setup, &browser).await, 401);
}

#[tokio::test]
async fn a_sign_out_everywhere_applies_at_all_instances() {
    // Covers threat case 99.
    let setup = setup().await;
    let browser = signed_in(&setup).await;
    let key = browser.cookie(setup.app.url("/"), COOKIE).unwrap();
    let store = setup.store.clone();
    let second = setup.kyc.serve(|config| tenant_app(config.store(store)));
    let second = second.await.unwrap();
    let seen_there = async || {
        let request = browser.request(Method::GET, second.url("/auth/me"));
        let request = request.header("cookie", &format!("{COOKIE}={key}"));
        request.fetch().send().await.unwrap().status()
    };
    assert_eq!(seen_there().await, 200);
    log_out(&setup, &browser, &[("everywhere", "1")]).await;
    assert_eq!(seen_there().await, 401);
}

#[tokio::test]
async fn an_activity_update_after_a_sign_out_is_not_logged_as_a_store_failure() {
    everywhere(async |setup| {
        let (observed, _listening) = Observed::listen();
        let browser = signed_in(&setup).await;
        for _ in 0..2 {
            setup.kyc.clock().advance(2 * MINUTE);
            browser.open(setup.app.url("/vault")).await.unwrap();
        }
        setup.kyc.clock().advance(2 * MINUTE);
        let gate = setup.store.hold(Op::Write, ACTIVITY);
        let (copy, url) = (browser.clone(), setup.app.url("/vault"));
        let under_way = tokio::spawn(async move { copy.open(url).await.unwrap() });
        gate.reached().await;
        // Only this write waits. The sign-out must not wait, although the sign-out also writes this
        // record.
        setup.store.heal();
        log_out(&setup, &browser, &[]).await.assert_status(303);
        gate.open();
        under_way.await.unwrap();
        assert_eq!(observed.of("kycport.store.failed").len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_rejection_event_revokes_sessions_although_the_status_request_is_rejected() {
    for status in [401, 403, 404] {
        let kyc = MockIssuer::start().await;
        let app = kyc.serve(move |config| {
            let config = config.webhook_secret(SECRET).build().unwrap();
            let kycport = RelyingParty::new(config).unwrap();
            let sessions = kycport.sessions();
            let webhooks = kycport.webhooks(move |delivery: Delivery| {
                let sessions = sessions.clone();
                async move {
                    if let (true, Some(person)) =
                        (delivery.is_rejection(), delivery.event().person_id())
                    {
                        sessions.revoke_all(person).await?;
                    }
                    Ok::<(), StoreError>(())
                }
            });
            tenant_app_of(&kycport).route_service("/webhooks/kycport", webhooks.build().unwrap())
        });
        let app = app.await.unwrap();
        let ada = kyc.person("ada").tier(KycTier::T2).create();
        let browser = kyc.browser();
        browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
        let me = async || {
            let page = browser.fetch(app.url("/auth/me")).await;
            page.unwrap().status()
        };
        let url = app.url("/webhooks/kycport");
        // KYCPort's status has precedence over the event.
        let old = event(&kyc, "evt_1", &ada, "rejected");
        assert_eq!(answer(deliver(&url, &old).await).await.0, 200);
        assert_eq!(me().await, 200);
        let _no = kyc.on(Endpoint::Status).fail(status).always();
        ada.reject();
        let rejected = event(&kyc, "evt_2", &ada, "rejected");
        assert_eq!(answer(deliver(&url, &rejected).await).await.0, 200);
        assert_eq!(me().await, 401, "{status}");
    }
}
