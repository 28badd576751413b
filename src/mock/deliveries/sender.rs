//! HTTP client that sends deliveries and reads the responses.

use std::{cell::OnceCell, time::Duration};

use axum::http::{HeaderMap, Method, header::RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Request, redirect::Policy};
use url::Url;

use super::{delivery::DeliveryOutcome, draft::Outgoing, send_plan::Pace, slow};

/// HTTP clients, which belong to one async runtime.
#[derive(Default)]
pub(in crate::mock) struct Sender {
    /// Client for plain HTTP. The sender creates this client on first use, because most tests send
    /// no deliveries.
    plain: OnceCell<Option<Client>>,
    /// Client for HTTPS. The sender creates this client on first use, because it loads the system's
    /// certificates slowly.
    tls: OnceCell<Option<Client>>,
}

/// Outcome of an attempt, with the response's `Retry-After`.
pub(in crate::mock) struct Answered {
    pub(in crate::mock) outcome: DeliveryOutcome,
    /// Delay that the endpoint requests with `Retry-After`.
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
    /// Sends a delivery. Reads the status and `Retry-After` of the response, but not its body.
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

/// Builds a client without redirects and proxies. The client opens a new connection for each
/// delivery. The client can therefore reach an endpoint after a restart.
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

/// Parses `Retry-After` in seconds. Returns `None` for a date (K85).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    seconds.parse().ok().map(Duration::from_secs)
}
