//! Reading claims by type, and the rules that both tokens share.

use std::time::Duration;

use serde_json::{Map, Value};

use super::refusal::{ClaimProblem, TokenRefusal};
use crate::{clock::Timestamp, secret::constant_time_eq, strict_json::Object, wire::claims};

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
pub(super) struct Claims<'a>(Object<'a>);

impl<'a> Claims<'a> {
    pub(super) fn new(payload: Object<'a>) -> Self {
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
    ) -> Result<CommonClaims, TokenRefusal> {
        let Common {
            client_id,
            skew,
            now,
            ..
        } = *expected;
        let issuer = self.required_text(claims::ISS)?;
        if issuer != expected.issuer {
            return Err(refuse(claims::ISS, ClaimProblem::Mismatch));
        }
        self.judge_audience(client_id)?;
        if let Some(party) = self.text(claims::AZP)?
            && party != client_id
        {
            return Err(refuse(claims::AZP, ClaimProblem::Mismatch));
        }
        let expires_at = self.required_time(claims::EXP)?;
        if now >= expires_at.saturating_add(skew) {
            return Err(refuse(claims::EXP, ClaimProblem::Past));
        }
        if let Some(not_before) = self.time(claims::NBF)?
            && not_before > now.saturating_add(skew)
        {
            return Err(refuse(claims::NBF, ClaimProblem::Future));
        }
        let issued_at = self.required_time(claims::IAT)?;
        if issued_at > now.saturating_add(skew) {
            return Err(refuse(claims::IAT, ClaimProblem::Future));
        }
        let subject = self.required_text(claims::SUB)?;
        if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES {
            return Err(refuse(claims::SUB, ClaimProblem::Mistyped));
        }
        Ok(CommonClaims {
            issuer,
            subject,
            issued_at,
            expires_at: expires_at.min(now.saturating_add(MAX_LIFETIME)),
        })
    }

    /// The client, alone: a token for others besides is not for us (K30).
    fn judge_audience(&mut self, client_id: &str) -> Result<(), TokenRefusal> {
        let matches = match self.0.take(claims::AUD) {
            None => return Err(refuse(claims::AUD, ClaimProblem::Missing)),
            Some(Value::String(one)) => one == client_id,
            Some(Value::Array(several)) => {
                matches!(several.as_slice(), [Value::String(one)] if one == client_id)
            }
            Some(_) => return Err(refuse(claims::AUD, ClaimProblem::Mistyped)),
        };
        if matches {
            Ok(())
        } else {
            Err(refuse(claims::AUD, ClaimProblem::Mismatch))
        }
    }

    pub(super) fn judge_equal(
        &mut self,
        name: &'static str,
        expected: &str,
    ) -> Result<(), TokenRefusal> {
        if constant_time_eq(&self.required_text(name)?, expected) {
            Ok(())
        } else {
            Err(refuse(name, ClaimProblem::Mismatch))
        }
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, TokenRefusal> {
        match self.0.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(refuse(name, ClaimProblem::Mistyped)),
        }
    }

    pub(super) fn required_text(&mut self, name: &'static str) -> Result<String, TokenRefusal> {
        self.text(name)?.ok_or(refuse(name, ClaimProblem::Missing))
    }

    /// A whole number of seconds from 1970 on. `NumericDate` would allow a fraction; no issuer
    /// that is known to be meant here sends one, and what is odd is refused.
    pub(super) fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, TokenRefusal> {
        match self.0.take(name) {
            None => Ok(None),
            Some(value) => value
                .as_i64()
                .filter(|seconds| *seconds >= 0)
                .map(|seconds| Some(Timestamp::from_unix(seconds)))
                .ok_or(refuse(name, ClaimProblem::Mistyped)),
        }
    }

    fn required_time(&mut self, name: &'static str) -> Result<Timestamp, TokenRefusal> {
        self.time(name)?.ok_or(refuse(name, ClaimProblem::Missing))
    }

    /// A claim that informs and decides nothing about the token: of another type, it reads as
    /// absent, which means "not known" (K31).
    pub(super) fn informative<T: serde::de::DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        serde_json::from_value(self.0.take(name)?).ok()
    }
}

pub(super) fn refuse(name: &'static str, problem: ClaimProblem) -> TokenRefusal {
    TokenRefusal::Claim { name, problem }
}
