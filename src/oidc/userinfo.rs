//! Userinfo endpoint (K35, OpenID Connect Core 1.0 section 5.3).

use std::{borrow::Cow, fmt, time::Duration};

use http::{
    HeaderMap, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use url::Url;

use super::{
    claims::{Claim, Claims},
    provider::ProviderError,
};
use crate::{
    clock::Timestamp,
    http::{DEFAULT_PAUSE, HttpClient, TransportError, bearer, retry_after},
    secret::Secret,
    strict_json,
    wire::{
        claims::SUB,
        kyc::{KycStatus, KycTier},
    },
};

/// Maximum size of a response, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Userinfo response about a person.
#[derive(Clone)]
#[non_exhaustive]
pub struct Userinfo {
    /// Subject of the response: the person's ID.
    pub subject: String,
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
    /// Time of the userinfo request.
    pub requested_at: Timestamp,
}

/// `Debug` shows no personal data.
impl fmt::Debug for Userinfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Userinfo")
            .field("requested_at", &self.requested_at)
            .finish_non_exhaustive()
    }
}

/// Error for a failed userinfo request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserinfoError {
    /// The endpoint is unknown, because the discovery document is unavailable.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The request failed.
    #[error("the userinfo request failed: {0}")]
    Transport(#[from] TransportError),
    /// KYCPort rejected the access token (RFC 6750 section 3.1).
    #[error("the userinfo endpoint rejected the access token")]
    TokenRejected,
    /// KYCPort responded with a status other than 200.
    #[error("the userinfo endpoint responded with status {status}")]
    Status {
        /// HTTP status of the response.
        status: u16,
    },
    /// The response is not a JSON object with `sub`. Signed responses are not supported. With the
    /// setting [`userinfo_member`](crate::ConfigBuilder::userinfo_member), the configured member
    /// must be an object with `sub`.
    #[error("the userinfo response is not a JSON object with `sub`")]
    InvalidResponse,
    /// KYCPort limits the rate of requests. This client sends no further userinfo request for this
    /// time, at most 60 s.
    #[error("rate limited; retry after {} s", retry_after.as_secs())]
    RateLimited {
        /// Time to wait before the next request.
        retry_after: Duration,
    },
    /// The response is about another person (OpenID Connect Core 1.0 section 5.3.2).
    #[error("the userinfo response is about another person")]
    SubjectMismatch,
}

/// Userinfo request of one person.
pub(super) struct UserinfoRequest<'a> {
    pub(super) endpoint: &'a Url,
    pub(super) access_token: &'a Secret,
    pub(super) subject: &'a str,
    /// Member of the response that contains the claims (K31). `None` means the top level.
    pub(super) member: Option<&'a str>,
    pub(super) now: Timestamp,
}

pub(super) async fn fetch(
    http: &HttpClient,
    request: UserinfoRequest<'_>,
) -> Result<Userinfo, UserinfoError> {
    let UserinfoRequest {
        endpoint,
        access_token,
        subject,
        member,
        now,
    } = request;
    let authorization = bearer(access_token.expose()).ok_or(UserinfoError::TokenRejected)?;
    let request = http::Request::get(endpoint.as_str())
        .header(AUTHORIZATION, authorization)
        .header(ACCEPT, "application/json")
        .body(Vec::new())
        .map_err(|_| TransportError::Request)?;
    let answer = http.send(request, MAX_RESPONSE_BYTES).await?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => return Err(UserinfoError::TokenRejected),
        StatusCode::TOO_MANY_REQUESTS => {
            let retry_after = retry_after(&answer.headers, now);
            return Err(UserinfoError::RateLimited {
                retry_after: retry_after.unwrap_or(DEFAULT_PAUSE),
            });
        }
        other => {
            return Err(UserinfoError::Status {
                status: other.as_u16(),
            });
        }
    }
    if !is_json(&answer.headers) {
        return Err(UserinfoError::InvalidResponse);
    }
    let body = strict_json::readable(&answer.body);
    let body = match member {
        Some(member) => Cow::Owned(unwrapped(&body, member, subject)?),
        None => body,
    };
    let object = strict_json::object(&body).ok_or(UserinfoError::InvalidResponse)?;
    let mut claims = Claims::new(object);
    let subject_claim = claims
        .required_text(Claim::Sub)
        .map_err(|_| UserinfoError::InvalidResponse)?;
    if subject_claim != subject {
        return Err(UserinfoError::SubjectMismatch);
    }
    Ok(Userinfo {
        subject: subject_claim.into_owned(),
        email: claims.informative(Claim::Email),
        email_verified: claims.informative(Claim::EmailVerified),
        name: claims.informative(Claim::Name),
        kyc_status: claims.informative(Claim::KycStatus),
        kyc_tier: claims.informative(Claim::KycTier),
        aml_clear: claims.informative(Claim::AmlClear),
        verified_at: claims.verified_at(now),
        requested_at: now,
    })
}

/// Returns the object in `member` as JSON. A `sub` beside `member` must also be `subject`.
fn unwrapped(body: &[u8], member: &str, subject: &str) -> Result<Vec<u8>, UserinfoError> {
    let mut outer = strict_json::map(body).ok_or(UserinfoError::InvalidResponse)?;
    if outer.get(SUB).is_some_and(|sub| sub != subject) {
        return Err(UserinfoError::SubjectMismatch);
    }
    let inner = outer.remove(member).filter(serde_json::Value::is_object);
    inner
        .and_then(|inner| serde_json::to_vec(&inner).ok())
        .ok_or(UserinfoError::InvalidResponse)
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}
