//! Which of two results stays: what was read before KYCPort was asked decides, and no clock.

use kycport::{Clock as _, KycTier, mock::Endpoint};
use serde_json::{Value, json};

use crate::{
    assurance_stage::{Instance, Key, MINUTE, Stage, everywhere, not_known, recorded, rejected},
    faulty_store::{ASSURANCE, Op, SESSION},
};

/// Changes the status in the record, as another instance would.
async fn record(stage: &Stage, status: &str) {
    stage
        .store
        .rewrite(ASSURANCE, |record| {
            record["assurance"]["kyc_status"] = status.into();
        })
        .await;
}

#[tokio::test]
async fn a_positive_id_token_does_not_replace_a_negative_result() {
    everywhere(async |stage| {
        let app = stage.instance(Key::Tenant).await;
        stage.signed_in(&app).await;
        let fault = stage.kyc.on(Endpoint::Status).fail(500).optional().always();
        // KYCPort redelivers the event, because its status endpoint did not confirm it.
        assert_eq!(stage.deliver(&app, "evt_1", "rejected").await, 503);
        let before = stage.bodies().await;
        let cookie = stage.signed_in(&app).await;
        assert_eq!(stage.bodies().await, before);
        assert_eq!(app.me(&cookie).await, "rejected");
        assert_eq!(app.ask("/guarded", &cookie).await, not_known());
        drop(fault);
        // The status endpoint decides.
        app.assert_admits(&cookie).await;
        assert_eq!(app.me(&cookie).await, "verified");
    })
    .await;
}

#[tokio::test]
async fn a_positive_id_token_does_not_replace_an_unreadable_record() {
    everywhere(async |stage| {
        for key in [Key::Tenant, Key::None] {
            let app = stage.instance(key).await;
            stage.signed_in(&app).await;
            stage.damage().await;
            let damaged = stage.bodies().await;
            let cookie = stage.signed_in(&app).await;
            assert_eq!(stage.bodies().await, damaged);
            assert_eq!(app.me(&cookie).await, Value::Null);
            assert_eq!(app.known(&cookie).await, Value::Null);
            app.assert_admits(&cookie).await;
            assert_eq!(app.me(&cookie).await, "verified");
        }
    })
    .await;
}

#[tokio::test]
async fn a_rejection_during_a_sign_in_is_not_replaced_by_its_id_token() {
    everywhere(async |stage| {
        let app = stage.instance(Key::Tenant).await;
        // The ID token says "verified"; the session is about to be written.
        let gate = stage.store.hold(Op::Write, SESSION);
        let news = async {
            gate.reached().await;
            stage.ada.reject();
            assert_eq!(stage.deliver(&app, "evt_1", "rejected").await, 200);
            gate.open();
        };
        let (cookie, ()) = tokio::join!(stage.signed_in(&app), news);
        assert_eq!(app.me(&cookie).await, "rejected");
        app.assert_keeps_out(&cookie).await;
    })
    .await;
}

/// What a handler sees of Ada's verification.
async fn known(app: &Instance, cookie: &str) -> Value {
    let known = app.get("/known", cookie).await;
    serde_json::from_str(&known.body).unwrap()
}

#[tokio::test]
async fn an_id_token_does_not_raise_what_an_event_lowered_during_the_sign_in() {
    everywhere(async |stage| {
        for (event, member, lowered) in [
            ("evt_1", "aml_clear", json!(false)),
            ("evt_2", "kyc_tier", json!("t1")),
        ] {
            // Without a tenant key nothing but the event says so.
            let app = stage.instance(Key::None).await;
            stage.signed_in(&app).await;
            let gate = stage.store.hold(Op::Write, SESSION);
            let news = async {
                gate.reached().await;
                let delivered = stage.deliver_data(&app, event, member, &lowered);
                assert_eq!(delivered.await, 200);
                gate.open();
            };
            let (cookie, ()) = tokio::join!(stage.signed_in(&app), news);
            stage.store.heal();
            let seen = known(&app, &cookie).await;
            assert_eq!(seen[member], lowered, "{seen}");
            assert_eq!(seen["source"], "webhook");
            // Nor does a later sign-in: KYCPort's answer does.
            let cookie = stage.signed_in(&app).await;
            assert_eq!(known(&app, &cookie).await[member], lowered);
            app.assert_admits_fresh(&cookie).await;
            assert_ne!(known(&app, &cookie).await[member], lowered);
        }
    })
    .await;
}

