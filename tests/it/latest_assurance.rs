//! Tests of the latest assurance of a person: known, not recorded, or unreadable.

use std::time::Duration;

use kycport::{KycTier, mock::Endpoint};
use serde_json::{Value, json};

use crate::{
    assurance_stage::{Key, MINUTE, Stage, everywhere, not_known, recorded, rejected},
    faulty_store::{ASSURANCE, Op},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn a_recorded_assurance_is_used_and_returned() {
    everywhere(async |stage| {
        let app = stage.instance(Key::Tenant).await;
        let cookie = stage.signed_in(&app).await;
        app.assert_admits(&cookie).await;
        assert_eq!(app.me(&cookie).await, "verified");
        assert_eq!(app.known(&cookie).await, "verified");
        assert_eq!(stage.asked(), 0);
    })
    .await;
}

#[tokio::test]
async fn without_a_recorded_assurance_the_guard_asks_kycport() {
    everywhere(async |stage| {
        let app = stage.instance(Key::Tenant).await;
        let cookie = stage.signed_in(&app).await;
        stage.store.remove(ASSURANCE).await;
        assert_eq!(app.me(&cookie).await, Value::Null);
        assert_eq!(app.known(&cookie).await, Value::Null);
        let fault = stage.kyc.on(Endpoint::Status).fail(500).always();
        assert_eq!(app.ask("/guarded", &cookie).await, not_known());
        drop(fault);
        let before = stage.asked();
        app.assert_admits(&cookie).await;
        app.assert_admits(&cookie).await;
        assert_eq!(stage.asked(), before + 1);
        assert_eq!(app.me(&cookie).await, "verified");
    })
    .await;
}

#[tokio::test]
async fn without_an_assurance_and_without_credentials_the_person_signs_in_again() {
    let stage = Stage::new().await;
    let app = stage.instance(Key::None).await;
    let cookie = stage.signed_in(&app).await;
    stage.store.remove(ASSURANCE).await;
    stage.pass(16 * MINUTE, &[&app]);
    let too_old = (401, "stale".to_owned());
    assert_eq!(app.ask("/guarded", &cookie).await, too_old);
    app.assert_keeps_out(&cookie).await;
    let cookie = stage.signed_in(&app).await;
    app.assert_admits(&cookie).await;
}

#[tokio::test]
async fn with_an_unreadable_assurance_the_guard_asks_kycport() {
    everywhere(async |stage| {
        let app = stage.instance(Key::Tenant).await;
        let cookie = stage.signed_in(&app).await;
        stage.damage().await;
        let damaged = stage.bodies().await;
        assert_eq!(app.me(&cookie).await, Value::Null);
        assert_eq!(app.known(&cookie).await, Value::Null);
        let fault = stage.kyc.on(Endpoint::Status).fail(500).always();
        assert_eq!(app.ask("/guarded", &cookie).await, not_known());
        drop(fault);
        assert_eq!(stage.bodies().await, damaged);
        // The new response replaces the record, whatever the response says.
        app.assert_admits(&cookie).await;
        assert_eq!(app.me(&cookie).await, "verified");
        stage.damage().await;
        stage.ada.reject();
        assert_eq!(app.ask("/guarded", &cookie).await, rejected());
        assert_eq!(app.me(&cookie).await, "rejected");
    })
    .await;
}

#[tokio::test]
async fn an_unreadable_rejection_admits_no_request() {
    everywhere(async |stage| {
        let app = stage.instance(Key::None).await;
        let cookie = stage.signed_in(&app).await;
        app.assert_admits(&cookie).await;
        stage.ada.reject();
        assert_eq!(app.ask("/fresh", &cookie).await, rejected());
        stage.damage().await;
        let damaged = stage.bodies().await;
        // The access token has expired, and no tenant key is configured.
        stage.pass(16 * MINUTE, &[&app]);
        for minutes in [0, 1, 9, 10, 60] {
            stage.pass(minutes * MINUTE, &[&app]);
            assert_eq!(app.ask("/guarded", &cookie).await, not_known());
            assert_eq!(app.ask("/fresh", &cookie).await, not_known());
            app.assert_keeps_out(&cookie).await;
            assert_eq!(app.me(&cookie).await, Value::Null);
        }
        assert_eq!(stage.bodies().await, damaged);
    })
    .await;
}

#[tokio::test]
async fn an_assurance_of_another_person_is_unreadable() {
    everywhere(async |stage| {
        let app = stage.instance(Key::Tenant).await;
        let cookie = stage.signed_in(&app).await;
        stage.ada.reject();
        assert_eq!(app.ask("/fresh", &cookie).await, rejected());
        let of_ada = stage.bodies().await.remove(0);
        // An attacker with write access to the store puts Bob's record in Ada's place.
        let bob = stage.kyc.person("bob").tier(KycTier::T3).create();
        stage.signed_in_as(&app, &bob).await;
        let bodies = stage.bodies().await;
        let of_bob = bodies.into_iter().find(|body| *body != of_ada).unwrap();
        let of_bob = &of_bob;
        let swap = |body: &[u8]| if body == of_ada { of_bob } else { body }.to_vec();
        stage.store.replace(ASSURANCE, swap).await;
        let _fault = stage.kyc.on(Endpoint::Status).fail(500).always();
        assert_eq!(app.ask("/guarded", &cookie).await, not_known());
        app.assert_keeps_out(&cookie).await;
        assert_eq!(app.me(&cookie).await, Value::Null);
    })
    .await;
}

#[tokio::test]
async fn members_added_by_a_later_release_are_ignored() {
    let stage = Stage::new().await;
    let app = stage.instance(Key::Tenant).await;
    let cookie = stage.signed_in(&app).await;
    stage
        .store
        .rewrite(ASSURANCE, |record| {
            record["more"] = json!([1]);
            record["assurance"]["more"] = json!({ "x": null });
        })
        .await;
    assert_eq!(app.me(&cookie).await, "verified");
    app.assert_admits(&cookie).await;
    assert_eq!(stage.asked(), 0);
    for foreign in [
        "",
        "\x01",
        "\x01[]",
        "\x01{}",
        "\x01{\"v\":2}",
        "\x03{}",
        "{}",
    ] {
        stage
            .store
            .replace(ASSURANCE, |_| foreign.as_bytes().to_vec())
            .await;
        assert_eq!(app.me(&cookie).await, Value::Null, "{foreign:?}");
    }
}

#[tokio::test]
async fn a_negative_result_outlives_the_longest_session() {
    let stage = Stage::new().await;
    let app = stage.instance(Key::None).await;
    let cookie = stage.signed_in(&app).await;
    stage.ada.reject();
    assert_eq!(app.ask("/fresh", &cookie).await, rejected());
    // Sessions of this app last for 30 days, the maximum.
    stage.pass((30 * DAY).saturating_sub(MINUTE), &[&app]);
    assert_eq!(app.me(&cookie).await, "rejected");
    app.assert_keeps_out(&cookie).await;
    stage.pass(10 * DAY, &[&app]);
    assert_eq!(recorded(&stage).await, "rejected");
    stage.pass(DAY + 2 * MINUTE, &[&app]);
    assert_eq!(stage.bodies().await.len(), 0);
}

#[tokio::test]
async fn if_the_store_fails_first_kycport_is_not_asked() {
    everywhere(async |stage| {
        let app = stage.instance(Key::Tenant).await;
        let cookie = stage.signed_in(&app).await;
        // The session is read. Then the store fails.
        let gate = stage.store.hold_after(Op::Read, ASSURANCE);
        let failure = async {
            gate.reached().await;
            stage.store.heal();
            stage.store.fail();
            gate.open();
        };
        let (answer, ()) = tokio::join!(app.ask("/fresh", &cookie), failure);
        assert_eq!(answer, not_known());
        assert_eq!(stage.asked(), 0);
        let unavailable = (503, "store_unavailable".to_owned());
        for path in ["/guarded", "/fresh", "/known", "/auth/me"] {
            assert_eq!(app.ask(path, &cookie).await, unavailable, "{path}");
        }
        stage.store.heal();
        app.assert_admits_fresh(&cookie).await;
    })
    .await;
}

#[tokio::test]
async fn after_an_unacknowledged_write_the_next_request_asks_kycport_again() {
    let stage = Stage::new().await;
    let app = stage.instance(Key::Tenant).await;
    let cookie = stage.signed_in(&app).await;
    stage.ada.reject();
    stage.store.lose_answer(Op::Write, ASSURANCE);
    assert_eq!(app.ask("/fresh", &cookie).await, rejected());
    assert_eq!(app.me(&cookie).await, "rejected");
    stage.ada.verify(KycTier::T2);
    stage.store.lose_answer(Op::Write, ASSURANCE);
    app.assert_admits_fresh(&cookie).await;
    assert_eq!(app.me(&cookie).await, "verified");
}

#[tokio::test]
async fn a_person_has_one_assurance_record_per_client() {
    everywhere(async |stage| {
        let app = stage.instance(Key::Tenant).await;
        let bob = stage.kyc.person("bob").tier(KycTier::T2).create();
        let (of_ada, of_bob) = (
            stage.signed_in(&app).await,
            stage.signed_in_as(&app, &bob).await,
        );
        let again = stage.signed_in(&app).await;
        assert_eq!(stage.bodies().await.len(), 2);
        stage.ada.reject();
        assert_eq!(app.ask("/fresh", &of_ada).await, rejected());
        assert_eq!(app.me(&again).await, "rejected");
        assert_eq!(app.me(&of_bob).await, "verified");
        app.assert_admits(&of_bob).await;
    })
    .await;
}

#[tokio::test]
async fn another_client_on_the_same_store_has_separate_records() {
    everywhere(async |stage| {
        let own = stage.instance(Key::Tenant).await;
        let client = stage.kyc.add_client("another").create();
        let other = stage.instance_of(&client).await;
        let (at_own, at_other) = (stage.signed_in(&own).await, stage.signed_in(&other).await);
        assert_eq!(stage.bodies().await.len(), 2);
        stage.ada.reject();
        assert_eq!(own.ask("/fresh", &at_own).await, rejected());
        assert_eq!(own.me(&at_own).await, "rejected");
        assert_eq!(other.me(&at_other).await, "verified");
    })
    .await;
}

/// Checks that each request reads the store once. Only a status check reads it again and writes.
#[tokio::test]
async fn the_latest_assurance_costs_no_extra_store_operation() {
    everywhere(async |stage| {
        let app = stage.instance(Key::Tenant).await;
        let cookie = stage.signed_in(&app).await;
        let count = |expected: (usize, usize)| {
            let found = (stage.store.count(Op::Read), stage.store.count(Op::Write));
            assert_eq!(found, expected);
            assert_eq!(stage.store.operations(), found.0 + found.1);
            stage.store.forget();
        };
        stage.store.forget();
        app.assert_admits(&cookie).await;
        count((1, 0));
        app.me(&cookie).await;
        count((1, 0));
        app.assert_admits_fresh(&cookie).await;
        count((2, 1));
    })
    .await;
}
