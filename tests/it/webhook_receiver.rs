//! The receiver, over sockets: what is believed, what takes effect how often, and what KYCPort is
//! answered.

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
    desk::{Act, Desk, SECRET, answer, deliver, event, event_at, post, signed},
    faulty_store::{EVENT, FaultyStore, Op},
};

/// A tenant's app with one receiver.
struct Stage {
    kyc: MockIssuer,
    app: RunningApp,
    desk: Desk,
    ada: Person,
    store: FaultyStore,
}

impl Stage {
    async fn new() -> Self {
        Self::with(|receiver| receiver).await
    }

    async fn with(more: impl FnOnce(WebhookReceiverBuilder) -> WebhookReceiverBuilder) -> Self {
        let kyc = MockIssuer::start().await;
        let store = store(kyc.clock());
        let desk = Desk::default();
        let app = serve(&kyc, &desk, &store, more).await;
        let ada = kyc.person("ada").tier(KycTier::T2).create();
        Self {
            kyc,
            app,
            desk,
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

fn store(clock: &TestClock) -> FaultyStore {
    FaultyStore::over(MemoryStore::new(1000, Arc::new(clock.clone())))
}

/// One instance.
async fn serve(
    kyc: &MockIssuer,
    desk: &Desk,
    store: &FaultyStore,
    more: impl FnOnce(WebhookReceiverBuilder) -> WebhookReceiverBuilder,
) -> RunningApp {
    let (desk, store) = (desk.clone(), store.clone());
    let app = |config: kycport::ConfigBuilder| {
        let config = config
            .webhook_secret(SECRET)
            .previous_webhook_secret("the secret that was here before")
            .store(store);
        let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
        let receiver = kycport.webhooks(move |delivery| desk.clone().handle(delivery));
        let receiver = more(receiver).build().unwrap();
        Router::new()
            .route_service("/webhooks/kycport", receiver)
            .layer(kycport.session_layer())
    };
    kyc.serve(app).await.unwrap()
}

fn quick(deadline: Duration) -> DeliveryPolicy {
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
async fn an_event_is_handled_and_acknowledged() {
    let stage = Stage::new().await;
    assert_eq!(stage.deliver(&stage.event("evt_1")).await.0, 200);
    let seen = stage.desk.begun();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].id, "evt_1");
    assert_eq!(seen[0].event_type, "kyc.status_changed");
    assert_eq!(seen[0].secret_name, "current");
    assert_eq!(stage.desk.effects(), ["evt_1"]);
}

#[tokio::test]
async fn what_is_not_kycports_reaches_nobody() {
    // cases 126, 127, 129
    let stage = Stage::new().await;
    let body = stage.event("evt_1").to_string();
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
        let got = stage.post(headers.clone(), body.clone()).await;
        assert_eq!(got, (401, code.to_owned()), "{headers:?}");
    }
    // What is written anew is another body, and so is one that was compressed on the way.
    let rewritten = serde_json::to_string_pretty(&stage.event("evt_1")).unwrap();
    let got = stage.post(signed(body.as_bytes()), rewritten).await;
    assert_eq!(got, (401, "mismatch".to_owned()));
    let gzip = [b"\x1f\x8b\x08".as_slice(), body.as_bytes()].concat();
    let mut headers = signed(body.as_bytes());
    headers.insert("content-encoding", HeaderValue::from_static("gzip"));
    assert_eq!(stage.post(headers, gzip).await.0, 401);
    assert!(stage.desk.begun().is_empty());
    assert_eq!(
        stage.store.operations(),
        0,
        "the store was asked before the signature was verified"
    );
    // And the same bytes pass, in every spelling of the signature that is taken.
    for headers in [
        header(&hex),
        header(&format!("sha256={hex}")),
        header(&format!("{other},sha256={hex}")),
    ] {
        assert_eq!(stage.post(headers, body.clone()).await.0, 200);
    }
    let mut twice = header(&other);
    twice.append("x-kycport-signature", HeaderValue::try_from(hex).unwrap());
    assert_eq!(stage.post(twice, body.clone()).await.0, 200);
    assert_eq!(stage.post(header(&upper), body).await.0, 200);
    assert_eq!(stage.desk.effects().len(), 1);
}

#[tokio::test]
async fn what_is_kycports_and_no_event_of_our_time_takes_no_effect() {
    // cases 129, 138
    let stage = Stage::new().await;
    let now = stage.kyc.clock().now().as_unix();
    let at = |at: i64| event_at(at, "evt_1", &stage.ada, "verified").to_string();
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
        let (status, got) = stage.post(signed(body.as_bytes()), body.clone()).await;
        assert_eq!((status, got.as_str()), (400, code), "{body:.80}");
    }
    let bytes = b"\xff\xfe{\"id\":1}";
    let got = stage.post(signed(bytes), bytes.to_vec()).await;
    assert_eq!(got, (400, "unreadable".to_owned()));
    assert!(stage.desk.begun().is_empty());
    assert_eq!(stage.store.operations(), 0);
}

