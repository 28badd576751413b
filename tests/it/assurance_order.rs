//! Tests which of two concurrent results the store keeps. An instance detects a concurrent change
//! by comparing the record before and after its request to KYCPort. An instance compares no clocks.

use kycport::{Clock as _, KycStatus, KycTier, mock::Endpoint};
use serde_json::{Value, json};

use crate::{
    assurance_setup::{
        AssuranceTest, Instance, Key, MINUTE, everywhere, recorded, rejected, unknown_status,
    },
    recording_store::{ASSURANCE, Op, SESSION},
    test_handler::event,
};

/// Changes the status in the record, like another instance.
async fn record(setup: &AssuranceTest, status: &str) {
    setup
        .store
        .rewrite(ASSURANCE, |record| {
            record["assurance"]["kyc_status"] = status.into();
        })
        .await;
}

#[tokio::test]
async fn a_positive_id_token_does_not_replace_a_negative_result() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        setup.signed_in(&app).await;
        let fault = setup.kyc.on(Endpoint::Status).fail(500).optional().always();
        // The app responds with 503, because KYCPort's status endpoint did not confirm the event.
        assert_eq!(setup.deliver(&app, "evt_1", "rejected").await, 503);
        let before = setup.bodies().await;
        let cookie = setup.signed_in(&app).await;
        assert_eq!(setup.bodies().await, before);
        assert_eq!(app.me(&cookie).await, "rejected");
        assert_eq!(app.ask("/guarded", &cookie).await, unknown_status());
        drop(fault);
        // The result of the status endpoint replaces the stored record.
        app.assert_admits(&cookie).await;
        assert_eq!(app.me(&cookie).await, "verified");
    })
    .await;
}

#[tokio::test]
async fn another_negative_result_does_not_replace_a_rejection() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::Tenant).await;
    setup.ada.set_status(KycStatus::Pending);
    let cookie = setup.signed_in(&app).await;
    setup.pass(MINUTE, &[&app]);
    // KYCPort responds with "pending" and rejects Ada before the response arrives.
    let gate = setup.kyc.on(Endpoint::Status).after().hold();
    let concurrent_event = async {
        gate.wait_for(1).await;
        setup.ada.reject();
        record(&setup, "rejected").await;
        gate.release();
    };
    let (answer, ()) = tokio::join!(app.ask("/guarded", &cookie), concurrent_event);
    assert_eq!(answer, rejected());
    assert_eq!(app.me(&cookie).await, "rejected");
    // The ID token of a login says "pending".
    record(&setup, "rejected").await;
    setup.ada.set_status(KycStatus::Pending);
    let cookie = setup.signed_in(&app).await;
    assert_eq!(app.me(&cookie).await, "rejected");
}

#[tokio::test]
async fn userinfo_without_a_status_does_not_replace_a_rejection() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::None).await;
    let cookie = setup.signed_in(&app).await;
    assert_eq!(setup.deliver(&app, "evt_1", "rejected").await, 200);
    setup.pass(MINUTE, &[&app]);
    let _fault = setup
        .kyc
        .on(Endpoint::Userinfo)
        .edit(|userinfo| {
            userinfo.as_object_mut().unwrap().remove("kyc_status");
        })
        .always();
    assert_eq!(app.ask("/guarded", &cookie).await, unknown_status());
    assert_eq!(app.me(&cookie).await, "rejected");
}

/// An ID token may contain a result that is older than the ID token.
#[tokio::test]
async fn an_event_from_before_a_login_still_lowers_the_result_of_the_login() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::None).await;
    let late = event(&setup.kyc, "evt_1", &setup.ada, "rejected");
    setup.pass(5 * MINUTE, &[&app]);
    let cookie = setup.signed_in(&app).await;
    assert_eq!(app.me(&cookie).await, "verified");
    assert_eq!(setup.post(&app, &late).await, 200);
    assert_eq!(app.me(&cookie).await, "rejected");
}

