//! Events come of what happens, and are delivered until they are taken (K60 to K64, K84 to K87).

use std::{sync::Arc, time::Duration};

use kycport::{
    Clock as _, KycStatus, KycTier, Secret, Timestamp,
    mock::{MockIssuer, Person, Webhooks},
    webhook::{EventReader, WebhookVerifier},
};
use serde_json::json;

use crate::receiver::Receiver;

/// A mock whose clock stands, a person, and an endpoint.
struct Post {
    kyc: MockIssuer,
    ada: Person,
    hooks: Webhooks,
    receiver: Receiver,
}

impl Post {
    async fn new() -> Self {
        let kyc = MockIssuer::start().await;
        kyc.clock().freeze();
        let ada = kyc.person("ada").create();
        let (hooks, receiver) = (kyc.webhooks(), Receiver::start().await);
        hooks.subscribe(receiver.url());
        Self {
            kyc,
            ada,
            hooks,
            receiver,
        }
    }

    async fn told(&self) -> Vec<String> {
        self.hooks.settled().await;
        let got = self.receiver.take();
        got.iter().map(|it| it.told(&self.hooks)).collect()
    }

    async fn advance(&self, seconds: u64) {
        self.kyc.clock().advance(Duration::from_secs(seconds));
        self.hooks.settled().await;
    }
}

const CHANGED: &str = "kyc.status_changed";

#[tokio::test]
async fn an_event_looks_as_the_contract_says() {
    let post = Post::new().await;
    post.kyc
        .clock()
        .jump_to(Timestamp::from_unix_millis(1_700_000_000_123));
    post.ada.reject();
    post.hooks.settled().await;
    let got = post.receiver.take();
    let json = got[0].json();
    let expected = json!({
        "id": json["id"],
        "type": CHANGED,
        "created_at": "2023-11-14T22:13:20.123Z",
        "data": {
            "person_id": post.ada.id(),
            "kyc_status": "rejected",
            "kyc_tier": "t2",
            "aml_clear": true,
        },
    });
    assert_eq!(json, expected);
    assert!(json["id"].as_str().unwrap().starts_with("evt_"));
    assert_eq!(got[0].header("content-type"), "application/json");
    assert!(got[0].is_signed(&post.hooks.secret()));
    assert_eq!(got.len(), 1);

    // The SDK reads it as it reads KYCPort's.
    let verifier = WebhookVerifier::builder()
        .secret("mock", Secret::new(post.hooks.secret()))
        .clock(Arc::new(post.kyc.clock().clone()))
        .build()
        .unwrap();
    let body = got[0].body.clone().into();
    let verified = verifier.verify(&got[0].headers, body).unwrap();
    let event = EventReader::default().read(&verified).unwrap();
    assert_eq!(event.created_at, post.kyc.clock().now());
    assert_eq!(event.person_id(), Some(post.ada.id()));
}

#[tokio::test]
async fn what_changes_is_told_in_its_order_and_what_does_not_is_not() {
    let post = Post::new().await;
    post.ada.reject();
    post.ada.reject();
    post.ada.set_name("Ada Byron");
    post.ada.set_email("ada@example.test");
    post.ada.set_status(KycStatus::Pending);
    post.ada.verify(KycTier::T3);
    post.ada.set_tier(KycTier::T1);
    post.ada.set_tier(KycTier::T1);
    post.ada.set_aml_clear(Some(false));
    post.ada.set_aml_clear(None);
    // To be created is nothing that happened to a person.
    post.kyc.person("bob").status(KycStatus::Rejected).create();
    post.hooks.settled().await;
    let got = post.receiver.take();
    let told: Vec<_> = got.iter().map(|it| it.told(&post.hooks)).collect();
    let expected = [
        "rejected t2",
        "pending t2",
        "verified t3",
        "verified t1",
        "verified t1",
        "verified t1",
    ];
    assert_eq!(told, expected.map(|it| format!("{CHANGED} {it}")));
    assert_eq!(got[4].json()["data"]["aml_clear"], false);
    assert!(got[5].json()["data"].get("aml_clear").is_none());
    let deliveries = post.hooks.deliveries();
    deliveries.assert_count(6).assert_delivered();
    assert_eq!(deliveries.about(post.ada.id()).count(), 6);
}

#[tokio::test]
async fn an_expiry_is_told_once_when_the_clock_gets_there() {
    let post = Post::new().await;
    post.ada.expires_in(Duration::from_secs(60));
    assert!(post.told().await.is_empty());
    post.advance(59).await;
    assert!(post.told().await.is_empty());
    post.advance(1).await;
    post.advance(1).await;
    assert_eq!(post.told().await, [format!("{CHANGED} expired t2")]);
    // Nobody looked, and the next change comes after it all the same.
    post.ada.verify(KycTier::T2);
    post.ada.expires_in(Duration::from_secs(60));
    post.kyc.clock().advance(Duration::from_secs(60));
    post.ada.reject();
    let expected = ["verified t2", "expired t2", "rejected t2"];
    assert_eq!(
        post.told().await,
        expected.map(|it| format!("{CHANGED} {it}"))
    );
}

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