#[tokio::test]
async fn a_body_is_read_to_its_cap_and_no_further() {
    // case 134
    let stage = Stage::new().await;
    let filler = |length: usize| {
        let empty = stage.event("evt_1").to_string().len();
        let mut event = stage.event("evt_1");
        event["filler"] = Value::String(String::new());
        let around = event.to_string().len();
        assert!(around > empty);
        event["filler"] = Value::String("x".repeat(length - around));
        event.to_string()
    };
    let most = filler(1024 * 1024);
    assert_eq!(most.len(), 1024 * 1024);
    assert_eq!(stage.post(signed(most.as_bytes()), most).await.0, 200);
    let more = filler(1024 * 1024 + 1);
    let got = stage.post(signed(more.as_bytes()), more.clone()).await;
    assert_eq!(got, (413, "too_large".to_owned()));
    // The same without a length that could be judged before, and without an end: it is not waited
    // for.
    let signature = hex_of(more.as_bytes());
    let request = format!(
        "POST /webhooks/kycport HTTP/1.1\r\nhost: app\r\nx-kycport-signature: {signature}\r\n\
         transfer-encoding: chunked\r\n\r\n{:x}\r\n{more}\r\n",
        more.len(),
    );
    let got = raw_until(&stage.app, request.as_bytes(), "too_large").await;
    assert!(got.starts_with("HTTP/1.1 413"), "{got}");
    assert_eq!(stage.desk.effects().len(), 1);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    // cases 134, 139
    let stage = Stage::with(|it| it.body_deadline(Duration::from_millis(50))).await;
    let signature = hex_of(b"x");
    let head = format!(
        "POST /webhooks/kycport HTTP/1.1\r\nhost: app\r\nx-kycport-signature: {signature}\r\n\
         content-length: 100\r\n\r\n{{"
    );
    let got = raw_until(&stage.app, head.as_bytes(), "slow_body").await;
    assert!(got.starts_with("HTTP/1.1 408"), "{got}");
    // Without a signature there is nothing to wait for.
    let stage = Stage::with(|it| it.body_deadline(Duration::from_secs(3600))).await;
    let head = "POST /webhooks/kycport HTTP/1.1\r\nhost: app\r\ncontent-length: 100\r\n\r\n{";
    let got = raw_until(&stage.app, head.as_bytes(), "no_signature").await;
    assert!(got.starts_with("HTTP/1.1 401"), "{got}");
    let challenge = "www-authenticate: signature";
    assert!(got.to_ascii_lowercase().contains(challenge), "{got}");
    assert!(stage.desk.begun().is_empty());
}

/// Sends, keeps the connection open, and reads until `end` was in the answer.
async fn raw_until(app: &RunningApp, request: &[u8], end: &str) -> String {
    use tokio::io::AsyncWriteExt as _;
    let address = app.url("").replace("http://", "");
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(request).await.unwrap();
    read_until(&mut socket, end).await
}

/// Reads until `end` was in the answer.
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
async fn large_bodies_that_hang_keep_no_delivery_out() {
    // case 134
    let stage = Stage::with(|it| it.body_deadline(Duration::from_secs(60))).await;
    let mut hanging = Vec::new();
    for _ in 0..64 {
        hanging.push(hang(&stage, 1024 * 1024 - 1).await);
    }
    assert_eq!(stage.deliver(&stage.event("evt_small")).await.0, 200);
    let mut large = stage.event("evt_large");
    large["filler"] = "x".repeat(1024 * 1024 - 1024).into();
    assert_eq!(stage.deliver(&large).await.0, 200);
    // A request without a signature is not even read.
    let unsigned = stage.post(HeaderMap::new(), "{}").await;
    assert_eq!(unsigned, (401, "no_signature".to_owned()));
}

