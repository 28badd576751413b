//! Errors from reading the access token of a session.

use crate::{observe::Reason, oidc::LoginError, store::StoreError};

/// Error from [`SignedIn::access_token`](crate::SignedIn::access_token).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessTokenError {
    /// The token has expired, and KYCPort issued no refresh token. The person gets a new token with
    /// a new login. The session stays active.
    #[error("the access token has expired and cannot be refreshed")]
    Expired,
    /// KYCPort rejected the refresh token. The session has ended.
    #[error("KYCPort rejected the refresh token, and the session has ended")]
    Revoked,
    /// The refresh failed temporarily. For the next 5 s, this instance returns the same error for
    /// the session without a further request. If KYCPort's `Retry-After` is longer, the pause lasts
    /// as long, but at most 60 s.
    #[error("the access token could not be refreshed: {0}")]
    Refresh(LoginError),
    /// Another refresh of the token did not finish in time. Call the function again after a moment.
    /// The session stays active.
    #[error("another refresh of the access token is in progress: try again in a moment")]
    RefreshInProgress,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The refresh was interrupted, for example because the runtime is shutting down.
    #[error("the refresh was interrupted")]
    Interrupted,
}

impl Reason for AccessTokenError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Expired => "no_refresh_token",
            Self::Revoked => "revoked",
            Self::Refresh(error) => error.reason(),
            Self::RefreshInProgress => "in_progress",
            Self::Store(_) => "store_unavailable",
            Self::Interrupted => "interrupted",
        }
    }
}
