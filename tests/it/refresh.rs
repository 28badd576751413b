//! Tests that the app refreshes expired access tokens.

use std::time::Duration;

use axum::http::Method;
use futures_util::future::join_all;
use kycport::{
    Config, RelyingParty, RunningApp,
    mock::{Browser, Endpoint, MockIssuer, MockIssuerBuilder, Page, Tamper},
    store::{Change, Condition, Family, RecordKey, Store as _, Write, Written},
};

use crate::{
    recording_store::{Op, REFRESH_LEASE, SESSION, TOKENS, TestApp, setup, setup_on},
    stages::everywhere_with,
    support::{tenant_app, tenant_app_of},
};

const MINUTE: Duration = Duration::from_secs(60);

/// Time after which a refresh lease with the default deadlines has ended.
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(120);

/// Pause of an instance after a failed refresh.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);

type ResponseFault = fn(&TestApp) -> kycport::mock::Rule;

pub(crate) async fn app_with_refresh_tokens() -> TestApp {
    let kyc = MockIssuer::builder().issue_refresh_tokens(true).start();
    setup_on(kyc.await.unwrap(), 1000, |config| config).await
}

/// Runs the test on every store, with refresh tokens enabled at KYCPort.
async fn on_every_store(test_case: impl AsyncFn(TestApp)) {
    let renewing = |mock: MockIssuerBuilder| mock.issue_refresh_tokens(true);
    everywhere_with(renewing, |app| app, test_case).await;
}

async fn signed_in(setup: &TestApp) -> Browser {
    let browser = setup.kyc.browser();
    let login = setup.app.url("/auth/login");
    browser
        .sign_in(login, &setup.ada)
        .await
        .unwrap()
        .assert_ok();
    browser
}

/// Signs in, and advances the clock until the access token has expired.
async fn signed_in_with_expired_token(setup: &TestApp) -> Browser {
    let browser = signed_in(setup).await;
    setup.kyc.clock().advance(16 * MINUTE);
    setup.kyc.forget_requests();
    browser
}

async fn token(setup: &TestApp, browser: &Browser) -> Page {
    browser.open(setup.app.url("/token")).await.unwrap()
}

async fn me(setup: &TestApp, browser: &Browser) -> u16 {
    let page = browser.fetch(setup.app.url("/auth/me")).await.unwrap();
    page.status()
}

