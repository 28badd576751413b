//! Names of the case errors in logs and metrics.

use super::error::CaseError;
#[cfg(feature = "web")]
use super::forward_error::ForwardError;
use crate::observe::Reason;

impl Reason for CaseError {
    fn reason(&self) -> &'static str {
        match self {
            Self::NoTenantKey => "no_tenant_key",
            Self::Id => "id",
            Self::Upload(_) => "upload",
            Self::Transport(error) => error.reason(),
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable { .. } => "unavailable",
            Self::Rejected { .. } => "rejected",
            Self::OutcomeUnknown(_) => "outcome_unknown",
            Self::InvalidResponse => "invalid_response",
            Self::CaseMismatch => "case_mismatch",
        }
    }

    fn is_rejection(&self) -> bool {
        matches!(
            self,
            Self::NoTenantKey | Self::Id | Self::Upload(_) | Self::Rejected { .. }
        )
    }
}

#[cfg(feature = "web")]
impl Reason for ForwardError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Case(error) => error.reason(),
            _ => "upload",
        }
    }

    fn is_rejection(&self) -> bool {
        match self {
            Self::Case(error) => error.is_rejection(),
            _ => true,
        }
    }
}
