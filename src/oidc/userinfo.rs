//! The userinfo endpoint (K35, OpenID Connect Core 1.0 section 5.3).

use std::fmt;

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use url::Url;

use super::{
    claims::{Claim, Claims},
    provider::ProviderError,
};
use crate::{
    clock::Timestamp,
    http::{HttpClient, TransportError},
    secret::Secret,
    strict_json,
    wire::kyc::{KycStatus, KycTier},
};

/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What the userinfo endpoint said of a person.
#[derive(Clone)]
#[non_exhaustive]
pub struct Userinfo {
    /// The person: who was asked about.
    pub subject: String,
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
    /// When it was asked.
    pub requested_at: Timestamp,
}

/// Shows no personal data.
impl fmt::Debug for Userinfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Userinfo")
            .field("requested_at", &self.requested_at)
            .finish_non_exhaustive()
    }
}

/// Why there is no userinfo.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserinfoError {
    /// The endpoint is not known: the discovery document is not to be had.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// KYCPort could not be asked.
    #[error("the userinfo endpoint could not be asked: {0}")]
    Transport(#[from] TransportError),
    /// KYCPort does not take the access token (RFC 6750 section 3.1).
    #[error("the userinfo endpoint refused the access token")]
    TokenRejected,
    /// Another status than 200.
    #[error("the userinfo endpoint answered with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is not a JSON object with `sub`. Signed answers were not asked for.
    #[error("the answer is not userinfo")]
    InvalidResponse,
    /// The answer is about another person (OpenID Connect Core 1.0 section 5.3.2).
    #[error("the answer is about another person")]
    SubjectMismatch,
}

pub(super) async fn fetch(
    http: &HttpClient,
    endpoint: &Url,
    access_token: &Secret,
    subject: &str,
    now: Timestamp,
) -> Result<Userinfo, UserinfoError> {
    let mut authorization = HeaderValue::try_from(format!("Bearer {}", access_token.expose()))
        .map_err(|_| UserinfoError::TokenRejected)?;
    authorization.set_sensitive(true);
    let request = http::Request::get(endpoint.as_str())
        .header(AUTHORIZATION, authorization)
        .header(ACCEPT, "application/json")
        .body(Vec::new())
        .map_err(|_| TransportError::Request)?;
    let answer = http.send(request, MAX_ANSWER_BYTES).await?;
    match answer.status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => return Err(UserinfoError::TokenRejected),
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
    let object = strict_json::object(&body).ok_or(UserinfoError::InvalidResponse)?;
    let mut said = Claims::new(object);
    let about = said
        .required_text(Claim::Sub)
        .map_err(|_| UserinfoError::InvalidResponse)?;
    if about != subject {
        return Err(UserinfoError::SubjectMismatch);
    }
    Ok(Userinfo {
        subject: about.into_owned(),
        email: said.informative(Claim::Email),
        email_verified: said.informative(Claim::EmailVerified),
        name: said.informative(Claim::Name),
        kyc_status: said.informative(Claim::KycStatus),
        kyc_tier: said.informative(Claim::KycTier),
        aml_clear: said.informative(Claim::AmlClear),
        requested_at: now,
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}
