//! Tests that the webhook receiver accepts valid deliveries over HTTP, handles each event once, and
//! responds correctly.

use std::{sync::Arc, time::Duration};

use axum::Router;
use kycport::{
    Clock as _, KycStatus, KycTier, MemoryStore, RelyingParty, RunningApp, TestClock,
    mock::{MockIssuer, Person},
    web::{UnknownEventPolicy, WebhookReceiver, WebhookReceiverBuilder},
    webhook::{DeliveryPolicy, WebhookVerifier},
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    observed::Observed,
    recording_store::{EVENT, Op, RecordingStore},
    test_handler::{
        Action, HANDLER_ERROR, SECRET, TestHandler, answer, deliver, event, event_at, post, signed,
    },
};

/// Tenant app with one webhook receiver.
struct ReceiverTest {
    kyc: MockIssuer,
    app: RunningApp,
    handler: TestHandler,
    ada: Person,
    store: RecordingStore,
}

impl ReceiverTest {
    async fn new() -> Self {
        Self::with(|receiver| receiver).await
    }

    async fn with(more: impl FnOnce(WebhookReceiverBuilder) -> WebhookReceiverBuilder) -> Self {
        let kyc = MockIssuer::start().await;
        let store = store(kyc.clock());
        let handler = TestHandler::default();
        let app = serve(&kyc, &handler, &store, more).await;
        let ada = kyc.person("ada").tier(KycTier::T2).create();
        Self {
            kyc,
            app,
            handler,
            ada,
            store,
        }
    }

    fn url(&self) -> String {
        self.app.url("/webhooks/kycport")
    }

    fn event(&self, id: &str) -> Value {
        event(&self.kyc, id, &self.ada, "verified")
    }

    async fn deliver(&self, body: &Value) -> (u16, String) {
        answer(deliver(&self.url(), body).await).await
    }

    async fn post(&self, headers: HeaderMap, body: impl Into<Vec<u8>>) -> (u16, String) {
        answer(post(&self.url(), headers, body.into()).await).await
    }
}

fn store(clock: &TestClock) -> RecordingStore {
    RecordingStore::over(MemoryStore::new(1000, Arc::new(clock.clone())))
}

/// Starts an instance of the app.
async fn serve(
    kyc: &MockIssuer,
    handler: &TestHandler,
    store: &RecordingStore,
    more: impl FnOnce(WebhookReceiverBuilder) -> WebhookReceiverBuilder,
) -> RunningApp {
    let (handler, store) = (handler.clone(), store.clone());
    let app = |config: kycport::ConfigBuilder| {
        let config = config
            .webhook_secret(SECRET)
            .previous_webhook_secret("the previous webhook secret")
            .store(store);
        let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
        let receiver = kycport.webhooks(move |delivery| handler.clone().handle(delivery));
        let receiver = more(receiver).build().unwrap();
        Router::new()
            .route_service("/webhooks/kycport", receiver)
            .layer(kycport.session_layer())
    };
    kyc.serve(app).await.unwrap()
}

fn short_deadline(deadline: Duration) -> DeliveryPolicy {
    DeliveryPolicy {
        handler_timeout: deadline,
        ..DeliveryPolicy::default()
    }
}

fn header(value: &str) -> HeaderMap {
    let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
    HeaderMap::from_iter([(HeaderName::from_static("x-kycport-signature"), value)])
}

fn hex_of(body: &[u8]) -> String {
    let headers = signed(body);
    let value = headers.values().next().unwrap().to_str().unwrap();
    value.strip_prefix("sha256=").unwrap().to_owned()
}

#[tokio::test]
async fn a_valid_event_is_handled_and_acknowledged() {
    let setup = ReceiverTest::new().await;
    assert_eq!(setup.deliver(&setup.event("evt_1")).await.0, 200);
    let seen = setup.handler.begun();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].id, "evt_1");
    assert_eq!(seen[0].event_type, "kyc.status_changed");
    assert_eq!(seen[0].secret_name, "current");
    assert_eq!(setup.handler.effects(), ["evt_1"]);
}

