//! Client for the tenant API (K40 to K54): authentication, URLs and error mapping.

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
    http::{
        Answer, CallError, Caller, HttpClient, Idempotency, RetryPolicy, TransportError, bearer,
    },
    secret::Secret,
    secrets::{CandidateCheck, CredentialVerdict, RotatingSecret, check_candidate},
    strict_json,
    wire::{
        is_id,
        kyc::{ApiError, ErrorMessage},
    },
};

/// Maximum size of a response, in bytes.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Id of a person who does not exist. The client uses this id to check a key, because KYCPort
/// checks the key before it looks up the person (K47).
pub(crate) const PROBE_PERSON_ID: &str = "kycport-probe";

/// Client for the tenant API, which authenticates with the tenant key. Clones share one rate limit,
/// so a 429 pauses all clones. Checks of a candidate key have a separate rate limit, because a 429
/// for a candidate must not pause other requests.
///
/// A request with a rejected key has no effect (K97). If KYCPort rejects the key and another key is
/// available, the client therefore sends the request again with the other key.
#[derive(Clone)]
pub(crate) struct Api {
    http: HttpClient,
    caller: Caller,
    check_caller: Caller,
    base: Url,
    keys: Arc<RotatingSecret>,
    clock: Arc<dyn Clock>,
}

/// Error for an API call without a usable response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No tenant key is configured.
    NoTenantKey,
    /// The request failed.
    Transport(TransportError),
    /// KYCPort rate-limits this client.
    RateLimited { retry_after: Duration },
    /// KYCPort responded with a server error.
    Unavailable { status: u16 },
    /// KYCPort rejected the request.
    Rejected {
        status: u16,
        code: Option<String>,
        message: Option<ErrorMessage>,
    },
}

/// Error for a request with side effects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MutationError {
    /// KYCPort did not apply the request.
    NotApplied(Failure),
    /// KYCPort may have applied the request: the client sent the request, but no response shows the
    /// outcome.
    OutcomeUnknown(Failure),
}

impl Api {
    pub(crate) fn new(
        http: HttpClient,
        policy: RetryPolicy,
        base: Url,
        keys: Arc<RotatingSecret>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let once = RetryPolicy {
            attempts: 1,
            ..policy
        };
        Self {
            http,
            caller: Caller::new(policy, Arc::clone(&clock)),
            check_caller: Caller::new(once, Arc::clone(&clock)),
            base,
            keys,
            clock,
        }
    }

