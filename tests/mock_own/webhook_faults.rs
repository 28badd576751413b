//! Tests that faults change webhook deliveries.

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

use crate::receiver::{ReceivedDelivery, WebhookTest};

impl WebhookTest {
    /// Returns whether the SDK accepts the signature, and whether it parses the event.
    fn sdk_verdict(&self, got: &ReceivedDelivery) -> (bool, bool) {
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

    async fn one(&self) -> ReceivedDelivery {
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
async fn each_tamper_has_one_effect_and_the_next_attempt_is_valid() {
    let setup = WebhookTest::new().await;
    let all = [
        (DeliveryTamper::FORGED, (false, false)),
        (DeliveryTamper::UNREADABLE, (true, false)),
        (&[DeliveryTamper::PreviousSecret] as &[_], (false, false)),
        (&[DeliveryTamper::UpperCaseSignature], (true, true)),
    ];
    for (tampers, verdict) in all {
        for &tamper in tampers {
            let fault = setup.hooks.tamper(tamper).once();
            setup.receiver.answer(&[400]);
            let tampered = setup.one().await;
            fault.assert_hit();
            assert_eq!(setup.sdk_verdict(&tampered), verdict, "{tamper:?}");
            setup.advance(10).await;
            let good = setup.receiver.take().remove(0);
            assert_eq!(setup.sdk_verdict(&good), (true, true), "{tamper:?}");
            assert!(
                tampered.body != good.body || tampered.headers != good.headers,
                "{tamper:?}"
            );
        }
    }
    assert_eq!(DeliveryTamper::DEPENDS.len(), 2);
}

#[tokio::test]
async fn a_change_after_signing_keeps_the_original_signature() {
    let setup = WebhookTest::new().await;
    for tamper in [
        DeliveryTamper::AlteredByte,
        DeliveryTamper::Reserialised,
        DeliveryTamper::TrailingNewline,
        DeliveryTamper::Gzip,
    ] {
        let fault = setup.hooks.tamper(tamper).once();
        setup.receiver.answer(&[401]);
        let tampered = setup.one().await;
        fault.assert_hit();
        setup.advance(10).await;
        let good = setup.receiver.take().remove(0);
        let header = |got: &ReceivedDelivery| got.header("x-kycport-signature").to_owned();
        assert_eq!(header(&tampered), header(&good), "{tamper:?}");
        if tamper == DeliveryTamper::Reserialised {
            assert_eq!(tampered.json(), good.json());
        }
        if tamper == DeliveryTamper::Gzip {
            assert_eq!(tampered.header("content-encoding"), "gzip");
            assert_eq!(unpacked(&tampered.body), Some(good.body));
        }
    }
}

/// Decompresses the body with the program `gzip`. Returns `None` if the body is not valid gzip.
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
async fn the_previous_secret_can_still_sign() {
    let setup = WebhookTest::new().await;
    let old = setup.hooks.secret();
    setup.hooks.rotate_secret();
    let fault = setup.hooks.tamper(DeliveryTamper::PreviousSecret).once();
    let got = setup.one().await;
    fault.assert_hit();
    assert!(got.is_signed(&old));
}

#[tokio::test]
async fn a_delivery_can_be_edited_before_signing() {
    let setup = WebhookTest::new().await;
    let fault = setup.hooks.edit(|draft| {
        draft
            .headers
            .insert("x-more", http::HeaderValue::from_static("yes"));
        draft.signing = DeliverySigning::None;
    });
    let fault = fault.add_header("x-and", "more").once();
    let got = setup.one().await;
    fault.assert_hit();
    assert_eq!((got.header("x-more"), got.header("x-and")), ("yes", "more"));
    assert!(got.headers.get("x-kycport-signature").is_none());

    let fault = setup
        .hooks
        .edit_json(|event| event["data"]["kyc_status"] = "gold".into());
    let fault = fault.once();
    let got = setup.one().await;
    fault.assert_hit();
    assert_eq!(got.json()["data"]["kyc_status"], "gold");
    assert!(got.is_signed(&setup.hooks.secret()));
}

#[tokio::test]
async fn a_panic_in_an_edit_affects_only_one_delivery() {
    let setup = WebhookTest::new().await;
    let fault = setup.hooks.edit(|_| panic!("panic in an edit")).once();
    setup.ada.set_tier(KycTier::T1);
    setup.ada.set_tier(KycTier::T3);
    assert_eq!(setup.events().await, ["kyc.status_changed verified t3"]);
    fault.assert_hit();
    assert_eq!(setup.hooks.pending(), 0);
}

// case 129
#[tokio::test]
async fn the_timestamp_can_be_changed_in_both_formats() {
    let setup = WebhookTest::new().await;
    let hour = Duration::from_secs(3600);
    let now = setup.kyc.clock().now().as_unix();
    for is_number in [false, true] {
        setup.kyc.switch(|it| it.webhook_unix_time = is_number);
        for (rule, expected) in [
            (setup.hooks.stale(hour), now - 3600),
            (setup.hooks.ahead(hour), now + 3600),
        ] {
            let fault = rule.once();
            let got = setup.one().await;
            fault.assert_hit();
            assert!(got.is_signed(&setup.hooks.secret()));
            let json = got.json();
            let seconds = match &json["created_at"] {
                serde_json::Value::Number(seconds) => seconds.as_i64().unwrap(),
                text => seconds_of(text.as_str().unwrap()),
            };
            assert_eq!(seconds, expected);
        }
    }
}

/// Parses an RFC 3339 time in UTC with the SDK. Returns seconds since the Unix epoch.
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
async fn a_delivery_can_have_any_size() {
    let setup = WebhookTest::new().await;
    for size in [1000, 1_048_576, 1_048_577] {
        let fault = setup.hooks.oversized(size).once();
        let got = setup.one().await;
        fault.assert_hit();
        assert_eq!(got.body.len(), size);
        assert!(got.is_signed(&setup.hooks.secret()));
        assert_eq!(setup.sdk_verdict(&got).0, size <= 1_048_576);
    }
}

// case 132
#[tokio::test]
async fn a_later_delivery_overtakes_a_delayed_delivery() {
    let setup = WebhookTest::new().await;
    let fault = setup.hooks.delay(Duration::from_secs(30)).once();
    setup.ada.set_tier(KycTier::T1);
    setup.ada.set_tier(KycTier::T3);
    let line = |tier| format!("kyc.status_changed verified {tier}");
    assert_eq!(setup.events().await, [line("t3")]);
    fault.assert_hit();
    setup.advance(29).await;
    assert!(setup.events().await.is_empty());
    setup.advance(1).await;
    assert_eq!(setup.events().await, [line("t1")]);
    // The delayed delivery is still the first attempt, because the mock did not send the delivery
    // earlier.
    assert_eq!(setup.hooks.deliveries().last().unwrap().attempt(), 1);
}

#[tokio::test]
async fn every_attempt_can_be_delayed() {
    let setup = WebhookTest::new().await;
    let fault = setup.hooks.delay(Duration::from_secs(5)).always();
    setup.receiver.answer(&[500]);
    setup.ada.reject();
    for (pause, got) in [(0, 0), (4, 0), (1, 1), (10, 1), (5, 2)] {
        setup.advance(pause).await;
        assert_eq!(setup.receiver.got().len(), got);
    }
    assert_eq!(fault.hits(), 2);
}

// case 132
#[tokio::test]
async fn held_deliveries_can_be_sent_in_any_order() {
    let setup = WebhookTest::new().await;
    let tiers = [KycTier::T0, KycTier::T1, KycTier::T3];
    for (how, expected) in [
        ("as it was", ["t0", "t1", "t3"]),
        ("dropped", ["t0", "t1", "t3"]),
        ("reversed", ["t3", "t1", "t0"]),
        ("any", ["t3", "t0", "t1"]),
    ] {
        setup.ada.set_tier(KycTier::T2);
        setup.events().await;
        let held = setup.hooks.hold();
        for tier in tiers.clone() {
            setup.ada.set_tier(tier);
        }
        held.wait_for(3).await;
        // `settled` does not wait for a held delivery.
        assert!(setup.events().await.is_empty());
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
        let events = setup.events().await;
        let tier = |line: &String| line.rsplit(' ').next().unwrap().to_owned();
        assert_eq!(
            events.iter().map(tier).collect::<Vec<_>>(),
            expected,
            "{how}"
        );
        // After the release, the mock holds no more deliveries.
        setup.ada.set_tier(KycTier::T1);
        setup.ada.set_tier(KycTier::T2);
        assert!(!setup.events().await.is_empty());
        drop(held);
    }
}

#[tokio::test]
async fn a_lost_delivery_is_recorded_as_sent() {
    let setup = WebhookTest::new().await;
    let fault = setup.hooks.lose().once();
    setup.ada.reject();
    setup.hooks.settled().await;
    fault.assert_hit();
    setup.advance(24 * 3600).await;
    assert!(setup.receiver.got().is_empty());
    let deliveries = setup.hooks.deliveries();
    assert_eq!(deliveries.last().unwrap().outcome(), DeliveryOutcome::Lost);
    deliveries.assert_count(1);
}

// case 130
#[tokio::test]
async fn a_duplicate_is_identical_byte_for_byte() {
    let setup = WebhookTest::new().await;
    let fault = setup.hooks.duplicate(2).once();
    // The delivery succeeds if the endpoint accepts one copy.
    setup.receiver.answer(&[500, 204, 409]);
    setup.ada.reject();
    setup.hooks.settled().await;
    fault.assert_hit();
    let got = setup.receiver.take();
    assert_eq!(got.len(), 3);
    assert!(
        got.iter()
            .all(|it| it.body == got[0].body && it.is_signed(&setup.hooks.secret()))
    );
    setup.hooks.deliveries().assert_count(3).assert_delivered();
    assert_eq!(setup.hooks.pending(), 0);
}

// case 134
#[tokio::test]
async fn a_flood_arrives_simultaneously_and_can_be_forged() {
    let setup = WebhookTest::new().await;
    let flood = setup.hooks.flood(40).once();
    let forged = setup.hooks.tamper(DeliveryTamper::WrongSecret).once();
    // The mock sends all copies simultaneously: the endpoint responds to the first copy only after
    // the last copy has arrived.
    let held: Vec<_> = (0..40).map(|_| setup.receiver.hold()).collect();
    setup.ada.reject();
    setup.receiver.wait_for(40).await;
    drop(held);
    setup.hooks.settled().await;
    flood.assert_hit();
    forged.assert_hit();
    let got = setup.receiver.take();
    assert_eq!(got.len(), 40);
    assert!(
        got.iter()
            .all(|it| it.body == got[0].body && !it.is_signed(&setup.hooks.secret()))
    );
    setup.hooks.deliveries().assert_count(40);
}

// case 134
#[tokio::test]
async fn a_slow_delivery_arrives_completely() {
    let setup = WebhookTest::new().await;
    let fault = setup.hooks.dribble(Duration::from_micros(100)).once();
    setup.ada.reject();
    setup.hooks.settled().await;
    fault.assert_hit();
    let got = setup.receiver.take();
    assert_eq!(setup.sdk_verdict(&got[0]), (true, true));
    assert_eq!(got[0].header("content-type"), "application/json");
    setup.hooks.deliveries().assert_count(1).assert_delivered();
    // The mock aborts the delivery after `webhook_timeout`.
    setup
        .kyc
        .switch(|it| it.webhook_timeout = Duration::from_millis(50));
    let fault = setup.hooks.dribble(Duration::from_millis(10)).once();
    setup.ada.verify(KycTier::T2);
    setup.hooks.settled().await;
    fault.assert_hit();
    let outcome = setup.hooks.deliveries().last().unwrap().outcome();
    assert_eq!(outcome, DeliveryOutcome::TimedOut);
}

// case 134
#[tokio::test]
async fn a_hanging_delivery_ends_at_its_deadline_or_with_a_response() {
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
            // The mock has sent only a part of the delivery and then no more bytes.
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
fn an_unused_webhook_fault_fails_the_test_with_its_name() {
    let kyc = MockIssuer::start_blocking();
    let fault = kyc.webhooks().tamper(DeliveryTamper::Gzip).once();
    let failure = catch_unwind(AssertUnwindSafe(|| drop(fault))).unwrap_err();
    let text = failure.downcast_ref::<String>().unwrap();
    assert!(text.contains("webhooks.tamper(Gzip)"), "{text}");
    drop(kyc.webhooks().lose().optional().once());
    drop(kyc.webhooks().hold());
}

#[tokio::test]
async fn a_fault_affects_one_tenant_and_no_manual_delivery() {
    let setup = WebhookTest::new().await;
    let other = setup.kyc.other_tenant().webhooks();
    let fault = other.tamper(DeliveryTamper::Unsigned).optional().always();
    let lost = setup.hooks.lose().optional().always();
    setup.hooks.manual("{}").signed().send();
    setup.hooks.settled().await;
    assert_eq!(setup.receiver.take().len(), 1);
    assert_eq!(lost.hits(), 0);
    lost.remove();
    assert!(setup.one().await.is_signed(&setup.hooks.secret()));
    assert_eq!(fault.hits(), 0);
}
