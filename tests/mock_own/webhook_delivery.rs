//! Deliveries: taken, failed, and sent again (K62, K64, K84, K85).

use std::time::Duration;

use kycport::{
    Clock as _, KycTier,
    mock::{DeliveryOutcome, MockIssuer},
};

use crate::receiver::{Post, Receiver};

#[tokio::test]
async fn a_failed_delivery_comes_again_with_the_same_body_on_the_clock() {
    let post = Post::new().await;
    let start = post.kyc.clock().now();
    post.receiver.answer(&[500; 5]);
    post.ada.reject();
    post.hooks.settled().await;
    assert_eq!((post.receiver.got().len(), post.hooks.pending()), (1, 1));
    let in_10_s = start.saturating_add(Duration::from_secs(10));
    assert_eq!(post.hooks.next_attempt_at(), Some(in_10_s));
    let old = post.hooks.secret();
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
            post.hooks.rotate_secret();
        }
        post.advance(pause).await;
        assert_eq!(post.receiver.got().len(), attempts, "{pause}");
    }
    assert_eq!(post.hooks.pending(), 0);
    assert_eq!(post.hooks.next_attempt_at(), None);
    let got = post.receiver.take();
    assert!(got.iter().all(|it| it.body == got[0].body));
    let by_old: Vec<_> = got.iter().map(|it| it.is_signed(&old)).collect();
    assert_eq!(by_old, [true, true, true, true, false, false]);
    assert!(got[5].is_signed(&post.hooks.secret()));
    let deliveries = post.hooks.deliveries();
    let attempts: Vec<_> = deliveries
        .iter()
        .map(|it| (it.attempt(), it.status()))
        .collect();
    assert_eq!(attempts[0], (1, Some(500)));
    assert_eq!(attempts[5], (6, Some(204)));
    deliveries.assert_delivered();
}

#[tokio::test]
async fn one_that_fails_does_not_hold_up_the_next() {
    let post = Post::new().await;
    post.receiver.answer(&[500]);
    for tier in [KycTier::T1, KycTier::T2, KycTier::T3] {
        post.ada.set_tier(tier);
    }
    post.hooks.settled().await;
    post.advance(10).await;
    let got = post.receiver.take();
    let tiers: Vec<_> = got
        .iter()
        .map(|it| it.json()["data"]["kyc_tier"].clone())
        .collect();
    assert_eq!(tiers, ["t1", "t2", "t3", "t1"]);
    post.hooks.deliveries().assert_delivered();
}

#[tokio::test]
async fn what_is_no_2xx_is_a_failure_and_a_redirect_is_not_followed() {
    let post = Post::new().await;
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
        post.receiver
            .answer_with(status, &[("location", &location)]);
        post.hooks.emit("any.thing", serde_json::json!({}));
        post.hooks.settled().await;
        let deliveries = post.hooks.deliveries();
        let last = deliveries.last().unwrap();
        assert_eq!(last.outcome(), DeliveryOutcome::Answered(status));
        assert_eq!(last.outcome().is_well(), is_taken, "{status}");
        assert_eq!(post.hooks.pending(), usize::from(!is_taken), "{status}");
        post.advance(10).await;
        assert_eq!(post.hooks.pending(), 0);
    }
    assert!(elsewhere.got().is_empty());
}

#[tokio::test]
async fn retry_after_puts_the_next_attempt_off_and_never_brings_it_nearer() {
    let post = Post::new().await;
    for (status, asked, seconds) in [
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
        post.receiver.answer_with(status, &[("retry-after", asked)]);
        post.hooks.emit("any.thing", serde_json::json!({}));
        post.hooks.settled().await;
        let due = post
            .kyc
            .clock()
            .now()
            .saturating_add(Duration::from_secs(seconds));
        assert_eq!(post.hooks.next_attempt_at(), Some(due), "{status} {asked}");
        post.advance(seconds).await;
        assert_eq!(post.hooks.pending(), 0);
    }
}