#[tokio::test]
async fn a_request_without_a_valid_signature_is_rejected() {
    // Covers threat cases 126, 127, 129.
    let setup = ReceiverTest::new().await;
    let body = setup.event("evt_1").to_string();
    let hex = hex_of(body.as_bytes());
    let upper = hex.to_uppercase();
    let mut other = hex.clone();
    other.replace_range(..1, if hex.starts_with('0') { "1" } else { "0" });
    for (headers, code) in [
        (HeaderMap::new(), "no_signature"),
        (header(""), "unreadable_signature"),
        (header("sha256="), "unreadable_signature"),
        (header("v1,"), "unreadable_signature"),
        (header(&hex[..63]), "unreadable_signature"),
        (header(&format!("{hex}0")), "unreadable_signature"),
        (header(&format!("sha1={hex}")), "unreadable_signature"),
        (header(&format!("{}g", &hex[..63])), "unreadable_signature"),
        (header("\u{e4}\u{f6}"), "unreadable_signature"),
        (header(&[hex.as_str(); 9].join(",")), "too_many_signatures"),
        (header(&other), "mismatch"),
        (signed(b"another body"), "mismatch"),
    ] {
        let got = setup.post(headers.clone(), body.clone()).await;
        assert_eq!(got, (401, code.to_owned()), "{headers:?}");
    }
    // The signature does not match a reserialised body or a body that a proxy has compressed.
    let rewritten = serde_json::to_string_pretty(&setup.event("evt_1")).unwrap();
    let got = setup.post(signed(body.as_bytes()), rewritten).await;
    assert_eq!(got, (401, "mismatch".to_owned()));
    let gzip = [b"\x1f\x8b\x08".as_slice(), body.as_bytes()].concat();
    let mut headers = signed(body.as_bytes());
    headers.insert("content-encoding", HeaderValue::from_static("gzip"));
    assert_eq!(setup.post(headers, gzip).await.0, 401);
    assert!(setup.handler.begun().is_empty());
    assert_eq!(
        setup.store.operations(),
        0,
        "the store was called before the signature was verified"
    );
    // The receiver accepts the unmodified bytes with every allowed notation of the signature.
    for headers in [
        header(&hex),
        header(&format!("sha256={hex}")),
        header(&format!("{other},sha256={hex}")),
    ] {
        assert_eq!(setup.post(headers, body.clone()).await.0, 200);
    }
    let mut twice = header(&other);
    twice.append("x-kycport-signature", HeaderValue::try_from(hex).unwrap());
    assert_eq!(setup.post(twice, body.clone()).await.0, 200);
    assert_eq!(setup.post(header(&upper), body).await.0, 200);
    assert_eq!(setup.handler.effects().len(), 1);
}

