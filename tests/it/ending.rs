//! Ending all sessions of a person, or one of them, from wherever.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::Method, routing::get};
use kycport::{
    KycTier, MemoryStore, RelyingParty, SignedIn,
    mock::{Browser, Endpoint, MockIssuer, MockIssuerBuilder, Page, Person},
    web::{Delivery, Ended, SessionId, Sessions, StoreUnavailable},
};

use crate::{
    desk::{SECRET, answer, deliver, event},
    faulty_store::{ACTIVITY, EPOCH, Op, SESSION, SIGN_INS, Stage, TOKENS, stage, stage_on},
    observed::Observed,
    stages::{everywhere, everywhere_with},
    support::{tenant_app, tenant_app_of},
};

const COOKIE: &str = "__Host-kycport";
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn signed_in_as(stage: &Stage, person: &Person) -> Browser {
    let browser = stage.kyc.browser();
    let page = browser.sign_in(stage.app.url("/auth/login"), person).await;
    page.unwrap().assert_ok();
    browser
}

async fn signed_in(stage: &Stage) -> Browser {
    signed_in_as(stage, &stage.ada).await
}

async fn me(stage: &Stage, browser: &Browser) -> u16 {
    let page = browser.fetch(stage.app.url("/auth/me")).await.unwrap();
    page.status()
}

async fn id(stage: &Stage, browser: &Browser) -> SessionId {
    let page = browser.fetch(stage.app.url("/auth/me")).await.unwrap();
    SessionId::parse(page.json()["session"]["id"].as_str().unwrap()).unwrap()
}

/// What support has: another instance on the same store.
fn sessions(stage: &Stage) -> Sessions {
    let config = stage.kyc.config("http://127.0.0.1:9/auth/callback");
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    kycport.session_layer(stage.store.clone()).sessions()
}

async fn log_out(stage: &Stage, browser: &Browser, fields: &[(&str, &str)]) -> Page {
    let url = stage.app.url("/auth/logout");
    let request = browser.request(Method::POST, url).form(fields);
    request.stay().send().await.unwrap()
}

#[tokio::test]
async fn everywhere_is_everywhere_and_nobody_else() {
    // case 109
    everywhere(async |stage| {
        let eve = stage.kyc.person("eve").create();
        let (here, there) = (signed_in(&stage).await, signed_in(&stage).await);
        let other = signed_in_as(&stage, &eve).await;
        let stolen = here.clone();

        let page = log_out(&stage, &here, &[("everywhere", "1")]).await;

        page.assert_status(303);
        assert_eq!(here.cookie(stage.app.url("/"), COOKIE), None);
        for browser in [&here, &there, &stolen] {
            assert_eq!(me(&stage, browser).await, 401);
            let page = browser.open(stage.app.url("/vault")).await.unwrap();
            page.assert_status(303);
        }
        assert_eq!(me(&stage, &other).await, 200);
        // Whoever signs in anew is in, as often as it is done.
        for _ in 0..2 {
            let again = signed_in(&stage).await;
            let beside = signed_in(&stage).await;
            assert_eq!(me(&stage, &again).await, 200);
            sessions(&stage).end_all(stage.ada.id()).await.unwrap();
            assert_eq!(me(&stage, &again).await, 401);
            assert_eq!(me(&stage, &beside).await, 401);
            assert_eq!(me(&stage, &there).await, 401);
        }
    })
    .await;
}

#[tokio::test]
async fn a_form_says_how_far() {
    let stage = stage().await;
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
        let (here, there) = (signed_in(&stage).await, signed_in(&stage).await);
        log_out(&stage, &here, fields).await.assert_status(303);
        let left = if everywhere { 401 } else { 200 };
        assert_eq!(me(&stage, &there).await, left, "{fields:?}");
    }
}

#[tokio::test]
async fn a_form_that_cannot_be_read_ends_nothing() {
    let stage = stage().await;
    let browser = signed_in(&stage).await;
    let url = stage.app.url("/auth/logout");
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
        assert_eq!(me(&stage, &browser).await, 200);
    }
}

