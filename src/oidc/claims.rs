//! Typed access to claims, and the validation rules for both ID tokens and access tokens.

use std::{borrow::Cow, time::Duration};

use serde::de::{
    DeserializeOwned,
    value::{Error as Unreadable, StrDeserializer},
};
use serde_json::{Map, Value};

use super::validation_error::{ClaimError, TokenValidationError};
use crate::{
    clock::{Timestamp, json},
    secret::constant_time_eq,
    strict_json::{Json, Names as _, Object, names},
    wire::{claims, is_id},
};

names! {
    /// Claims that this crate reads.
    pub(super) enum Claim {
        Iss = claims::ISS,
        Sub = claims::SUB,
        Aud = claims::AUD,
        Azp = claims::AZP,
        Exp = claims::EXP,
        Iat = claims::IAT,
        Nbf = claims::NBF,
        Jti = claims::JTI,
        Nonce = claims::NONCE,
        AuthTime = claims::AUTH_TIME,
        Acr = claims::ACR,
        AtHash = claims::AT_HASH,
        ClientId = claims::CLIENT_ID,
        Scope = claims::SCOPE,
        Email = claims::EMAIL,
        EmailVerified = claims::EMAIL_VERIFIED,
        Name = claims::NAME,
        KycStatus = claims::KYC_STATUS,
        KycTier = claims::KYC_TIER,
        AmlClear = claims::AML_CLEAR,
        VerifiedAt = claims::VERIFIED_AT,
    }
}

/// Maximum time for which a token is valid, even if its `exp` is later.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Expected values for both ID tokens and access tokens, and the current time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) skew: Duration,
    pub(super) now: Timestamp,
}

/// Claims of both ID tokens and access tokens.
pub(super) struct CommonClaims {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

/// Payload during validation. Reading a claim removes it from the payload.
pub(super) struct Claims<'a>(Object<'a, Claim>);

impl<'a> Claims<'a> {
    pub(super) fn new(payload: Object<'a, Claim>) -> Self {
        Self(payload)
    }