#[tokio::test]
async fn it_is_given_up_in_the_end() {
    let post = Post::new().await;
    post.receiver.answer(&[500; 20]);
    post.ada.reject();
    post.hooks.settled().await;
    let began = post.kyc.clock().now();
    while let Some(at) = post.hooks.next_attempt_at() {
        post.kyc.clock().jump_to(at);
        post.hooks.settled().await;
    }
    assert_eq!(post.receiver.take().len(), 9);
    let hours = post
        .kyc
        .clock()
        .now()
        .since(began)
        .as_secs()
        .div_euclid(3600);
    // Within the 96 h of K83.
    assert_eq!(hours, 79);
    assert_eq!(post.hooks.pending(), 0);
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_or_says_nothing_is_asked_again() {
    let post = Post::new().await;
    post.kyc
        .switch(|it| it.webhook_timeout = Duration::from_millis(200));
    let silent = post.receiver.hold();
    post.ada.reject();
    post.hooks.settled().await;
    drop(silent);
    let gone = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    post.hooks.subscribe(format!("http://{address}/"));
    post.ada.verify(KycTier::T2);
    post.hooks.settled().await;
    let deliveries = post.hooks.deliveries();
    let mut outcomes: Vec<_> = deliveries
        .iter()
        .map(|it| format!("{:?}", it.outcome()))
        .collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["Answered(204)", "NoConnection", "TimedOut"]);
    assert_eq!(post.hooks.pending(), 2);
}

#[tokio::test]
async fn nothing_is_lost_while_the_issuer_is_down() {
    let post = Post::new().await;
    let held = post.receiver.hold();
    post.ada.set_tier(KycTier::T1);
    post.receiver.wait_for(1).await;
    // One is under way, one waits, and one comes to be meanwhile.
    post.ada.set_tier(KycTier::T2);
    post.kyc.stop().unwrap();
    drop(held);
    post.ada.set_tier(KycTier::T3);
    assert_eq!(post.receiver.take().len(), 1);
    assert_eq!(post.hooks.pending(), 3);
    post.kyc.restart().unwrap();
    let told = post.told().await;
    let expected = ["t1", "t2", "t3"].map(|tier| format!("kyc.status_changed verified {tier}"));
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_clock_that_runs_brings_retries_by_itself() {
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
    // And an expiry, without anyone who looks.
    ada.verify(KycTier::T2);
    ada.expires_in(Duration::from_millis(20));
    receiver.wait_for(5).await;
    let told = receiver.take().pop().unwrap().told(&kyc.webhooks());
    assert_eq!(told, "kyc.status_changed expired t2");
}

#[tokio::test]
async fn issuers_in_one_process_do_not_hear_of_each_other() {
    let posts = [Post::new().await, Post::new().await, Post::new().await];
    for post in &posts {
        post.ada.reject();
    }
    for post in &posts {
        assert_eq!(post.told().await.len(), 1);
        post.hooks.deliveries().assert_count(1);
    }
}

#[tokio::test]
async fn many_events_arrive_once_each_in_their_order() {
    let post = Post::new().await;
    for round in 0..200 {
        let tier = if round % 2 == 0 {
            KycTier::T1
        } else {
            KycTier::T2
        };
        post.ada.set_tier(tier);
    }
    post.hooks.settled().await;
    let got = post.receiver.take();
    let tiers: Vec<_> = got.iter().map(|it| it.told(&post.hooks)).collect();
    assert_eq!(tiers.len(), 200);
    assert!(tiers.windows(2).all(|two| two[0] != two[1]));
    let ids: std::collections::BTreeSet<_> = got.iter().map(|it| it.id(&post.hooks)).collect();
    assert_eq!(ids.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_changes_a_person_at_once_with_others_is_told_of_in_that_order() {
    let post = Post::new().await;
    std::thread::scope(|scope| {
        for start in 0..4 {
            let ada = &post.ada;
            scope.spawn(move || {
                let tiers = [KycTier::T0, KycTier::T1, KycTier::T2, KycTier::T3];
                for tier in tiers.iter().cycle().skip(start).take(100) {
                    ada.set_tier(tier.clone());
                }
            });
        }
    });
    let told = post.told().await;
    assert!(told.windows(2).all(|two| two[0] != two[1]));
    let last = format!("kyc.status_changed verified {}", post.ada.tier());
    assert_eq!(told.last(), Some(&last));
}

#[tokio::test]
async fn what_it_shows_has_no_secret() {
    let post = Post::new().await;
    post.ada.reject();
    post.hooks.settled().await;
    let shown = format!(
        "{:?} {:?} {:?} {:?}",
        post.hooks,
        post.kyc.tenant(),
        post.hooks.deliveries(),
        post.hooks.by_hand("canary").header("x-canary", "canary"),
    );
    assert!(!shown.contains(&post.hooks.secret()));
    assert!(
        !shown.contains("canary") && !shown.contains("rejected"),
        "{shown}"
    );
}
