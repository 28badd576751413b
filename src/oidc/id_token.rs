//! Validation of ID tokens (OpenID Connect Core 1.0 section 3.1.3.7).

use std::{borrow::Cow, fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha512};

use super::{
    algorithm::AlgorithmNames,
    claims::{Claim, Claims, Common, claim_error},
    jws::{SignedPayload, Unverified},
    keys::KeySet,
    validation_error::{ClaimError, TokenKind, TokenValidationError},
};
use crate::{
    clock::Timestamp,
    secret::Secret,
    wire::kyc::{KycStatus, KycTier},
};

/// Maximum age of an ID token when the client receives it. The verifier adds the clock skew to the
/// maximum age. KYCPort issues the token during the exchange, so the real age is a few seconds.
const MAX_AGE_ON_ARRIVAL: Duration = Duration::from_secs(600);

/// Expected values for the validation of an ID token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExpectedIdToken {
    /// Expected issuer, compared byte for byte (K2).
    pub issuer: String,
    /// Expected audience. The token must have no other audience (K30).
    pub client_id: String,
    /// Nonce of the authorization request. `None` only for a refreshed token, which may omit the
    /// nonce (OpenID Connect Core 1.0 section 12.2).
    pub nonce: Option<Secret>,
    /// Access token from the token response. If the ID token contains `at_hash`, `at_hash` must
    /// match this access token.
    pub access_token: Option<Secret>,
    /// Maximum time since the person authenticated. With a value, the verifier rejects an ID token
    /// without `auth_time`.
    pub max_age: Option<Duration>,
    /// Minimum tier that `acr` must show (K34).
    pub acr: Option<KycTier>,
    /// Maximum difference between the issuer's clock and this machine's clock. Default: 60 s.
    pub skew: Duration,
    /// Accepted names of the signature algorithm.
    pub algorithm_names: AlgorithmNames,
}

impl ExpectedIdToken {
    /// Creates expectations for a token of `issuer` for `client_id` with `nonce`, and a skew of 60
    /// s.
    pub fn new(issuer: impl Into<String>, client_id: impl Into<String>, nonce: Secret) -> Self {
        Self {
            issuer: issuer.into(),
            client_id: client_id.into(),
            nonce: Some(nonce),
            access_token: None,
            max_age: None,
            acr: None,
            skew: Duration::from_secs(60),
            algorithm_names: AlgorithmNames::default(),
        }
    }
}

/// Claims of a verified ID token. Only verification creates this type.
#[derive(Clone)]
#[non_exhaustive]
pub struct IdTokenClaims {
    /// Issuer of the token.
    pub issuer: String,
    /// Subject of the token. KYCPort's API calls this ID `person_id` (K33).
    pub subject: String,
    /// Time at which the token was issued.
    pub issued_at: Timestamp,
    /// Time at which the token expires, at most 24 h from now.
    pub expires_at: Timestamp,
    /// Time at which the person authenticated (K34).
    pub auth_time: Option<Timestamp>,
    /// Tier that the person reached in this login (K34).
    pub acr: Option<String>,
    /// Email address, with the scope `email`. Do not use the address as a key, because it can
    /// change.
    pub email: Option<String>,
    /// Whether the email address is verified, with the scope `email`.
    pub email_verified: Option<bool>,
    /// Name of the person, with the scope `profile`.
    pub name: Option<String>,
    /// Verification status, with the scope `kyc`. `None` means unknown (K31).
    pub kyc_status: Option<KycStatus>,
    /// Verification tier, with the scope `kyc`. `None` means unknown (K31).
    pub kyc_tier: Option<KycTier>,
    /// Whether the AML screening found nothing, with the scope `kyc`. `None` means unknown (K31).
    pub aml_clear: Option<bool>,
    /// Time of the verification, if KYCPort sent it and the time is not in the future (K31).
    pub verified_at: Option<Timestamp>,
    /// Claims without a field in this struct.
    pub other: Map<String, Value>,
}

/// `Debug` shows no personal data.
impl fmt::Debug for IdTokenClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdTokenClaims")
            .field("issuer", &self.issuer)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Verifies an ID token. The result depends only on the token, the keys, the expectations and the