#[tokio::test]
async fn an_id_token_that_says_less_and_more_lowers_the_record_only() {
    let stage = Stage::new().await;
    let app = stage.instance(Key::None).await;
    stage.signed_in(&app).await;
    stage.ada.verify(KycTier::T1);
    let gate = stage.store.hold(Op::Write, SESSION);
    let news = async {
        gate.reached().await;
        let suspicious = json!(false);
        let delivered = stage.deliver_data(&app, "evt_1", "aml_clear", &suspicious);
        assert_eq!(delivered.await, 200);
        gate.open();
    };
    let (cookie, ()) = tokio::join!(stage.signed_in(&app), news);
    let seen = known(&app, &cookie).await;
    assert_eq!(
        (&seen["kyc_tier"], &seen["aml_clear"]),
        (&json!("t1"), &json!(false))
    );
}

#[tokio::test]
async fn a_later_id_token_raises_what_an_id_token_said() {
    everywhere(async |stage| {
        let app = stage.instance(Key::Tenant).await;
        stage.ada.verify(KycTier::T1);
        let cookie = stage.signed_in(&app).await;
        assert_eq!(known(&app, &cookie).await["kyc_tier"], "t1");
        stage.ada.verify(KycTier::T2);
        let cookie = stage.signed_in(&app).await;
        app.assert_admits(&cookie).await;
        assert_eq!(stage.asked(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_negative_id_token_replaces_every_record() {
    everywhere(async |stage| {
        let app = stage.instance(Key::Tenant).await;
        stage.ada.reject();
        // Nothing is recorded yet.
        let cookie = stage.signed_in(&app).await;
        assert_eq!(app.me(&cookie).await, "rejected");
        // An unreadable record.
        stage.damage().await;
        let cookie = stage.signed_in(&app).await;
        assert_eq!(app.me(&cookie).await, "rejected");
        // A positive one, which another session has been using.
        stage.ada.verify(KycTier::T2);
        app.assert_admits_fresh(&cookie).await;
        stage.ada.reject();
        let new = stage.signed_in(&app).await;
        assert_eq!(app.me(&new).await, "rejected");
        assert_eq!(app.me(&cookie).await, "rejected");
    })
    .await;
}

#[tokio::test]
async fn an_id_token_without_a_status_leaves_the_record_as_it_is() {
    let stage = Stage::new().await;
    let app = stage.instance(Key::Tenant).await;
    let before = stage.signed_in(&app).await;
    let bodies = stage.bodies().await;
    // Without the scope `kyc` the ID token says nothing of the verification.
    let silent = stage.instance_with_scopes(&["openid"]).await;
    let cookie = stage.signed_in(&silent).await;
    assert_eq!(stage.bodies().await, bodies);
    assert_eq!(app.me(&cookie).await, "verified");
    assert_eq!(app.me(&before).await, "verified");
}

#[tokio::test]
async fn a_positive_answer_that_met_a_newer_rejection_is_asked_again() {
    everywhere(async |stage| {
        let app = stage.instance(Key::Tenant).await;
        // Another instance, which believes events because it has nobody to ask.
        let other = stage.instance(Key::None).await;
        let cookie = stage.signed_in(&app).await;
        // KYCPort has said "verified", and the answer is on its way.
        let gate = stage.kyc.on(Endpoint::Status).after().hold();
        let news = async {
            gate.wait_for(1).await;
            stage.ada.reject();
            assert_eq!(stage.deliver(&other, "evt_1", "rejected").await, 200);
            gate.release();
        };
        let (answer, ()) = tokio::join!(app.ask("/fresh", &cookie), news);
        assert_eq!(answer, rejected());
        assert_eq!(stage.asked(), 2);
        assert_eq!(app.me(&cookie).await, "rejected");
        app.assert_keeps_out(&cookie).await;
    })
    .await;
}

#[tokio::test]
async fn the_second_answer_counts_if_it_is_positive_again() {
    let stage = Stage::new().await;
    let app = stage.instance(Key::Tenant).await;
    let other = stage.instance(Key::None).await;
    let cookie = stage.signed_in(&app).await;
    let gate = stage.kyc.on(Endpoint::Status).after().hold();
    let news = async {
        gate.wait_for(1).await;
        // An event that is out of date: the person is verified.
        assert_eq!(stage.deliver(&other, "evt_1", "rejected").await, 200);
        gate.release();
    };
    let ((), ()) = tokio::join!(app.assert_admits_fresh(&cookie), news);
    assert_eq!(stage.asked(), 2);
    assert_eq!(app.me(&cookie).await, "verified");
}

#[tokio::test]
async fn kycport_is_asked_three_times_at_most() {
    let stage = Stage::new().await;
    let app = stage.instance(Key::Tenant).await;
    let cookie = stage.signed_in(&app).await;
    let gate = stage.store.hold(Op::Write, ASSURANCE);
    let news = async {
        // A rejection is recorded between each answer and its write.
        for _ in 0..3 {
            gate.reached().await;
            record(&stage, "rejected").await;
            gate.let_one();
        }
    };
    let (answer, ()) = tokio::join!(app.ask("/fresh", &cookie), news);
    assert_eq!(answer, not_known());
    assert_eq!(stage.asked(), 3);
    assert_eq!(recorded(&stage).await, "rejected");
}

#[tokio::test]
async fn a_negative_answer_is_recorded_whatever_was_recorded_meanwhile() {
    let stage = Stage::new().await;
    let app = stage.instance(Key::Tenant).await;
    let cookie = stage.signed_in(&app).await;
    stage.ada.reject();
    let gate = stage.store.hold(Op::Write, ASSURANCE);
    let news = async {
        gate.reached().await;
        record(&stage, "verified").await;
        gate.open();
    };
    let (answer, ()) = tokio::join!(app.ask("/fresh", &cookie), news);
    assert_eq!(answer, rejected());
    assert_eq!(stage.asked(), 1);
    assert_eq!(recorded(&stage).await, "rejected");
}

#[tokio::test]
async fn what_simultaneous_events_say_is_combined() {
    everywhere(async |stage| {
        let (one, two) = (
            stage.instance(Key::None).await,
            stage.instance(Key::None).await,
        );
        let cookie = stage.signed_in(&one).await;
        // Both instances have read the positive result before either of them writes.
        stage.store.let_meet(Op::Read, ASSURANCE, 2);
        let (tier, clear) = (json!("t1"), json!(false));
        let (lower, suspicious) = tokio::join!(
            stage.deliver_data(&one, "evt_1", "kyc_tier", &tier),
            stage.deliver_data(&two, "evt_2", "aml_clear", &clear),
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
async fn a_result_that_another_instance_recorded_meanwhile_is_an_answer() {
    everywhere(async |stage| {
        let app = stage.instance(Key::Tenant).await;
        let other = stage.instance(Key::Tenant).await;
        let cookie = stage.signed_in(&app).await;
        stage.pass(11 * MINUTE, &[&app, &other]);
        // The request has read a result that is too old, and another one is recorded.
        let gate = stage.store.hold_after(Op::Read, ASSURANCE);
        let news = async {
            gate.reached().await;
            stage.store.heal();
            other.assert_admits_fresh(&cookie).await;
            gate.open();
        };
        let ((), ()) = tokio::join!(app.assert_admits(&cookie), news);
        assert_eq!(stage.asked(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_an_event_said_meanwhile_is_not_an_answer() {
    everywhere(async |stage| {
        let app = stage.instance(Key::Tenant).await;
        let other = stage.instance(Key::None).await;
        let cookie = stage.signed_in(&app).await;
        stage.pass(11 * MINUTE, &[&app, &other]);
        let gate = stage.store.hold_after(Op::Read, ASSURANCE);
        let news = async {
            gate.reached().await;
            stage.store.heal();
            // The event is out of date: the person is verified.
            assert_eq!(stage.deliver(&other, "evt_1", "rejected").await, 200);
            gate.open();
        };
        let ((), ()) = tokio::join!(app.assert_admits(&cookie), news);
        assert_eq!(stage.asked(), 1);
        assert_eq!(app.me(&cookie).await, "verified");
    })
    .await;
}

#[tokio::test]
async fn what_an_event_leaves_of_a_positive_result_is_as_old_as_that_result() {
    everywhere(async |stage| {
        let app = stage.instance(Key::None).await;
        let cookie = stage.signed_in(&app).await;
        let _fault = stage.kyc.on(Endpoint::Userinfo).fail(500).always();
        stage.pass(9 * MINUTE, &[&app]);
        let suspicious = json!(false);
        let delivered = stage.deliver_data(&app, "evt_1", "aml_clear", &suspicious);
        assert_eq!(delivered.await, 200);
        app.assert_admits(&cookie).await;
        stage.pass(2 * MINUTE, &[&app]);
        assert_eq!(app.ask("/guarded", &cookie).await, not_known());
        // A negative result is as new as the event.
        assert_eq!(stage.deliver(&app, "evt_2", "pending").await, 200);
        let known = app.get("/known", &cookie).await;
        let known: Value = serde_json::from_str(&known.body).unwrap();
        assert_eq!(known["kyc_status"], "pending");
        assert_eq!(known["source"], "webhook");
        let now = stage.kyc.clock().now().as_unix_millis();
        assert!(
            known["checked_at"].as_i64().unwrap() > now - 2000,
            "{known}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_that_tells_nothing_does_not_make_an_old_result_new() {
    everywhere(async |stage| {
        let app = stage.instance_with_scopes(&["openid"]).await;
        let cookie = stage.signed_in(&app).await;
        app.assert_admits(&cookie).await;
        stage.pass(11 * MINUTE, &[&app]);
        let fault = stage.kyc.on(Endpoint::Status).fail(500).always();
        // The step-up is evaluated by the session that it has just created.
        assert_eq!(stage.stepped_up(&app).await, 503);
        drop(fault);
        assert_eq!(stage.stepped_up(&app).await, 200);
    })
    .await;
}
