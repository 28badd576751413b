//! What can go wrong with deliveries, on demand.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use kycport::{
    Clock as _, KycTier, Secret,
    mock::{DeliveryOutcome, DeliverySigning, DeliveryTamper, MockIssuer},
    webhook::{EventReader, WebhookVerifier},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::receiver::{Got, Post};

impl Post {
    /// What the SDK makes of a delivery: whether the signature is good, and whether an event is read.
    fn judged(&self, got: &Got) -> (bool, bool) {
        let verifier = WebhookVerifier::builder()
            .secret("mock", Secret::new(self.hooks.secret()))
            .clock(Arc::new(self.kyc.clock().clone()))
            .build()
            .unwrap();
        let verified = verifier.verify(&got.headers, got.body.clone().into());
        let read = verified
            .as_ref()
            .ok()
            .map(|it| EventReader::default().read(it));
        (verified.is_ok(), read.is_some_and(|it| it.is_ok()))
    }

    async fn one(&self) -> Got {
        let tier = if self.ada.tier() == KycTier::T1 {
            KycTier::T2
        } else {
            KycTier::T1
        };
        self.ada.set_tier(tier);
        self.hooks.settled().await;
        let mut got = self.receiver.take();
        assert_eq!(got.len(), 1);
        got.remove(0)
    }
}

// cases 126, 127
#[tokio::test]
async fn each_tamper_does_one_thing_and_the_next_attempt_is_good() {
    let post = Post::new().await;
    let all = [
        (DeliveryTamper::FORGED, (false, false)),
        (DeliveryTamper::UNREADABLE, (true, false)),
        (&[DeliveryTamper::PreviousSecret] as &[_], (false, false)),
        (&[DeliveryTamper::UpperCaseSignature], (true, true)),
    ];
    for (tampers, verdict) in all {
        for &tamper in tampers {
            let fault = post.hooks.tamper(tamper).once();
            post.receiver.answer(&[400]);
            let bent = post.one().await;
            fault.assert_hit();
            assert_eq!(post.judged(&bent), verdict, "{tamper:?}");
            post.advance(10).await;
            let good = post.receiver.take().remove(0);
            assert_eq!(post.judged(&good), (true, true), "{tamper:?}");
            assert!(
                bent.body != good.body || bent.headers != good.headers,
                "{tamper:?}"
            );
        }
    }
    assert_eq!(DeliveryTamper::DEPENDS.len(), 2);
}

#[tokio::test]
async fn what_was_changed_after_signing_is_signed_as_it_was() {
    let post = Post::new().await;
    for tamper in [
        DeliveryTamper::AlteredByte,
        DeliveryTamper::Reserialised,
        DeliveryTamper::TrailingNewline,
        DeliveryTamper::Gzip,
    ] {
        let fault = post.hooks.tamper(tamper).once();
        post.receiver.answer(&[401]);
        let bent = post.one().await;
        fault.assert_hit();
        post.advance(10).await;
        let good = post.receiver.take().remove(0);
        let header = |got: &Got| got.header("x-kycport-signature").to_owned();
        assert_eq!(header(&bent), header(&good), "{tamper:?}");
        if tamper == DeliveryTamper::Reserialised {
            assert_eq!(bent.json(), good.json());
        }
        if tamper == DeliveryTamper::Gzip {
            assert_eq!(bent.header("content-encoding"), "gzip");
            assert_eq!(unpacked(&bent.body), Some(good.body));
        }
    }
}

/// By a foreign program, where there is one.
fn unpacked(body: &[u8]) -> Option<Vec<u8>> {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };
    let mut gzip = Command::new("gzip");
    gzip.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = gzip.spawn().unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap();
    output.status.success().then_some(output.stdout)
}

// case 133
#[tokio::test]
async fn the_secret_of_before_still_signs_if_it_is_told_to() {
    let post = Post::new().await;
    let old = post.hooks.secret();
    post.hooks.rotate_secret();
    let fault = post.hooks.tamper(DeliveryTamper::PreviousSecret).once();
    let got = post.one().await;
    fault.assert_hit();
    assert!(got.is_signed(&old));
}

