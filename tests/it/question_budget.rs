//! Tests that one person can cause only a limited number of status requests to KYCPort.

use std::time::Duration;

use futures_util::future::join_all;
use kycport::{
    KycStatus, KycTier,
    mock::{Endpoint, Person},
};

use crate::assurance_setup::{AssuranceTest, Instance, Key, MINUTE, unknown_status};

/// Creates and signs in a person who never reaches the required tier.
async fn eve(setup: &AssuranceTest, app: &Instance) -> (Person, String) {
    let eve = setup.kyc.person("eve").tier(KycTier::T0).create();
    let cookie = setup.signed_in_as(app, &eve).await;
    (eve, cookie)
}

#[tokio::test]
async fn a_request_loop_of_one_person_uses_a_bounded_part_of_the_quota() {
    for path in ["/guarded", "/fresh"] {
        let setup = AssuranceTest::new().await;
        let app = setup.instance(Key::Tenant).await;
        let of_ada = setup.signed_in(&app).await;
        let (_, of_eve) = eve(&setup, &app).await;
        setup.pass(11 * MINUTE, &[]);
        // The app does not store failures, so each request to the app causes a status request.
        let fault = setup.kyc.on(Endpoint::Status).fail(500).always();
        for _ in 0..100 {
            assert_eq!(app.ask(path, &of_eve).await, unknown_status());
        }
        assert_eq!(setup.asked(), 30, "{path}");
        drop(fault);
        let answer = app.get(path, &of_eve).await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("3"))
        );
        app.assert_admits_fresh(&of_ada).await;
        app.assert_admits(&of_ada).await;
        // The budget increases again after some time.
        setup.pass(Duration::from_secs(3), &[]);
        let asked = setup.asked();
        app.ask(path, &of_eve).await;
        app.ask(path, &of_eve).await;
        assert_eq!(setup.asked(), asked + 1);
    }
}

#[tokio::test]
async fn after_a_429_other_people_and_sensitive_actions_keep_their_quota() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::Tenant).await;
    let of_ada = setup.signed_in(&app).await;
    let (eve, of_eve) = eve(&setup, &app).await;
    setup.pass(11 * MINUTE, &[]);
    let limit = setup
        .kyc
        .on(Endpoint::Status)
        .fail(429)
        .retry_after(1)
        .once();
    assert_eq!(app.ask("/guarded", &of_eve).await, unknown_status());
    limit.assert_hit();
    setup.pass(Duration::from_secs(2), &[]);
    let asked = setup.asked();
    for _ in 0..20 {
        assert_eq!(app.ask("/guarded", &of_eve).await, unknown_status());
    }
    assert_eq!(setup.asked(), asked);
    // Eve's requests do not block Ada's requests. They also do not block Eve's sensitive actions.
    app.assert_admits(&of_ada).await;
    assert_ne!(app.ask("/fresh", &of_eve).await, unknown_status());
    assert_eq!(setup.asked(), asked + 2);
    eve.reject();
    assert_eq!(
        setup.deliver_about(&app, "evt_1", &eve, "rejected").await,
        200
    );
    assert_eq!(setup.asked(), asked + 3);
}

#[tokio::test]
async fn a_reloaded_page_requests_the_status_once_in_ten_seconds() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::Tenant).await;
    let of_ada = setup.signed_in(&app).await;
    setup.ada.set_status(KycStatus::Pending);
    let pending = app.ask("/fresh", &of_ada).await;
    assert_eq!(pending.1, "pending");
    let asked = setup.asked();
    for _ in 0..12 {
        setup.pass(Duration::from_secs(5), &[]);
        for _ in 0..5 {
            assert_eq!(app.ask("/guarded", &of_ada).await, pending);
        }
    }
    assert_eq!(setup.asked(), asked + 6);
}

#[tokio::test]
async fn a_webhook_does_not_share_the_exhausted_budget_of_its_person() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::Tenant).await;
    let (eve, of_eve) = eve(&setup, &app).await;
    setup.pass(11 * MINUTE, &[]);
    let fault = setup.kyc.on(Endpoint::Status).fail(500).always();
    for _ in 0..31 {
        assert_eq!(app.ask("/fresh", &of_eve).await, unknown_status());
    }
    drop(fault);
    eve.reject();
    let requests = (0..100).map(|_| app.ask("/fresh", &of_eve));
    let delivery = setup.deliver_about(&app, "evt_1", &eve, "rejected");
    let (_, delivered) = futures_util::join!(join_all(requests), delivery);
    assert_eq!(delivered, 200);
}
