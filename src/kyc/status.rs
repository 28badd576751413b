//! The status endpoint (K40 to K44): "is this human verified?", from server to server.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderValue, StatusCode, header::AUTHORIZATION};
use url::Url;

use super::assurance::{Assurance, AssuranceSource};
use crate::{
    clock::Clock,
    http::{Answer, CallError, Caller, HttpClient, RetryPolicy, TransportError},
    secret::Secret,
    wire::kyc::{ApiError, StatusResponse},
};

/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The longest person id that is asked about, in bytes.
const MAX_PERSON_ID_BYTES: usize = 255;

/// Asks KYCPort how well a person is verified, with the tenant's API key. Needs no web framework.
/// Cheap to clone; clones share one gate, so that a 429 stops all of them.
#[derive(Clone)]
pub struct StatusClient {
    http: HttpClient,
    caller: Caller,
    base: Url,
    key: Option<Secret>,
    clock: Arc<dyn Clock>,
}

/// Why a person's status is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// No tenant key is configured.
    #[error("no tenant API key is configured (KYCPORT_TENANT_API_KEY)")]
    NoTenantKey,
    /// The person id is empty, longer than 255 bytes, a path of its own, or has control characters
    /// in it.
    #[error("this cannot be a person id")]
    PersonId,
    /// KYCPort could not be asked.
    #[error("KYCPort could not be asked: {0}")]
    Transport(TransportError),
    /// KYCPort wants to be asked no sooner.
    #[error("KYCPort wants to be asked no sooner than in {} s", retry_after.as_secs())]
    RateLimited {
        /// After so long.
        retry_after: Duration,
    },
    /// KYCPort is broken or overloaded, and was every time it was asked.
    #[error("KYCPort answered with status {status}")]
    Unavailable {
        /// The HTTP status.
        status: u16,
    },
    /// KYCPort said no (K43). Asking again brings the same.
    #[error("KYCPort refused with status {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The code, as it came: `invalid_api_key`, `person_not_found`, …
        code: Option<String>,
        /// A text for the developer.
        message: Option<String>,
    },
    /// The answer is not what K40 says.
    #[error("the answer is not a status")]
    InvalidAnswer,
    /// The answer is about somebody else.
    #[error("the answer is about another person")]
    OtherPerson,
}

impl StatusClient {
    pub(crate) fn new(
        http: HttpClient,
        policy: RetryPolicy,
        base: Url,
        key: Option<Secret>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            http,
            caller: Caller::new(policy, Arc::clone(&clock)),
            base,
            key,
            clock,
        }
    }

    /// Whether there is a tenant key to ask with.
    pub fn is_configured(&self) -> bool {
        self.key.is_some()
    }

    /// Asks about one person: three attempts and 20 s at most.
    ///
    /// # Errors
    /// [`StatusError`]. None of them says anything about the person.
    pub async fn status(&self, person_id: &str) -> Result<Assurance, StatusError> {
        let url = self.url(person_id)?;
        let authorization = self.authorization()?;
        // As old as the question: what happens while it is under way may be missing from the answer.
        let asked_at = self.clock.now();
        let answer = self
            .caller
            .ask(|| async {
                let request = http::Request::get(url.as_str())
                    .header(AUTHORIZATION, authorization.clone())
                    .header(http::header::ACCEPT, "application/json")
                    .body(Vec::new())
                    .map_err(|_| TransportError::Request)?;
                self.http.send(request, MAX_ANSWER_BYTES).await
            })
            .await
            .map_err(|error| match error {
                CallError::Transport(error) => StatusError::Transport(error),
                CallError::RateLimited { retry_after } => StatusError::RateLimited { retry_after },
            })?;
        let status = read(&answer, self.clock.as_ref())?;
        if status.person_id.is_some_and(|id| id != person_id) {
            return Err(StatusError::OtherPerson);
        }
        Ok(Assurance::new(
            status.kyc_status,
            status.kyc_tier,
            status.aml_clear,
            asked_at,
            AssuranceSource::Status,
        ))
    }

    /// Asks about many people, `at_once` at a time (64 at most), each answer as it comes: for batch
    /// jobs. Ending the stream ends the asking.
    pub fn statuses<I>(
        &self,
        people: I,
        at_once: usize,
    ) -> impl Stream<Item = (String, Result<Assurance, StatusError>)> + use<'_, I>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        stream::iter(people)
            .map(async |person| {
                let person = person.into();
                let status = self.status(&person).await;
                (person, status)
            })
            .buffer_unordered(at_once.clamp(1, 64))
    }

    fn url(&self, person_id: &str) -> Result<Url, StatusError> {
        // `Url` leaves tabs and line ends out: what remains would be another person's id.
        let is_id = !matches!(person_id, "" | "." | "..")
            && !person_id.contains(char::is_control)
            && person_id.len() <= MAX_PERSON_ID_BYTES;
        if !is_id {
            return Err(StatusError::PersonId);
        }
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| StatusError::PersonId)?
            .pop_if_empty()
            .extend(["api", "v1", "kyc", person_id, "status", ""]);
        Ok(url)
    }

    fn authorization(&self) -> Result<HeaderValue, StatusError> {
        let key = self.key.as_ref().ok_or(StatusError::NoTenantKey)?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose()))
            .map_err(|_| StatusError::NoTenantKey)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for StatusClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusClient")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

fn read(answer: &Answer, clock: &dyn Clock) -> Result<StatusResponse, StatusError> {
    let status = answer.status.as_u16();
    if answer.status == StatusCode::OK {
        // serde would read an array as the fields in their order, and that is not K40 either.
        if !answer.body.trim_ascii_start().starts_with(b"{") {
            return Err(StatusError::InvalidAnswer);
        }
        return serde_json::from_slice(&answer.body).map_err(|_| StatusError::InvalidAnswer);
    }
    if answer.status == StatusCode::TOO_MANY_REQUESTS {
        return Err(StatusError::RateLimited {
            retry_after: crate::http::retry_after(&answer.headers, clock.now())
                .unwrap_or(Duration::from_secs(1)),
        });
    }
    if answer.status.is_server_error() || answer.status == StatusCode::REQUEST_TIMEOUT {
        return Err(StatusError::Unavailable { status });
    }
    let error: ApiError = serde_json::from_slice(&answer.body).unwrap_or_default();
    Err(StatusError::Refused {
        status,
        code: error.error,
        message: error.detail.or(error.message),
    })
}
