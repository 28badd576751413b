//! Tests with instances whose clocks differ. The order of two results never depends on a clock.

use std::time::Duration;

use kycport::{KycTier, mock::Endpoint};

use crate::assurance_setup::{AssuranceTest, Instance, Key, MINUTE, everywhere, rejected};

/// Offsets of the second instance's clock, in milliseconds.
const AHEAD: [i64; 6] = [-60_000, -1_000, -200, 200, 1_000, 60_000];

/// Asserts that the guards reject the person now and later, and that the record does not change.
async fn assert_rejected_for_long(setup: &AssuranceTest, instances: [&Instance; 2], cookie: &str) {
    let before = setup.bodies().await;
    for seconds in [0, 1, 59, 60, 480, 1, 600, 3600] {
        setup.pass(Duration::from_secs(seconds), &instances);
        for instance in instances {
            instance.assert_rejects(cookie).await;
        }
    }
    assert_eq!(setup.bodies().await, before);
}

#[tokio::test]
async fn a_rejection_received_by_one_instance_applies_at_another_that_has_no_source() {
    // The app cannot request the status, because it has no tenant key and the access token has
    // expired.
    for ahead in AHEAD {
        for received_by_first in [true, false] {
            let what = format!(
                "the clock is {ahead} ms ahead, the first instance receives the event: {received_by_first}"
            );
            let setup = AssuranceTest::new().await;
            let one = setup.instance(Key::None).await;
            let two = setup.instance_at(Key::None, ahead).await;
            let cookie = setup.signed_in(&one).await;
            one.assert_admits(&cookie).await;
            setup.pass(16 * MINUTE, &[&one, &two]);
            setup.ada.reject();
            let hears = if received_by_first { &one } else { &two };
            assert_eq!(setup.deliver(hears, "evt_1", "rejected").await, 200);
            for instance in [&one, &two] {
                let answer = instance.ask("/guarded", &cookie).await;
                assert_eq!(answer, rejected(), "{what}");
                assert_eq!(instance.me(&cookie).await, "rejected", "{what}");
                assert_eq!(instance.known(&cookie).await, "rejected", "{what}");
            }
            assert_rejected_for_long(&setup, [&one, &two], &cookie).await;
        }
    }
}

#[tokio::test]
async fn a_rejection_read_by_a_guard_is_not_replaced_because_of_another_clock() {
    for ahead in AHEAD {
        let setup = AssuranceTest::new().await;
        let one = setup.instance(Key::None).await;
        let two = setup.instance_at(Key::None, ahead).await;
        let cookie = setup.signed_in(&one).await;
        setup.ada.reject();
        assert_eq!(one.ask("/fresh", &cookie).await, rejected(), "{ahead}");
        // The userinfo endpoint fails from now on, and the app has no other source for the status.
        let fault = setup.kyc.on(Endpoint::Userinfo).fail(500).always();
        two.assert_rejects(&cookie).await;
        assert_eq!(two.me(&cookie).await, "rejected", "{ahead}");
        drop(fault);
        setup.pass(16 * MINUTE, &[&one, &two]);
        assert_rejected_for_long(&setup, [&one, &two], &cookie).await;
    }
}

#[tokio::test]
async fn a_rejection_replaces_a_positive_result_with_a_future_timestamp() {
    everywhere(async |setup| {
        for ahead in [-60_000, 60_000] {
            setup.ada.verify(KycTier::T2);
            let one = setup.instance(Key::Tenant).await;
            let two = setup.instance_at(Key::Tenant, ahead).await;
            let cookie = setup.signed_in(&one).await;
            two.assert_admits_fresh(&cookie).await;
            two.assert_admits(&cookie).await;
            setup.ada.reject();
            assert_eq!(one.ask("/fresh", &cookie).await.1, "rejected");
            // The status endpoint fails from now on.
            let fault = setup.kyc.on(Endpoint::Status).fail(500).always();
            for instance in [&one, &two] {
                assert_eq!(instance.me(&cookie).await, "rejected", "{ahead}");
                instance.assert_rejects(&cookie).await;
            }
            setup.pass(2 * MINUTE, &[&one, &two]);
            two.assert_rejects(&cookie).await;
            drop(fault);
        }
    })
    .await;
}

#[tokio::test]
async fn a_positive_result_replaces_a_rejection_with_a_future_timestamp() {
    for ahead in AHEAD {
        let setup = AssuranceTest::new().await;
        let one = setup.instance(Key::Tenant).await;
        let two = setup.instance_at(Key::Tenant, ahead).await;
        let cookie = setup.signed_in(&one).await;
        setup.ada.reject();
        assert_eq!(two.ask("/fresh", &cookie).await.1, "rejected");
        setup.ada.verify(KycTier::T2);
        setup.pass(2 * MINUTE, &[&one, &two]);
        one.assert_admits(&cookie).await;
        assert_eq!(one.me(&cookie).await, "verified", "{ahead}");
        two.assert_admits(&cookie).await;
    }
}

#[tokio::test]
async fn a_positive_result_with_a_future_timestamp_is_stale() {
    let setup = AssuranceTest::new().await;
    let ahead = setup.instance_at(Key::None, 60_000).await;
    let one = setup.instance(Key::None).await;
    let cookie = setup.signed_in(&ahead).await;
    ahead.assert_admits(&cookie).await;
    // This instance cannot determine the age of the result, so the guard calls KYCPort.
    one.assert_admits(&cookie).await;
    setup.kyc.requests(Endpoint::Userinfo).assert_count(1);
    // The instance whose clock is ahead stores a timestamp in the future again.
    ahead.assert_admits_fresh(&cookie).await;
    let fault = setup.kyc.on(Endpoint::Userinfo).fail(500).always();
    assert_eq!(one.ask("/guarded", &cookie).await.0, 503);
    drop(fault);
}
