//! The API that takes the tenant key (K40 to K54): its addresses, and what its noes mean.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{
    HeaderValue, StatusCode,
    header::{ACCEPT, AUTHORIZATION},
};
use url::Url;

use crate::{
    clock::Clock,
    http::{Answer, CallError, Caller, HttpClient, Repeat, RetryPolicy, TransportError},
    secret::Secret,
    secrets::{Said, Slot, Trial, trial},
    strict_json,
    wire::kyc::{ApiError, ErrorMessage},
};

/// The largest answer that is read, in bytes.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The longest id that is asked about, in bytes.
pub(crate) const MAX_ID_BYTES: usize = 255;

/// Nobody's id, to ask about for the sake of the key. KYCPort looks at the key first, and only then
/// for the person (K47).
pub(crate) const NOBODY: &str = "kycport-nobody";

/// Calls the API with the tenant's key. Clones share one gate, so that a 429 stops all of them; a
/// trial of a key has its own, for what it is told is no matter of those who ask with a good one.
///
/// A key that is refused changes nothing (K97), so if there is another by then, that is tried for
/// the same call.
#[derive(Clone)]
pub(crate) struct Api {
    http: HttpClient,
    caller: Caller,
    trials: Caller,
    base: Url,
    keys: Arc<Slot>,
    clock: Arc<dyn Clock>,
}

/// Why the API brought no answer to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No tenant key is configured.
    NoTenantKey,
    /// It could not be asked.
    Transport(TransportError),
    /// It wants to be asked no sooner.
    RateLimited { retry_after: Duration },
    /// It is broken or overloaded.
    Unavailable { status: u16 },
    /// It said no.
    Rejected {
        status: u16,
        code: Option<String>,
        message: Option<ErrorMessage>,
    },
}

/// Why it is not certain that something was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undone {
    /// It was not done.
    No(Failure),
    /// It may have been done, or not: something was sent, and no answer came that says which.
    Unknown(Failure),
}

impl Api {
    pub(crate) fn new(
        http: HttpClient,
        policy: RetryPolicy,
        base: Url,
        keys: Arc<Slot>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let once = RetryPolicy {
            attempts: 1,
            ..policy
        };
        Self {
            http,
            caller: Caller::new(policy, Arc::clone(&clock)),
            trials: Caller::new(once, Arc::clone(&clock)),
            base,
            keys,
            clock,
        }
    }

    pub(crate) fn has_key(&self) -> bool {
        self.keys.current().is_some()
    }

    /// For whoever prepares much before it calls.
    pub(crate) fn require_key(&self) -> Result<(), Failure> {
        let known = self.keys.other_than(&[]);
        known.map(drop).ok_or(Failure::NoTenantKey)
    }

    /// Whether KYCPort has rate-limited this client within `age`.
    #[cfg(feature = "web")]
    pub(crate) fn was_rate_limited_within(&self, age: Duration) -> bool {
        self.caller.was_rate_limited_within(age)
    }

    pub(crate) fn http(&self) -> &HttpClient {
        &self.http
    }

    /// For calls that take up to `total`.
    pub(crate) fn for_long_calls(&self, total: Duration) -> Self {
        Self {
            caller: self.caller.for_long_calls(total),
            ..self.clone()
        }
    }

    /// The address below `/api/v1`, each segment encoded as one, with a slash at the end (K4).
    /// None if a segment cannot be an id.
    pub(crate) fn url(&self, segments: &[&str]) -> Option<Url> {
        if !segments.iter().copied().all(is_id) {
            return None;
        }
        let mut url = self.base.clone();
        url.path_segments_mut()
            .ok()?
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(segments)
            .push("");
        Some(url)
    }

    /// Asks: GET, again if that may help.
    pub(crate) async fn ask(&self, url: &Url) -> Result<Answer, Failure> {
        let send = |authorization| self.get(url, authorization);
        self.call(Repeat::Question, send).await
    }

