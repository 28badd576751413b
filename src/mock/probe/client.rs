//! Asking: one request at a time, nothing followed, nothing kept, and all under one deadline.

use std::time::Duration;

use http::{HeaderMap, Method};
use reqwest::{Certificate, Client, redirect::Policy};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::{Url, form_urlencoded};

use super::finding::{Difference, differs};
use crate::mock::here::is_here;

/// An answer that can be judged, or why there is none.
pub(super) type Asked = Result<Seen, String>;

/// An answer.
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

pub(super) struct Asker {
    origin: Result<Url, &'static str>,
    client: Result<Client, String>,
    deadline: Instant,
    patience: Duration,
}

impl Asker {
    pub(super) fn new(
        origin: Result<Url, &'static str>,
        roots: Option<Vec<Certificate>>,
        patience: Duration,
    ) -> Self {
        let is_loopback = origin.as_ref().is_ok_and(is_here);
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(patience)
            .timeout(patience);
        if is_loopback {
            builder = builder.no_proxy();
        }
        if let Some(roots) = roots {
            builder = builder.tls_certs_only(roots);
        }
        let client = builder.build();
        Self {
            origin,
            client: client.map_err(|_| "no client could be made".to_owned()),
            deadline: after(patience.saturating_mul(ALL_TOGETHER)),
            patience,
        }
    }

    /// As an issuer would name itself; empty if it was no origin.
    pub(super) fn origin(&self) -> String {
        let origin = self.origin.as_ref().map(Url::origin);
        origin.map_or_else(|_| String::new(), |origin| origin.ascii_serialization())
    }

    pub(super) fn url(&self) -> Result<&Url, String> {
        self.origin.as_ref().map_err(|why| (*why).to_owned())
    }

    /// The address of a path there.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// When one answer that is asked for now is late.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline.min(after(self.patience))
    }

    pub(super) async fn get(&self, url: &str) -> Asked {
        self.ask(Method::GET, url, None, None).await
    }

    /// With a credential that is none.
    pub(super) async fn get_as_nobody(&self, url: &str) -> Asked {
        self.ask(Method::GET, url, Some(NO_CREDENTIAL), None).await
    }

    pub(super) async fn post(&self, url: &str, form: &[(&str, &str)]) -> Asked {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.ask(Method::POST, url, None, Some(form)).await
    }

    /// Whoever answers 429 or 5xx is busy or broken, which says nothing about the contract.
    async fn ask(
        &self,
        method: Method,
        url: &str,
        bearer: Option<&str>,
        form: Option<String>,
    ) -> Asked {
        self.url()?;
        let client = self.client.as_ref().map_err(String::clone)?;
        let mut request = client.request(method, url);
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        if let Some(form) = form {
            let form_type = "application/x-www-form-urlencoded";
            request = request.header("content-type", form_type).body(form);
        }
        let seen = timeout_at(self.deadline, read(request)).await;
        let seen = seen.map_err(|_| "no time was left".to_owned())??;
        if seen.status == 429 || seen.status >= 500 {
            return Err(format!("it answered {}", seen.status));
        }
        Ok(seen)
    }
}

impl Seen {
    /// The body as JSON; `null` if it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A header, empty if there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|it| it.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn is(&self, status: u16) -> Result<(), Difference> {
        if self.status == status {
            return Ok(());
        }
        Err(differs(status.to_string(), &self.summary()))
    }

    pub(super) fn has(&self, name: &str, part: &str) -> Result<(), Difference> {
        if self.header(name).contains(part) {
            return Ok(());
        }
        let expected = format!("`{part}` in the header `{name}`");
        Err(differs(expected, &format!("`{}`", self.header(name))))
    }

    /// A status and an `error`, which stands in that field (K23).
    pub(super) fn refuses(&self, status: u16, error: &str) -> Result<(), Difference> {
        self.is(status)?;
        if self.json().get("error").and_then(Value::as_str) == Some(error) {
            return Ok(());
        }
        let expected = format!("{{\"error\":\"{error}\"}}");
        Err(differs(expected, &self.body))
    }

    /// A page and no redirect (K14).
    pub(super) fn is_refusal_page(&self) -> Result<(), Difference> {
        if self.headers.contains_key("location") {
            let found = format!("{} to {}", self.status, self.header("location"));
            return Err(differs("400 and no redirect", &found));
        }
        self.is(400)?;
        self.has("content-type", "text/html")
    }

    /// Status, and what kind of body.
    pub(super) fn summary(&self) -> String {
        match self.header("location") {
            "" => format!("{} {}", self.status, self.header("content-type")),
            to => format!("{} to {to}", self.status),
        }
    }
}

async fn read(request: reqwest::RequestBuilder) -> Asked {
    let failed = |error: reqwest::Error| why(&error).to_owned();
    let mut answer = request.send().await.map_err(failed)?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(failed)? {
        body.extend_from_slice(&piece);
        if body.len() > MOST_READ {
            return Err("the answer is too large".to_owned());
        }
    }
    Ok(Seen {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// In few words, without the address, which stands beside it.
fn why(error: &reqwest::Error) -> &'static str {
    match error {
        error if error.is_timeout() => "no answer in time",
        error if error.is_connect() => "no connection, or no TLS that can be believed",
        _ => "the connection broke off",
    }
}

/// At once, if there is no such time.
fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

/// Nobody's token and nobody's key.
pub(super) const NO_CREDENTIAL: &str = "not-a-credential";

/// How often the patience for one answer goes into that for all.
const ALL_TOGETHER: u32 = 6;

const MOST_READ: usize = 1024 * 1024;
