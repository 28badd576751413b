//! What can go wrong with a case, and how to go on.

use std::time::Duration;

use super::media::{MediaType, WrongType};
use crate::{
    api::{Failure, MutationError},
    http::TransportError,
    wire::kyc::ErrorMessage,
};

/// Why something about a case is not done, or not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// No tenant key is configured.
    #[error("no tenant API key is configured (KYCPORT_TENANT_API_KEY)")]
    NoTenantKey,
    /// The id is empty, longer than 255 bytes, a path of its own, or has control characters in it.
    #[error("this cannot be an id")]
    Id,
    /// The upload was not begun, or broken off, for what it is made of.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// KYCPort could not be asked, and nothing was done.
    #[error("KYCPort could not be asked: {0}")]
    Transport(TransportError),
    /// KYCPort wants to be asked no sooner; nothing was done.
    #[error("KYCPort wants to be asked no sooner than in {} s", retry_after.as_secs())]
    RateLimited {
        /// After so long.
        retry_after: Duration,
    },
    /// KYCPort is broken or overloaded, and was every time it was asked. Only of what asks, never
    /// of what does something.
    #[error("KYCPort answered with status {status}")]
    Unavailable {
        /// The HTTP status.
        status: u16,
    },
    /// KYCPort said no (K54, K57, K58); nothing was done.
    #[error("KYCPort refused with status {status}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// The code, as it came, if it can be one: `case_not_found`, `documents_missing`, `file_too_large`, …
        code: Option<String>,
        /// A text for the developer, which `Debug` hides.
        message: Option<ErrorMessage>,
    },
    /// It was sent, and no answer came that says whether it was done. Do not send it again blindly:
    /// read the case with [`CaseClient::get`](super::CaseClient::get), and go on from there.
    #[error("whether KYCPort did it is not known ({0}): read the case before going on")]
    OutcomeUnknown(OutcomeUnknownCause),
    /// The answer is not what the contract says.
    #[error("the answer is not a case")]
    InvalidResponse,
    /// The answer is about another case, or about another person's.
    #[error("the case is another one, or another person's")]
    CaseMismatch,
}

/// What came instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutcomeUnknownCause {
    /// The connection did not bring one.
    #[error("{0}")]
    Transport(TransportError),
    /// A server error, which may be that of a proxy on the way.
    #[error("status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// Something that cannot be read.
    #[error("the answer cannot be read")]
    Unreadable,
}

/// Why an upload cannot be sent. None of them tells what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// A file is empty.
    #[error("the {part} is empty")]
    Empty {
        /// The part.
        part: &'static str,
    },
    /// A file is larger than is sent.
    #[error("the {part} is larger than {limit} bytes")]
    TooLarge {
        /// The part.
        part: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file is of no type that KYCPort takes there (K58).
    #[error("the {part} is none of: {}", MediaType::names(.part))]
    UnsupportedType {
        /// The part.
        part: &'static str,
    },
    /// A file is of another type than its name says.
    #[error("the {part} is {found}, which its name does not say")]
    NameMismatch {
        /// The part.
        part: &'static str,
        /// What it is.
        found: MediaType,
    },
    /// A file cannot be read.
    #[error("the {part} cannot be read ({kind})")]
    Unreadable {
        /// The part.
        part: &'static str,
        /// What the operating system, or the source, said.
        kind: std::io::ErrorKind,
    },
    /// A file became longer or shorter while it was sent.
    #[error("the {part} changed while it was sent")]
    Changed {
        /// The part.
        part: &'static str,
    },
}

impl UploadError {
    pub(super) fn of_type(part: &'static str, wrong: WrongType) -> Self {
        match wrong {
            WrongType::Unsupported => Self::UnsupportedType { part },
            WrongType::Named(found) => Self::NameMismatch { part, found },
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
    fn from(undone: MutationError) -> Self {
        match undone {
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
    /// Of an answer that says that something was done, and cannot be read.
    pub(super) fn after_the_deed(self) -> Self {
        match self {
            Self::InvalidResponse => Self::OutcomeUnknown(OutcomeUnknownCause::Unreadable),
            other => other,
        }
    }

    /// Whether asking again later may bring something else.
    pub(super) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Transport(_) | Self::RateLimited { .. } | Self::Unavailable { .. }
        )
    }
}
