//! Validation of access tokens, `at+jwt` (RFC 9068 section 4).

use std::{borrow::Cow, fmt, time::Duration};

use serde_json::{Map, Value};

use super::{
    algorithm::AlgorithmNames,
    claims::{Claim, Claims, Common, claim_error},
    jws::{SignedPayload, Unverified},
    keys::KeySet,
    validation_error::{ClaimError, TokenKind, TokenValidationError},
};
use crate::clock::Timestamp;

/// Expected values for the validation of an access token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExpectedAccessToken {
    /// Expected issuer, compared byte for byte (K2).
    pub issuer: String,
    /// Expected audience. The token must have no other audience, because KYCPort issues each token
    /// for one client (K30).
    pub client_id: String,
    /// Claims that are required in addition to the common claims (RFC 9068).
    pub profile: AccessTokenProfile,
    /// Maximum difference between the issuer's clock and this machine's clock. Default: 60 s.
    pub skew: Duration,
    /// Accepted names of the signature algorithm.
    pub algorithm_names: AlgorithmNames,
}

impl ExpectedAccessToken {
    /// Creates expectations for a token of `issuer` for `client_id`, with a skew of 60 s.
    pub fn new(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            client_id: client_id.into(),
            profile: AccessTokenProfile::default(),
            skew: Duration::from_secs(60),
            algorithm_names: AlgorithmNames::default(),
        }
    }
}

/// Profile of required claims. `iss`, `aud`, `exp`, `iat` and `sub` are always required.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AccessTokenProfile {
    /// Requires the claims that KYCPort documents (K22, K30). Validates `client_id` and `jti` if
    /// present.
    #[default]
    Documented,
    /// Requires all claims of RFC 9068 section 2.2, including `client_id` and `jti`.
    Rfc9068,
}

/// Claims of a verified access token. Only verification creates this type.
#[derive(Clone)]
#[non_exhaustive]
pub struct AccessTokenClaims {
    /// Issuer of the token.
    pub issuer: String,
    /// Subject of the token: the person's ID (K33).
    pub subject: String,
    /// Time at which the token was issued.
    pub issued_at: Timestamp,
    /// Time at which the token expires, at most 24 h from now.
    pub expires_at: Timestamp,
    /// Id of the token.
    pub jti: Option<String>,
    /// Granted scopes.
    pub scopes: Vec<String>,
    /// Claims without a field in this struct.
    pub other: Map<String, Value>,
}

impl AccessTokenClaims {
    /// Returns whether KYCPort granted the scope `scope`. The comparison is exact.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }
}

/// `Debug` shows no personal data.
impl fmt::Debug for AccessTokenClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokenClaims")
            .field("issuer", &self.issuer)
            .field("expires_at", &self.expires_at)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// Verifies an access token. The result depends only on the token, the keys, the expectations and
/// the time.
///
/// # Errors
/// Returns [`TokenValidationError`] for the first rule that the token breaks.
pub fn verify_access_token(
    token: &str,
    keys: &KeySet,
    expected: &ExpectedAccessToken,
    now: Timestamp,
) -> Result<AccessTokenClaims, TokenValidationError> {
    let unverified = Unverified::parse(token, TokenKind::AccessToken, expected.algorithm_names)?;
    validate(&unverified.signed_payload(keys)?, expected, now)
}

/// Validates the payload of a token with a valid signature.
pub(super) fn validate(
    payload: &SignedPayload,
    expected: &ExpectedAccessToken,
    now: Timestamp,
) -> Result<AccessTokenClaims, TokenValidationError> {
    let mut payload = Claims::new(payload.object()?);
    let common = payload.validate_common(&Common {
        issuer: &expected.issuer,
        client_id: &expected.client_id,
        skew: expected.skew,
        now,
    })?;
    let client_id = payload.text(Claim::ClientId)?;
    let jti = payload.text(Claim::Jti)?;
    if expected.profile == AccessTokenProfile::Rfc9068 {
        if client_id.is_none() {
            return Err(claim_error(Claim::ClientId, ClaimError::Missing));
        }
        if jti.is_none() {
            return Err(claim_error(Claim::Jti, ClaimError::Missing));
        }
    }
    if client_id.is_some_and(|client| client != expected.client_id) {
        return Err(claim_error(Claim::ClientId, ClaimError::Mismatch));
    }
    if jti.as_ref().is_some_and(|jti| jti.is_empty()) {
        return Err(claim_error(Claim::Jti, ClaimError::Mistyped));
    }
    let scopes = payload
        .text(Claim::Scope)?
        .unwrap_or_default()
        .split(' ')
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect();
    Ok(AccessTokenClaims {
        issuer: common.issuer,
        subject: common.subject,
        issued_at: common.issued_at,
        expires_at: common.expires_at,
        jti: jti.map(Cow::into_owned),
        scopes,
        other: payload.rest(),
    })
}
