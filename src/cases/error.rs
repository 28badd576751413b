//! Error types of the case client.

use std::time::Duration;

use super::media::{MediaType, WrongType};
use crate::{
    api::{Failure, MutationError},
    http::TransportError,
    wire::kyc::ErrorMessage,
};

/// Error for a failed request about a case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// No tenant key is configured.
    #[error("no tenant API key is configured (KYCPORT_TENANT_API_KEY)")]
    NoTenantKey,
    /// The id is empty, longer than 255 bytes, `.` or `..`, or contains control characters.
    #[error("invalid id of a case or person, or invalid idempotency key")]
    Id,
    /// A file of the upload is invalid or cannot be read. KYCPort did not receive the whole upload.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// KYCPort could not be reached, and the request was not applied.
    #[error("cannot reach KYCPort: {0}")]
    Transport(TransportError),
    /// KYCPort limits the rate of requests, or this client limits the rate of requests about one
    /// person or case. The request was not applied.
    #[error("rate limited; retry after {} s", retry_after.as_secs())]
    RateLimited {
        /// Time to wait before the next request.
        retry_after: Duration,
    },
    /// KYCPort returned a server error for every attempt of an idempotent request.
    #[error("KYCPort is unavailable (status {status})")]
    Unavailable {
        /// HTTP status.
        status: u16,
    },
    /// KYCPort rejected the request (K54, K57, K58). The request was not applied.
    #[error("KYCPort rejected the request with status {status}")]
    Rejected {
        /// HTTP status.
        status: u16,
        /// Error code from the response, such as `case_not_found`, `documents_missing` or
        /// `file_too_large`. `None` if the text in the response cannot be a code.
        code: Option<String>,
        /// Description for developers. `Debug` hides the description.
        message: Option<ErrorMessage>,
    },
    /// The client sent the request, but does not know whether KYCPort applied it. Read the case
    /// with [`CaseClient::get`](super::CaseClient::get) before you retry.
    #[error("outcome unknown ({0}): re-read the case before retrying")]
    OutcomeUnknown(OutcomeUnknownCause),
    /// The response does not match the contract.
    #[error("the response is not a valid case")]
    InvalidResponse,
    /// The response is about another case, or the case belongs to another person.
    #[error("the response is about another case, or the case belongs to another person")]
    CaseMismatch,
}

/// Reason why the outcome of a request is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutcomeUnknownCause {
    /// The connection failed before the response arrived.
    #[error("{0}")]
    Transport(TransportError),
    /// The response is a server error. A proxy may have sent the response.
    #[error("status {status}")]
    Status {
        /// HTTP status.
        status: u16,
    },
    /// The response cannot be parsed.
    #[error("unreadable response")]
    Unreadable,
}

/// Error for an invalid file in an upload. The error contains no part of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// A file is empty.
    #[error("the {part} is empty")]
    Empty {
        /// Name of the part.
        part: &'static str,
    },
    /// A file exceeds the maximum size.
    #[error("the {part} is larger than {limit} bytes")]
    TooLarge {
        /// Name of the part.
        part: &'static str,
        /// Maximum size in bytes.
        limit: u64,
    },
    /// KYCPort does not accept the type of a file (K58).
    #[error("the {part} has none of the accepted types: {}", MediaType::names(.part))]
    UnsupportedType {
        /// Name of the part.
        part: &'static str,
    },
    /// The extension of the file name belongs to another type than the content.
    #[error("the content of the {part} is {found}, but its name has another extension")]
    NameMismatch {
        /// Name of the part.
        part: &'static str,
        /// Type of the content.
        found: MediaType,
    },
    /// A file cannot be read.
    #[error("the {part} cannot be read ({kind})")]
    Unreadable {
        /// Name of the part.
        part: &'static str,
        /// Error kind from the operating system or the source.
        kind: std::io::ErrorKind,
    },
    /// The length of a file changed during the upload.
    #[error("the length of the {part} changed during the upload")]
    Changed {
        /// Name of the part.
        part: &'static str,
    },
}

impl UploadError {
    pub(super) fn of_type(part: &'static str, wrong: WrongType) -> Self {
        match wrong {
            WrongType::Unsupported => Self::UnsupportedType { part },
            WrongType::Mismatch(found) => Self::NameMismatch { part, found },
        }
    }
}

impl From<Failure> for CaseError {
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

impl From<MutationError> for CaseError {
    fn from(error: MutationError) -> Self {
        match error {
            MutationError::NotApplied(failure) => failure.into(),
            MutationError::OutcomeUnknown(Failure::Transport(error)) => {
                Self::OutcomeUnknown(OutcomeUnknownCause::Transport(error))
            }
            MutationError::OutcomeUnknown(Failure::Unavailable { status }) => {
                Self::OutcomeUnknown(OutcomeUnknownCause::Status { status })
            }
            MutationError::OutcomeUnknown(_) => {
                Self::OutcomeUnknown(OutcomeUnknownCause::Unreadable)
            }
        }
    }
}

impl CaseError {
    /// Converts the error of an unreadable success response: KYCPort may have applied the request.
    pub(super) fn after_mutation(self) -> Self {
        match self {
            Self::InvalidResponse => Self::OutcomeUnknown(OutcomeUnknownCause::Unreadable),
            other => other,
        }
    }

    /// Returns whether a later attempt may succeed.
    pub(super) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Transport(_) | Self::RateLimited { .. } | Self::Unavailable { .. }
        )
    }
}