    /// Returns the clock of this client.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    pub(crate) fn has_key(&self) -> bool {
        self.keys.current().is_some()
    }

    /// Returns an error if no key is available. A caller can call this function before an expensive
    /// preparation.
    pub(crate) fn require_key(&self) -> Result<(), Failure> {
        let known = self.keys.next_untried(&[]);
        known.map(drop).ok_or(Failure::NoTenantKey)
    }

    /// Returns whether KYCPort has rate-limited this client within `age`.
    #[cfg(feature = "web")]
    pub(crate) fn was_rate_limited_within(&self, age: Duration) -> bool {
        self.caller.was_rate_limited_within(age)
    }

    pub(crate) fn http(&self) -> &HttpClient {
        &self.http
    }

    /// Returns a client for calls that take up to `total`.
    pub(crate) fn for_long_calls(&self, total: Duration) -> Self {
        Self {
            caller: self.caller.for_long_calls(total),
            ..self.clone()
        }
    }

    /// Builds the URL below `/api/v1`, with one encoded segment per item and a trailing slash (K4).
    /// Returns `None` if a segment cannot be an id.
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

    /// Sends a GET request, with retries.
    pub(crate) async fn get_with_retries(&self, url: &Url) -> Result<Answer, Failure> {
        let send = |authorization| self.get(url, authorization);
        self.call(Idempotency::Idempotent, send).await
    }

    async fn get(&self, url: &Url, authorization: HeaderValue) -> Result<Answer, TransportError> {
        let request = http::Request::get(url.as_str())
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| TransportError::Request)?;
        self.http.send(request, MAX_ANSWER_BYTES).await
    }

    /// Checks whether KYCPort accepts this key by reading the status of a person who does not
    /// exist. This check has no side effects.
    pub(crate) async fn check_key(&self, key: &Secret) -> CandidateCheck {
        let Some(url) = self.url(&["kyc", PROBE_PERSON_ID, "status"]) else {
            return CandidateCheck::Unclear;
        };
        let send_with = async |key: Secret| {
            let send = |authorization| self.get(&url, authorization);
            let answer = self.call_with(&key, &self.check_caller, Idempotency::Idempotent, &send);
            verdict_of(&answer.await)
        };
        check_candidate(key, send_with).await
    }

    /// Sends a request with side effects. Repeats the request only if no part of the request
    /// reached KYCPort (K44).
    pub(crate) async fn send_once<F>(
        &self,
        send: impl Fn(HeaderValue) -> F,
    ) -> Result<Answer, MutationError>
    where
        F: Future<Output = Result<Answer, TransportError>>,
    {
        let started = AtomicBool::new(false);
        let send = |authorization| {
            started.store(true, Ordering::Relaxed);
            send(authorization)
        };
        let failure = match self.call(Idempotency::NonIdempotent, send).await {
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
            | Failure::Rejected { .. } => MutationError::NotApplied(failure),
            // The client sent no request, because the call was still waiting for the concurrency
            // limit.
            Failure::Transport(_) if !started.load(Ordering::Relaxed) => {
                MutationError::NotApplied(failure)
            }
            // A proxy may respond with 502 to 504 although KYCPort applied the request.
            Failure::Transport(_) | Failure::Unavailable { .. } => {
                MutationError::OutcomeUnknown(failure)
            }
        })
    }

    /// Sends a request and maps error responses. If KYCPort rejects the key and another key is
    /// available, sends the request again with the other key.
    pub(crate) async fn call<F>(
        &self,
        idempotency: Idempotency,
        send: impl Fn(HeaderValue) -> F,
    ) -> Result<Answer, Failure>
    where
        F: Future<Output = Result<Answer, TransportError>>,
    {
        let mut tried = Vec::new();
        let mut result = Err(Failure::NoTenantKey);
        while let Some(key) = self.keys.next_untried(&tried) {
            result = self.call_with(&key, &self.caller, idempotency, &send).await;
            match &result {
                Ok(_) => self.keys.mark_accepted(&key),
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
        idempotency: Idempotency,
        send: &impl Fn(HeaderValue) -> F,
    ) -> Result<Answer, Failure>
    where
        F: Future<Output = Result<Answer, TransportError>>,
    {
        let authorization = bearer(key.expose()).ok_or(Failure::NoTenantKey)?;
        let answer = caller
            .call(idempotency, || send(authorization.clone()))
            .await
            .map_err(|error| match error {
                CallError::Transport(error) => Failure::Transport(error),
                CallError::RateLimited { retry_after } => Failure::RateLimited { retry_after },
            })?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(self.map_error(&answer))
    }

    fn map_error(&self, answer: &Answer) -> Failure {
        let status = answer.status.as_u16();
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            return Failure::RateLimited {
                retry_after: crate::http::retry_after(&answer.headers, self.clock.now())
                    .unwrap_or(crate::http::DEFAULT_PAUSE),
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

/// `Debug` shows the base URL, and never the key.
impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

/// Returns the meaning of a status response for the key. A valid key yields 404, because the person
/// does not exist.
fn verdict_of(answer: &Result<Answer, Failure>) -> CredentialVerdict {
    match answer {
        Ok(_) | Err(Failure::Rejected { status: 404, .. }) => CredentialVerdict::Accepted,
        Err(Failure::Rejected {
            status: 401 | 403, ..
        }) => CredentialVerdict::Rejected,
        Err(Failure::Rejected { .. } | Failure::NoTenantKey) => CredentialVerdict::Unclear,
        Err(Failure::Transport(_) | Failure::RateLimited { .. } | Failure::Unavailable { .. }) => {
            CredentialVerdict::NoResponse
        }
    }
}

/// Parses the body of a response as a JSON object.
pub(crate) fn read<T: serde::de::DeserializeOwned>(answer: &Answer) -> Option<T> {
    strict_json::document(&answer.body)
}