#[tokio::test]
async fn everywhere_is_not_said_where_it_was_not_done() {
    // cases 95, 108
    everywhere(async |stage| {
        let (here, there) = (signed_in(&stage).await, signed_in(&stage).await);
        for (op, kind) in [(Op::Create, EPOCH), (Op::Load, SESSION)] {
            stage.store.fail_on(op, kind);
            let page = log_out(&stage, &here, &[("everywhere", "1")]).await;
            page.assert_status(503);
            assert_eq!(page.header("set-cookie"), None);
            stage.store.heal();
            assert_eq!(me(&stage, &here).await, 200);
            assert_eq!(me(&stage, &there).await, 200);
        }
        stage.store.fail();
        let handle = sessions(&stage);
        let id = SessionId::parse("AAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(handle.end_all("x").await, Err(StoreUnavailable));
        assert_eq!(handle.end("x", &id).await, Err(StoreUnavailable));
        assert_eq!(handle.list("x").await, Err(StoreUnavailable));
        stage.store.heal();

        // Signed out, nobody knows whose sessions the others are.
        let page = log_out(&stage, &stage.kyc.browser(), &[("everywhere", "1")]).await;
        page.assert_status(401);
        stage.store.fail_on(Op::Delete, SESSION);
        let page = log_out(&stage, &here, &[("everywhere", "1")]).await;
        // The record is there and opens nothing.
        page.assert_status(303);
        assert_eq!(me(&stage, &there).await, 401);
    })
    .await;
}

#[tokio::test]
async fn while_it_cannot_be_known_nobody_is_signed_in_or_out() {
    // case 95
    everywhere(async |stage| {
        let before = signed_in(&stage).await;
        sessions(&stage).end_all(stage.ada.id()).await.unwrap();
        let after = signed_in(&stage).await;
        stage.store.fail_on(Op::Load, EPOCH);
        for browser in [&before, &after] {
            assert_eq!(me(&stage, browser).await, 503);
            let page = browser.open(stage.app.url("/vault")).await.unwrap();
            page.assert_status(503);
        }
        let callback = after.start_sign_in(stage.app.url("/auth/login"), &stage.ada);
        let callback = callback.await.unwrap();
        after.open(callback).await.unwrap().assert_status(503);
    })
    .await;
}

#[tokio::test]
async fn a_login_in_flight_ends_with_the_others() {
    // case 98, P7
    everywhere(async |stage| {
        let browser = stage.kyc.browser();
        let callback = browser.start_sign_in(stage.app.url("/auth/login"), &stage.ada);
        let callback = callback.await.unwrap();
        let gate = stage.store.hold(Op::Create, SESSION);
        let copy = browser.clone();
        let under_way = tokio::spawn(async move { copy.open(callback).await.unwrap() });
        gate.reached().await;

        sessions(&stage).end_all(stage.ada.id()).await.unwrap();
        gate.open();

        let page = under_way.await.unwrap();
        page.assert_status(303);
        let cookie = page.header("set-cookie").unwrap();
        browser.set_cookie(stage.app.url("/"), cookie);
        let page = browser.get(stage.app.url("/")).await.unwrap();
        assert_eq!(page.body(), "signed out");
        assert_eq!(stage.store.records(SESSION).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn no_request_under_way_outruns_the_end() {
    // case 98, P7
    let renewing = |mock: MockIssuerBuilder| mock.issue_refresh_tokens(true);
    everywhere_with(
        renewing,
        |app| app,
        async |stage| {
            for (op, kind) in [(Op::Create, ACTIVITY), (Op::Save, TOKENS)] {
                for end in [End::One, End::All] {
                    outrun(&stage, op, kind, end).await;
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

/// A request that writes down its use, or its new tokens, while one session is ended, or all are.
async fn outrun(stage: &Stage, op: Op, kind: &'static str, end: End) {
    let browser = signed_in(stage).await;
    let id = id(stage, &browser).await;
    // The token has run out; the session was used a while ago.
    stage.kyc.clock().advance(16 * MINUTE);
    let gate = stage.store.hold(op, kind);
    let (copy, url) = (browser.clone(), stage.app.url("/token"));
    let under_way = tokio::spawn(async move { copy.open(url).await.unwrap() });
    gate.reached().await;
    let was = stage.store.records(kind).await.len();

    let handle = sessions(stage);
    match end {
        End::One => assert_eq!(handle.end(stage.ada.id(), &id).await, Ok(Ended::Now)),
        End::All => handle.end_all(stage.ada.id()).await.unwrap(),
    }
    gate.open();
    under_way.await.unwrap();

    // It wrote what it liked. Redis writes over nothing that is gone.
    let is = stage.store.records(kind).await.len();
    let should_be = match (op, end) {
        (Op::Create, _) => was + 1,
        (_, End::One) if stage.engine.starts_with("redis") => was - 1,
        _ => was,
    };
    assert_eq!(is, should_be, "{kind}");
    // And nobody is there, at either instance.
    for _ in 0..2 {
        assert_eq!(me(stage, &browser).await, 401, "{kind}");
        let page = browser.open(stage.app.url("/token")).await.unwrap();
        page.assert_status(303);
    }
    stage.store.heal();
}

#[tokio::test]
async fn one_session_is_ended_by_its_name() {
    // case 109
    everywhere(async |stage| {
        let eve = stage.kyc.person("eve").create();
        let (here, there) = (signed_in(&stage).await, signed_in(&stage).await);
        let handle = sessions(&stage);
        let (id, other) = (id(&stage, &here).await, id(&stage, &there).await);
        assert_ne!(id, other);

        // Nobody ends what is somebody else's.
        let foreign = handle.end(eve.id(), &id).await;
        assert_eq!(foreign, Ok(Ended::NoSuchSession));
        assert_eq!(me(&stage, &here).await, 200);

        assert_eq!(handle.end(stage.ada.id(), &id).await, Ok(Ended::Now));
        assert_eq!(me(&stage, &here).await, 401);
        assert_eq!(me(&stage, &there).await, 200);
        for kind in [SESSION, TOKENS] {
            assert_eq!(stage.store.records(kind).await.len(), 1);
        }
        let again = handle.end(stage.ada.id(), &id).await;
        assert_eq!(again, Ok(Ended::NoSuchSession));

        stage.store.fail_on(Op::Delete, SESSION);
        let failed = handle.end(stage.ada.id(), &other).await;
        assert_eq!(failed, Err(StoreUnavailable));
        assert_eq!(me(&stage, &there).await, 200);
    })
    .await;
}

#[tokio::test]
async fn the_name_of_a_session_opens_nothing() {
    // case 94
    let stage = stage().await;
    let browser = signed_in(&stage).await;
    let id = id(&stage, &browser).await;
    let key = browser.cookie(stage.app.url("/"), COOKIE).unwrap();
    assert!(!key.contains(id.as_str()));
    for planted in [id.to_string(), format!("{id}{}", &key[22..])] {
        let thief = stage.kyc.browser();
        let plant = format!("{COOKIE}={planted}; Path=/; Secure");
        thief.set_cookie(stage.app.url("/"), &plant);
        assert_eq!(me(&stage, &thief).await, 401);
    }
    // A handler is told the same name.
    let store = stage.store.clone();
    let named = stage.kyc.serve(|config| {
        let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
        let unavailable = async || Err::<(), _>(StoreUnavailable);
        Router::new()
            .route("/unavailable", get(unavailable))
            .route(
                "/name",
                get(async |person: SignedIn| person.session_id().to_string()),
            )
            .layer(kycport.session_layer(store))
    });
    let named = named.await.unwrap();
    let page = browser
        .request(Method::GET, named.url("/name"))
        .header("cookie", &format!("{COOKIE}={key}"))
        .send();
    assert_eq!(page.await.unwrap().body(), id.as_str());
    // And what a handler says of a store that does not work is what the layer would.
    let page = browser.open(named.url("/unavailable")).await.unwrap();
    page.assert_status(503);
    assert_eq!(page.json()["code"], "store_unavailable");
    assert_eq!(page.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_person_sees_their_sessions() {
    everywhere(async |stage| {
        let eve = stage.kyc.person("eve").create();
        let handle = sessions(&stage);
        assert_eq!(handle.list(stage.ada.id()).await, Ok(vec![]));
        stage.kyc.clock().freeze();
        let first = signed_in(&stage).await;
        stage.kyc.clock().advance(2 * MINUTE);
        let second = signed_in(&stage).await;
        signed_in_as(&stage, &eve).await;
        stage.kyc.clock().advance(2 * MINUTE);
        first.open(stage.app.url("/vault")).await.unwrap();

        let listed = handle.list(stage.ada.id()).await.unwrap();

        let ids: Vec<_> = listed.iter().map(|one| one.id.clone()).collect();
        let (first_id, second_id) = (id(&stage, &first).await, id(&stage, &second).await);
        assert_eq!(ids, [second_id.clone(), first_id.clone()]);
        // Looking at /auth/me is no use; the vault was opened four minutes after the first began.
        let used = listed.iter().map(|one| one.last_used.since(one.began_at));
        let used: Vec<_> = used.collect();
        assert_eq!(used, [Duration::ZERO, 4 * MINUTE]);

        handle.end(stage.ada.id(), &first_id).await.unwrap();
        let listed = handle.list(stage.ada.id()).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].id, second_id);
        handle.end_all(stage.ada.id()).await.unwrap();
        assert_eq!(handle.list(stage.ada.id()).await, Ok(vec![]));
        assert_eq!(handle.list(eve.id()).await.unwrap().len(), 1);

        // A list that cannot be kept keeps nobody out.
        stage.store.fail_on(Op::Save, SIGN_INS);
        let unlisted = signed_in(&stage).await;
        assert_eq!(me(&stage, &unlisted).await, 200);
    })
    .await;
}

#[tokio::test]
async fn the_list_is_of_the_latest_sign_ins() {
    let stage = stage().await;
    let mut newest = Vec::new();
    for _ in 0..34 {
        let browser = signed_in(&stage).await;
        newest.insert(0, id(&stage, &browser).await);
    }
    let listed = sessions(&stage).list(stage.ada.id()).await.unwrap();
    let ids: Vec<_> = listed.into_iter().map(|one| one.id).collect();
    assert_eq!(ids, newest[..32]);
}

#[tokio::test]
async fn an_end_lasts_longer_than_any_session() {
    // case 96
    let kyc = MockIssuer::start().await;
    let stage = stage_on(kyc, 1000, |config| {
        config.session_limits(30 * DAY, 30 * DAY)
    })
    .await;
    stage.kyc.clock().freeze();
    let before = signed_in(&stage).await;
    sessions(&stage).end_all(stage.ada.id()).await.unwrap();
    stage.kyc.clock().advance(29 * DAY);
    assert_eq!(me(&stage, &before).await, 401);
    // When it is forgotten, who signed in since stays in.
    stage.kyc.clock().advance(20 * DAY);
    let after = signed_in(&stage).await;
    stage.kyc.clock().advance(20 * DAY);
    assert_eq!(stage.store.records(EPOCH).await.len(), 0);
    assert_eq!(me(&stage, &after).await, 200);
    sessions(&stage).end_all(stage.ada.id()).await.unwrap();
    assert_eq!(me(&stage, &after).await, 401);
}

#[tokio::test]
async fn an_end_that_cannot_be_read_is_not_taken_for_none() {
    // case 94
    everywhere(async |stage| {
        let before = signed_in(&stage).await;
        sessions(&stage).end_all(stage.ada.id()).await.unwrap();
        stage
            .store
            .rewrite(EPOCH, |record| record["v"] = 99.into())
            .await;
        assert_eq!(me(&stage, &before).await, 401);
        // Nor does it keep anybody out.
        let after = signed_in(&stage).await;
        assert_eq!(me(&stage, &after).await, 200);
        assert_eq!(me(&stage, &before).await, 401);
    })
    .await;
}

#[tokio::test]
async fn a_flood_does_not_wash_an_end_away() {
    // case 140
    let kyc = MockIssuer::start().await;
    let stage = stage_on(kyc, 12, |config| config).await;
    let before = signed_in(&stage).await;
    sessions(&stage).end_all(stage.ada.id()).await.unwrap();
    for _ in 0..10 {
        let page = stage.kyc.browser().get(stage.app.url("/auth/login")).await;
        page.unwrap().assert_ok();
    }
    assert_eq!(stage.store.records(EPOCH).await.len(), 1);
    assert_eq!(me(&stage, &before).await, 401);
}

#[tokio::test]
async fn instances_feel_it_alike() {
    // case 99
    let stage = stage().await;
    let browser = signed_in(&stage).await;
    let key = browser.cookie(stage.app.url("/"), COOKIE).unwrap();
    let store = stage.store.clone();
    let second = stage.kyc.serve(|config| tenant_app(config, store));
    let second = second.await.unwrap();
    let seen_there = async || {
        let request = browser.request(Method::GET, second.url("/auth/me"));
        let request = request.header("cookie", &format!("{COOKIE}={key}"));
        request.fetch().send().await.unwrap().status()
    };
    assert_eq!(seen_there().await, 200);
    log_out(&stage, &browser, &[("everywhere", "1")]).await;
    assert_eq!(seen_there().await, 401);
}

#[tokio::test]
async fn a_sign_in_whose_tokens_are_judged_ends_with_the_others() {
    // cases 98, P7
    everywhere(async |stage| {
        let browser = signed_in(&stage).await;
        let login = stage.app.url("/auth/login");
        let callback = browser.start_sign_in(login, &stage.ada).await.unwrap();
        // KYCPort has answered, and the session that this one replaces is being ended.
        let gate = stage.store.hold(Op::Delete, SESSION);
        let copy = browser.clone();
        let under_way = tokio::spawn(async move { copy.open(callback).await.map(|_| copy) });
        gate.reached().await;
        sessions(&stage).end_all(stage.ada.id()).await.unwrap();
        gate.open();
        let browser = under_way.await.unwrap().unwrap();
        assert_eq!(me(&stage, &browser).await, 401);
    })
    .await;
}

#[tokio::test]
async fn a_use_that_is_written_down_after_a_sign_out_is_no_failure_of_the_store() {
    everywhere(async |stage| {
        let (observed, _listening) = Observed::listen();
        let browser = signed_in(&stage).await;
        for _ in 0..2 {
            stage.kyc.clock().advance(2 * MINUTE);
            browser.open(stage.app.url("/vault")).await.unwrap();
        }
        stage.kyc.clock().advance(2 * MINUTE);
        let gate = stage.store.hold(Op::Save, ACTIVITY);
        let (copy, url) = (browser.clone(), stage.app.url("/vault"));
        let under_way = tokio::spawn(async move { copy.open(url).await.unwrap() });
        gate.reached().await;
        log_out(&stage, &browser, &[]).await.assert_status(303);
        gate.open();
        under_way.await.unwrap();
        assert_eq!(observed.of("kycport.store.failed").len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_rejection_ends_sessions_though_kycport_refuses_to_say_more() {
    for status in [401, 403, 404] {
        let kyc = MockIssuer::start().await;
        let store = MemoryStore::new(1000, Arc::new(kyc.clock().clone()));
        let app = kyc.serve(move |config| {
            let config = config.webhook_secret(SECRET).build().unwrap();
            let kycport = RelyingParty::new(config).unwrap();
            let layer = kycport.session_layer(store);
            let sessions = layer.sessions();
            let webhooks = kycport.webhooks(move |delivery: Delivery| {
                let sessions = sessions.clone();
                async move {
                    if let (true, Some(person)) =
                        (delivery.is_rejection(), delivery.event().person_id())
                    {
                        sessions.end_all(person).await?;
                    }
                    Ok::<(), StoreUnavailable>(())
                }
            });
            tenant_app_of(&kycport, layer)
                .route_service("/webhooks/kycport", webhooks.build().unwrap())
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
        // What KYCPort does say goes before the event.
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