    async fn get(&self, url: &Url, authorization: HeaderValue) -> Result<Answer, TransportError> {
        let request = http::Request::get(url.as_str())
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| TransportError::Request)?;
        self.http.send(request, MAX_ANSWER_BYTES).await
    }

    /// Whether KYCPort accepts this key: asks for the status of nobody, which changes nothing.
    pub(crate) async fn try_key(&self, key: &Secret) -> Trial {
        let Some(url) = self.url(&["kyc", NOBODY, "status"]) else {
            return Trial::Unclear;
        };
        let ask = async |key: Secret| {
            let send = |authorization| self.get(&url, authorization);
            let answer = self.call_with(&key, &self.trials, Repeat::Question, &send);
            said(&answer.await)
        };
        trial(key, ask).await
    }

    /// Does something: sent once, and again only while it is certain that nothing arrived (K44).
    pub(crate) async fn tell<F>(&self, send: impl Fn(HeaderValue) -> F) -> Result<Answer, Undone>
    where
        F: Future<Output = Result<Answer, TransportError>>,
    {
        let begun = AtomicBool::new(false);
        let send = |authorization| {
            begun.store(true, Ordering::Relaxed);
            send(authorization)
        };
        let failure = match self.call(Repeat::Deed, send).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        Err(match failure {
            Failure::Transport(
                TransportError::Connect
                | TransportError::Tls
                | TransportError::Insecure
                | TransportError::Request,
            )
            | Failure::NoTenantKey
            | Failure::RateLimited { .. }
            | Failure::Rejected { .. } => Undone::No(failure),
            // It was still waiting for its turn.
            Failure::Transport(_) if !begun.load(Ordering::Relaxed) => Undone::No(failure),
            // A proxy on the way says 502 to 504 of a service that has done it, too.
            Failure::Transport(_) | Failure::Unavailable { .. } => Undone::Unknown(failure),
        })
    }

    /// Sends what `send` sends, and tells an answer from a no. If the key is refused, and there is
    /// another, it is sent with that.
    pub(crate) async fn call<F>(
        &self,
        repeat: Repeat,
        send: impl Fn(HeaderValue) -> F,
    ) -> Result<Answer, Failure>
    where
        F: Future<Output = Result<Answer, TransportError>>,
    {
        let mut tried = Vec::new();
        let mut result = Err(Failure::NoTenantKey);
        while let Some(key) = self.keys.other_than(&tried) {
            result = self.call_with(&key, &self.caller, repeat, &send).await;
            match &result {
                Ok(_) => self.keys.accepted(&key),
                Err(Failure::Rejected { status: 401, .. }) => {
                    tried.push(key);
                    continue;
                }
                Err(_) => {}
            }
            break;
        }
        result
    }

    async fn call_with<F>(
        &self,
        key: &Secret,
        caller: &Caller,
        repeat: Repeat,
        send: &impl Fn(HeaderValue) -> F,
    ) -> Result<Answer, Failure>
    where
        F: Future<Output = Result<Answer, TransportError>>,
    {
        let authorization = bearer(key)?;
        let answer = caller
            .call(repeat, || send(authorization.clone()))
            .await
            .map_err(|error| match error {
                CallError::Transport(error) => Failure::Transport(error),
                CallError::RateLimited { retry_after } => Failure::RateLimited { retry_after },
            })?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(self.no(&answer))
    }

    fn no(&self, answer: &Answer) -> Failure {
        let status = answer.status.as_u16();
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            return Failure::RateLimited {
                retry_after: crate::http::retry_after(&answer.headers, self.clock.now())
                    .unwrap_or(Duration::from_secs(1)),
            };
        }
        if answer.status.is_server_error() || answer.status == StatusCode::REQUEST_TIMEOUT {
            return Failure::Unavailable { status };
        }
        let error: ApiError = strict_json::document(&answer.body).unwrap_or_default();
        Failure::Rejected {
            status,
            code: error.error.filter(|code| ErrorMessage::is_code(code)),
            message: error.detail.or(error.message).map(ErrorMessage::new),
        }
    }
}

/// Where the API is, and never the key.
impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

fn bearer(key: &Secret) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose()))
        .map_err(|_| Failure::NoTenantKey)?;
    value.set_sensitive(true);
    Ok(value)
}

/// What an answer about nobody says of the key: there is no such person, for whoever is let in.
fn said(answer: &Result<Answer, Failure>) -> Said {
    match answer {
        Ok(_) | Err(Failure::Rejected { status: 404, .. }) => Said::Yes,
        Err(Failure::Rejected {
            status: 401 | 403, ..
        }) => Said::No,
        Err(Failure::Rejected { .. } | Failure::NoTenantKey) => Said::Unclear,
        Err(Failure::Transport(_) | Failure::RateLimited { .. } | Failure::Unavailable { .. }) => {
            Said::Nothing
        }
    }
}

/// Reads the object that an answer is.
pub(crate) fn read<T: serde::de::DeserializeOwned>(answer: &Answer) -> Option<T> {
    strict_json::document(&answer.body)
}

/// `Url` leaves tabs and line ends out: what remains would be another's id.
fn is_id(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && !text.contains(char::is_control)
        && text.len() <= MAX_ID_BYTES
}
