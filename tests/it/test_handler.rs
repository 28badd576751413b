//! Webhook handler of a test tenant. The test sets the handler's behaviour and reads the events
//! that the handler received.

use std::{
    collections::VecDeque,
    fmt::Debug,
    future::pending,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kycport::{
    Assurance, Clock as _, Secret,
    mock::{MockIssuer, Person},
    web::Delivery,
    webhook::sign_test_delivery,
};
use reqwest::{Response, header::HeaderMap};
use serde_json::{Value, json};
use tokio::sync::watch;

/// Text of the error that the handler returns.
pub(crate) const HANDLER_ERROR: &str = "the order service\nis not available";

pub(crate) const SECRET: &str = "a webhook secret of the tests";

/// Behaviour of the handler for one delivery.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Fail,
    Panic,
    Hang,
    /// Waits until the test sends `true`.
    Wait(watch::Receiver<bool>),
}

/// Event that the handler has received.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) secret_name: String,
    pub(crate) assurance: Option<Assurance>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct TestHandler(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    acts: VecDeque<Action>,
    begun: Vec<Seen>,
    effects: Vec<String>,
}

impl TestHandler {
    /// Sets the behaviour for the next delivery that has no behaviour yet.
    pub(crate) fn next(&self, act: Action) {
        self.lock().acts.push_back(act);
    }

    /// Makes the next delivery wait until the test sends `true`.
    pub(crate) fn waits(&self) -> watch::Sender<bool> {
        let (go, wait) = watch::channel(false);
        self.next(Action::Wait(wait));
        go
    }

    /// Waits until the handler has started this many times.
    pub(crate) async fn until_begun(&self, times: usize) {
        while self.begun().len() < times {
            tokio::task::yield_now().await;
        }
    }

    /// Returns, in order, the events for which the handler has started.
    pub(crate) fn begun(&self) -> Vec<Seen> {
        self.lock().begun.clone()
    }

    /// Returns, in order, the ids of the events that took effect.
    pub(crate) fn effects(&self) -> Vec<String> {
        self.lock().effects.clone()
    }

    pub(crate) async fn handle(self, delivery: Delivery) -> Result<(), &'static str> {
        let event = delivery.event();
        let act = {
            let mut inner = self.lock();
            inner.begun.push(Seen {
                id: event.id.clone(),
                event_type: event.event_type().to_owned(),
                secret_name: delivery.secret_name().to_owned(),
                assurance: delivery.assurance().cloned(),
            });
            inner.acts.pop_front()
        };
        match act {
            Some(Action::Fail) => return Err(HANDLER_ERROR),
            Some(Action::Panic) => panic!("a handler of the tests panics"),
            Some(Action::Hang) => pending().await,
            Some(Action::Wait(mut open)) => {
                open.wait_for(|open| *open).await.unwrap();
            }
            None => {}
        }
        self.lock().effects.push(event.id.clone());
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns an event in KYCPort's format with the current time.
pub(crate) fn event(kyc: &MockIssuer, id: &str, person: &Person, status: &str) -> Value {
    event_at(kyc.clock().now().as_unix(), id, person, status)
}

pub(crate) fn event_at(at: i64, id: &str, person: &Person, status: &str) -> Value {
    json!({
        "id": id, "type": "kyc.status_changed", "created_at": at,
        "data": {
            "person_id": person.id(), "kyc_status": status, "kyc_tier": "t2", "aml_clear": true,
        },
    })
}

/// Returns the headers that sign these bytes.
pub(crate) fn signed(body: &[u8]) -> HeaderMap {
    HeaderMap::from_iter([sign_test_delivery(&Secret::new(SECRET), body)])
}

/// Signs and delivers an event.
pub(crate) async fn deliver(url: &str, body: &Value) -> Response {
    let body = body.to_string().into_bytes();
    post(url, signed(&body), body).await
}

pub(crate) async fn post(url: &str, headers: HeaderMap, body: Vec<u8>) -> Response {
    let request = reqwest::Client::new().post(url).headers(headers).body(body);
    request.send().await.unwrap()
}

/// Returns the status and the code of a response.
pub(crate) async fn answer(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}
