//! What the errors of this floor are called in the log.

use super::{
    ExchangeError, LoginError, ProviderError, UserinfoError,
    refusal::{TokenKind, TokenValidationError},
};
use crate::observe::{self, Reason};

impl Reason for ProviderError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Transport(error) => error.reason(),
            Self::Status(_) => "status",
            Self::Metadata(_) => "metadata",
            Self::KeySet(_) => "key_set",
            Self::KeyBudget => "key_budget",
            Self::Interrupted => "interrupted",
        }
    }
}

impl Reason for ExchangeError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Transport(error) => error.reason(),
            Self::Unavailable { .. } => "unavailable",
            Self::Rejected { .. } => "refused",
            Self::Forbidden => "forbidden",
            Self::InvalidResponse => "invalid_answer",
        }
    }

    fn is_a_no(&self) -> bool {
        matches!(self, Self::Rejected { .. } | Self::Forbidden)
    }
}

impl Reason for LoginError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::State => "state",
            Self::Issuer => "issuer",
            Self::Rejected(_) => "refused",
            Self::Exchange(error) => error.reason(),
            Self::NoIdToken => "no_id_token",
            Self::IdToken(_) => "id_token",
            Self::AccessToken(_) => "access_token",
            Self::SubjectMismatch => "subject_mismatch",
            Self::Provider(error) => error.reason(),
        }
    }
}

impl Reason for UserinfoError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Provider(error) => error.reason(),
            Self::Transport(error) => error.reason(),
            Self::TokenRejected => "refused",
            Self::Status { .. } => "status",
            Self::InvalidResponse => "invalid_answer",
            Self::SubjectMismatch => "subject_mismatch",
        }
    }

    fn is_a_no(&self) -> bool {
        matches!(self, Self::TokenRejected)
    }
}

/// Says that a token is not believed, and why.
pub(super) fn say_refused(kind: TokenKind, refusal: &TokenValidationError) {
    let token = match kind {
        TokenKind::IdToken => "id_token",
        TokenKind::AccessToken => "access_token",
    };
    let claim = match refusal {
        TokenValidationError::Claim { name, .. } => name,
        _ => "",
    };
    observe::token_refused(token, refusal.code(), claim, refusal);
}
