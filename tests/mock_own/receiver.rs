//! Webhook endpoint of a tenant. The endpoint records the bytes of each request and returns the
//! configured responses.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, response::Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use kycport::mock::{MockIssuer, Person, Webhooks};
use sha2::Sha256;
use tokio::sync::{oneshot, watch};

#[derive(Clone, Default)]
struct Shared {
    got: Arc<Mutex<Vec<ReceivedDelivery>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    count: Arc<watch::Sender<usize>>,
}

enum Answer {
    Now(Response),
    /// Responds after the test uses or drops the sender.
    Held(oneshot::Receiver<()>),
}

pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Shared,
}

/// Received delivery.
#[derive(Clone)]
pub(crate) struct ReceivedDelivery {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let shared = Shared::default();
        let app = Router::new().fallback(take).with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/webhooks/kycport", self.address)
    }

    /// Sets the statuses of the next responses. All later responses have the status 204.
    pub(crate) fn answer(&self, statuses: &[u16]) {
        for status in statuses {
            self.answer_with(*status, &[]);
        }
    }

    pub(crate) fn answer_with(&self, status: u16, headers: &[(&str, &str)]) {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        let answer = answer.body(axum::body::Body::empty()).unwrap();
        let answer = Answer::Now(answer);
        self.shared.answers.lock().unwrap().push_back(answer);
    }

    /// Holds the next response until the test drops the returned sender.
    pub(crate) fn hold(&self) -> oneshot::Sender<()> {
        let (open, held) = oneshot::channel();
        let answer = Answer::Held(held);
        self.shared.answers.lock().unwrap().push_back(answer);
        open
    }

    /// Waits until the endpoint has received this number of deliveries in total.
    pub(crate) async fn wait_for(&self, n: usize) {
        let mut count = self.shared.count.subscribe();
        count.wait_for(|count| *count >= n).await.unwrap();
    }

    pub(crate) fn got(&self) -> Vec<ReceivedDelivery> {
        self.shared.got.lock().unwrap().clone()
    }

    /// Returns the deliveries since the last call.
    pub(crate) fn take(&self) -> Vec<ReceivedDelivery> {
        std::mem::take(&mut self.shared.got.lock().unwrap())
    }
}

/// Mock with a frozen clock, a person, and a webhook endpoint.
pub(crate) struct WebhookTest {
    pub(crate) kyc: MockIssuer,
    pub(crate) ada: Person,
    pub(crate) hooks: Webhooks,
    pub(crate) receiver: Receiver,
}

impl WebhookTest {
    pub(crate) async fn new() -> Self {
        Self::with(MockIssuer::start().await).await
    }

    pub(crate) async fn with(kyc: MockIssuer) -> Self {
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

    /// Returns the events since the last call.
    pub(crate) async fn events(&self) -> Vec<String> {
        self.hooks.settled().await;
        let got = self.receiver.take();
        got.iter().map(|it| it.summary(&self.hooks)).collect()
    }

    pub(crate) async fn advance(&self, seconds: u64) {
        self.kyc.clock().advance(Duration::from_secs(seconds));
        self.hooks.settled().await;
    }
}

async fn take(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let body = body.to_vec();
    shared
        .got
        .lock()
        .unwrap()
        .push(ReceivedDelivery { headers, body });
    shared
        .count
        .send_modify(|count| *count = count.saturating_add(1));
    let answer = shared.answers.lock().unwrap().pop_front();
    match answer {
        Some(Answer::Now(answer)) => return answer,
        Some(Answer::Held(open)) => {
            let _ = open.await;
        }
        None => {}
    }
    let none = axum::body::Body::empty();
    Response::builder().status(204).body(none).unwrap()
}

impl ReceivedDelivery {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// Returns whether the only signature in the header is the signature of the body with this
    /// secret.
    pub(crate) fn is_signed(&self, secret: &str) -> bool {
        let values: Vec<_> = self.headers.get_all("x-kycport-signature").iter().collect();
        values == [&signature(secret, &self.body)]
    }

    /// Checks the signature. Returns the event ID.
    pub(crate) fn id(&self, hooks: &Webhooks) -> String {
        assert!(self.is_signed(&hooks.secret()), "{:?}", self.headers);
        self.json()["id"].as_str().unwrap().to_owned()
    }

    /// Checks the signature. Returns the type, the status and the tier.
    pub(crate) fn summary(&self, hooks: &Webhooks) -> String {
        assert!(self.is_signed(&hooks.secret()), "{:?}", self.headers);
        let json = self.json();
        let text = |it: &serde_json::Value| it.as_str().unwrap_or("-").to_owned();
        let data = &json["data"];
        let (status, tier) = (text(&data["kyc_status"]), text(&data["kyc_tier"]));
        format!("{} {status} {tier}", text(&json["type"]))
    }
}

/// Computes the signature with a library that the mock does not use.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let tag: [u8; 32] = mac.finalize().into_bytes().into();
    tag.iter().fold("sha256=".to_owned(), |text, byte| {
        format!("{text}{byte:02x}")
    })
}