#[tokio::test]
async fn a_positive_id_token_does_not_replace_an_unreadable_record() {
    everywhere(async |setup| {
        for key in [Key::Tenant, Key::None] {
            let app = setup.instance(key).await;
            setup.signed_in(&app).await;
            setup.damage().await;
            let damaged = setup.bodies().await;
            let cookie = setup.signed_in(&app).await;
            assert_eq!(setup.bodies().await, damaged);
            assert_eq!(app.me(&cookie).await, Value::Null);
            assert_eq!(app.known(&cookie).await, Value::Null);
            app.assert_admits(&cookie).await;
            assert_eq!(app.me(&cookie).await, "verified");
        }
    })
    .await;
}

#[tokio::test]
async fn a_rejection_during_a_login_is_not_replaced_by_the_id_token_of_the_login() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        // The ID token says "verified". The store delays the write of the session.
        let gate = setup.store.hold(Op::Write, SESSION);
        let concurrent_event = async {
            gate.reached().await;
            setup.ada.reject();
            assert_eq!(setup.deliver(&app, "evt_1", "rejected").await, 200);
            gate.open();
        };
        let (cookie, ()) = tokio::join!(setup.signed_in(&app), concurrent_event);
        assert_eq!(app.me(&cookie).await, "rejected");
        app.assert_rejects(&cookie).await;
    })
    .await;
}

/// Returns Ada's verification result, as a handler receives it.
async fn known(app: &Instance, cookie: &str) -> Value {
    let known = app.get("/known", cookie).await;
    serde_json::from_str(&known.body).unwrap()
}

#[tokio::test]
async fn a_login_does_not_raise_a_value_that_an_event_lowered() {
    everywhere(async |setup| {
        for (event, member, lowered) in [
            ("evt_1", "aml_clear", json!(false)),
            ("evt_2", "kyc_tier", json!("t1")),
        ] {
            // Without a tenant key, only the event reports the change.
            let app = setup.instance(Key::None).await;
            setup.signed_in(&app).await;
            let gate = setup.store.hold(Op::Write, SESSION);
            let news = async {
                gate.reached().await;
                let delivered = setup.deliver_data(&app, event, member, &lowered);
                assert_eq!(delivered.await, 200);
                gate.open();
            };
            let (cookie, ()) = tokio::join!(setup.signed_in(&app), news);
            setup.store.heal();
            let seen = known(&app, &cookie).await;
            assert_eq!(seen[member], lowered, "{seen}");
            assert_eq!(seen["source"], "webhook");
            // A later login does not improve the stored status. A response of KYCPort improves the
            // stored status.
            let cookie = setup.signed_in(&app).await;
            assert_eq!(known(&app, &cookie).await[member], lowered);
            app.assert_admits_fresh(&cookie).await;
            assert_ne!(known(&app, &cookie).await[member], lowered);
        }
    })
    .await;
}

#[tokio::test]
async fn an_id_token_lowers_one_value_and_does_not_raise_another_value() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::None).await;
    setup.signed_in(&app).await;
    setup.ada.verify(KycTier::T1);
    let gate = setup.store.hold(Op::Write, SESSION);
    let news = async {
        gate.reached().await;
        let suspicious = json!(false);
        let delivered = setup.deliver_data(&app, "evt_1", "aml_clear", &suspicious);
        assert_eq!(delivered.await, 200);
        gate.open();
    };
    let (cookie, ()) = tokio::join!(setup.signed_in(&app), news);
    let seen = known(&app, &cookie).await;
    assert_eq!(
        (&seen["kyc_tier"], &seen["aml_clear"]),
        (&json!("t1"), &json!(false))
    );
}

#[tokio::test]
async fn a_later_id_token_raises_the_tier_of_an_earlier_id_token() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        setup.ada.verify(KycTier::T1);
        let cookie = setup.signed_in(&app).await;
        assert_eq!(known(&app, &cookie).await["kyc_tier"], "t1");
        setup.ada.verify(KycTier::T2);
        let cookie = setup.signed_in(&app).await;
        app.assert_admits(&cookie).await;
        assert_eq!(setup.asked(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_negative_id_token_replaces_every_record() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        setup.ada.reject();
        // The store has no verification result about the person yet.
        let cookie = setup.signed_in(&app).await;
        assert_eq!(app.me(&cookie).await, "rejected");
        // The stored record is unreadable.
        setup.damage().await;
        let cookie = setup.signed_in(&app).await;
        assert_eq!(app.me(&cookie).await, "rejected");
        // Another session stores a positive record.
        setup.ada.verify(KycTier::T2);
        app.assert_admits_fresh(&cookie).await;
        setup.ada.reject();
        let new = setup.signed_in(&app).await;
        assert_eq!(app.me(&new).await, "rejected");
        assert_eq!(app.me(&cookie).await, "rejected");
    })
    .await;
}