#[tokio::test]
async fn anything_can_be_changed_before_it_is_signed() {
    let post = Post::new().await;
    let fault = post.hooks.edit(|draft| {
        draft
            .headers
            .insert("x-more", http::HeaderValue::from_static("yes"));
        draft.signing = DeliverySigning::Nobody;
    });
    let fault = fault.add_header("x-and", "more").once();
    let got = post.one().await;
    fault.assert_hit();
    assert_eq!((got.header("x-more"), got.header("x-and")), ("yes", "more"));
    assert!(got.headers.get("x-kycport-signature").is_none());

    let fault = post
        .hooks
        .edit_json(|event| event["data"]["kyc_status"] = "gold".into());
    let fault = fault.once();
    let got = post.one().await;
    fault.assert_hit();
    assert_eq!(got.json()["data"]["kyc_status"], "gold");
    assert!(got.is_signed(&post.hooks.secret()));
}

#[tokio::test]
async fn an_edit_that_panics_loses_its_delivery_and_no_other() {
    let post = Post::new().await;
    let fault = post.hooks.edit(|_| panic!("as a test may")).once();
    post.ada.set_tier(KycTier::T1);
    post.ada.set_tier(KycTier::T3);
    assert_eq!(post.told().await, ["kyc.status_changed verified t3"]);
    fault.assert_hit();
    assert_eq!(post.hooks.pending(), 0);
}

// case 129
#[tokio::test]
async fn its_time_can_be_another_in_either_form() {
    let post = Post::new().await;
    let hour = Duration::from_secs(3600);
    let now = post.kyc.clock().now().as_unix();
    for is_number in [false, true] {
        post.kyc.switch(|it| it.webhook_unix_time = is_number);
        for (rule, expected) in [
            (post.hooks.stale(hour), now - 3600),
            (post.hooks.ahead(hour), now + 3600),
        ] {
            let fault = rule.once();
            let got = post.one().await;
            fault.assert_hit();
            assert!(got.is_signed(&post.hooks.secret()));
            let json = got.json();
            let seconds = match &json["created_at"] {
                serde_json::Value::Number(seconds) => seconds.as_i64().unwrap(),
                text => seconds_of(text.as_str().unwrap()),
            };
            assert_eq!(seconds, expected);
        }
    }
}

