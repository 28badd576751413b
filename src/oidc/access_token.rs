//! The access token, `at+jwt`: what it must say (RFC 9068 section 4), and what it said.

use std::{borrow::Cow, fmt, time::Duration};

use serde_json::{Map, Value};

use super::{
    algorithm::AlgorithmNames,
    claims::{Claim, Claims, Common, refuse},
    jws::{SignedPayload, Unverified},
    keys::KeySet,
    refusal::{ClaimError, TokenKind, TokenValidationError},
};
use crate::clock::Timestamp;

/// What an access token must say to be believed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExpectedAccessToken {
    /// The issuer, compared byte for byte (K2).
    pub issuer: String,
    /// The audience, alone: KYCPort's tokens are for the client they were issued to (K30).
    pub client_id: String,
    /// Which claims of RFC 9068 must be there besides those that every token needs.
    pub profile: AccessTokenProfile,
    /// How far the issuer's clock and ours may be apart.
    pub skew: Duration,
    /// By which names the algorithm may be called.
    pub algorithm_names: AlgorithmNames,
}

impl ExpectedAccessToken {
    /// An access token of `issuer` for `client_id`, with a skew of 60 s.
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

/// Which claims an access token must have. `iss`, `aud`, `exp`, `iat` and `sub` always are required.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AccessTokenProfile {
    /// What KYCPort documents (K22, K30): `client_id` and `jti` are judged if they are there.
    #[default]
    Documented,
    /// All that RFC 9068 section 2.2 demands: `client_id` and `jti` too.
    Rfc9068,
}

/// What a verified access token said. There is no other way to get one than to verify a token.
#[derive(Clone)]
#[non_exhaustive]
pub struct AccessTokenClaims {
    /// The issuer.
    pub issuer: String,
    /// The person (K33).
    pub subject: String,
    /// When the token was made.
    pub issued_at: Timestamp,
    /// When it ends, 24 h from now at the latest.
    pub expires_at: Timestamp,
    /// The token's own id.
    pub jti: Option<String>,
    /// The granted scopes.
    pub scopes: Vec<String>,
    /// The claims that have no field here.
    pub other: Map<String, Value>,
}

impl AccessTokenClaims {
    /// Whether `scope` was granted: the whole word, not a part of one.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }
}

/// Shows no personal data.
impl fmt::Debug for AccessTokenClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokenClaims")
            .field("issuer", &self.issuer)
            .field("expires_at", &self.expires_at)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// Verifies an access token: a pure function of bytes, keys, expectations and time.
///
/// # Errors
/// [`TokenValidationError`], for the first rule that the token breaks.
pub fn verify_access_token(
    token: &str,
    keys: &KeySet,
    expected: &ExpectedAccessToken,
    now: Timestamp,
) -> Result<AccessTokenClaims, TokenValidationError> {
    let unverified = Unverified::parse(token, TokenKind::AccessToken, expected.algorithm_names)?;
    judge(&unverified.signed_payload(keys)?, expected, now)
}

/// Judges the payload of a token whose signature is known to be good.
pub(super) fn judge(
    payload: &SignedPayload,
    expected: &ExpectedAccessToken,
    now: Timestamp,
) -> Result<AccessTokenClaims, TokenValidationError> {
    let mut payload = Claims::new(payload.object()?);
    let common = payload.judge_common(&Common {
        issuer: &expected.issuer,
        client_id: &expected.client_id,
        skew: expected.skew,
        now,
    })?;
    let client_id = payload.text(Claim::ClientId)?;
    let jti = payload.text(Claim::Jti)?;
    if expected.profile == AccessTokenProfile::Rfc9068 {
        if client_id.is_none() {
            return Err(refuse(Claim::ClientId, ClaimError::Missing));
        }
        if jti.is_none() {
            return Err(refuse(Claim::Jti, ClaimError::Missing));
        }
    }
    if client_id.is_some_and(|client| client != expected.client_id) {
        return Err(refuse(Claim::ClientId, ClaimError::Mismatch));
    }
    if jti.as_ref().is_some_and(|jti| jti.is_empty()) {
        return Err(refuse(Claim::Jti, ClaimError::Mistyped));
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