#[tokio::test]
async fn an_id_token_without_a_status_does_not_change_the_record() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::Tenant).await;
    let before = setup.signed_in(&app).await;
    let bodies = setup.bodies().await;
    // Without the scope `kyc` the ID token carries no verification status.
    let silent = setup.instance_with_scopes(&["openid"]).await;
    let cookie = setup.signed_in(&silent).await;
    assert_eq!(setup.bodies().await, bodies);
    assert_eq!(app.me(&cookie).await, "verified");
    assert_eq!(app.me(&before).await, "verified");
}

#[tokio::test]
async fn a_positive_response_that_conflicts_with_a_newer_rejection_is_requested_again() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        // This instance applies events without confirmation, because it has no
        // tenant key.
        let other = setup.instance(Key::None).await;
        let cookie = setup.signed_in(&app).await;
        // KYCPort responds with "verified", and the test delays this response.
        let gate = setup.kyc.on(Endpoint::Status).after().hold();
        let concurrent_event = async {
            gate.wait_for(1).await;
            setup.ada.reject();
            assert_eq!(setup.deliver(&other, "evt_1", "rejected").await, 200);
            gate.release();
        };
        let (answer, ()) = tokio::join!(app.ask("/fresh", &cookie), concurrent_event);
        assert_eq!(answer, rejected());
        assert_eq!(setup.asked(), 2);
        assert_eq!(app.me(&cookie).await, "rejected");
        app.assert_rejects(&cookie).await;
    })
    .await;
}

#[tokio::test]
async fn a_second_positive_response_replaces_the_rejection() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::Tenant).await;
    let other = setup.instance(Key::None).await;
    let cookie = setup.signed_in(&app).await;
    let gate = setup.kyc.on(Endpoint::Status).after().hold();
    let concurrent_event = async {
        gate.wait_for(1).await;
        // The event is outdated, because the person is verified.
        assert_eq!(setup.deliver(&other, "evt_1", "rejected").await, 200);
        gate.release();
    };
    let ((), ()) = tokio::join!(app.assert_admits_fresh(&cookie), concurrent_event);
    assert_eq!(setup.asked(), 2);
    assert_eq!(app.me(&cookie).await, "verified");
}

#[tokio::test]
async fn the_status_is_requested_at_most_three_times() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::Tenant).await;
    let cookie = setup.signed_in(&app).await;
    let gate = setup.store.hold(Op::Write, ASSURANCE);
    let concurrent_event = async {
        // Another instance stores a rejection after each response of KYCPort and before the write
        // of the result.
        for _ in 0..3 {
            gate.reached().await;
            record(&setup, "rejected").await;
            gate.let_one();
        }
    };
    let (answer, ()) = tokio::join!(app.ask("/fresh", &cookie), concurrent_event);
    assert_eq!(answer, unknown_status());
    assert_eq!(setup.asked(), 3);
    assert_eq!(recorded(&setup).await, "rejected");
}

#[tokio::test]
async fn a_negative_response_replaces_every_concurrent_record() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::Tenant).await;
    let cookie = setup.signed_in(&app).await;
    setup.ada.reject();
    let gate = setup.store.hold(Op::Write, ASSURANCE);
    let concurrent_event = async {
        gate.reached().await;
        record(&setup, "verified").await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(app.ask("/fresh", &cookie), concurrent_event);
    assert_eq!(answer, rejected());
    assert_eq!(setup.asked(), 1);
    assert_eq!(recorded(&setup).await, "rejected");
}

