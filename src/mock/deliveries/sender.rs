//! Sends one delivery, and reads how it is answered.

use std::{cell::OnceCell, time::Duration};

use axum::http::{HeaderMap, Method, header::RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Request, redirect::Policy};
use url::Url;

use super::{course::Pace, delivery::DeliveryOutcome, draft::Outgoing, slow};

/// The HTTP client of one runtime.
#[derive(Default)]
pub(in crate::mock) struct Sender {
    /// Made when it is first used: most mocks deliver nothing.
    plain: OnceCell<Option<Client>>,
    /// Client for HTTPS. It reads the system's certificates, which takes its time.
    tls: OnceCell<Option<Client>>,
}

/// How a delivery was answered.
pub(in crate::mock) struct Answered {
    pub(in crate::mock) outcome: DeliveryOutcome,
    /// How long the endpoint asks to wait.
    pub(in crate::mock) retry_after: Option<Duration>,
}

impl Answered {
    pub(in crate::mock) fn with(outcome: DeliveryOutcome) -> Self {
        Self {
            outcome,
            retry_after: None,
        }
    }
}

impl Sender {
    /// Of the answer, the status counts and `Retry-After`; its body is not read.
    pub(in crate::mock) async fn send(
        &self,
        url: &Url,
        outgoing: Outgoing,
        pace: Pace,
        timeout: Duration,
    ) -> Answered {
        if pace != Pace::Plain {
            return Answered::with(slow::send(url, &outgoing, pace, timeout).await);
        }
        let client = if url.scheme() == "http" {
            let plain = |builder: ClientBuilder| builder.tls_certs_only([]);
            self.plain.get_or_init(|| client(plain))
        } else {
            self.tls.get_or_init(|| client(|builder| builder))
        };
        let Some(client) = client else {
            return Answered::with(DeliveryOutcome::NoConnection);
        };
        let mut request = Request::new(Method::POST, url.clone());
        *request.headers_mut() = outgoing.headers;
        *request.body_mut() = Some(outgoing.body.into());
        *request.timeout_mut() = Some(timeout);
        match client.execute(request).await {
            Ok(answer) => Answered {
                outcome: DeliveryOutcome::Answered(answer.status().as_u16()),
                retry_after: retry_after(answer.headers()),
            },
            Err(error) => Answered::with(failure(&error)),
        }
    }
}

/// No redirect, no proxy, and a connection each: an endpoint that was restarted is reached.
fn client(trust: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Option<Client> {
    let builder = Client::builder()
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .pool_max_idle_per_host(0);
    trust(builder).build().ok()
}

fn failure(error: &reqwest::Error) -> DeliveryOutcome {
    if error.is_connect() {
        DeliveryOutcome::NoConnection
    } else if error.is_timeout() {
        DeliveryOutcome::TimedOut
    } else {
        DeliveryOutcome::Broken
    }
}

/// Whole seconds; the other form of it is passed over (K85).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    seconds.parse().ok().map(Duration::from_secs)
}
