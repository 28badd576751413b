//! Tests how a guard uses the stored verification result of a person: known, missing or unreadable.

use std::time::Duration;

use kycport::{KycTier, mock::Endpoint};
use serde_json::{Value, json};

use crate::{
    assurance_setup::{AssuranceTest, Key, MINUTE, everywhere, recorded, rejected, unknown_status},
    recording_store::{ASSURANCE, Op},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn a_recorded_assurance_is_used_and_returned() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        let cookie = setup.signed_in(&app).await;
        app.assert_admits(&cookie).await;
        assert_eq!(app.me(&cookie).await, "verified");
        assert_eq!(app.known(&cookie).await, "verified");
        assert_eq!(setup.asked(), 0);
    })
    .await;
}

#[tokio::test]
async fn without_a_recorded_assurance_the_guard_calls_kycport() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        let cookie = setup.signed_in(&app).await;
        setup.store.remove(ASSURANCE).await;
        assert_eq!(app.me(&cookie).await, Value::Null);
        assert_eq!(app.known(&cookie).await, Value::Null);
        let fault = setup.kyc.on(Endpoint::Status).fail(500).always();
        assert_eq!(app.ask("/guarded", &cookie).await, unknown_status());
        drop(fault);
        let before = setup.asked();
        app.assert_admits(&cookie).await;
        app.assert_admits(&cookie).await;
        assert_eq!(setup.asked(), before + 1);
        assert_eq!(app.me(&cookie).await, "verified");
    })
    .await;
}

/// A full store in memory, for example, evicts records.
#[tokio::test]
async fn an_evicted_rejection_admits_no_request() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        let cookie = setup.signed_in(&app).await;
        setup.ada.reject();
        assert_eq!(app.ask("/fresh", &cookie).await, rejected());
        setup.store.remove(ASSURANCE).await;
        assert_eq!(app.me(&cookie).await, Value::Null);
        assert_eq!(app.known(&cookie).await, Value::Null);
        let fault = setup.kyc.on(Endpoint::Status).fail(500).always();
        assert_eq!(app.ask("/guarded", &cookie).await, unknown_status());
        drop(fault);
        assert_eq!(app.ask("/guarded", &cookie).await, rejected());
    })
    .await;
}

#[tokio::test]
async fn without_an_assurance_and_without_credentials_the_person_signs_in_again() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::None).await;
    let cookie = setup.signed_in(&app).await;
    setup.store.remove(ASSURANCE).await;
    setup.pass(16 * MINUTE, &[&app]);
    let too_old = (401, "stale".to_owned());
    assert_eq!(app.ask("/guarded", &cookie).await, too_old);
    app.assert_rejects(&cookie).await;
    let cookie = setup.signed_in(&app).await;
    app.assert_admits(&cookie).await;
}

#[tokio::test]
async fn with_an_unreadable_assurance_the_guard_calls_kycport() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        let cookie = setup.signed_in(&app).await;
        setup.damage().await;
        let damaged = setup.bodies().await;
        assert_eq!(app.me(&cookie).await, Value::Null);
        assert_eq!(app.known(&cookie).await, Value::Null);
        let fault = setup.kyc.on(Endpoint::Status).fail(500).always();
        assert_eq!(app.ask("/guarded", &cookie).await, unknown_status());
        drop(fault);
        assert_eq!(setup.bodies().await, damaged);
        // The new response of KYCPort replaces the unreadable record, also if the response is
        // negative.
        app.assert_admits(&cookie).await;
        assert_eq!(app.me(&cookie).await, "verified");
        setup.damage().await;
        setup.ada.reject();
        assert_eq!(app.ask("/guarded", &cookie).await, rejected());
        assert_eq!(app.me(&cookie).await, "rejected");
    })
    .await;
}

#[tokio::test]
async fn an_unreadable_rejection_admits_no_request() {
    everywhere(async |setup| {
        let app = setup.instance(Key::None).await;
        let cookie = setup.signed_in(&app).await;
        app.assert_admits(&cookie).await;
        setup.ada.reject();
        assert_eq!(app.ask("/fresh", &cookie).await, rejected());
        setup.damage().await;
        let damaged = setup.bodies().await;
        // The access token has expired, and no tenant key is configured.
        setup.pass(16 * MINUTE, &[&app]);
        for minutes in [0, 1, 9, 10, 60] {
            setup.pass(minutes * MINUTE, &[&app]);
            assert_eq!(app.ask("/guarded", &cookie).await, unknown_status());
            assert_eq!(app.ask("/fresh", &cookie).await, unknown_status());
            app.assert_rejects(&cookie).await;
            assert_eq!(app.me(&cookie).await, Value::Null);
        }
        assert_eq!(setup.bodies().await, damaged);
    })
    .await;
}

#[tokio::test]
async fn an_assurance_of_another_person_is_unreadable() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        let cookie = setup.signed_in(&app).await;
        setup.ada.reject();
        assert_eq!(app.ask("/fresh", &cookie).await, rejected());
        let of_ada = setup.bodies().await.remove(0);
        // An attacker with write access to the store puts Bob's record in Ada's place.
        let bob = setup.kyc.person("bob").tier(KycTier::T3).create();
        setup.signed_in_as(&app, &bob).await;
        let bodies = setup.bodies().await;
        let of_bob = bodies.into_iter().find(|body| *body != of_ada).unwrap();
        let of_bob = &of_bob;
        let swap = |body: &[u8]| if body == of_ada { of_bob } else { body }.to_vec();
        setup.store.replace(ASSURANCE, swap).await;
        let _fault = setup.kyc.on(Endpoint::Status).fail(500).always();
        assert_eq!(app.ask("/guarded", &cookie).await, unknown_status());
        app.assert_rejects(&cookie).await;
        assert_eq!(app.me(&cookie).await, Value::Null);
    })
    .await;
}

