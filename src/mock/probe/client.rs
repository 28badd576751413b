//! HTTP client of a probe. The client sends one request at a time, follows no redirects and stores
//! no cookies. All requests have one common deadline.

use std::time::Duration;

use http::{HeaderMap, Method};
use reqwest::{Certificate, Client, redirect::Policy};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::{Url, form_urlencoded};

use super::difference::{Difference, differs};
use crate::mock::loopback::is_loopback;

/// A response, or the reason why the probe has no response to evaluate.
pub(super) type ProbeResult = Result<ProbeResponse, String>;

/// A URL to request, or the reason why it is unknown.
pub(super) type ProbeUrl = Result<String, String>;

/// A response of the probed issuer.
pub(super) struct ProbeResponse {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

pub(super) struct ProbeClient {
    origin: Result<Url, &'static str>,
    http: Result<Client, String>,
    deadline: Instant,
    response_timeout: Duration,
}

impl ProbeClient {
    pub(super) fn new(
        origin: Result<Url, &'static str>,
        roots: Option<Vec<Certificate>>,
        response_timeout: Duration,
    ) -> Self {
        let is_loopback = origin.as_ref().is_ok_and(is_loopback);
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(response_timeout)
            .timeout(response_timeout);
        if is_loopback {
            builder = builder.no_proxy();
        }
        if let Some(roots) = roots {
            builder = builder.tls_certs_only(roots);
        }
        let client = builder.build();
        Self {
            origin,
            http: client.map_err(|_| "the HTTP client could not be created".to_owned()),
            deadline: after(response_timeout.saturating_mul(TOTAL_TIME_FACTOR)),
            response_timeout,
        }
    }

    /// Returns the origin in the form of an issuer identifier. Returns an empty string if the
    /// origin is invalid.
    pub(super) fn origin(&self) -> String {
        let origin = self.origin.as_ref().map(Url::origin);
        origin.map_or_else(|_| String::new(), |origin| origin.ascii_serialization())
    }

    pub(super) fn url(&self) -> Result<&Url, String> {
        self.origin.as_ref().map_err(|reason| (*reason).to_owned())
    }

    /// Returns the URL of a path at the issuer.
    pub(super) fn at(&self, path: &str) -> ProbeUrl {
        self.url().map(|_| format!("{}{path}", self.origin()))
    }

    /// Returns the deadline of a request that starts now.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline.min(after(self.response_timeout))
    }

    pub(super) async fn get(&self, url: &ProbeUrl) -> ProbeResult {
        self.send(Method::GET, url, None, None).await
    }

    /// Sends a request with an invalid credential.
    pub(super) async fn get_with_invalid_credential(&self, url: &ProbeUrl) -> ProbeResult {
        self.send(Method::GET, url, Some(INVALID_CREDENTIAL), None)
            .await
    }

    pub(super) async fn post(&self, url: &ProbeUrl, form: &[(&str, &str)]) -> ProbeResult {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.send(Method::POST, url, None, Some(form)).await
    }

    /// Sends a request. Returns an error for a 429 or 5xx response, because the response of a busy
    /// or failing server does not show whether the issuer follows the contract.
    async fn send(
        &self,
        method: Method,
        url: &ProbeUrl,
        bearer: Option<&str>,
        form: Option<String>,
    ) -> ProbeResult {
        let url = url.as_ref().map_err(String::clone)?;
        let client = self.http.as_ref().map_err(String::clone)?;
        let mut request = client.request(method, url);
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        if let Some(form) = form {
            let form_type = "application/x-www-form-urlencoded";
            request = request.header("content-type", form_type).body(form);
        }
        let response = timeout_at(self.deadline, read(request)).await;
        let response = response.map_err(|_| "the time for all requests ran out".to_owned())??;
        if response.status == 429 || response.status >= 500 {
            return Err(format!("the response was {}", response.status));
        }
        Ok(response)
    }
}

impl ProbeResponse {
    /// Returns the body as JSON, or `null` if the body is not JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Returns a header, or an empty string if the header is absent.
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

    /// Checks that the response has this status, and this code in `error` (K23).
    pub(super) fn refuses(&self, status: u16, error: &str) -> Result<(), Difference> {
        self.is(status)?;
        if self.json().get("error").and_then(Value::as_str) == Some(error) {
            return Ok(());
        }
        let expected = format!("{{\"error\":\"{error}\"}}");
        Err(differs(expected, &self.body))
    }

    /// Checks that the response is an error page and not a redirect (K14).
    pub(super) fn is_refusal_page(&self) -> Result<(), Difference> {
        if self.headers.contains_key("location") {
            let found = format!("{} to {}", self.status, self.header("location"));
            return Err(differs("400 and no redirect", &found));
        }
        self.is(400)?;
        self.has("content-type", "text/html")
    }

    /// Describes the response: the status, and the redirect target if there is one, otherwise the
    /// content type.
    pub(super) fn summary(&self) -> String {
        match self.header("location") {
            "" => format!("{} {}", self.status, self.header("content-type")),
            to => format!("{} to {to}", self.status),
        }
    }
}

async fn read(request: reqwest::RequestBuilder) -> ProbeResult {
    let failed = |error: reqwest::Error| reason(&error).to_owned();
    let mut answer = request.send().await.map_err(failed)?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(failed)? {
        body.extend_from_slice(&piece);
        if body.len() > MAX_BODY {
            return Err("the response is too large".to_owned());
        }
    }
    Ok(ProbeResponse {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// Returns a short reason for an error of the HTTP client. The reason omits the URL, because the
/// report already contains it.
fn reason(error: &reqwest::Error) -> &'static str {
    match error {
        error if error.is_timeout() => "no response in time",
        error if error.is_connect() => "no connection, or no trusted TLS certificate",
        _ => "the connection ended early",
    }
}

/// Returns the current time plus `time`. Returns the current time if the sum overflows.
fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

/// Credential that no issuer accepts, as token or API key.
pub(super) const INVALID_CREDENTIAL: &str = "not-a-credential";

/// Factor of the total time limit. The total time limit is this factor times the time limit for one
/// response.
const TOTAL_TIME_FACTOR: u32 = 6;

const MAX_BODY: usize = 1024 * 1024;
