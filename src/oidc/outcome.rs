//! Results and errors of the client.

use super::{
    callback::AuthorizationError, exchange::ExchangeError, id_token::IdTokenClaims,
    provider::ProviderError, validation_error::TokenValidationError,
};
use crate::{clock::Timestamp, secret::Secret};

/// Result of a finished login.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Authenticated {
    /// Claims of the verified ID token.
    pub claims: IdTokenClaims,
    /// Tokens of the person. Keep the tokens on the server.
    pub tokens: TokenSet,
    /// Time of the token request, by this machine's clock. The claims describe the person at the
    /// time of the request.
    pub requested_at: Timestamp,
}

/// Tokens of one person. Keep the tokens on the server: the browser must never receive a token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenSet {
    /// Verified access token.
    pub access_token: Secret,
    /// Time at which the access token expires.
    pub expires_at: Timestamp,
    /// Refresh token. KYCPort does not document a refresh token (K21). The SDK uses the refresh
    /// token if present.
    pub refresh_token: Option<Secret>,
    /// Granted scopes.
    pub scopes: Vec<String>,
}

/// Error for a failed login.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The response arrived after the pending authorization expired.
    #[error("the login took too long; start the login again")]
    Expired,
    /// The `state` of the response does not match the pending authorization.
    #[error("the `state` of the response does not match the pending authorization")]
    State,
    /// The `iss` of the response is missing or names another issuer (RFC 9207 section 2.4).
    #[error("the authorization response is not from the configured issuer")]
    Issuer,
    /// KYCPort or the person rejected the login.
    #[error("the authorization endpoint returned an error: {0:?}")]
    Rejected(AuthorizationError),
    /// The token request failed.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The token response has no ID token (OpenID Connect Core 1.0 section 3.1.3.3).
    #[error("the token response has no ID token")]
    NoIdToken,
    /// The ID token is invalid.
    #[error("the ID token is invalid: {0}")]
    IdToken(TokenValidationError),
    /// The access token is invalid.
    #[error("the access token is invalid: {0}")]
    AccessToken(TokenValidationError),
    /// The ID token and the access token have different subjects.
    #[error("the tokens have different subjects")]
    SubjectMismatch,
    /// The metadata or the keys are unavailable.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// Error from the verification of a token.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The token is invalid.
    #[error(transparent)]
    Rejected(#[from] TokenValidationError),
    /// The keys are unavailable, so the token may be valid or invalid.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}