#[tokio::test]
async fn bodies_that_come_slowly_keep_nobody_out() {
    // cases 134, 139
    let stage = Stage::with(|it| it.body_deadline(Duration::from_secs(60))).await;
    let mut large = stage.event("evt_large");
    large["filler"] = "x".repeat(20_000).into();
    for (places, declared, event) in [
        (256, 1_048_576, large),
        (1024, 100, stage.event("evt_small")),
    ] {
        let mut slow = Vec::new();
        for _ in 0..places {
            slow.push(hang_on(&stage, declared, 1).await);
        }
        assert_eq!(stage.deliver(&event).await.0, 200);
        // The first of the slow bodies lost its place.
        let dropped = read_until(&mut slow[0], "slow_body").await;
        assert!(dropped.starts_with("HTTP/1.1 408"), "{dropped}");
    }
}

/// A delivery of 1 MiB of which so many bytes come.
async fn hang(stage: &Stage, bytes: usize) -> tokio::net::TcpStream {
    hang_on(stage, 1_048_576, bytes).await
}

/// A delivery of `declared` bytes, of which only `bytes` are sent.
async fn hang_on(stage: &Stage, declared: usize, bytes: usize) -> tokio::net::TcpStream {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = stage.app.url("").replace("http://", "");
    let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
    let signature = hex_of(b"x");
    let head = format!(
        "POST /webhooks/kycport HTTP/1.1\r\nhost: app\r\nx-kycport-signature: {signature}\r\n\
         content-length: {declared}\r\nexpect: 100-continue\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    // Once it is told to go on, its body is being read.
    let mut piece = [0; 64];
    let read = socket.read(&mut piece).await.unwrap();
    assert!(piece[..read].starts_with(b"HTTP/1.1 100"));
    socket.write_all(&vec![b' '; bytes]).await.unwrap();
    socket
}

#[tokio::test]
async fn other_methods_are_not_for_it() {
    // case 103
    let stage = Stage::new().await;
    let client = reqwest::Client::new();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let method = method.parse().unwrap();
        let response = client.request(method, stage.url()).send().await.unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST");
    }
}

#[tokio::test]
async fn however_often_it_is_delivered_it_takes_effect_once() {
    // case 130
    let stage = Stage::new().await;
    let event = stage.event("evt_1");
    let all = (0..50).map(|_| stage.deliver(&event));
    let answers = futures_util::future::join_all(all).await;
    assert_eq!(stage.desk.effects(), ["evt_1"]);
    for (status, code) in answers {
        let good = (status, code.as_str());
        assert!(
            matches!(good, (200, "") | (409, "in_flight") | (503, "busy")),
            "{good:?}"
        );
    }
    assert_eq!(stage.deliver(&event).await.0, 200);
    // Other bytes of the same event are the same event; another id is another.
    let mut same = event.clone();
    same["data"]["kyc_status"] = json!("rejected");
    assert_eq!(stage.deliver(&same).await.0, 200);
    assert_eq!(stage.desk.effects(), ["evt_1"]);
    assert_eq!(stage.deliver(&stage.event("evt_2")).await.0, 200);
    assert_eq!(stage.desk.effects(), ["evt_1", "evt_2"]);
    // It is remembered for as long as its age would let it pass.
    stage
        .kyc
        .clock()
        .advance(Duration::from_secs(96 * 3600 - 60));
    assert_eq!(stage.deliver(&event).await.0, 200);
    stage.kyc.clock().advance(Duration::from_secs(120));
    assert_eq!(stage.deliver(&event).await, (400, "too_old".to_owned()));
    assert_eq!(stage.desk.effects().len(), 2);
}