    /// Returns the claims that no caller has read.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.0.rest()
    }

    /// Validates `iss`, `aud`, `azp`, `exp`, `nbf`, `iat` and `sub` (OpenID Connect Core 1.0
    /// section 3.1.3.7, steps 2 to 10; RFC 9068 section 4).
    pub(super) fn validate_common(
        &mut self,
        expected: &Common<'_>,
    ) -> Result<CommonClaims, TokenValidationError> {
        let Common {
            client_id,
            skew,
            now,
            ..
        } = *expected;
        let issuer = self.required_text(Claim::Iss)?;
        if issuer != expected.issuer {
            return Err(claim_error(Claim::Iss, ClaimError::Mismatch));
        }
        self.validate_audience(client_id)?;
        if let Some(party) = self.text(Claim::Azp)?
            && party != client_id
        {
            return Err(claim_error(Claim::Azp, ClaimError::Mismatch));
        }
        let expires_at = self.required_time(Claim::Exp)?;
        if now >= expires_at.saturating_add(skew) {
            return Err(claim_error(Claim::Exp, ClaimError::Past));
        }
        if let Some(not_before) = self.time(Claim::Nbf)?
            && not_before > now.saturating_add(skew)
        {
            return Err(claim_error(Claim::Nbf, ClaimError::Future));
        }
        let issued_at = self.required_time(Claim::Iat)?;
        if issued_at > now.saturating_add(skew) {
            return Err(claim_error(Claim::Iat, ClaimError::Future));
        }
        let subject = self.required_text(Claim::Sub)?;
        // The subject is the person's ID in KYCPort's API (K33).
        if !is_id(&subject) {
            return Err(claim_error(Claim::Sub, ClaimError::Mistyped));
        }
        Ok(CommonClaims {
            issuer: issuer.into_owned(),
            subject: subject.into_owned(),
            issued_at,
            expires_at: expires_at.min(now.saturating_add(MAX_LIFETIME)),
        })
    }

    /// Requires the client as the only audience (K30).
    fn validate_audience(&mut self, client_id: &str) -> Result<(), TokenValidationError> {
        let matches = match self.0.take(Claim::Aud) {
            None => return Err(claim_error(Claim::Aud, ClaimError::Missing)),
            Some(Json::Text(one)) => one == client_id,
            Some(Json::Other(Value::Array(several))) => {
                matches!(several.as_slice(), [Value::String(one)] if one == client_id)
            }
            Some(_) => return Err(claim_error(Claim::Aud, ClaimError::Mistyped)),
        };
        if matches {
            Ok(())
        } else {
            Err(claim_error(Claim::Aud, ClaimError::Mismatch))
        }
    }

    pub(super) fn require_equal(
        &mut self,
        claim: Claim,
        expected: &str,
    ) -> Result<(), TokenValidationError> {
        if constant_time_eq(&self.required_text(claim)?, expected) {
            Ok(())
        } else {
            Err(claim_error(claim, ClaimError::Mismatch))
        }
    }

    /// Reads a text. Treats `null` as absent, because some libraries write `null` for a claim
    /// without a value.
    pub(super) fn text(
        &mut self,
        claim: Claim,
    ) -> Result<Option<Cow<'a, str>>, TokenValidationError> {
        match self.0.take(claim) {
            None | Some(Json::Other(Value::Null)) => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(Json::Other(_)) => Err(claim_error(claim, ClaimError::Mistyped)),
        }
    }

    pub(super) fn required_text(
        &mut self,
        claim: Claim,
    ) -> Result<Cow<'a, str>, TokenValidationError> {
        let missing = self.missing(claim);
        self.text(claim)?.ok_or(missing)
    }

    /// Reads a time in seconds since 1970. Truncates a fraction, which `NumericDate` allows (RFC
    /// 7519 section 2). Treats `null` as absent.
    pub(super) fn time(&mut self, claim: Claim) -> Result<Option<Timestamp>, TokenValidationError> {
        match self.0.take(claim) {
            None | Some(Json::Other(Value::Null)) => Ok(None),
            Some(Json::Other(value)) => whole_seconds(&value)
                .map(|seconds| Some(Timestamp::from_unix(seconds)))
                .ok_or(claim_error(claim, ClaimError::Mistyped)),
            Some(Json::Text(_)) => Err(claim_error(claim, ClaimError::Mistyped)),
        }
    }

    fn required_time(&mut self, claim: Claim) -> Result<Timestamp, TokenValidationError> {
        let missing = self.missing(claim);
        self.time(claim)?.ok_or(missing)
    }

    /// Returns the error for a required claim that is absent or `null`.
    fn missing(&self, claim: Claim) -> TokenValidationError {
        let problem = if self.0.contains(claim) {
            ClaimError::Mistyped
        } else {
            ClaimError::Missing
        };
        claim_error(claim, problem)
    }

    /// Reads a claim that does not affect the validation. Treats a claim of the wrong type as
    /// absent (K31).
    pub(super) fn informative<T: DeserializeOwned>(&mut self, claim: Claim) -> Option<T> {
        match self.0.take(claim)? {
            Json::Text(text) => T::deserialize(StrDeserializer::<Unreadable>::new(&text)).ok(),
            Json::Other(value) => serde_json::from_value(value).ok(),
        }
    }
}

impl Claims<'_> {
    /// Reads the time of the verification. Treats an invalid time and a future time as absent (K31).
    pub(super) fn verified_at(&mut self, now: Timestamp) -> Option<Timestamp> {
        let value: Value = self.informative(Claim::VerifiedAt)?;
        json::read_past(&value, now)
    }
}

fn whole_seconds(value: &Value) -> Option<i64> {
    if value.is_f64() {
        let seconds = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
        return i64::try_from(seconds.as_secs()).ok();
    }
    value.as_i64().filter(|seconds| *seconds >= 0)
}

pub(super) fn claim_error(claim: Claim, problem: ClaimError) -> TokenValidationError {
    TokenValidationError::Claim {
        name: claim.as_str(),
        problem,
    }
}