/// time.
///
/// # Errors
/// Returns [`TokenValidationError`] for the first rule that the token breaks.
pub fn verify_id_token(
    token: &str,
    keys: &KeySet,
    expected: &ExpectedIdToken,
    now: Timestamp,
) -> Result<IdTokenClaims, TokenValidationError> {
    let unverified = Unverified::parse(token, TokenKind::IdToken, expected.algorithm_names)?;
    validate(&unverified.signed_payload(keys)?, expected, now)
}

/// Validates the payload of a token with a valid signature.
pub(super) fn validate(
    payload: &SignedPayload,
    expected: &ExpectedIdToken,
    now: Timestamp,
) -> Result<IdTokenClaims, TokenValidationError> {
    let mut payload = Claims::new(payload.object()?);
    let common = payload.validate_common(&Common {
        issuer: &expected.issuer,
        client_id: &expected.client_id,
        skew: expected.skew,
        now,
    })?;
    let oldest = now
        .saturating_sub(MAX_AGE_ON_ARRIVAL)
        .saturating_sub(expected.skew);
    if common.issued_at < oldest {
        return Err(claim_error(Claim::Iat, ClaimError::Past));
    }
    if let Some(nonce) = &expected.nonce {
        payload.require_equal(Claim::Nonce, nonce.expose())?;
    }
    if let Some(hash) = payload.text(Claim::AtHash)? {
        validate_access_token_hash(&hash, expected.access_token.as_ref())?;
    }
    let auth_time = payload.time(Claim::AuthTime)?;
    if let Some(max_age) = expected.max_age {
        validate_auth_time(auth_time, max_age, expected.skew, now)?;
    }
    let acr = payload.text(Claim::Acr)?;
    if let Some(required) = &expected.acr {
        validate_acr(acr.as_deref(), required)?;
    }
    Ok(IdTokenClaims {
        issuer: common.issuer,
        subject: common.subject,
        issued_at: common.issued_at,
        expires_at: common.expires_at,
        auth_time,
        acr: acr.map(Cow::into_owned),
        email: payload.informative(Claim::Email),
        email_verified: payload.informative(Claim::EmailVerified),
        name: payload.informative(Claim::Name),
        kyc_status: payload.informative(Claim::KycStatus),
        kyc_tier: payload.informative(Claim::KycTier),
        aml_clear: payload.informative(Claim::AmlClear),
        verified_at: payload.verified_at(now),
        other: payload.rest(),
    })
}

/// Compares `at_hash` with the left half of the access token's hash. The signature algorithm
/// determines the hash: SHA-512 for Ed25519 (OpenID Connect Core 1.0 section 3.1.3.6).
fn validate_access_token_hash(
    hash: &str,
    access_token: Option<&Secret>,
) -> Result<(), TokenValidationError> {
    let Some(access_token) = access_token else {
        return Ok(());
    };
    let digest = Sha512::digest(access_token.expose().as_bytes());
    let matches = digest
        .first_chunk::<32>()
        .is_some_and(|left_half| hash == URL_SAFE_NO_PAD.encode(left_half));
    if matches {
        Ok(())
    } else {
        Err(claim_error(Claim::AtHash, ClaimError::Mismatch))
    }
}

fn validate_auth_time(
    auth_time: Option<Timestamp>,
    max_age: Duration,
    skew: Duration,
    now: Timestamp,
) -> Result<(), TokenValidationError> {
    let Some(auth_time) = auth_time else {
        return Err(claim_error(Claim::AuthTime, ClaimError::Missing));
    };
    if auth_time > now.saturating_add(skew) {
        return Err(claim_error(Claim::AuthTime, ClaimError::Future));
    }
    if now > auth_time.saturating_add(max_age).saturating_add(skew) {
        return Err(claim_error(Claim::AuthTime, ClaimError::Past));
    }
    Ok(())
}

fn validate_acr(acr: Option<&str>, required: &KycTier) -> Result<(), TokenValidationError> {
    let Some(acr) = acr else {
        return Err(claim_error(Claim::Acr, ClaimError::Missing));
    };
    let Ok(met) = acr.parse::<KycTier>();
    if met.satisfies(required) {
        Ok(())
    } else {
        Err(claim_error(Claim::Acr, ClaimError::Insufficient))
    }
}
