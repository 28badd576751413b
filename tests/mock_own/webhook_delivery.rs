//! Tests that the mock delivers webhooks and retries failed deliveries (K62, K64, K84, K85).

use std::time::Duration;

use kycport::{
    Clock as _, KycTier,
    mock::{DeliveryOutcome, MockIssuer},
};

use crate::receiver::{Receiver, WebhookTest};

#[tokio::test]
async fn a_failed_delivery_is_retried_with_the_same_body_by_the_clock() {
    let setup = WebhookTest::new().await;
    let start = setup.kyc.clock().now();
    setup.receiver.answer(&[500; 5]);
    setup.ada.reject();
    setup.hooks.settled().await;
    assert_eq!((setup.receiver.got().len(), setup.hooks.pending()), (1, 1));
    let in_10_s = start.saturating_add(Duration::from_secs(10));
    assert_eq!(setup.hooks.next_attempt_at(), Some(in_10_s));
    let old = setup.hooks.secret();
    for (pause, attempts) in [
        (9, 1),
        (1, 2),
        (59, 2),
        (1, 3),
        (600, 4),
        (3600, 5),
        (21600, 6),
    ] {
        if attempts == 5 {
            setup.hooks.rotate_secret();
        }
        setup.advance(pause).await;
        assert_eq!(setup.receiver.got().len(), attempts, "{pause}");
    }
    assert_eq!(setup.hooks.pending(), 0);
    assert_eq!(setup.hooks.next_attempt_at(), None);
    let got = setup.receiver.take();
    assert!(got.iter().all(|it| it.body == got[0].body));
    let by_old: Vec<_> = got.iter().map(|it| it.is_signed(&old)).collect();
    assert_eq!(by_old, [true, true, true, true, false, false]);
    assert!(got[5].is_signed(&setup.hooks.secret()));
    let deliveries = setup.hooks.deliveries();
    let attempts: Vec<_> = deliveries
        .iter()
        .map(|it| (it.attempt(), it.status()))
        .collect();
    assert_eq!(attempts[0], (1, Some(500)));
    assert_eq!(attempts[5], (6, Some(204)));
    deliveries.assert_delivered();
}

#[tokio::test]
async fn a_failed_delivery_does_not_block_the_next() {
    let setup = WebhookTest::new().await;
    setup.receiver.answer(&[500]);
    for tier in [KycTier::T1, KycTier::T2, KycTier::T3] {
        setup.ada.set_tier(tier);
    }
    setup.hooks.settled().await;
    setup.advance(10).await;
    let got = setup.receiver.take();
    let tiers: Vec<_> = got
        .iter()
        .map(|it| it.json()["data"]["kyc_tier"].clone())
        .collect();
    assert_eq!(tiers, ["t1", "t2", "t3", "t1"]);
    setup.hooks.deliveries().assert_delivered();
}

#[tokio::test]
async fn a_status_other_than_2xx_is_a_failure_and_redirects_are_not_followed() {
    let setup = WebhookTest::new().await;
    let elsewhere = Receiver::start().await;
    for (status, is_taken) in [
        (200, true),
        (201, true),
        (202, true),
        (299, true),
        (301, false),
        (304, false),
        (307, false),
        (308, false),
        (400, false),
        (401, false),
        (409, false),
        (410, false),
        (500, false),
        (503, false),
    ] {
        let location = elsewhere.url();
        setup
            .receiver
            .answer_with(status, &[("location", &location)]);
        setup.hooks.emit("any.thing", serde_json::json!({}));
        setup.hooks.settled().await;
        let deliveries = setup.hooks.deliveries();
        let last = deliveries.last().unwrap();
        assert_eq!(last.outcome(), DeliveryOutcome::Answered(status));
        assert_eq!(last.outcome().is_success(), is_taken, "{status}");
        assert_eq!(setup.hooks.pending(), usize::from(!is_taken), "{status}");
        setup.advance(10).await;
        assert_eq!(setup.hooks.pending(), 0);
    }
    assert!(elsewhere.got().is_empty());
}

#[tokio::test]
async fn retry_after_can_only_delay_the_next_attempt() {
    let setup = WebhookTest::new().await;
    for (status, retry_after, seconds) in [
        (503, "30", 30),
        (429, "11", 11),
        (409, "3", 10),
        (409, "30", 30),
        (500, "30", 10),
        (503, "86400", 3600),
        (503, "soon", 10),
        (503, "-1", 10),
        (503, "99999999999999999999", 10),
    ] {
        setup
            .receiver
            .answer_with(status, &[("retry-after", retry_after)]);
        setup.hooks.emit("any.thing", serde_json::json!({}));
        setup.hooks.settled().await;
        let due = setup
            .kyc
            .clock()
            .now()
            .saturating_add(Duration::from_secs(seconds));
        assert_eq!(
            setup.hooks.next_attempt_at(),
            Some(due),
            "{status} {retry_after}"
        );
        setup.advance(seconds).await;
        assert_eq!(setup.hooks.pending(), 0);
    }
}

#[tokio::test]
async fn a_delivery_is_not_retried_after_its_last_attempt() {
    let setup = WebhookTest::new().await;
    setup.receiver.answer(&[500; 20]);
    setup.ada.reject();
    setup.hooks.settled().await;
    let began = setup.kyc.clock().now();
    while let Some(at) = setup.hooks.next_attempt_at() {
        setup.kyc.clock().jump_to(at);
        setup.hooks.settled().await;
    }
    assert_eq!(setup.receiver.take().len(), 9);
    let hours = setup
        .kyc
        .clock()
        .now()
        .since(began)
        .as_secs()
        .div_euclid(3600);
    // The last attempt is within the 96 h of K83.
    assert_eq!(hours, 79);
    assert_eq!(setup.hooks.pending(), 0);
}

