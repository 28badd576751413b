//! Codes of OpenID Connect errors in logs and metrics.

use super::{
    ExchangeError, LoginError, ProviderError, UserinfoError,
    validation_error::{TokenKind, TokenValidationError},
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
            Self::Rejected { .. } => "rejected",
            Self::Forbidden => "forbidden",
            Self::InvalidResponse => "invalid_response",
        }
    }

    fn is_rejection(&self) -> bool {
        matches!(self, Self::Rejected { .. } | Self::Forbidden)
    }
}

impl Reason for LoginError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::State => "state",
            Self::Issuer => "issuer",
            Self::Rejected(_) => "rejected",
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
            Self::TokenRejected => "rejected",
            Self::Status { .. } => "status",
            Self::InvalidResponse => "invalid_response",
            Self::RateLimited { .. } => "rate_limited",
            Self::SubjectMismatch => "subject_mismatch",
        }
    }

    fn is_rejection(&self) -> bool {
        matches!(self, Self::TokenRejected)
    }
}

/// Logs an invalid token with the reason.
pub(super) fn log_rejection(kind: TokenKind, error: &TokenValidationError) {
    let token = match kind {
        TokenKind::IdToken => "id_token",
        TokenKind::AccessToken => "access_token",
    };
    let claim = match error {
        TokenValidationError::Claim { name, .. } => name,
        _ => "",
    };
    observe::token_rejected(token, error.code(), claim, error);
}