#[tokio::test]
async fn of_two_instances_one_handles_it() {
    // case 130
    let stage = Stage::new().await;
    let other = serve(&stage.kyc, &stage.desk, &stage.store, |it| it).await;
    let (go, wait) = watch::channel(false);
    stage.desk.next(Act::Wait(wait));
    let event = stage.event("evt_1");
    let (here, there) = (stage.url(), other.url("/webhooks/kycport"));
    let first = deliver(&here, &event);
    let second = async {
        while stage.desk.begun().is_empty() {
            tokio::task::yield_now().await;
        }
        let response = deliver(&there, &event).await;
        let after: u64 = response.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        // The rest of the lease.
        assert!((1..=60).contains(&after), "{after}");
        assert_eq!(answer(response).await, (409, "in_flight".to_owned()));
        go.send_replace(true);
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first.status(), 200);
    assert_eq!(answer(deliver(&there, &event).await).await.0, 200);
    assert_eq!(stage.desk.effects(), ["evt_1"]);
}

#[tokio::test]
async fn a_handler_that_fails_is_given_the_event_again() {
    // cases 131, 140
    let stage = Stage::with(|it| it.policy(quick(Duration::from_millis(300)))).await;
    for (act, code) in [
        (Act::Fail, "handler_failed"),
        (Act::Panic, "handler_panicked"),
        (Act::Hang, "handler_too_slow"),
    ] {
        let event = stage.event(code);
        stage.desk.next(act.clone());
        assert_eq!(stage.deliver(&event).await, (500, code.to_owned()));
        assert!(!stage.desk.effects().contains(&code.to_owned()));
        // At once, and not when the lease would have ended.
        assert_eq!(stage.deliver(&event).await.0, 200);
        assert_eq!(stage.desk.effects().last().unwrap(), code);
        assert_eq!(stage.deliver(&event).await.0, 200);
    }
    assert_eq!(stage.desk.effects().len(), 3);
}

#[tokio::test]
async fn what_a_handlers_error_says_reaches_nobody() {
    // cases 137, 138
    let stage = Stage::new().await;
    stage.desk.next(Act::Fail);
    let response = deliver(&stage.url(), &stage.event("evt_1")).await;
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(response.headers()["cache-control"], "no-store");
    let text = response.text().await.unwrap();
    assert!(
        !text.contains("canary") && text.contains("reference"),
        "{text}"
    );
}

