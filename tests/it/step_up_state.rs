//! Tests of the state of a step-up, which the scripts of waiting pages read.

use std::time::Duration;

use axum::http::Method;
use futures_util::future::join_all;
use kycport::{
    KycStatus, KycTier,
    mock::{Browser, Endpoint, Person, Verification},
};
use serde_json::{Value, json};
use url::Url;

use crate::{
    recording_store::{Op, TestApp, setup},
    refresh::app_without_tenant_key,
    stages::everywhere,
    visitor::{SESSION_COOKIE, session_cookie},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

const STATE: &str = "/auth/step-up/state?tier=t2";

async fn signed_in(setup: &TestApp, person: &Person) -> Browser {
    let browser = setup.kyc.browser();
    sign_in(setup, &browser, person).await;
    browser
}

async fn sign_in(setup: &TestApp, browser: &Browser, person: &Person) {
    let login = setup.app.url("/auth/login");
    let page = browser.sign_in(login, person).await.unwrap();
    page.assert_ok();
    setup.kyc.forget_requests();
}

/// Starts a step-up of Ada, leaves KYCPort before the callback, and opens the app's page.
async fn start_step_up(setup: &TestApp, browser: &Browser) {
    let url = setup.app.url("/auth/step-up?tier=t2&return_to=/vault");
    let started = browser.start_sign_in_verifying(url, &setup.ada, Verification::Skip);
    started.await.unwrap();
    browser.get(setup.app.url("/")).await.unwrap().assert_ok();
    setup.kyc.forget_requests();
}

async fn get(setup: &TestApp, browser: &Browser, path: &str) -> Value {
    let page = browser.fetch(setup.app.url(path)).await.unwrap();
    assert!(page.header("cache-control").unwrap().contains("no-store"));
    page.assert_ok().json()
}

async fn post(setup: &TestApp, browser: &Browser) -> Value {
    let visit = browser.request(Method::POST, setup.app.url(STATE));
    let page = visit.fetch().send().await.unwrap();
    page.assert_ok().json()
}

/// Asserts the number of queries to KYCPort since the last sign-in.
fn assert_asked(setup: &TestApp, times: usize) {
    setup.kyc.requests(Endpoint::Status).assert_count(times);
    setup.kyc.requests(Endpoint::Userinfo).assert_count(0);
}

#[tokio::test]
async fn the_state_never_calls_kycport() {
    let setup = setup().await;
    for (number, (status, tier, state, code)) in [
        (KycStatus::Verified, KycTier::T2, "met", None),
        (
            KycStatus::Verified,
            KycTier::T1,
            "lacking",
            Some("tier_too_low"),
        ),
        (KycStatus::Pending, KycTier::T2, "pending", Some("pending")),
        (
            KycStatus::Rejected,
            KycTier::T2,
            "lacking",
            Some("rejected"),
        ),
        (KycStatus::Expired, KycTier::T2, "lacking", Some("expired")),
        (
            KycStatus::Unverified,
            KycTier::T0,
            "lacking",
            Some("unverified"),
        ),
        (
            KycStatus::Unknown("approved".into()),
            KycTier::T2,
            "unknown",
            Some("unknown"),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let person = setup.kyc.person(&format!("p{number}")).tier(tier);
        let person = person.status(status).create();
        let browser = signed_in(&setup, &person).await;
        let me = browser.fetch(setup.app.url("/auth/me")).await.unwrap();
        setup.store.forget();
        for _ in 0..100 {
            let body = get(&setup, &browser, STATE).await;
            assert_eq!(body["state"], state);
            assert_eq!(body["code"].as_str(), code);
            assert_eq!(body["session"], me.json()["session"]["id"]);
            assert_eq!(body["version"].as_str().unwrap().len(), 12);
            assert_eq!(body["checked"], false);
            let url = code.map(|_| "/auth/step-up?tier=t2&return_to=%2F");
            assert_eq!(body["step_up_url"].as_str(), url);
            let wait = (state == "pending").then_some(10);
            assert_eq!(body["retry_after"].as_u64(), wait);
        }
        assert_eq!(setup.store.operations(), 100, "{state}");
        assert_eq!(setup.store.count(Op::Read), 100, "{state}");
        assert_asked(&setup, 0);
    }
}

#[tokio::test]
async fn the_state_needs_a_person_and_a_known_tier() {
    let setup = setup().await;
    let stranger = setup.kyc.browser();
    stranger.get(setup.app.url("/")).await.unwrap();
    let expected = json!({ "state": "signed_out", "login_url": "/auth/login" });
    for method in [Method::GET, Method::POST] {
        let visit = stranger.request(method, setup.app.url(STATE));
        let page = visit.fetch().send().await.unwrap();
        assert_eq!(page.assert_ok().json(), expected);
    }
    let browser = signed_in(&setup, &setup.ada).await;
    for query in ["", "?tier=t4", "?tier=t2&tier=t2"] {
        let url = setup.app.url(&format!("/auth/step-up/state{query}"));
        let page = browser.fetch(url).await.unwrap();
        assert_eq!(page.assert_status(400).json()["code"], "unknown_tier");
    }
    // The step-up returns to a page of this app.
    for (return_to, page) in [
        ("/guarded%3Fa%3D1", "%2Fguarded%3Fa%3D1"),
        ("https%3A%2F%2Fevil.example%2F", "%2F"),
    ] {
        let path = format!("/auth/step-up/state?tier=t3&return_to={return_to}");
        let url = get(&setup, &browser, &path).await["step_up_url"].clone();
        assert_eq!(url, format!("/auth/step-up?tier=t3&return_to={page}"));
    }
    // Another site cannot cause a query.
    let evil = Url::parse("https://evil.example/").unwrap();
    let key = browser.cookie(setup.app.url("/"), SESSION_COOKIE).unwrap();
    let visit = browser.request(Method::POST, setup.app.url(STATE));
    let visit = visit.from(&evil).header("cookie", &session_cookie(&key));
    let page = visit.fetch().send().await.unwrap();
    assert_eq!(page.assert_status(403).json()["code"], "cross_site");
    setup.store.fail();
    let page = browser.fetch(setup.app.url(STATE)).await.unwrap();
    assert_eq!(page.assert_status(503).json()["code"], "store_unavailable");
    assert_asked(&setup, 0);
}

#[tokio::test]
async fn a_return_causes_at_most_one_query() {
    let setup = setup().await;
    setup.kyc.clock().freeze();
    setup.ada.set_tier(KycTier::T1);
    let browser = signed_in(&setup, &setup.ada).await;
    // This browser has no pending step-up.
    let body = post(&setup, &browser).await;
    assert_eq!(
        (&body["state"], &body["checked"]),
        (&json!("lacking"), &json!(false))
    );
    assert_asked(&setup, 0);

    start_step_up(&setup, &browser).await;
    let before = get(&setup, &browser, STATE).await;
    let bodies = join_all((0..50).map(|_| post(&setup, &browser))).await;
    assert!(bodies.iter().all(|body| body["state"] == "lacking"));
    assert!(bodies.iter().any(|body| body["checked"] == true));
    assert_asked(&setup, 1);
    assert_ne!(
        get(&setup, &browser, STATE).await["version"],
        before["version"]
    );

    // The person finishes. The next query is allowed ten seconds after the last answer.
    setup.ada.verify(KycTier::T2);
    setup.kyc.clock().advance(9 * SECOND);
    let body = post(&setup, &browser).await;
    assert_eq!(
        (&body["state"], &body["checked"]),
        (&json!("lacking"), &json!(false))
    );
    assert_eq!(body["retry_after"], 1);
    assert_asked(&setup, 1);
    setup.kyc.clock().advance(SECOND);
    let body = post(&setup, &browser).await;
    assert_eq!(
        (&body["state"], &body["checked"]),
        (&json!("met"), &json!(true))
    );
    assert_asked(&setup, 2);
    // A person who has the tier causes no query.
    setup.kyc.clock().advance(MINUTE);
    let body = post(&setup, &browser).await;
    assert_eq!(
        (&body["state"], &body["checked"]),
        (&json!("met"), &json!(false))
    );
    assert_asked(&setup, 2);
}

#[tokio::test]
async fn instances_share_the_limit_of_ten_seconds() {
    everywhere(async |setup| {
        setup.kyc.clock().freeze();
        setup.ada.set_tier(KycTier::T1);
        let browser = signed_in(&setup, &setup.ada).await;
        start_step_up(&setup, &browser).await;
        let one = post(&setup, &browser).await;
        let other = post(&setup, &browser).await;
        assert_eq!(
            (&one["checked"], &other["checked"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(one["version"], other["version"]);
        assert_eq!(other["retry_after"], 10);
        assert_asked(&setup, 1);
    })
    .await;
}

#[tokio::test]
async fn a_person_can_cause_twenty_queries_in_an_hour() {
    let setup = setup().await;
    setup.kyc.clock().freeze();
    setup.ada.set_status(KycStatus::Pending);
    let browser = signed_in(&setup, &setup.ada).await;
    for n in 1..=22 {
        setup.kyc.clock().advance(MINUTE);
        let body = post(&setup, &browser).await;
        assert_eq!(body["checked"], n <= 20, "{n}");
    }
    assert_asked(&setup, 20);
}

#[tokio::test]
async fn a_pending_step_up_of_another_person_causes_no_query() {
    let setup = setup().await;
    setup.ada.set_tier(KycTier::T1);
    let eve = setup.kyc.person("eve").tier(KycTier::T1).create();
    let browser = signed_in(&setup, &setup.ada).await;
    start_step_up(&setup, &browser).await;
    sign_in(&setup, &browser, &eve).await;
    let body = post(&setup, &browser).await;
    assert_eq!(
        (&body["state"], &body["checked"]),
        (&json!("lacking"), &json!(false))
    );
    assert_asked(&setup, 0);
}

#[tokio::test]
async fn a_check_without_a_webhook_finds_the_decision() {
    // KYCPort decides while no step-up is pending in this browser, and no webhook arrives.
    let setup = setup().await;
    setup.ada.set_status(KycStatus::Pending);
    let browser = signed_in(&setup, &setup.ada).await;
    setup.kyc.clock().advance(20 * MINUTE);
    setup.ada.verify(KycTier::T2);
    assert_eq!(get(&setup, &browser, STATE).await["state"], "pending");
    let body = post(&setup, &browser).await;
    assert_eq!(
        (&body["state"], &body["checked"]),
        (&json!("met"), &json!(true))
    );
    assert_eq!(get(&setup, &browser, STATE).await["state"], "met");
    assert_asked(&setup, 1);
}

#[tokio::test]
async fn a_failed_check_returns_the_recorded_state() {
    let setup = setup().await;
    setup.kyc.clock().freeze();
    setup.ada.set_status(KycStatus::Pending);
    let browser = signed_in(&setup, &setup.ada).await;
    setup.ada.verify(KycTier::T2);
    let _fault = setup
        .kyc
        .on(Endpoint::Status)
        .fail(429)
        .retry_after(30)
        .always();
    let body = post(&setup, &browser).await;
    assert_eq!(
        (&body["state"], &body["checked"]),
        (&json!("pending"), &json!(false))
    );
    assert_eq!(body["retry_after"], 30);
}

#[tokio::test]
async fn without_a_source_a_check_asks_for_a_step_up() {
    let setup = app_without_tenant_key().await;
    setup.ada.set_status(KycStatus::Pending);
    let browser = signed_in(&setup, &setup.ada).await;
    // KYCPort rejects the access token of an old login.
    setup.kyc.clock().advance(2 * MINUTE);
    let _fault = setup.kyc.on(Endpoint::Userinfo).fail(401).always();
    assert_eq!(get(&setup, &browser, STATE).await["state"], "pending");
    let body = post(&setup, &browser).await;
    assert_eq!(
        (&body["state"], &body["code"]),
        (&json!("unknown"), &json!("stale"))
    );
    assert_eq!(body["step_up_url"], "/auth/step-up?tier=t2&return_to=%2F");
    assert_eq!(body["checked"], false);
}

#[tokio::test]
async fn the_state_is_no_use_of_the_session() {
    let setup = setup().await;
    setup.kyc.clock().freeze();
    setup.ada.set_status(KycStatus::Pending);
    let browser = signed_in(&setup, &setup.ada).await;
    for _ in 0..6 {
        assert_eq!(get(&setup, &browser, STATE).await["state"], "pending");
        assert_eq!(post(&setup, &browser).await["state"], "pending");
        setup.kyc.clock().advance(5 * MINUTE);
    }
    assert_eq!(get(&setup, &browser, STATE).await["state"], "signed_out");
}
