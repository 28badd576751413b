//! The status endpoint (K40 to K44): "is this human verified?", from server to server.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _, stream};
use http::StatusCode;

use super::assurance::{Assurance, AssuranceSource};
use crate::{
    api::{self, Api, Failure},
    clock::Clock,
    http::{Answer, TransportError},
    observe::{self, Call, Reason},
    wire::kyc::{ErrorMessage, StatusResponse},
};

/// Asks KYCPort how well a person is verified, with the tenant's API key. Needs no web framework.
/// Cheap to clone; clones share one gate, so that a 429 stops all of them.
#[derive(Clone)]
pub struct StatusClient {
    api: Api,
    person_id: StatusPersonId,
    clock: Arc<dyn Clock>,
}

/// When a response of the status endpoint must contain `person_id`. One that is there is always
/// compared with the person that the request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StatusPersonId {
    /// Never. [KYCPort documents](crate::guide::contract) a response without it.
    #[default]
    Optional,
    /// Always. A response without it is an error, and guards answer 503.
    Required,
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
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The code, as it came, if it can be one: `invalid_api_key`, `person_not_found`, …
        code: Option<String>,
        /// A text for the developer, which `Debug` hides.
        message: Option<ErrorMessage>,
    },
    /// The answer is not what K40 says.
    #[error("the answer is not a status")]
    InvalidResponse,
    /// The answer is about somebody else.
    #[error("the answer is about another person")]
    SubjectMismatch,
    /// The response lacks `person_id`, which
    /// [`status_person_id`](crate::ConfigBuilder::status_person_id) requires.
    #[error("the response lacks person_id, which the setting status_person_id requires")]
    MissingPersonId,
}

impl StatusClient {
    pub(crate) fn new(api: Api, person_id: StatusPersonId, clock: Arc<dyn Clock>) -> Self {
        Self {
            api,
            person_id,
            clock,
        }
    }

    /// Whether there is a tenant key to ask with.
    pub fn is_configured(&self) -> bool {
        self.api.has_key()
    }

    /// Whether KYCPort has rate-limited this client within `age`.
    #[cfg(feature = "web")]
    pub(crate) fn was_rate_limited_within(&self, age: Duration) -> bool {
        self.api.was_rate_limited_within(age)
    }

    /// Asks about one person: three attempts and 20 s at most.
    ///
    /// # Errors
    /// [`StatusError`]. None of them says anything about the person.
    pub async fn status(&self, person_id: &str) -> Result<Assurance, StatusError> {
        observe::call(Call::Status, self.ask(person_id)).await
    }

    async fn ask(&self, person_id: &str) -> Result<Assurance, StatusError> {
        let url = self
            .api
            .url(&["kyc", person_id, "status"])
            .ok_or(StatusError::PersonId)?;
        // As old as the question: what happens while it is under way may be missing from the answer.
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
        Ok(Assurance::new(
            status.kyc_status,
            status.kyc_tier,
            status.aml_clear,
            requested_at,
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
            Self::Rejected { .. } => "refused",
            Self::InvalidResponse => "invalid_answer",
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
