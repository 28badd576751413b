//! What the client gives, and why it does not.

use super::{
    callback::AuthorizationError, exchange::ExchangeError, id_token::IdTokenClaims,
    provider::ProviderError, refusal::TokenValidationError,
};
use crate::{clock::Timestamp, secret::Secret};

/// What a finished login gives.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Authenticated {
    /// What the verified ID token said.
    pub claims: IdTokenClaims,
    /// The tokens, for the server alone.
    pub tokens: TokenSet,
    /// When KYCPort was asked for the tokens, by this machine's clock: what they say is as new.
    pub requested_at: Timestamp,
}

/// The tokens of one person. For the server alone: the browser must never see one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenSet {
    /// The access token, verified.
    pub access_token: Secret,
    /// When the access token ends.
    pub expires_at: Timestamp,
    /// Not documented by KYCPort (K21); used if it comes.
    pub refresh_token: Option<Secret>,
    /// The granted scopes.
    pub scopes: Vec<String>,
}

/// Why a login did not end in a sign-in.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The answer came after the transaction's end.
    #[error("the answer came too late")]
    Expired,
    /// The answer's `state` is not the transaction's.
    #[error("the state is not that of the transaction")]
    State,
    /// The answer's `iss` is missing or names another issuer (RFC 9207 section 2.4).
    #[error("the authorization response is not from the configured issuer")]
    Issuer,
    /// KYCPort said no, or the person did.
    #[error("the authorization endpoint answered with an error: {0:?}")]
    Rejected(AuthorizationError),
    /// The token endpoint gave no tokens.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The token answer has no ID token (OpenID Connect Core 1.0 section 3.1.3.3).
    #[error("the token answer has no ID token")]
    NoIdToken,
    /// The ID token is not believed.
    #[error("the ID token is refused: {0}")]
    IdToken(TokenValidationError),
    /// The access token is not believed.
    #[error("the access token is refused: {0}")]
    AccessToken(TokenValidationError),
    /// The tokens speak of two persons.
    #[error("the tokens are of different subjects")]
    SubjectMismatch,
    /// Metadata or keys are not to be had.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// Why a token could not be verified.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The token is not believed.
    #[error(transparent)]
    Rejected(#[from] TokenValidationError),
    /// The keys are not to be had: nothing is known of the token.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}
