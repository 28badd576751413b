//! The ID token: what it must say (OpenID Connect Core 1.0 section 3.1.3.7), and what it said.

use std::{borrow::Cow, fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha512};

use super::{
    algorithm::AlgorithmNames,
    claims::{Claim, Claims, Common, refuse},
    jws::{SignedPayload, Unverified},
    keys::KeySet,
    refusal::{ClaimError, TokenKind, TokenValidationError},
};
use crate::{
    clock::Timestamp,
    secret::Secret,
    wire::kyc::{KycStatus, KycTier},
};

/// How old an ID token may be when it arrives, less the skew. It is made when the code is
/// exchanged, so minutes are generous.
const MAX_AGE_ON_ARRIVAL: Duration = Duration::from_secs(600);

/// What an ID token must say to be believed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExpectedIdToken {
    /// The issuer, compared byte for byte (K2).
    pub issuer: String,
    /// The audience, alone (K30).
    pub client_id: String,
    /// The nonce of the authorization request; `None` only for a refreshed token, which need not
    /// repeat it (OpenID Connect Core 1.0 section 12.2).
    pub nonce: Option<Secret>,
    /// The access token that came with it, which `at_hash`, if there, must match.
    pub access_token: Option<Secret>,
    /// The longest time since the person authenticated: `auth_time` must then be there.
    pub max_age: Option<Duration>,
    /// The least tier that `acr` must show (K34).
    pub acr: Option<KycTier>,
    /// How far the issuer's clock and ours may be apart.
    pub skew: Duration,
    /// By which names the algorithm may be called.
    pub algorithm_names: AlgorithmNames,
}

impl ExpectedIdToken {
    /// An ID token of `issuer` for `client_id` in answer to `nonce`, with a skew of 60 s.
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

/// What a verified ID token said. There is no other way to get one than to verify a token.
#[derive(Clone)]
#[non_exhaustive]
pub struct IdTokenClaims {
    /// The issuer.
    pub issuer: String,
    /// The person, for this issuer: the `person_id` of the API (K33).
    pub subject: String,
    /// When the token was made.
    pub issued_at: Timestamp,
    /// When it ends, 24 h from now at the latest.
    pub expires_at: Timestamp,
    /// When the person authenticated (K34).
    pub auth_time: Option<Timestamp>,
    /// The tier met (K34).
    pub acr: Option<String>,
    /// With the scope `email`. An attribute: never a key.
    pub email: Option<String>,
    /// With the scope `email`.
    pub email_verified: Option<bool>,
    /// With the scope `profile`.
    pub name: Option<String>,
    /// With the scope `kyc`; `None` is "not known" (K31).
    pub kyc_status: Option<KycStatus>,
    /// With the scope `kyc`; `None` is "not known" (K31).
    pub kyc_tier: Option<KycTier>,
    /// With the scope `kyc`; `None` is "not known" (K31).
    pub aml_clear: Option<bool>,
    /// The claims that have no field here.
    pub other: Map<String, Value>,
}

/// Shows no personal data.
impl fmt::Debug for IdTokenClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdTokenClaims")
            .field("issuer", &self.issuer)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Verifies an ID token: a pure function of bytes, keys, expectations and time.
///
/// # Errors
/// [`TokenValidationError`], for the first rule that the token breaks.
pub fn verify_id_token(
    token: &str,
    keys: &KeySet,
    expected: &ExpectedIdToken,
    now: Timestamp,
) -> Result<IdTokenClaims, TokenValidationError> {
    let unverified = Unverified::parse(token, TokenKind::IdToken, expected.algorithm_names)?;
    judge(&unverified.signed_payload(keys)?, expected, now)
}

/// Judges the payload of a token whose signature is known to be good.
pub(super) fn judge(
    payload: &SignedPayload,
    expected: &ExpectedIdToken,
    now: Timestamp,
) -> Result<IdTokenClaims, TokenValidationError> {
    let mut payload = Claims::new(payload.object()?);
    let common = payload.judge_common(&Common {
        issuer: &expected.issuer,
        client_id: &expected.client_id,
        skew: expected.skew,
        now,
    })?;
    let oldest = now
        .saturating_sub(MAX_AGE_ON_ARRIVAL)
        .saturating_sub(expected.skew);
    if common.issued_at < oldest {
        return Err(refuse(Claim::Iat, ClaimError::Past));
    }
    if let Some(nonce) = &expected.nonce {
        payload.judge_equal(Claim::Nonce, nonce.expose())?;
    }
    if let Some(hash) = payload.text(Claim::AtHash)? {
        judge_access_token_hash(&hash, expected.access_token.as_ref())?;
    }
    let auth_time = payload.time(Claim::AuthTime)?;
    if let Some(max_age) = expected.max_age {
        judge_auth_time(auth_time, max_age, expected.skew, now)?;
    }
    let acr = payload.text(Claim::Acr)?;
    if let Some(required) = &expected.acr {
        judge_acr(acr.as_deref(), required)?;
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
        other: payload.rest(),
    })
}

/// The left half of the hash that the signature algorithm uses: SHA-512 for Ed25519
/// (OpenID Connect Core 1.0 section 3.1.3.6).
fn judge_access_token_hash(
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
        Err(refuse(Claim::AtHash, ClaimError::Mismatch))
    }
}

fn judge_auth_time(
    auth_time: Option<Timestamp>,
    max_age: Duration,
    skew: Duration,
    now: Timestamp,
) -> Result<(), TokenValidationError> {
    let Some(auth_time) = auth_time else {
        return Err(refuse(Claim::AuthTime, ClaimError::Missing));
    };
    if auth_time > now.saturating_add(skew) {
        return Err(refuse(Claim::AuthTime, ClaimError::Future));
    }
    if now > auth_time.saturating_add(max_age).saturating_add(skew) {
        return Err(refuse(Claim::AuthTime, ClaimError::Past));
    }
    Ok(())
}

fn judge_acr(acr: Option<&str>, required: &KycTier) -> Result<(), TokenValidationError> {
    let Some(acr) = acr else {
        return Err(refuse(Claim::Acr, ClaimError::Missing));
    };
    let Ok(met) = acr.parse::<KycTier>();
    if met.satisfies(required) {
        Ok(())
    } else {
        Err(refuse(Claim::Acr, ClaimError::Insufficient))
    }
}