async fn refresh_token(setup: &TestApp) -> String {
    let tokens = setup.store.records(TOKENS).await;
    tokens[0]["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_expired_token_is_refreshed_and_a_valid_token_is_not() {
    // Covers threat case 53.
    let setup = app_with_refresh_tokens().await;
    let browser = signed_in(&setup).await;
    setup.kyc.forget_requests();
    token(&setup, &browser).await.assert_ok();
    setup.kyc.requests(Endpoint::Token).assert_count(0);

    for round in 1..=3 {
        let before = refresh_token(&setup).await;
        setup.kyc.clock().advance(16 * MINUTE);
        token(&setup, &browser).await.assert_ok();
        token(&setup, &browser).await.assert_ok();
        let requests = setup.kyc.requests(Endpoint::Token);
        requests.assert_count(round);
        let last = requests.last().unwrap();
        assert_eq!(last.form("grant_type"), Some("refresh_token"));
        assert_eq!(last.form("refresh_token"), Some(before.as_str()));
        // KYCPort rotated the refresh token, and the app stored the new refresh token.
        assert_ne!(refresh_token(&setup).await, before);
    }
}

#[tokio::test]
async fn without_a_refresh_token_the_session_continues() {
    // Covers threat case 54.
    let setup = setup().await;
    let browser = signed_in_with_expired_token(&setup).await;
    let page = token(&setup, &browser).await;
    page.assert_status(502);
    assert!(page.body().contains("cannot be refreshed"));
    setup.kyc.requests(Endpoint::Token).assert_count(0);
    assert_eq!(me(&setup, &browser).await, 200);
}

#[tokio::test]
async fn one_of_fifty_simultaneous_requests_refreshes_the_token() {
    // Covers threat case 53.
    let setup = app_with_refresh_tokens().await;
    let browser = signed_in_with_expired_token(&setup).await;
    let gate = setup.kyc.on(Endpoint::Token).hold();
    // All requests have read the expired token before any request refreshes the token.
    setup.store.let_meet(Op::Read, TOKENS, 50);
    let url = setup.app.url("/token");
    let copies: Vec<Browser> = (0..50).map(|_| browser.clone()).collect();
    let asking = join_all(copies.iter().map(|copy| copy.open(&url)));
    let letting = async {
        gate.wait_for(1).await;
        gate.release();
    };

    let (pages, ()) = tokio::join!(asking, letting);

    for page in pages {
        page.unwrap().assert_ok();
    }
    setup.kyc.requests(Endpoint::Token).assert_count(1);
    // The app stored the rotated refresh token, and KYCPort accepts this token.
    setup.kyc.clock().advance(16 * MINUTE);
    token(&setup, &browser).await.assert_ok();
}

#[tokio::test]
async fn requests_that_wait_for_a_failing_refresh_do_not_repeat_it() {
    let setup = app_with_refresh_tokens().await;
    let browser = signed_in_with_expired_token(&setup).await;
    let gate = setup.kyc.on(Endpoint::Token).hold();
    let fault = setup.kyc.on(Endpoint::Token).fail(503).always();
    // All requests have read the expired token before any request refreshes the token.
    setup.store.let_meet(Op::Read, TOKENS, 20);
    let url = setup.app.url("/token");
    let copies: Vec<Browser> = (0..20).map(|_| browser.clone()).collect();
    let asking = join_all(copies.iter().map(|copy| copy.open(&url)));
    let letting = async {
        gate.wait_for(1).await;
        gate.release();
    };
    let (pages, ()) = tokio::join!(asking, letting);
    for page in pages {
        page.unwrap().assert_status(502);
    }
    setup.kyc.requests(Endpoint::Token).assert_count(1);
    drop(fault);
    setup.kyc.clock().advance(FAILURE_PAUSE);
    token(&setup, &browser).await.assert_ok();
    setup.kyc.requests(Endpoint::Token).assert_count(2);
}

#[tokio::test]
async fn a_rejected_refresh_ends_the_session() {
    // Covers threat case 54.
    let setup = app_with_refresh_tokens().await;
    let browser = signed_in_with_expired_token(&setup).await;
    setup
        .store
        .rewrite(TOKENS, |r| r["refresh_token"] = "revoked".into())
        .await;

    let page = token(&setup, &browser).await;

    page.assert_status(502);
    assert!(page.body().contains("session has ended"));
    assert_eq!(me(&setup, &browser).await, 401);
    assert_eq!(setup.store.records(SESSION).await.len(), 0);
}

#[tokio::test]
async fn an_issuer_outage_ends_no_session() {
    // Covers threat case 54.
    let setup = app_with_refresh_tokens().await;
    let browser = signed_in_with_expired_token(&setup).await;
    let fault = setup.kyc.on(Endpoint::Token).fail(503).once();
    token(&setup, &browser).await.assert_status(502);
    fault.assert_hit();
    assert_eq!(me(&setup, &browser).await, 200);
    setup.kyc.clock().advance(FAILURE_PAUSE);
    token(&setup, &browser).await.assert_ok();
}

#[tokio::test]
async fn after_a_failed_refresh_the_instance_pauses() {
    let setup = app_with_refresh_tokens().await;
    setup.kyc.clock().freeze();
    let bob = setup.kyc.person("bob").create();
    let other = setup.kyc.browser();
    other
        .sign_in(setup.app.url("/auth/login"), &bob)
        .await
        .unwrap()
        .assert_ok();
    let browser = signed_in_with_expired_token(&setup).await;
    let at = || setup.kyc.on(Endpoint::Token);
    // A 429 also pauses the other sessions, so the last failure is a 503.
    for (rule, pause) in [
        (at().fail(429).retry_after(1), 5),
        (at().fail(429).retry_after(20), 20),
        (at().fail(429).retry_after(3600), 60),
        (at().fail(403), 5),
        (at().fail(503), 5),
    ] {
        let fault = rule.always();
        // The pause of the previous failure ends.
        setup.kyc.clock().advance(MINUTE);
        setup.kyc.forget_requests();
        let first = token(&setup, &browser).await;
        first.assert_status(502);
        let sent = setup.kyc.requests(Endpoint::Token).count();
        setup.kyc.clock().advance(Duration::from_secs(pause - 1));
        token(&setup, &browser).await.assert_status(502);
        setup.kyc.requests(Endpoint::Token).assert_count(sent);
        setup.kyc.clock().advance(Duration::from_secs(1));
        token(&setup, &browser).await.assert_status(502);
        setup.kyc.requests(Endpoint::Token).assert_count(2 * sent);
        drop(fault);
    }
    token(&setup, &browser).await.assert_status(502);
    token(&setup, &other).await.assert_ok();
    setup.kyc.clock().advance(MINUTE);
    token(&setup, &browser).await.assert_ok();
}

#[tokio::test]
async fn refreshed_tokens_must_have_the_same_person_and_issuer() {
    // Covers threat case 52.
    let setup = app_with_refresh_tokens().await;
    let bends: [(&str, ResponseFault); 6] = [
        ("ID token, sub", |setup| {
            setup.kyc.tokens().edit_id_token(|draft| {
                draft.claims.insert("sub".to_owned(), "person_other".into());
            })
        }),
        ("ID token, iss", |setup| {
            setup.kyc.tokens().id_token(Tamper::WrongIssuer)
        }),
        ("ID token, aud", |setup| {
            setup.kyc.tokens().id_token(Tamper::WrongAudience)
        }),
        ("ID token, signature", |setup| {
            setup.kyc.tokens().id_token(Tamper::ForeignKey)
        }),
        ("access token, sub", |setup| {
            setup.kyc.tokens().edit_access_token(|draft| {
                draft.claims.insert("sub".to_owned(), "person_other".into());
            })
        }),
        ("access token, iss", |setup| {
            setup.kyc.tokens().access_token(Tamper::WrongIssuer)
        }),
    ];
    for (what, bend) in bends {
        let browser = signed_in_with_expired_token(&setup).await;
        let before = setup.store.records(TOKENS).await;
        let fault = bend(&setup).once();
        let page = token(&setup, &browser).await;
        assert_eq!(page.status(), 502, "{what}");
        fault.assert_hit();
        assert_eq!(setup.store.records(TOKENS).await, before, "{what}");
        setup
            .kyc
            .browser()
            .get(setup.app.url("/"))
            .await
            .unwrap()
            .assert_ok();
        browser
            .post_form(setup.app.url("/auth/logout"), &[])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn tokens_of_another_person_are_rejected() {
    // Covers threat case 55.
    let setup = app_with_refresh_tokens().await;
    let bob = setup.kyc.person("bob").create();
    let other = setup.kyc.browser();
    other
        .sign_in(setup.app.url("/auth/login"), &bob)
        .await
        .unwrap();
    let bobs = refresh_token(&setup).await;
    other
        .post_form(setup.app.url("/auth/logout"), &[])
        .await
        .unwrap();
    let browser = signed_in_with_expired_token(&setup).await;
    setup
        .store
        .rewrite(TOKENS, |r| r["refresh_token"] = bobs.clone().into())
        .await;
    let page = token(&setup, &browser).await;
    page.assert_status(502);
    assert!(
        page.body().contains("different subjects"),
        "{}",
        page.body()
    );
}

#[tokio::test]
async fn simultaneous_refreshes_of_two_people_are_independent() {
    // Covers threat case 55.
    let setup = app_with_refresh_tokens().await;
    let bob = setup.kyc.person("bob").create();
    let ada = signed_in(&setup).await;
    let other = setup.kyc.browser();
    other
        .sign_in(setup.app.url("/auth/login"), &bob)
        .await
        .unwrap();
    setup.kyc.clock().advance(16 * MINUTE);
    setup.kyc.forget_requests();
    let gate = setup.kyc.on(Endpoint::Token).hold();
    let letting = async {
        // The refresh for one person does not wait for the refresh for another person.
        gate.wait_for(2).await;
        gate.release();
    };
    let (first, second, ()) = tokio::join!(token(&setup, &ada), token(&setup, &other), letting);
    first.assert_ok();
    second.assert_ok();
    setup.kyc.requests(Endpoint::Token).assert_count(2);
    for (browser, person) in [(&ada, &setup.ada), (&other, &bob)] {
        let page = browser.fetch(setup.app.url("/auth/me")).await.unwrap();
        assert_eq!(page.json()["subject"], person.id());
    }
}

#[tokio::test]
async fn a_disconnecting_client_loses_no_rotated_token() {
    // Covers threat cases 53, 140.
    let setup = app_with_refresh_tokens().await;
    let browser = signed_in_with_expired_token(&setup).await;
    let before = refresh_token(&setup).await;
    let gate = setup.kyc.on(Endpoint::Token).hold();
    let (leaving, url) = (browser.clone(), setup.app.url("/token"));
    let asking = tokio::spawn(async move { leaving.open(url).await });
    gate.wait_for(1).await;
    let saved = setup.store.hold(Op::Write, TOKENS);
    asking.abort();
    assert!(asking.await.is_err());
    for _ in 0..5 {
        // Wait until the app has detected the disconnect.
        browser.get(setup.app.url("/")).await.unwrap().assert_ok();
    }

    gate.release();
    saved.reached().await;
    saved.open();

    token(&setup, &browser).await.assert_ok();
    setup.kyc.requests(Endpoint::Token).assert_count(1);
    assert_ne!(refresh_token(&setup).await, before);
    setup.kyc.clock().advance(16 * MINUTE);
    token(&setup, &browser).await.assert_ok();
}

#[tokio::test]
async fn a_pending_refresh_does_not_restore_a_revoked_session() {
    // Covers threat case 98.
    on_every_store(async |setup| {
        let browser = signed_in_with_expired_token(&setup).await;
        let stolen = browser.clone();
        let gate = setup.kyc.on(Endpoint::Token).hold();
        let (slow, url) = (browser.clone(), setup.app.url("/token"));
        let under_way = tokio::spawn(async move { slow.open(url).await.unwrap() });
        gate.wait_for(1).await;
        browser
            .post_form(setup.app.url("/auth/logout"), &[])
            .await
            .unwrap()
            .assert_ok();
        gate.release();
        under_way.await.unwrap();

        assert_eq!(me(&setup, &stolen).await, 401);
        token(&setup, &stolen).await.assert_status(303);
        assert_eq!(setup.store.bodies(TOKENS).await.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn one_of_two_instances_refreshes_on_every_store() {
    // Covers threat cases 53, 97.
    on_every_store(async |setup| {
        let browser = signed_in_with_expired_token(&setup).await;
        for round in [1, 2] {
            let gate = setup.kyc.on(Endpoint::Token).hold();
            // Each instance has read the expired token twice: before its use, and before its
            // refresh.
            for _ in 0..2 {
                setup.store.let_meet(Op::Read, TOKENS, 2);
            }
            let letting = async {
                gate.wait_for(1).await;
                gate.release();
            };
            let (here, there) = (browser.clone(), browser.clone());
            let (one, other, ()) =
                tokio::join!(token(&setup, &here), token(&setup, &there), letting);
            one.assert_ok();
            other.assert_ok();
            setup.kyc.requests(Endpoint::Token).assert_count(round);
            assert_eq!(setup.store.bodies(REFRESH_LEASE).await.len(), 0);
            setup.kyc.clock().advance(16 * MINUTE);
        }
        assert_eq!(me(&setup, &browser).await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_failed_refresh_is_repeated_immediately_by_the_other_instance() {
    // Covers threat case 54.
    on_every_store(async |setup| {
        let browser = signed_in_with_expired_token(&setup).await;
        let fault = setup.kyc.on(Endpoint::Token).fail(503).once();
        token(&setup, &browser).await.assert_status(502);
        fault.assert_hit();
        // The second instance does not wait, because the test does not advance the clock.
        token(&setup, &browser).await.assert_ok();
        setup.kyc.requests(Endpoint::Token).assert_count(2);
    })
    .await;
}

#[tokio::test]
async fn a_waiting_instance_continues_when_the_other_has_failed() {
    // Covers threat case 54.
    let setup = app_with_refresh_tokens().await;
    let other = other_instance(&setup).await;
    let browser = signed_in_with_expired_token(&setup).await;
    let fault = setup.kyc.on(Endpoint::Token).fail(503).once();
    let leased = setup.store.hold_after(Op::Write, REFRESH_LEASE);
    let (here, url) = (browser.clone(), setup.app.url("/token"));
    let first = tokio::spawn(async move { here.open(url).await.unwrap() });
    leased.reached().await;
    setup.store.heal();
    // The refresh of the first instance has failed, and the first instance has not released its
    // lease yet.
    let gate = setup.store.hold(Op::Write, REFRESH_LEASE);
    leased.open();
    gate.reached().await;
    // The second instance reads the tokens twice and still finds the expired token.
    let look = setup.store.hold(Op::Read, TOKENS);
    let second = tokio::spawn(at(&setup, &other, &browser, "/token"));
    look.reached().await;
    look.open();
    look.reached().await;
    gate.open();

    first.await.unwrap().assert_status(502);
    second.await.unwrap().assert_ok();
    fault.assert_hit();
    setup.kyc.requests(Endpoint::Token).assert_count(2);
}

#[tokio::test]
async fn a_token_refreshed_before_the_lease_was_taken_is_not_refreshed_again() {
    // Covers threat case 53.
    let setup = app_with_refresh_tokens().await;
    let other = other_instance(&setup).await;
    // The waiting instance continues without a delay, or after a delay in which the token of the
    // other instance has also expired.
    for (later, requests) in [(Duration::ZERO, 1), (16 * MINUTE, 2)] {
        let browser = signed_in_with_expired_token(&setup).await;
        let gate = setup.store.hold(Op::Write, REFRESH_LEASE);
        let slow = tokio::spawn(at(&setup, &other, &browser, "/token"));
        gate.reached().await;
        setup.store.heal();
        token(&setup, &browser).await.assert_ok();
        setup.kyc.clock().advance(later);
        gate.open();

        slow.await.unwrap().assert_ok();
        setup.kyc.requests(Endpoint::Token).assert_count(requests);
        token(&setup, &browser).await.assert_ok();
    }
}

#[tokio::test]
async fn the_lease_of_a_killed_instance_expires() {
    // Covers threat case 54.
    let setup = app_with_refresh_tokens().await;
    let other = other_instance(&setup).await;
    let browser = signed_in_with_expired_token(&setup).await;
    // The first instance acquires the lease and never releases it, like a killed instance.
    let fault = setup.kyc.on(Endpoint::Token).fail(503).once();
    let leased = setup.store.hold_after(Op::Write, REFRESH_LEASE);
    let (here, url) = (browser.clone(), setup.app.url("/token"));
    let first = tokio::spawn(async move { here.open(url).await.unwrap() });
    leased.reached().await;
    setup.store.heal();
    setup.store.fail_on(Op::Write, REFRESH_LEASE);
    leased.open();
    first.await.unwrap().assert_status(502);
    fault.assert_hit();
    setup.store.heal();

    let first_look = setup.store.hold(Op::Read, TOKENS);
    let waiting = tokio::spawn(at(&setup, &other, &browser, "/token"));
    first_look.reached().await;
    setup.store.heal();
    let second_look = setup.store.hold(Op::Read, TOKENS);
    first_look.open();
    second_look.reached().await;
    setup.kyc.requests(Endpoint::Token).assert_count(1);
    setup.kyc.clock().advance(LONGER_THAN_A_LEASE);
    second_look.open();

    waiting.await.unwrap().assert_ok();
    setup.kyc.requests(Endpoint::Token).assert_count(2);
    assert_eq!(me(&setup, &browser).await, 200);
}

#[tokio::test]
async fn a_lease_outlives_the_longest_exchange() {
    // Covers threat case 53.
    let setup = app_with_refresh_tokens().await;
    let other = other_instance(&setup).await;
    let browser = signed_in_with_expired_token(&setup).await;
    setup.kyc.clock().freeze();
    let gate = setup.kyc.on(Endpoint::Token).hold();
    let (here, url) = (browser.clone(), setup.app.url("/token"));
    let first = tokio::spawn(async move { here.open(url).await.unwrap() });
    gate.wait_for(1).await;
    // A refresh takes at most nine requests to KYCPort of 10 s each and three store operations of 5
    // s each.
    setup
        .kyc
        .clock()
        .advance(Duration::from_secs(9 * 10 + 3 * 5));
    let look = setup.store.hold(Op::Read, TOKENS);
    let second = tokio::spawn(at(&setup, &other, &browser, "/token"));
    look.reached().await;
    look.open();
    look.reached().await;
    gate.release();

    first.await.unwrap().assert_ok();
    second.await.unwrap().assert_ok();
    setup.kyc.requests(Endpoint::Token).assert_count(1);
}

#[tokio::test]
async fn an_expired_refresh_lease_does_not_end_the_session() {
    // Covers threat cases 55, 97.
    let setup = app_with_refresh_tokens().await;
    let other = other_instance(&setup).await;
    let browser = signed_in_with_expired_token(&setup).await;
    // One instance has received KYCPort's response and is suspended until its lease has ended.
    let leased = setup.store.hold_after(Op::Write, REFRESH_LEASE);
    let (here, url) = (browser.clone(), setup.app.url("/token"));
    let first = tokio::spawn(async move { here.open(url).await.unwrap() });
    leased.reached().await;
    setup.store.heal();
    let gate = setup.store.hold(Op::Write, TOKENS);
    leased.open();
    gate.reached().await;
    setup.store.heal();
    setup.kyc.clock().advance(LONGER_THAN_A_LEASE);
    // KYCPort rejects the request of the other instance, because the first instance has used the
    // refresh token.
    let at_kycport = setup.kyc.on(Endpoint::Token).hold();
    let second = tokio::spawn(at(&setup, &other, &browser, "/token"));
    at_kycport.wait_for(1).await;
    gate.open();
    first.await.unwrap().assert_ok();
    // The suspended instance did not release the lease of the other instance.
    assert_eq!(setup.store.bodies(REFRESH_LEASE).await.len(), 1);
    at_kycport.release();

    second.await.unwrap().assert_ok();
    assert_eq!(setup.store.bodies(REFRESH_LEASE).await.len(), 0);
    assert_eq!(me(&setup, &browser).await, 200);
}

#[tokio::test]
async fn a_rejected_refresh_keeps_a_session_with_a_newer_refresh_token() {
    // Covers threat cases 54, 55.
    let setup = app_with_refresh_tokens().await;
    let browser = signed_in_with_expired_token(&setup).await;
    let good = refresh_token(&setup).await;
    let set = async |to: &str| {
        let set = |record: &mut serde_json::Value| record["refresh_token"] = to.into();
        setup.store.rewrite(TOKENS, set).await;
    };
    set("spent").await;
    let gate = setup.kyc.on(Endpoint::Token).hold();
    let (here, url) = (browser.clone(), setup.app.url("/token"));
    let asking = tokio::spawn(async move { here.open(url).await.unwrap() });
    gate.wait_for(1).await;
    set(&good).await;
    gate.release();

    let page = asking.await.unwrap();
    page.assert_status(502);
    assert!(page.body().contains("try again"), "{}", page.body());
    token(&setup, &browser).await.assert_ok();
}

#[tokio::test]
async fn without_a_lease_no_refresh_request_is_sent() {
    // Covers threat cases 45, 54.
    let setup = app_with_refresh_tokens().await;
    let browser = signed_in_with_expired_token(&setup).await;
    for op in [Op::Read, Op::Write] {
        setup.store.fail_on(op, REFRESH_LEASE);
        let page = token(&setup, &browser).await;
        page.assert_status(502);
        assert!(page.body().contains("store cannot be reached"), "{op:?}");
        setup.store.heal();
    }
    setup.kyc.requests(Endpoint::Token).assert_count(0);
    assert_eq!(me(&setup, &browser).await, 200);
    token(&setup, &browser).await.assert_ok();
}

/// Starts the app without a tenant key. The guards of this app use the access token of each person.
pub(crate) async fn app_without_tenant_key() -> TestApp {
    let mut setup = app_with_refresh_tokens().await;
    let client = setup.kyc.client();
    let app = setup.kyc.serve(|base| {
        let redirect = base.build().unwrap().redirect_uri().to_string();
        let config = Config::builder(client.id(), redirect)
            .client_secret(client.secret().unwrap())
            .issuer(setup.kyc.issuer())
            .discovery_url(setup.kyc.discovery_url())
            .clock(setup.kyc.clock().clone())
            .cookie_name("kycport")
            .store(setup.store.clone());
        tenant_app_of(&RelyingParty::new(config.build().unwrap()).unwrap())
    });
    setup.app = app.await.unwrap();
    setup
}

/// Acquires or removes the refresh lease of the only session, like another instance.
async fn change_lease(setup: &TestApp, change: Change) {
    let tokens = setup
        .store
        .entries(|key| key.family == Family::Tokens)
        .await;
    let [(owner, key, _)] = &tokens[..] else {
        panic!("expected one session");
    };
    let write = Write {
        key: RecordKey::new(Family::RefreshLease, key.id),
        condition: Condition::Any,
        change,
    };
    let written = setup.store.write(owner, &[write], None).await.unwrap();
    assert_eq!(written, Written::Applied);
}

#[tokio::test]
async fn while_another_instance_holds_the_lease_the_response_has_retry_after() {
    // Covers threat case 54.
    let setup = app_without_tenant_key().await;
    let browser = signed_in_with_expired_token(&setup).await;
    let lease = Change::Put {
        version: 1,
        body: "\u{1}{}".into(),
        keep_for: Duration::from_secs(3600),
    };
    change_lease(&setup, lease).await;
    for (path, status) in [("/token", 502), ("/sensitive", 503)] {
        let first_look = setup.store.hold(Op::Read, TOKENS);
        let (here, url) = (browser.clone(), setup.app.url(path));
        let asking = tokio::spawn(async move { here.fetch(url).await.unwrap() });
        // The app reads the token once before its use and once before its refresh.
        first_look.reached().await;
        setup.store.heal();
        let second_look = setup.store.hold(Op::Read, TOKENS);
        first_look.open();
        second_look.reached().await;
        setup.kyc.clock().advance(LONGER_THAN_A_LEASE);
        setup.store.heal();
        second_look.open();
        let page = asking.await.unwrap();
        page.assert_status(status);
        if status == 503 {
            assert_eq!(page.header("retry-after"), Some("5"));
        } else {
            assert!(page.body().contains("in progress"), "{}", page.body());
        }
    }
    setup.kyc.requests(Endpoint::Token).assert_count(0);
    assert_eq!(me(&setup, &browser).await, 200);

    change_lease(&setup, Change::Delete).await;
    browser
        .fetch(setup.app.url("/sensitive"))
        .await
        .unwrap()
        .assert_ok();
    setup.kyc.requests(Endpoint::Token).assert_count(1);
}

async fn other_instance(setup: &TestApp) -> RunningApp {
    let store = setup.store.clone();
    let other = setup.kyc.serve(|config| tenant_app(config.store(store)));
    other.await.unwrap()
}

/// Sends the person's request to another instance. In this test, the other instance has another
/// origin.
fn at(
    setup: &TestApp,
    other: &RunningApp,
    browser: &Browser,
    path: &str,
) -> impl Future<Output = Page> + use<> {
    let key = browser.cookie(setup.app.url("/"), "__Host-kycport");
    let cookie = format!("__Host-kycport={}", key.unwrap());
    let (elsewhere, url) = (setup.kyc.browser(), other.url(path));
    async move {
        let http_request = elsewhere.request(Method::GET, url);
        http_request.header("cookie", &cookie).send().await.unwrap()
    }
}