#[tokio::test]
async fn a_client_that_hangs_up_changes_nothing() {
    // case 140
    let stage = Stage::new().await;
    let (go, wait) = watch::channel(false);
    stage.desk.next(Act::Wait(wait));
    let (url, event) = (stage.url(), stage.event("evt_1"));
    let sending = tokio::spawn(async move { deliver(&url, &event).await });
    while stage.desk.begun().is_empty() {
        tokio::task::yield_now().await;
    }
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    go.send_replace(true);
    let event = stage.event("evt_1");
    loop {
        match stage.deliver(&event).await {
            (200, _) => break,
            (409, _) => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(stage.desk.effects(), ["evt_1"]);
    assert_eq!(stage.desk.begun().len(), 1);
}

#[tokio::test]
async fn a_store_that_is_down_handles_nothing_and_loses_nothing() {
    // cases 95, 131
    let stage = Stage::new().await;
    let event = stage.event("evt_1");
    stage.store.fail_times(Op::Acquire, EVENT, 1);
    let response = deliver(&stage.url(), &event).await;
    assert_eq!(response.headers()["retry-after"], "5");
    assert_eq!(
        answer(response).await,
        (503, "store_unavailable".to_owned())
    );
    assert!(stage.desk.begun().is_empty());
    assert_eq!(stage.deliver(&event).await.0, 200);
    assert_eq!(stage.desk.effects(), ["evt_1"]);
}

#[tokio::test]
async fn a_store_that_dies_between_claim_and_completion() {
    // case 131
    let stage = Stage::new().await;
    let event = stage.event("evt_1");
    // A blip is not even noticed.
    stage.store.fail_times(Op::Settle, EVENT, 2);
    assert_eq!(stage.deliver(&event).await.0, 200);
    // If it stays down, KYCPort comes again, and the event takes effect again when the lease ends:
    // whether it did before can no longer be known.
    let event = stage.event("evt_2");
    stage.store.fail_times(Op::Settle, EVENT, 3);
    assert_eq!(
        stage.deliver(&event).await,
        (503, "not_remembered".to_owned())
    );
    assert_eq!(stage.deliver(&event).await, (409, "in_flight".to_owned()));
    stage.kyc.clock().advance(Duration::from_secs(61));
    assert_eq!(stage.deliver(&event).await.0, 200);
    assert_eq!(stage.desk.effects(), ["evt_1", "evt_2", "evt_2"]);
}

#[tokio::test]
async fn an_event_that_cannot_be_given_back_comes_back_with_the_end_of_its_lease() {
    // case 131
    let stage = Stage::new().await;
    let event = stage.event("evt_1");
    stage.store.fail_times(Op::Settle, EVENT, 1);
    stage.desk.next(Act::Fail);
    assert_eq!(stage.deliver(&event).await.0, 500);
    assert_eq!(stage.deliver(&event).await.0, 409);
    stage.kyc.clock().advance(Duration::from_secs(61));
    assert_eq!(stage.deliver(&event).await.0, 200);
    assert_eq!(stage.desk.effects(), ["evt_1"]);
}

#[tokio::test]
async fn who_was_replaced_says_so() {
    // case 130: the lease ended while the handler was at it, and another has the event.
    let stage = Stage::new().await;
    let event = stage.event("evt_1");
    let (go, wait) = watch::channel(false);
    stage.desk.next(Act::Wait(wait.clone()));
    stage.desk.next(Act::Wait(wait));
    let url = stage.url();
    let first = deliver(&url, &event);
    let second = async {
        while stage.desk.begun().is_empty() {
            tokio::task::yield_now().await;
        }
        stage.kyc.clock().advance(Duration::from_secs(61));
        deliver(&url, &event).await
    };
    let release = async {
        while stage.desk.begun().len() < 2 {
            tokio::task::yield_now().await;
        }
        go.send_replace(true);
    };
    let (first, second, ()) = tokio::join!(first, second, release);
    assert_eq!(answer(first).await, (409, "lease_lost".to_owned()));
    assert_eq!(second.status(), 200);
}

#[tokio::test]
async fn a_type_that_nobody_knows_is_acknowledged() {
    let stage = Stage::new().await;
    let mut event = stage.event("evt_1");
    event["type"] = json!("kyc.\u{1b}[31msomething_new\r\n");
    assert_eq!(stage.deliver(&event).await.0, 200);
    assert!(stage.desk.begun().is_empty());
    // The event names a person, whose assurance is read and written; no event is recorded.
    assert_eq!(stage.store.operations(), 2);

    let stage = Stage::with(|it| it.unknown_events(UnknownEventPolicy::Handle)).await;
    assert_eq!(stage.deliver(&event).await.0, 200);
    assert_eq!(stage.deliver(&event).await.0, 200);
    assert_eq!(stage.desk.effects(), ["evt_1"]);
}

#[tokio::test]
async fn while_a_secret_is_replaced_both_are_believed() {
    // case 133
    let stage = Stage::new().await;
    let body = stage.event("evt_1").to_string();
    let old = kycport::Secret::new("the secret that was here before");
    let headers =
        HeaderMap::from_iter([kycport::webhook::sign_test_delivery(&old, body.as_bytes())]);
    assert_eq!(stage.post(headers, body).await.0, 200);
    assert_eq!(stage.desk.begun()[0].secret_name, "previous");
}

#[tokio::test]
async fn a_receiver_that_could_believe_nobody_is_not_built() {
    // case 128
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
async fn nothing_secret_is_in_its_debug() {
    // case 137
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
async fn the_status_is_what_the_endpoint_says_and_not_what_the_event_says() {
    // case 132
    let stage = Stage::new().await;
    stage.ada.reject();
    let old = stage.kyc.clock().now().as_unix() - 3600;
    let stale = event_at(old, "evt_old", &stage.ada, "verified");
    assert_eq!(stage.deliver(&stale).await.0, 200);
    let seen = stage.desk.begun();
    let assurance = seen[0].assurance.as_ref().unwrap();
    assert_eq!(assurance.kyc_status, Some(KycStatus::Rejected));
}
