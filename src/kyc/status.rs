//! Client for the status endpoint (K40 to K44).

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _, stream};
use http::StatusCode;

use super::assurance::{Assurance, AssuranceSource};
use crate::{
    api::{self, Api, Failure},
    clock::{Clock, json},
    http::{Answer, TransportError},
    observe::{self, Call, Reason},
    wire::{
        kyc::{ErrorMessage, StatusResponse},
        status_aliases::StatusAliases,
    },
};

/// Client that queries the status of a person with the tenant's API key. The client needs no web
/// framework. The client is cheap to clone. All clones share the rate limit. A 429 therefore pauses
/// all clones.
#[derive(Clone)]
pub struct StatusClient {
    api: Api,
    person_id: StatusPersonId,
    aliases: StatusAliases,
    clock: Arc<dyn Clock>,
}

/// Whether a response of the status endpoint must contain `person_id`. If `person_id` is present,
/// the client always compares it with the person in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StatusPersonId {
    /// `person_id` may be missing. [KYCPort documents](crate::guide::contract) a response without
    /// `person_id`.
    #[default]
    Optional,
    /// `person_id` is required. A response without `person_id` is an error, and guards respond with
    /// 503.
    Required,
}

/// Error for a failed status query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// No tenant key is configured.
    #[error("no tenant API key is configured (KYCPORT_TENANT_API_KEY)")]
    NoTenantKey,
    /// The person ID is empty, longer than 255 bytes, a relative path such as `..`, or contains
    /// control characters.
    #[error("invalid person id: expected 1 to 255 bytes without control characters")]
    PersonId,
    /// The request failed in transport.
    #[error("the request to KYCPort failed: {0}")]
    Transport(TransportError),
    /// KYCPort rate-limited the request.
    #[error("rate limited: retry after {} s", retry_after.as_secs())]
    RateLimited {
        /// Time to wait before the next request.
        retry_after: Duration,
    },
    /// KYCPort responded to every attempt with a server error (5xx).
    #[error("KYCPort is unavailable (status {status})")]
    Unavailable {
        /// HTTP status.
        status: u16,
    },
    /// KYCPort rejected the request (K43). KYCPort would also reject a repeated request.
    #[error("KYCPort rejected the request with status {status}")]
    Rejected {
        /// HTTP status.
        status: u16,
        /// Error code of the response, if it has the form of a code: `invalid_api_key`,
        /// `person_not_found`, …
        code: Option<String>,
        /// Message for the developer, which `Debug` hides.
        message: Option<ErrorMessage>,
    },
    /// The response does not match K40.
    #[error("the response is not a valid status")]
    InvalidResponse,
    /// The response is about another person.
    #[error("the response is about another person")]
    SubjectMismatch,
    /// The response lacks `person_id`, and the
    /// setting [`status_person_id`](crate::ConfigBuilder::status_person_id) requires it.
    #[error("the response lacks person_id, which the setting status_person_id requires")]
    MissingPersonId,
}

impl StatusClient {
    pub(crate) fn new(
        api: Api,
        person_id: StatusPersonId,
        aliases: StatusAliases,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            api,
            person_id,
            aliases,
            clock,
        }
    }

    /// Returns whether a tenant key is configured.
    pub fn is_configured(&self) -> bool {
        self.api.has_key()
    }

    /// Returns whether KYCPort has rate-limited this client within `age`.
    #[cfg(feature = "web")]
    pub(crate) fn was_rate_limited_within(&self, age: Duration) -> bool {
        self.api.was_rate_limited_within(age)
    }

    /// Queries the status of one person: at most three attempts and 20 s.
    ///
    /// Cancel safe: the query has no side effects.
    ///
    /// # Errors
    /// Returns [`StatusError`]. No error contains information about the person.
    pub async fn status(&self, person_id: &str) -> Result<Assurance, StatusError> {
        observe::call(Call::Status, self.ask(person_id)).await
    }

    async fn ask(&self, person_id: &str) -> Result<Assurance, StatusError> {
        let url = self
            .api
            .url(&["kyc", person_id, "status"])
            .ok_or(StatusError::PersonId)?;
        // Take the time before the request, because the answer may miss a change during the
        // request.
        let requested_at = self.clock.now();
        let answer = self.api.get_with_retries(&url).await?;
        let status = read(&answer)?;
        match status.person_id {
            Some(id) if id != person_id => return Err(StatusError::SubjectMismatch),
            None if self.person_id == StatusPersonId::Required => {
                return Err(StatusError::MissingPersonId);
            }
            Some(_) | None => {}
        }
        // Compare with the time after the response, because KYCPort may have verified the person
        // during the request.
        let verified_at = status
            .verified_at
            .and_then(|time| json::read_past(&time, self.clock.now()));
        Ok(Assurance::new(
            self.aliases.apply(status.kyc_status),
            status.kyc_tier,
            status.aml_clear,
            requested_at,
            AssuranceSource::Status,
        )
        .with_verified_at(verified_at))
    }

    /// Queries the status of many people for batch jobs, with `at_once` concurrent queries
    /// (maximum: 64). The stream yields each answer when it arrives. Dropping the stream stops the
    /// queries.
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
}

impl fmt::Debug for StatusClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusClient")
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}

impl From<Failure> for StatusError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoTenantKey => Self::NoTenantKey,
            Failure::Transport(error) => Self::Transport(error),
            Failure::RateLimited { retry_after } => Self::RateLimited { retry_after },
            Failure::Unavailable { status } => Self::Unavailable { status },
            Failure::Rejected {
                status,
                code,
                message,
            } => Self::Rejected {
                status,
                code,
                message,
            },
        }
    }
}

impl Reason for StatusError {
    fn reason(&self) -> &'static str {
        match self {
            Self::NoTenantKey => "no_tenant_key",
            Self::PersonId => "id",
            Self::Transport(error) => error.reason(),
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable { .. } => "unavailable",
            Self::Rejected { .. } => "rejected",
            Self::InvalidResponse => "invalid_response",
            Self::SubjectMismatch => "subject_mismatch",
            Self::MissingPersonId => "missing_person_id",
        }
    }

    fn is_rejection(&self) -> bool {
        matches!(
            self,
            Self::NoTenantKey | Self::PersonId | Self::Rejected { .. }
        )
    }
}

fn read(answer: &Answer) -> Result<StatusResponse, StatusError> {
    if answer.status != StatusCode::OK {
        return Err(StatusError::InvalidResponse);
    }
    api::read(answer).ok_or(StatusError::InvalidResponse)
}