#[tokio::test]
async fn concurrent_events_are_merged() {
    everywhere(async |setup| {
        let (one, two) = (
            setup.instance(Key::None).await,
            setup.instance(Key::None).await,
        );
        let cookie = setup.signed_in(&one).await;
        // Both instances read the positive result before any instance writes.
        setup.store.let_meet(Op::Read, ASSURANCE, 2);
        let (tier, clear) = (json!("t1"), json!(false));
        let (lower, suspicious) = tokio::join!(
            setup.deliver_data(&one, "evt_1", "kyc_tier", &tier),
            setup.deliver_data(&two, "evt_2", "aml_clear", &clear),
        );
        assert_eq!((lower, suspicious), (200, 200));
        let known = one.get("/known", &cookie).await;
        let known: Value = serde_json::from_str(&known.body).unwrap();
        assert_eq!(known["kyc_tier"], "t1");
        assert_eq!(known["aml_clear"], false);
    })
    .await;
}

#[tokio::test]
async fn a_result_that_another_instance_stored_during_the_request_is_used() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        let other = setup.instance(Key::Tenant).await;
        let cookie = setup.signed_in(&app).await;
        setup.pass(11 * MINUTE, &[&app, &other]);
        // The request has read a stale result. Another instance then stores a
        // new result.
        let gate = setup.store.hold_after(Op::Read, ASSURANCE);
        let concurrent_event = async {
            gate.reached().await;
            setup.store.heal();
            other.assert_admits_fresh(&cookie).await;
            gate.open();
        };
        let ((), ()) = tokio::join!(app.assert_admits(&cookie), concurrent_event);
        assert_eq!(setup.asked(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_result_from_a_concurrent_event_is_not_used_as_a_response() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        let other = setup.instance(Key::None).await;
        let cookie = setup.signed_in(&app).await;
        setup.pass(11 * MINUTE, &[&app, &other]);
        let gate = setup.store.hold_after(Op::Read, ASSURANCE);
        let concurrent_event = async {
            gate.reached().await;
            setup.store.heal();
            // The event is outdated, because the person is verified.
            assert_eq!(setup.deliver(&other, "evt_1", "rejected").await, 200);
            gate.open();
        };
        let ((), ()) = tokio::join!(app.assert_admits(&cookie), concurrent_event);
        assert_eq!(setup.asked(), 1);
        assert_eq!(app.me(&cookie).await, "verified");
    })
    .await;
}

#[tokio::test]
async fn an_event_does_not_renew_the_timestamp_of_a_positive_result() {
    everywhere(async |setup| {
        let app = setup.instance(Key::None).await;
        let cookie = setup.signed_in(&app).await;
        let _fault = setup.kyc.on(Endpoint::Userinfo).fail(500).always();
        setup.pass(9 * MINUTE, &[&app]);
        let suspicious = json!(false);
        let delivered = setup.deliver_data(&app, "evt_1", "aml_clear", &suspicious);
        assert_eq!(delivered.await, 200);
        app.assert_admits(&cookie).await;
        setup.pass(2 * MINUTE, &[&app]);
        assert_eq!(app.ask("/guarded", &cookie).await, unknown_status());
        // The app stores a negative result with the timestamp of the event.
        assert_eq!(setup.deliver(&app, "evt_2", "pending").await, 200);
        let known = app.get("/known", &cookie).await;
        let known: Value = serde_json::from_str(&known.body).unwrap();
        assert_eq!(known["kyc_status"], "pending");
        assert_eq!(known["source"], "webhook");
        let now = setup.kyc.clock().now().as_unix_millis();
        assert!(
            known["checked_at"].as_i64().unwrap() > now - 2000,
            "{known}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_login_without_a_status_does_not_renew_an_old_result() {
    everywhere(async |setup| {
        let app = setup.instance_with_scopes(&["openid"]).await;
        let cookie = setup.signed_in(&app).await;
        app.assert_admits(&cookie).await;
        setup.pass(11 * MINUTE, &[&app]);
        let fault = setup.kyc.on(Endpoint::Status).fail(500).always();
        // The app evaluates the result of the step-up in the new session.
        assert_eq!(setup.stepped_up(&app).await, 503);
        drop(fault);
        assert_eq!(setup.stepped_up(&app).await, 200);
    })
    .await;
}