#[tokio::test]
async fn a_malformed_or_stale_event_takes_no_effect() {
    // Covers threat cases 129, 138.
    let setup = ReceiverTest::new().await;
    let now = setup.kyc.clock().now().as_unix();
    let at = |at: i64| event_at(at, "evt_1", &setup.ada, "verified").to_string();
    for (body, code) in [
        (at(i64::MIN), "too_old"),
        (at(i64::MAX), "in_future"),
        (at(-1), "too_old"),
        (at(0), "too_old"),
        (at(now - 96 * 3600 - 60), "too_old"),
        (at(now + 400), "in_future"),
        (String::new(), "unreadable"),
        ("null".to_owned(), "unreadable"),
        ("[]".to_owned(), "unreadable"),
        (r#"{"id":"a","id":"b"}"#.to_owned(), "unreadable"),
        ("{}".to_owned(), "unreadable"),
        ("<html>".to_owned(), "unreadable"),
        ("[".repeat(100_000), "unreadable"),
    ] {
        let (status, got) = setup.post(signed(body.as_bytes()), body.clone()).await;
        assert_eq!((status, got.as_str()), (400, code), "{body:.80}");
    }
    let bytes = b"\xff\xfe{\"id\":1}";
    let got = setup.post(signed(bytes), bytes.to_vec()).await;
    assert_eq!(got, (400, "unreadable".to_owned()));
    assert!(setup.handler.begun().is_empty());
    assert_eq!(setup.store.operations(), 0);
}

#[tokio::test]
async fn a_body_is_read_up_to_its_maximum_size() {
    // Covers threat case 134.
    let setup = ReceiverTest::new().await;
    let filler = |length: usize| {
        let empty = setup.event("evt_1").to_string().len();
        let mut event = setup.event("evt_1");
        event["filler"] = Value::String(String::new());
        let around = event.to_string().len();
        assert!(around > empty);
        event["filler"] = Value::String("x".repeat(length - around));
        event.to_string()
    };
    let most = filler(1024 * 1024);
    assert_eq!(most.len(), 1024 * 1024);
    assert_eq!(setup.post(signed(most.as_bytes()), most).await.0, 200);
    let more = filler(1024 * 1024 + 1);
    let got = setup.post(signed(more.as_bytes()), more.clone()).await;
    assert_eq!(got, (413, "too_large".to_owned()));
    // The receiver does not wait for the end of a body that has no content length.
    let signature = hex_of(more.as_bytes());
    let request = format!(
        "POST /webhooks/kycport HTTP/1.1\r\nhost: app\r\nx-kycport-signature: {signature}\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{more}\r\n",
        more.len(),
    );
    let got = raw_until(&setup.app, request.as_bytes(), "too_large").await;
    assert!(got.starts_with("HTTP/1.1 413"), "{got}");
    assert_eq!(setup.handler.effects().len(), 1);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_times_out() {
    // Covers threat cases 134, 139.
    let setup = ReceiverTest::with(|it| it.body_deadline(Duration::from_millis(50))).await;
    let signature = hex_of(b"x");
    let head = format!(
        "POST /webhooks/kycport HTTP/1.1\r\nhost: app\r\nx-kycport-signature: {signature}\r\n\
         content-length: 100\r\n\r\n{{"
    );
    let got = raw_until(&setup.app, head.as_bytes(), "slow_body").await;
    assert!(got.starts_with("HTTP/1.1 408"), "{got}");
    // The receiver rejects a request without a signature before the body arrives.
    let setup = ReceiverTest::with(|it| it.body_deadline(Duration::from_secs(3600))).await;
    let head = "POST /webhooks/kycport HTTP/1.1\r\nhost: app\r\ncontent-length: 100\r\n\r\n{";
    let got = raw_until(&setup.app, head.as_bytes(), "no_signature").await;
    assert!(got.starts_with("HTTP/1.1 401"), "{got}");
    let challenge = "www-authenticate: signature";
    assert!(got.to_ascii_lowercase().contains(challenge), "{got}");
    assert!(setup.handler.begun().is_empty());
}

/// Sends the request, keeps the connection open, and reads until the response contains `end`.
async fn raw_until(app: &RunningApp, request: &[u8], end: &str) -> String {
    use tokio::io::AsyncWriteExt as _;
    let address = app.url("").replace("http://", "");
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(request).await.unwrap();
    read_until(&mut socket, end).await
}

/// Reads until the response contains `end`.
async fn read_until(socket: &mut tokio::net::TcpStream, end: &str) -> String {
    use tokio::io::AsyncReadExt as _;
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains(end) {
        let mut piece = [0; 1024];
        let read = socket.read(&mut piece).await.unwrap();
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn large_bodies_that_hang_do_not_block_deliveries() {
    // Covers threat case 134.
    let setup = ReceiverTest::with(|it| it.body_deadline(Duration::from_secs(60))).await;
    let mut hanging = Vec::new();
    for _ in 0..64 {
        hanging.push(hang(&setup, 1024 * 1024 - 1).await);
    }
    assert_eq!(setup.deliver(&setup.event("evt_small")).await.0, 200);
    let mut large = setup.event("evt_large");
    large["filler"] = "x".repeat(1024 * 1024 - 1024).into();
    assert_eq!(setup.deliver(&large).await.0, 200);
    // The receiver does not read the body of a request without a signature.
    let unsigned = setup.post(HeaderMap::new(), "{}").await;
    assert_eq!(unsigned, (401, "no_signature".to_owned()));
}

#[tokio::test]
async fn slow_bodies_do_not_block_other_deliveries() {
    // Covers threat cases 134, 139.
    let setup = ReceiverTest::with(|it| it.body_deadline(Duration::from_secs(60))).await;
    let mut large = setup.event("evt_large");
    large["filler"] = "x".repeat(20_000).into();
    for (places, declared, event) in [
        (256, 1_048_576, large),
        (1024, 100, setup.event("evt_small")),
    ] {
        let mut slow = Vec::new();
        for _ in 0..places {
            slow.push(hang_on(&setup, declared, 1).await);
        }
        assert_eq!(setup.deliver(&event).await.0, 200);
        // The receiver has evicted the first of the slow bodies.
        let dropped = read_until(&mut slow[0], "slow_body").await;
        assert!(dropped.starts_with("HTTP/1.1 408"), "{dropped}");
    }
}

/// Starts a delivery of 1 MiB and sends only this many bytes.
async fn hang(setup: &ReceiverTest, bytes: usize) -> tokio::net::TcpStream {
    hang_on(setup, 1_048_576, bytes).await
}

/// Starts a delivery with a declared length of `declared` bytes, and sends only `bytes` bytes.
async fn hang_on(setup: &ReceiverTest, declared: usize, bytes: usize) -> tokio::net::TcpStream {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = setup.app.url("").replace("http://", "");
    let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
    let signature = hex_of(b"x");
    let head = format!(
        "POST /webhooks/kycport HTTP/1.1\r\nhost: app\r\nx-kycport-signature: {signature}\r\n\
         content-length: {declared}\r\nexpect: 100-continue\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    // After `100 Continue`, the receiver reads the body.
    let mut piece = [0; 64];
    let read = socket.read(&mut piece).await.unwrap();
    assert!(piece[..read].starts_with(b"HTTP/1.1 100"));
    socket.write_all(&vec![b' '; bytes]).await.unwrap();
    socket
}

#[tokio::test]
async fn methods_other_than_post_are_rejected() {
    // Covers threat case 103.
    let setup = ReceiverTest::new().await;
    let client = reqwest::Client::new();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let method = method.parse().unwrap();
        let response = client.request(method, setup.url()).send().await.unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST");
    }
}

#[tokio::test]
async fn a_redelivered_event_takes_effect_once() {
    // Covers threat case 130.
    let setup = ReceiverTest::new().await;
    let event = setup.event("evt_1");
    let all = (0..50).map(|_| setup.deliver(&event));
    let answers = futures_util::future::join_all(all).await;
    assert_eq!(setup.handler.effects(), ["evt_1"]);
    for (status, code) in answers {
        let good = (status, code.as_str());
        assert!(
            matches!(good, (200, "") | (409, "in_flight") | (503, "busy")),
            "{good:?}"
        );
    }
    assert_eq!(setup.deliver(&event).await.0, 200);
    // The receiver identifies an event only by the event ID.
    let mut same = event.clone();
    same["data"]["kyc_status"] = json!("rejected");
    assert_eq!(setup.deliver(&same).await.0, 200);
    assert_eq!(setup.handler.effects(), ["evt_1"]);
    assert_eq!(setup.deliver(&setup.event("evt_2")).await.0, 200);
    assert_eq!(setup.handler.effects(), ["evt_1", "evt_2"]);
    // The receiver stores the event until the timestamp of the event is too old.
    setup
        .kyc
        .clock()
        .advance(Duration::from_secs(96 * 3600 - 60));
    assert_eq!(setup.deliver(&event).await.0, 200);
    setup.kyc.clock().advance(Duration::from_secs(120));
    assert_eq!(setup.deliver(&event).await, (400, "too_old".to_owned()));
    assert_eq!(setup.handler.effects().len(), 2);
}

#[tokio::test]
async fn one_of_two_instances_handles_an_event() {
    // Covers threat case 130.
    let setup = ReceiverTest::new().await;
    let other = serve(&setup.kyc, &setup.handler, &setup.store, |it| it).await;
    let (go, wait) = watch::channel(false);
    setup.handler.next(Action::Wait(wait));
    let event = setup.event("evt_1");
    let (here, there) = (setup.url(), other.url("/webhooks/kycport"));
    let first = deliver(&here, &event);
    let second = async {
        while setup.handler.begun().is_empty() {
            tokio::task::yield_now().await;
        }
        let response = deliver(&there, &event).await;
        let after: u64 = response.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        // `Retry-After` is the remaining time of the lease.
        assert!((1..=60).contains(&after), "{after}");
        assert_eq!(answer(response).await, (409, "in_flight".to_owned()));
        go.send_replace(true);
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first.status(), 200);
    assert_eq!(answer(deliver(&there, &event).await).await.0, 200);
    assert_eq!(setup.handler.effects(), ["evt_1"]);
}

#[tokio::test]
async fn a_failed_event_is_handled_again() {
    // Covers threat cases 131, 140.
    let setup =
        ReceiverTest::with(|it| it.policy(short_deadline(Duration::from_millis(300)))).await;
    for (act, code) in [
        (Action::Fail, "handler_failed"),
        (Action::Panic, "handler_panicked"),
        (Action::Hang, "handler_too_slow"),
    ] {
        let event = setup.event(code);
        setup.handler.next(act.clone());
        assert_eq!(setup.deliver(&event).await, (500, code.to_owned()));
        assert!(!setup.handler.effects().contains(&code.to_owned()));
        // KYCPort can deliver the event again immediately, before the lease would have ended.
        assert_eq!(setup.deliver(&event).await.0, 200);
        assert_eq!(setup.handler.effects().last().unwrap(), code);
        assert_eq!(setup.deliver(&event).await.0, 200);
    }
    assert_eq!(setup.handler.effects().len(), 3);
}

#[tokio::test]
async fn the_error_of_the_handler_is_logged_and_not_sent() {
    // Covers threat cases 137, 138.
    let (observed, _listening) = Observed::listen();
    let setup = ReceiverTest::new().await;
    setup.handler.next(Action::Fail);
    let response = deliver(&setup.url(), &setup.event("evt_1")).await;
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(response.headers()["cache-control"], "no-store");
    let text = response.text().await.unwrap();
    assert!(
        !text.contains("order service") && text.contains("reference"),
        "{text}"
    );
    let [failed] = &observed.of("kycport.delivery.failed")[..] else {
        panic!("one delivery failed");
    };
    assert_eq!(failed.value("code"), "handler_failed");
    // The log contains the error on one line.
    assert_eq!(failed.value("error"), HANDLER_ERROR.replace('\n', " "));
}

#[tokio::test]
async fn a_disconnecting_client_does_not_cancel_the_handler() {
    // Covers threat case 140.
    let setup = ReceiverTest::new().await;
    let (go, wait) = watch::channel(false);
    setup.handler.next(Action::Wait(wait));
    let (url, event) = (setup.url(), setup.event("evt_1"));
    let sending = tokio::spawn(async move { deliver(&url, &event).await });
    while setup.handler.begun().is_empty() {
        tokio::task::yield_now().await;
    }
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    go.send_replace(true);
    let event = setup.event("evt_1");
    loop {
        match setup.deliver(&event).await {
            (200, _) => break,
            (409, _) => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(setup.handler.effects(), ["evt_1"]);
    assert_eq!(setup.handler.begun().len(), 1);
}

#[tokio::test]
async fn during_a_store_outage_no_event_is_handled_or_lost() {
    // Covers threat cases 95, 131.
    let setup = ReceiverTest::new().await;
    let event = setup.event("evt_1");
    setup.store.fail_times(Op::Acquire, EVENT, 1);
    let response = deliver(&setup.url(), &event).await;
    assert_eq!(response.headers()["retry-after"], "5");
    assert_eq!(
        answer(response).await,
        (503, "store_unavailable".to_owned())
    );
    assert!(setup.handler.begun().is_empty());
    assert_eq!(setup.deliver(&event).await.0, 200);
    assert_eq!(setup.handler.effects(), ["evt_1"]);
}

#[tokio::test]
async fn a_store_outage_between_lease_and_completion_repeats_the_event() {
    // Covers threat case 131.
    let setup = ReceiverTest::new().await;
    let event = setup.event("evt_1");
    // The receiver retries, so a short failure has no effect.
    setup.store.fail_times(Op::Settle, EVENT, 2);
    assert_eq!(setup.deliver(&event).await.0, 200);
    // If the store stays down, KYCPort redelivers the event. When the lease ends, the handler runs
    // again, because the receiver cannot know whether the first run of the handler took effect.
    let event = setup.event("evt_2");
    setup.store.fail_times(Op::Settle, EVENT, 3);
    assert_eq!(
        setup.deliver(&event).await,
        (503, "not_recorded".to_owned())
    );
    assert_eq!(setup.deliver(&event).await, (409, "in_flight".to_owned()));
    setup.kyc.clock().advance(Duration::from_secs(61));
    assert_eq!(setup.deliver(&event).await.0, 200);
    assert_eq!(setup.handler.effects(), ["evt_1", "evt_2", "evt_2"]);
}

#[tokio::test]
async fn an_event_that_cannot_be_released_is_free_when_its_lease_ends() {
    // Covers threat case 131.
    let setup = ReceiverTest::new().await;
    let event = setup.event("evt_1");
    setup.store.fail_times(Op::Settle, EVENT, 1);
    setup.handler.next(Action::Fail);
    assert_eq!(setup.deliver(&event).await.0, 500);
    assert_eq!(setup.deliver(&event).await.0, 409);
    setup.kyc.clock().advance(Duration::from_secs(61));
    assert_eq!(setup.deliver(&event).await.0, 200);
    assert_eq!(setup.handler.effects(), ["evt_1"]);
}

#[tokio::test]
async fn a_receiver_that_lost_its_lease_responds_with_lease_lost() {
    // Threat case 130: the lease ends while the handler runs, and another instance acquires the
    // event
    let setup = ReceiverTest::new().await;
    let event = setup.event("evt_1");
    let (go, wait) = watch::channel(false);
    setup.handler.next(Action::Wait(wait.clone()));
    setup.handler.next(Action::Wait(wait));
    let url = setup.url();
    let first = deliver(&url, &event);
    let second = async {
        while setup.handler.begun().is_empty() {
            tokio::task::yield_now().await;
        }
        setup.kyc.clock().advance(Duration::from_secs(61));
        deliver(&url, &event).await
    };
    let release = async {
        while setup.handler.begun().len() < 2 {
            tokio::task::yield_now().await;
        }
        go.send_replace(true);
    };
    let (first, second, ()) = tokio::join!(first, second, release);
    assert_eq!(answer(first).await, (409, "lease_lost".to_owned()));
    assert_eq!(second.status(), 200);
}

#[tokio::test]
async fn an_unknown_event_type_is_acknowledged() {
    let setup = ReceiverTest::new().await;
    let mut event = setup.event("evt_1");
    event["type"] = json!("kyc.\u{1b}[31msomething_new\r\n");
    assert_eq!(setup.deliver(&event).await.0, 200);
    assert!(setup.handler.begun().is_empty());
    // The receiver reads and writes the verification result of the person in the event. The
    // receiver stores no event.
    assert_eq!(setup.store.operations(), 2);

    let setup = ReceiverTest::with(|it| it.unknown_events(UnknownEventPolicy::Handle)).await;
    assert_eq!(setup.deliver(&event).await.0, 200);
    assert_eq!(setup.deliver(&event).await.0, 200);
    assert_eq!(setup.handler.effects(), ["evt_1"]);
}

#[tokio::test]
async fn during_a_rotation_both_webhook_secrets_are_accepted() {
    // Covers threat case 133.
    let setup = ReceiverTest::new().await;
    let body = setup.event("evt_1").to_string();
    let old = kycport::Secret::new("the previous webhook secret");
    let headers =
        HeaderMap::from_iter([kycport::webhook::sign_test_delivery(&old, body.as_bytes())]);
    assert_eq!(setup.post(headers, body).await.0, 200);
    assert_eq!(setup.handler.begun()[0].secret_name, "previous");
}

#[tokio::test]
async fn a_receiver_without_a_valid_secret_is_rejected() {
    // Covers threat case 128.
    let config = || kycport::Config::builder("client", "https://app.example.com/auth/callback");
    let handler = async |_| Ok::<(), std::io::Error>(());
    let kycport = RelyingParty::new(config().build().unwrap()).unwrap();
    let error = kycport.webhooks(handler).build().unwrap_err();
    assert!(
        error.to_string().contains("KYCPORT_WEBHOOK_SECRET"),
        "{error}"
    );
    let short = config().webhook_secret("short").build().unwrap();
    let error = RelyingParty::new(short).unwrap().webhooks(handler).build();
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("shorter") && error.contains("current"),
        "{error}"
    );
    config().webhook_secret(" ").build().unwrap_err();
    config().previous_webhook_secret("x\n").build().unwrap_err();
    let verifier = WebhookVerifier::builder()
        .secret("a", kycport::Secret::new(SECRET))
        .build()
        .unwrap();
    let builder = WebhookReceiver::builder(verifier, handler);
    builder.body_deadline(Duration::ZERO).build().unwrap_err();
    let usual = DeliveryPolicy::default();
    for policy in [
        DeliveryPolicy {
            lease: usual.handler_timeout,
            ..usual
        },
        DeliveryPolicy {
            retention: Duration::from_secs(86_400),
            ..usual
        },
    ] {
        let kycport = RelyingParty::new(config().webhook_secret(SECRET).build().unwrap());
        let receiver = kycport.unwrap().webhooks(handler).policy(policy);
        receiver.build().unwrap_err();
    }
}

#[tokio::test]
async fn debug_output_contains_no_secret() {
    // Covers threat case 137.
    let kyc = MockIssuer::start().await;
    let config = kyc.config("https://app.example.com/auth/callback");
    let config = config.webhook_secret("canary secret, long enough");
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let builder = kycport.webhooks(async |_| Ok::<(), std::io::Error>(()));
    let text = format!("{builder:?}");
    let text = format!("{text}{:?}", builder.build().unwrap());
    assert!(!text.contains("canary"), "{text}");
}

#[tokio::test]
async fn the_handler_gets_the_status_of_the_endpoint_and_not_of_the_event() {
    // Covers threat case 132.
    let setup = ReceiverTest::new().await;
    setup.ada.reject();
    let old = setup.kyc.clock().now().as_unix() - 3600;
    let stale = event_at(old, "evt_old", &setup.ada, "verified");
    assert_eq!(setup.deliver(&stale).await.0, 200);
    let seen = setup.handler.begun();
    let assurance = seen[0].assurance.as_ref().unwrap();
    assert_eq!(assurance.kyc_status, Some(KycStatus::Rejected));
}