#[tokio::test]
async fn an_unreachable_or_silent_endpoint_is_retried() {
    let setup = WebhookTest::new().await;
    setup
        .kyc
        .switch(|it| it.webhook_timeout = Duration::from_millis(200));
    let silent = setup.receiver.hold();
    setup.ada.reject();
    setup.hooks.settled().await;
    drop(silent);
    let closed_listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = closed_listener.local_addr().unwrap();
    drop(closed_listener);
    setup.hooks.subscribe(format!("http://{address}/"));
    setup.ada.verify(KycTier::T2);
    setup.hooks.settled().await;
    let deliveries = setup.hooks.deliveries();
    let mut outcomes: Vec<_> = deliveries
        .iter()
        .map(|it| format!("{:?}", it.outcome()))
        .collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["Answered(204)", "NoConnection", "TimedOut"]);
    assert_eq!(setup.hooks.pending(), 2);
}

#[tokio::test]
async fn no_delivery_is_lost_while_the_issuer_is_down() {
    let setup = WebhookTest::new().await;
    let held = setup.receiver.hold();
    setup.ada.set_tier(KycTier::T1);
    setup.receiver.wait_for(1).await;
    // One delivery is in progress, one delivery is queued, and a change during the outage creates a
    // third delivery.
    setup.ada.set_tier(KycTier::T2);
    setup.kyc.stop().unwrap();
    drop(held);
    setup.ada.set_tier(KycTier::T3);
    assert_eq!(setup.receiver.take().len(), 1);
    assert_eq!(setup.hooks.pending(), 3);
    setup.kyc.restart().unwrap();
    let events = setup.events().await;
    let expected = ["t1", "t2", "t3"].map(|tier| format!("kyc.status_changed verified {tier}"));
    assert_eq!(events, expected);
}

#[tokio::test]
async fn with_a_running_clock_retries_happen_automatically() {
    let kyc = MockIssuer::start().await;
    kyc.switch(|it| it.webhook_retries = vec![Duration::from_millis(20); 3]);
    let receiver = Receiver::start().await;
    kyc.webhooks().subscribe(receiver.url());
    receiver.answer(&[500, 500]);
    let ada = kyc.person("ada").create();
    ada.reject();
    receiver.wait_for(3).await;
    kyc.webhooks().settled().await;
    kyc.webhooks()
        .deliveries()
        .assert_count(3)
        .assert_delivered();
    // The mock also delivers the event of an expiry, although no request arrives.
    ada.verify(KycTier::T2);
    ada.expires_in(Duration::from_millis(20));
    receiver.wait_for(5).await;
    let events = receiver.take().pop().unwrap().summary(&kyc.webhooks());
    assert_eq!(events, "kyc.status_changed expired t2");
}

#[tokio::test]
async fn issuers_in_one_process_have_separate_deliveries() {
    let setups = [
        WebhookTest::new().await,
        WebhookTest::new().await,
        WebhookTest::new().await,
    ];
    for setup in &setups {
        setup.ada.reject();
    }
    for setup in &setups {
        assert_eq!(setup.events().await.len(), 1);
        setup.hooks.deliveries().assert_count(1);
    }
}

#[tokio::test]
async fn many_events_arrive_once_and_in_order() {
    let setup = WebhookTest::new().await;
    for round in 0..200 {
        let tier = if round % 2 == 0 {
            KycTier::T1
        } else {
            KycTier::T2
        };
        setup.ada.set_tier(tier);
    }
    setup.hooks.settled().await;
    let got = setup.receiver.take();
    let tiers: Vec<_> = got.iter().map(|it| it.summary(&setup.hooks)).collect();
    assert_eq!(tiers.len(), 200);
    assert!(tiers.windows(2).all(|two| two[0] != two[1]));
    let ids: std::collections::BTreeSet<_> = got.iter().map(|it| it.id(&setup.hooks)).collect();
    assert_eq!(ids.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_changes_of_a_person_are_delivered_in_order() {
    let setup = WebhookTest::new().await;
    std::thread::scope(|scope| {
        for start in 0..4 {
            let ada = &setup.ada;
            scope.spawn(move || {
                let tiers = [KycTier::T0, KycTier::T1, KycTier::T2, KycTier::T3];
                for tier in tiers.iter().cycle().skip(start).take(100) {
                    ada.set_tier(tier.clone());
                }
            });
        }
    });
    let events = setup.events().await;
    assert!(events.windows(2).all(|two| two[0] != two[1]));
    let last = format!("kyc.status_changed verified {}", setup.ada.tier());
    assert_eq!(events.last(), Some(&last));
}

#[tokio::test]
async fn debug_output_contains_no_secret() {
    let setup = WebhookTest::new().await;
    setup.ada.reject();
    setup.hooks.settled().await;
    let debug_output = format!(
        "{:?} {:?} {:?} {:?}",
        setup.hooks,
        setup.kyc.tenant(),
        setup.hooks.deliveries(),
        setup.hooks.manual("canary").header("x-canary", "canary"),
    );
    assert!(!debug_output.contains(&setup.hooks.secret()));
    assert!(
        !debug_output.contains("canary") && !debug_output.contains("rejected"),
        "{debug_output}"
    );
}