#[tokio::test]
async fn members_added_by_a_later_release_are_ignored() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::Tenant).await;
    let cookie = setup.signed_in(&app).await;
    setup
        .store
        .rewrite(ASSURANCE, |record| {
            record["more"] = json!([1]);
            record["assurance"]["more"] = json!({ "x": null });
        })
        .await;
    assert_eq!(app.me(&cookie).await, "verified");
    app.assert_admits(&cookie).await;
    assert_eq!(setup.asked(), 0);
    for foreign in [
        "",
        "\x01",
        "\x01[]",
        "\x01{}",
        "\x01{\"v\":2}",
        "\x03{}",
        "{}",
    ] {
        setup
            .store
            .replace(ASSURANCE, |_| foreign.as_bytes().to_vec())
            .await;
        assert_eq!(app.me(&cookie).await, Value::Null, "{foreign:?}");
    }
}

#[tokio::test]
async fn a_negative_result_outlives_the_longest_session() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::None).await;
    let cookie = setup.signed_in(&app).await;
    setup.ada.reject();
    assert_eq!(app.ask("/fresh", &cookie).await, rejected());
    // Sessions of this app last for the maximum of 30 days.
    setup.pass((30 * DAY).saturating_sub(MINUTE), &[&app]);
    assert_eq!(app.me(&cookie).await, "rejected");
    app.assert_rejects(&cookie).await;
    setup.pass(10 * DAY, &[&app]);
    assert_eq!(recorded(&setup).await, "rejected");
    setup.pass(DAY + 2 * MINUTE, &[&app]);
    assert_eq!(setup.bodies().await.len(), 0);
}

#[tokio::test]
async fn after_a_store_failure_kycport_is_not_called() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        let cookie = setup.signed_in(&app).await;
        // The store fails after the app has read the session.
        let gate = setup.store.hold_after(Op::Read, ASSURANCE);
        let failure = async {
            gate.reached().await;
            setup.store.heal();
            setup.store.fail();
            gate.open();
        };
        let (answer, ()) = tokio::join!(app.ask("/fresh", &cookie), failure);
        assert_eq!(answer, unknown_status());
        assert_eq!(setup.asked(), 0);
        let unavailable = (503, "store_unavailable".to_owned());
        for path in ["/guarded", "/fresh", "/known", "/auth/me"] {
            assert_eq!(app.ask(path, &cookie).await, unavailable, "{path}");
        }
        setup.store.heal();
        app.assert_admits_fresh(&cookie).await;
    })
    .await;
}

#[tokio::test]
async fn after_an_unacknowledged_write_the_next_request_calls_kycport_again() {
    let setup = AssuranceTest::new().await;
    let app = setup.instance(Key::Tenant).await;
    let cookie = setup.signed_in(&app).await;
    setup.ada.reject();
    setup.store.lose_answer(Op::Write, ASSURANCE);
    assert_eq!(app.ask("/fresh", &cookie).await, rejected());
    assert_eq!(app.me(&cookie).await, "rejected");
    setup.ada.verify(KycTier::T2);
    setup.store.lose_answer(Op::Write, ASSURANCE);
    app.assert_admits_fresh(&cookie).await;
    assert_eq!(app.me(&cookie).await, "verified");
}

#[tokio::test]
async fn a_person_has_one_assurance_record_per_client() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        let bob = setup.kyc.person("bob").tier(KycTier::T2).create();
        let (of_ada, of_bob) = (
            setup.signed_in(&app).await,
            setup.signed_in_as(&app, &bob).await,
        );
        let again = setup.signed_in(&app).await;
        assert_eq!(setup.bodies().await.len(), 2);
        setup.ada.reject();
        assert_eq!(app.ask("/fresh", &of_ada).await, rejected());
        assert_eq!(app.me(&again).await, "rejected");
        assert_eq!(app.me(&of_bob).await, "verified");
        app.assert_admits(&of_bob).await;
    })
    .await;
}

#[tokio::test]
async fn another_client_on_the_same_store_has_separate_records() {
    everywhere(async |setup| {
        let own = setup.instance(Key::Tenant).await;
        let client = setup.kyc.add_client("another").create();
        let other = setup.instance_of(&client).await;
        let (at_own, at_other) = (setup.signed_in(&own).await, setup.signed_in(&other).await);
        assert_eq!(setup.bodies().await.len(), 2);
        setup.ada.reject();
        assert_eq!(own.ask("/fresh", &at_own).await, rejected());
        assert_eq!(own.me(&at_own).await, "rejected");
        assert_eq!(other.me(&at_other).await, "verified");
    })
    .await;
}

/// Checks that each request reads the store once. Only a request with a status check also reads the
/// store again and writes.
#[tokio::test]
async fn the_latest_assurance_costs_no_extra_store_operation() {
    everywhere(async |setup| {
        let app = setup.instance(Key::Tenant).await;
        let cookie = setup.signed_in(&app).await;
        let count = |expected: (usize, usize)| {
            let found = (setup.store.count(Op::Read), setup.store.count(Op::Write));
            assert_eq!(found, expected);
            assert_eq!(setup.store.operations(), found.0 + found.1);
            setup.store.forget();
        };
        setup.store.forget();
        app.assert_admits(&cookie).await;
        count((1, 0));
        app.me(&cookie).await;
        count((1, 0));
        app.assert_admits_fresh(&cookie).await;
        count((2, 1));
    })
    .await;
}