/// Seconds since 1970 of an RFC 3339 moment in UTC, by the SDK's reader.
fn seconds_of(text: &str) -> i64 {
    let body = format!(r#"{{"id":"e","type":"t","created_at":"{text}"}}"#);
    let secret = Secret::new("0123456789abcdef");
    let (name, value) = kycport::webhook::sign_test_delivery(&secret, body.as_bytes());
    let headers = [(name, value)].into_iter().collect();
    let verifier = WebhookVerifier::builder()
        .secret("one", secret)
        .build()
        .unwrap();
    let verified = verifier.verify(&headers, body.into()).unwrap();
    EventReader::default()
        .read(&verified)
        .unwrap()
        .created_at
        .as_unix()
}

// case 134
#[tokio::test]
async fn it_can_be_as_large_as_one_likes() {
    let post = Post::new().await;
    for size in [1000, 1_048_576, 1_048_577] {
        let fault = post.hooks.oversized(size).once();
        let got = post.one().await;
        fault.assert_hit();
        assert_eq!(got.body.len(), size);
        assert!(got.is_signed(&post.hooks.secret()));
        assert_eq!(post.judged(&got).0, size <= 1_048_576);
    }
}

// case 132
#[tokio::test]
async fn a_late_one_is_overtaken() {
    let post = Post::new().await;
    let fault = post.hooks.delay(Duration::from_secs(30)).once();
    post.ada.set_tier(KycTier::T1);
    post.ada.set_tier(KycTier::T3);
    let line = |tier| format!("kyc.status_changed verified {tier}");
    assert_eq!(post.told().await, [line("t3")]);
    fault.assert_hit();
    post.advance(29).await;
    assert!(post.told().await.is_empty());
    post.advance(1).await;
    assert_eq!(post.told().await, [line("t1")]);
    // It was late, and not sent before: this was its first attempt.
    assert_eq!(post.hooks.deliveries().last().unwrap().attempt(), 1);
}

#[tokio::test]
async fn every_attempt_can_be_late() {
    let post = Post::new().await;
    let fault = post.hooks.delay(Duration::from_secs(5)).always();
    post.receiver.answer(&[500]);
    post.ada.reject();
    for (pause, got) in [(0, 0), (4, 0), (1, 1), (10, 1), (5, 2)] {
        post.advance(pause).await;
        assert_eq!(post.receiver.got().len(), got);
    }
    assert_eq!(fault.hits(), 2);
}

// case 132
#[tokio::test]
async fn what_is_held_is_sent_in_any_order() {
    let post = Post::new().await;
    let tiers = [KycTier::T0, KycTier::T1, KycTier::T3];
    for (how, expected) in [
        ("as it was", ["t0", "t1", "t3"]),
        ("dropped", ["t0", "t1", "t3"]),
        ("reversed", ["t3", "t1", "t0"]),
        ("any", ["t3", "t0", "t1"]),
    ] {
        post.ada.set_tier(KycTier::T2);
        post.told().await;
        let held = post.hooks.hold();
        for tier in tiers.clone() {
            post.ada.set_tier(tier);
        }
        held.wait_for(3).await;
        // What is held is not waited for.
        assert!(post.told().await.is_empty());
        assert_eq!(held.waiting(), 3);
        let held = match how {
            "dropped" => {
                drop(held);
                None
            }
            "reversed" => {
                held.release_reversed();
                Some(held)
            }
            "any" => {
                let wrong = AssertUnwindSafe(|| held.release_in(&[2, 0, 2]));
                assert!(catch_unwind(wrong).is_err());
                held.release_in(&[2, 0, 1]);
                Some(held)
            }
            _ => {
                held.release();
                Some(held)
            }
        };
        let told = post.told().await;
        let tier = |line: &String| line.rsplit(' ').next().unwrap().to_owned();
        assert_eq!(told.iter().map(tier).collect::<Vec<_>>(), expected, "{how}");
        // Once it is open it holds no more.
        post.ada.set_tier(KycTier::T1);
        post.ada.set_tier(KycTier::T2);
        assert!(!post.told().await.is_empty());
        drop(held);
    }
}

#[tokio::test]
async fn a_lost_one_counts_as_sent() {
    let post = Post::new().await;
    let fault = post.hooks.lose().once();
    post.ada.reject();
    post.hooks.settled().await;
    fault.assert_hit();
    post.advance(24 * 3600).await;
    assert!(post.receiver.got().is_empty());
    let deliveries = post.hooks.deliveries();
    assert_eq!(deliveries.last().unwrap().outcome(), DeliveryOutcome::Lost);
    deliveries.assert_count(1);
}

// case 130
#[tokio::test]
async fn a_duplicate_is_the_same_byte_for_byte() {
    let post = Post::new().await;
    let fault = post.hooks.duplicate(2).once();
    // One that is taken is enough.
    post.receiver.answer(&[500, 204, 409]);
    post.ada.reject();
    post.hooks.settled().await;
    fault.assert_hit();
    let got = post.receiver.take();
    assert_eq!(got.len(), 3);
    assert!(
        got.iter()
            .all(|it| it.body == got[0].body && it.is_signed(&post.hooks.secret()))
    );
    post.hooks.deliveries().assert_count(3).assert_delivered();
    assert_eq!(post.hooks.pending(), 0);
}

// case 134
#[tokio::test]
async fn a_flood_comes_at_once_and_may_be_forged() {
    let post = Post::new().await;
    let flood = post.hooks.flood(40).once();
    let forged = post.hooks.tamper(DeliveryTamper::WrongSecret).once();
    // They are there together: the first is answered when the last has come.
    let held: Vec<_> = (0..40).map(|_| post.receiver.hold()).collect();
    post.ada.reject();
    post.receiver.wait_for(40).await;
    drop(held);
    post.hooks.settled().await;
    flood.assert_hit();
    forged.assert_hit();
    let got = post.receiver.take();
    assert_eq!(got.len(), 40);
    assert!(
        got.iter()
            .all(|it| it.body == got[0].body && !it.is_signed(&post.hooks.secret()))
    );
    post.hooks.deliveries().assert_count(40);
}

// case 134
#[tokio::test]
async fn a_slow_one_arrives_whole_in_the_end() {
    let post = Post::new().await;
    let fault = post.hooks.dribble(Duration::from_micros(100)).once();
    post.ada.reject();
    post.hooks.settled().await;
    fault.assert_hit();
    let got = post.receiver.take();
    assert_eq!(post.judged(&got[0]), (true, true));
    assert_eq!(got[0].header("content-type"), "application/json");
    post.hooks.deliveries().assert_count(1).assert_delivered();
    // It does not outlast the deadline.
    post.kyc
        .switch(|it| it.webhook_timeout = Duration::from_millis(50));
    let fault = post.hooks.dribble(Duration::from_millis(10)).once();
    post.ada.verify(KycTier::T2);
    post.hooks.settled().await;
    fault.assert_hit();
    let outcome = post.hooks.deliveries().last().unwrap().outcome();
    assert_eq!(outcome, DeliveryOutcome::TimedOut);
}

// case 134
#[tokio::test]
async fn one_that_hangs_ends_with_its_time_or_with_an_answer() {
    let kyc = MockIssuer::start().await;
    kyc.clock().freeze();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let hooks = kyc.webhooks();
    hooks.subscribe(format!("http://{address}/hooks?a=b"));
    let (brief, long) = (Duration::from_millis(50), Duration::from_secs(20));
    for (in_head, answers) in [(true, true), (true, false), (false, true), (false, false)] {
        let time = if answers { long } else { brief };
        let rule = if in_head {
            hooks.hang_in_head(time)
        } else {
            hooks.hang_in_body(time)
        };
        let fault = rule.once();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut came = vec![0; 64 * 1024];
            let count = stream.read(&mut came).await.unwrap();
            came.truncate(count);
            if answers {
                let answer = b"HTTP/1.1 408 Too slow\r\n\r\n";
                stream.write_all(answer).await.unwrap();
            }
            // It is broken off, and nothing more came.
            let rest = stream.read_to_end(&mut Vec::new()).await;
            assert_eq!(rest.unwrap_or_default(), 0);
            String::from_utf8(came).unwrap()
        };
        hooks.emit("any.thing", serde_json::json!({}));
        let (came, ()) = tokio::join!(serve, hooks.settled());
        fault.assert_hit();
        let begin = format!("POST /hooks?a=b HTTP/1.1\r\nhost: {address}\r\n");
        assert!(came.starts_with(&begin), "{came}");
        assert_eq!(came.contains("\r\n\r\n"), !in_head, "{came}");
        let outcome = hooks.deliveries().last().unwrap().outcome();
        let expected = if answers {
            DeliveryOutcome::Answered(408)
        } else {
            DeliveryOutcome::TimedOut
        };
        assert_eq!(outcome, expected);
    }
}

#[test]
fn a_fault_that_was_never_hit_fails_the_test_with_its_name() {
    let kyc = MockIssuer::start_blocking();
    let fault = kyc.webhooks().tamper(DeliveryTamper::Gzip).once();
    let failure = catch_unwind(AssertUnwindSafe(|| drop(fault))).unwrap_err();
    let text = failure.downcast_ref::<String>().unwrap();
    assert!(text.contains("webhooks.tamper(Gzip)"), "{text}");
    drop(kyc.webhooks().lose().optional().once());
    drop(kyc.webhooks().hold());
}

#[tokio::test]
async fn a_fault_is_of_one_tenant_and_not_of_what_is_made_by_hand() {
    let post = Post::new().await;
    let other = post.kyc.other_tenant().webhooks();
    let fault = other.tamper(DeliveryTamper::Unsigned).optional().always();
    let lost = post.hooks.lose().optional().always();
    post.hooks.by_hand("{}").signed().send();
    post.hooks.settled().await;
    assert_eq!(post.receiver.take().len(), 1);
    assert_eq!(lost.hits(), 0);
    lost.remove();
    assert!(post.one().await.is_signed(&post.hooks.secret()));
    assert_eq!(fault.hits(), 0);
}
