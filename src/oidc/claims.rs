//! Reading claims by type, and the rules that both tokens share.

use std::{borrow::Cow, time::Duration};

use serde::de::{
    DeserializeOwned,
    value::{Error as Unreadable, StrDeserializer},
};
use serde_json::{Map, Value};

use super::refusal::{ClaimError, TokenValidationError};
use crate::{
    clock::Timestamp,
    secret::constant_time_eq,
    strict_json::{Json, Names as _, Object, names},
    wire::claims,
};

names! {
    /// The claims that are understood.
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
    }
}

/// The longest `sub`, in bytes (OpenID Connect Core 1.0 section 2).
const MAX_SUBJECT_BYTES: usize = 255;

/// No token is believed longer than this, whatever its `exp` says.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What both tokens must say, and when it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) skew: Duration,
    pub(super) now: Timestamp,
}

/// What both tokens said.
pub(super) struct CommonClaims {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

/// The payload while it is judged: each claim that is understood is taken out.
pub(super) struct Claims<'a>(Object<'a, Claim>);

impl<'a> Claims<'a> {
    pub(super) fn new(payload: Object<'a, Claim>) -> Self {
        Self(payload)
    }

    /// What nobody took.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.0.rest()
    }

    /// `iss`, `aud`, `azp`, `exp`, `nbf`, `iat` and `sub` (OpenID Connect Core 1.0 section
    /// 3.1.3.7, steps 2 to 10; RFC 9068 section 4).
    pub(super) fn judge_common(
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
            return Err(refuse(Claim::Iss, ClaimError::Mismatch));
        }
        self.judge_audience(client_id)?;
        if let Some(party) = self.text(Claim::Azp)?
            && party != client_id
        {
            return Err(refuse(Claim::Azp, ClaimError::Mismatch));
        }
        let expires_at = self.required_time(Claim::Exp)?;
        if now >= expires_at.saturating_add(skew) {
            return Err(refuse(Claim::Exp, ClaimError::Past));
        }
        if let Some(not_before) = self.time(Claim::Nbf)?
            && not_before > now.saturating_add(skew)
        {
            return Err(refuse(Claim::Nbf, ClaimError::Future));
        }
        let issued_at = self.required_time(Claim::Iat)?;
        if issued_at > now.saturating_add(skew) {
            return Err(refuse(Claim::Iat, ClaimError::Future));
        }
        let subject = self.required_text(Claim::Sub)?;
        if !is_subject(&subject) {
            return Err(refuse(Claim::Sub, ClaimError::Mistyped));
        }
        Ok(CommonClaims {
            issuer: issuer.into_owned(),
            subject: subject.into_owned(),
            issued_at,
            expires_at: expires_at.min(now.saturating_add(MAX_LIFETIME)),
        })
    }

    /// The client, alone: a token for others besides is not for us (K30).
    fn judge_audience(&mut self, client_id: &str) -> Result<(), TokenValidationError> {
        let matches = match self.0.take(Claim::Aud) {
            None => return Err(refuse(Claim::Aud, ClaimError::Missing)),
            Some(Json::Text(one)) => one == client_id,
            Some(Json::Other(Value::Array(several))) => {
                matches!(several.as_slice(), [Value::String(one)] if one == client_id)
            }
            Some(_) => return Err(refuse(Claim::Aud, ClaimError::Mistyped)),
        };
        if matches {
            Ok(())
        } else {
            Err(refuse(Claim::Aud, ClaimError::Mismatch))
        }
    }

    pub(super) fn judge_equal(
        &mut self,
        claim: Claim,
        expected: &str,
    ) -> Result<(), TokenValidationError> {
        if constant_time_eq(&self.required_text(claim)?, expected) {
            Ok(())
        } else {
            Err(refuse(claim, ClaimError::Mismatch))
        }
    }

    /// A text. `null` counts as absent: some libraries write it for a claim that has no value.
    pub(super) fn text(
        &mut self,
        claim: Claim,
    ) -> Result<Option<Cow<'a, str>>, TokenValidationError> {
        match self.0.take(claim) {
            None | Some(Json::Other(Value::Null)) => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(Json::Other(_)) => Err(refuse(claim, ClaimError::Mistyped)),
        }
    }

    pub(super) fn required_text(
        &mut self,
        claim: Claim,
    ) -> Result<Cow<'a, str>, TokenValidationError> {
        let missing = self.missing(claim);
        self.text(claim)?.ok_or(missing)
    }

    /// Seconds from 1970 on. A fraction, which `NumericDate` allows (RFC 7519 section 2), is cut
    /// off. `null` counts as absent.
    pub(super) fn time(&mut self, claim: Claim) -> Result<Option<Timestamp>, TokenValidationError> {
        match self.0.take(claim) {
            None | Some(Json::Other(Value::Null)) => Ok(None),
            Some(Json::Other(value)) => whole_seconds(&value)
                .map(|seconds| Some(Timestamp::from_unix(seconds)))
                .ok_or(refuse(claim, ClaimError::Mistyped)),
            Some(Json::Text(_)) => Err(refuse(claim, ClaimError::Mistyped)),
        }
    }

    fn required_time(&mut self, claim: Claim) -> Result<Timestamp, TokenValidationError> {
        let missing = self.missing(claim);
        self.time(claim)?.ok_or(missing)
    }

    /// Why a required claim has no value: it is absent, or `null`.
    fn missing(&self, claim: Claim) -> TokenValidationError {
        let problem = if self.0.contains(claim) {
            ClaimError::Mistyped
        } else {
            ClaimError::Missing
        };
        refuse(claim, problem)
    }

    /// A claim that informs and decides nothing about the token: of another type, it reads as
    /// absent, which means "not known" (K31).
    pub(super) fn informative<T: DeserializeOwned>(&mut self, claim: Claim) -> Option<T> {
        match self.0.take(claim)? {
            Json::Text(text) => T::deserialize(StrDeserializer::<Unreadable>::new(&text)).ok(),
            Json::Other(value) => serde_json::from_value(value).ok(),
        }
    }
}

/// Whether the text can be a subject. The subject is the person's id at the API, so it must fit into
/// the path of a URL: `.` and `..` would be another path, and URL parsers remove control characters.
/// U+FFFD stands for what could not be read, which may be two different things.
fn is_subject(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text.len() <= MAX_SUBJECT_BYTES
        && !text
            .contains(|letter: char| letter.is_control() || letter == char::REPLACEMENT_CHARACTER)
}

fn whole_seconds(value: &Value) -> Option<i64> {
    if value.is_f64() {
        let seconds = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
        return i64::try_from(seconds.as_secs()).ok();
    }
    value.as_i64().filter(|seconds| *seconds >= 0)
}

pub(super) fn refuse(claim: Claim, problem: ClaimError) -> TokenValidationError {
    TokenValidationError::Claim {
        name: claim.as_str(),
        problem,
    }
}
