//! Token request (K20): exchanges a code or a refresh token for tokens. This module does not verify
//! the tokens.

use std::{fmt, time::Duration};

use futures_util::future::BoxFuture;
use http::StatusCode;
use oauth2::{
    AccessToken, AsyncHttpClient, AuthType, AuthorizationCode, ClientId, ClientSecret,
    EndpointNotSet, HttpRequest, HttpResponse, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, Scope, StandardRevocableToken, TokenUrl,
    basic::{
        BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
        BasicTokenType,
    },
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{callback::printable, settings::Settings};
use crate::{
    clock::Timestamp,
    http::{HttpClient, TransportError, retry_after},
    secret::Secret,
    secrets::CredentialVerdict,
    strict_json,
    wire::token::TokenResponse,
};

/// Maximum size of a token response, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Error code for a rejected client (RFC 6749 section 5.2).
const INVALID_CLIENT: &str = "invalid_client";
/// Error code for an invalid code or refresh token (RFC 6749 section 5.2).
const INVALID_GRANT: &str = "invalid_grant";

/// Error for a failed token request.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The request failed, or the response was lost. The client does not send the code again,
    /// because the code may be used up.
    #[error("the token request failed: {0}")]
    Transport(#[from] TransportError),
    /// KYCPort is overloaded or unavailable (429 or 5xx). After a 429, this client sends no token
    /// request for the time of `Retry-After` (default: 1 s, maximum: 60 s), and returns this error.
    #[error("the token endpoint responded with status {status}; try again later")]
    Unavailable {
        /// HTTP status of the response.
        status: u16,
        /// Value of `Retry-After`. Maximum: 1 h.
        retry_after: Option<Duration>,
    },
    /// KYCPort rejected the request (K23, RFC 6749 section 5.2).
    #[error("the token endpoint rejected the request: {}", printable(code))]
    Rejected {
        /// Error code with its original text, such as `invalid_grant` or `invalid_client`.
        code: String,
        /// Description for developers.
        description: Option<String>,
    },
    /// The token endpoint responded with 403 and no error code: the client secret is wrong, or the
    /// tenant is not active. The response does not show which cause applies.
    #[error(
        "the token endpoint responded with 403 and no error code: check in KYCPort's console that \
         the tenant is active, and that KYCPORT_CLIENT_SECRET is this client's secret"
    )]
    Forbidden,
    /// The response is not a valid token response.
    #[error("the token endpoint returned an invalid response (RFC 6749 section 5.1)")]
    InvalidResponse,
}

/// `Debug` shows the code, escaped and truncated. `Debug` omits the description, which may repeat
/// parts of the request.
impl fmt::Debug for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => f.debug_tuple("Transport").field(error).finish(),
            Self::Unavailable {
                status,
                retry_after,
            } => f
                .debug_struct("Unavailable")
                .field("status", status)
                .field("retry_after", retry_after)
                .finish(),
            Self::Rejected { code, .. } => f
                .debug_struct("Rejected")
                .field("code", &printable(code))
                .finish_non_exhaustive(),
            Self::Forbidden => f.write_str("Forbidden"),
            Self::InvalidResponse => f.write_str("InvalidResponse"),
        }
    }
}

impl ExchangeError {
    /// Status of a rate-limited request (RFC 6585 section 4).
    pub(crate) const RATE_LIMITED: u16 = 429;

    pub(super) fn rate_limited(retry_after: Duration) -> Self {
        Self::Unavailable {
            status: Self::RATE_LIMITED,
            retry_after: Some(retry_after),
        }
    }

    /// Returns `true` if KYCPort responded and did not exchange the code.
    #[cfg(feature = "web")]
    pub(crate) fn is_rejection(&self) -> bool {
        match self {
            Self::Rejected { .. } | Self::Forbidden => true,
            Self::Unavailable { status, .. } => *status == Self::RATE_LIMITED,
            Self::Transport(_) | Self::InvalidResponse => false,
        }
    }

    /// Returns whether KYCPort may have rejected the client secret. A rejection of the client
    /// secret does not use up the code (K97). A 403 without an error code may also reject the
    /// client secret. The client therefore tries another secret once.
    pub(super) fn rejects_client(&self) -> bool {
        match self {
            Self::Rejected { code, .. } => code == INVALID_CLIENT,
            Self::Forbidden => true,
            _ => false,
        }
    }

    /// Returns whether KYCPort rejected the code or the refresh token.
    pub(crate) fn rejects_grant(&self) -> bool {
        matches!(self, Self::Rejected { code, .. } if code == INVALID_GRANT)
    }
}

/// Returns the meaning of a token response for the candidate secret. For a valid secret, KYCPort
/// rejects only the invalid code.
pub(super) fn verdict_of(answer: &Result<TokenResponse, ExchangeError>) -> CredentialVerdict {
    match answer {
        // Either the secret is invalid, or the tenant is inactive.
        Err(ExchangeError::Forbidden) => CredentialVerdict::Unclear,
        Err(error) if error.rejects_client() => CredentialVerdict::Rejected,
        Err(error) if error.rejects_grant() => CredentialVerdict::Accepted,
        Ok(_) | Err(ExchangeError::Rejected { .. } | ExchangeError::InvalidResponse) => {
            CredentialVerdict::Unclear
        }
        Err(ExchangeError::Transport(_) | ExchangeError::Unavailable { .. }) => {
            CredentialVerdict::NoResponse
        }
    }
}

/// Grant of a token request.
pub(super) enum Grant<'a> {
    Code {
        code: &'a Secret,
        code_verifier: &'a Secret,
    },
    Refresh(&'a Secret),
}

pub(super) async fn exchange(
    http: &HttpClient,
    settings: &Settings,
    client_secret: Option<&Secret>,
    token_endpoint: &Url,
    grant: &Grant<'_>,
    now: Timestamp,
) -> Result<TokenResponse, ExchangeError> {
    let client = client(settings, client_secret, token_endpoint)?;
    let adapter = HttpAdapter {
        http: http.clone(),
        now,
    };
    let answer = match grant {
        Grant::Code {
            code,
            code_verifier,
        } => {
            client
                .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
                .set_pkce_verifier(PkceCodeVerifier::new(code_verifier.expose().to_owned()))
                .request_async(&adapter)
                .await
        }
        Grant::Refresh(token) => {
            client
                .exchange_refresh_token(&RefreshToken::new(token.expose().to_owned()))
                .request_async(&adapter)
                .await
        }
    };
    let answer = answer.map_err(error)?.answer;
    if !answer.token_type.eq_ignore_ascii_case("Bearer") || answer.access_token.is_empty() {
        return Err(ExchangeError::InvalidResponse);
    }
    Ok(answer)
}

type TokenClient<HasTokenUrl> = oauth2::Client<
    BasicErrorResponse,
    Answer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    HasTokenUrl,
>;

fn client(
    settings: &Settings,
    client_secret: Option<&Secret>,
    token_endpoint: &Url,
) -> Result<TokenClient<oauth2::EndpointSet>, ExchangeError> {
    let redirect_uri = RedirectUrl::new(settings.redirect_uri.clone())
        .map_err(|_| ExchangeError::Transport(TransportError::Request))?;
    let client = TokenClient::new(ClientId::new(settings.client_id.clone()))
        .set_token_uri(TokenUrl::from_url(token_endpoint.clone()))
        .set_redirect_uri(redirect_uri)
        // K20: the request contains the secret in the body, not in Basic authentication.
        .set_auth_type(AuthType::RequestBody);
    Ok(match client_secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose().to_owned())),
        None => client,
    })
}

/// Adapter from this crate's HTTP client to the interface of `oauth2`.
struct HttpAdapter {
    http: HttpClient,
    now: Timestamp,
}

impl AsyncHttpClient<'_> for HttpAdapter {
    type Error = ExchangeError;
    type Future = BoxFuture<'static, Result<HttpResponse, ExchangeError>>;

    fn call(&self, request: HttpRequest) -> Self::Future {
        let (http, now) = (self.http.clone(), self.now);
        Box::pin(async move { send(&http, request, now).await })
    }
}

/// Sends a request and maps error statuses. `oauth2` discards the status and `Retry-After` of a
/// response other than 200. This function therefore checks the status and `Retry-After` first.
async fn send(
    http: &HttpClient,
    request: HttpRequest,
    now: Timestamp,
) -> Result<HttpResponse, ExchangeError> {
    let answer = http.send(request, MAX_RESPONSE_BYTES).await?;
    if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS {
        return Err(ExchangeError::Unavailable {
            status: answer.status.as_u16(),
            retry_after: retry_after(&answer.headers, now),
        });
    }
    let body = strict_json::readable(&answer.body);
    // K23: a 401 always rejects the client, with any body.
    if answer.status == StatusCode::UNAUTHORIZED && !has_error_code(&body) {
        return Err(ExchangeError::Rejected {
            code: INVALID_CLIENT.to_owned(),
            description: None,
        });
    }
    if answer.status == StatusCode::FORBIDDEN && !has_error_code(&body) {
        return Err(ExchangeError::Forbidden);
    }
    // Read each member separately: an unreadable `error_description` must not hide the other
    // members.
    let mut response = HttpResponse::new(body.into_owned());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

fn has_error_code(body: &[u8]) -> bool {
    serde_json::from_slice::<BasicErrorResponse>(body).is_ok()
}

/// Converts an error of the crate `oauth2` to an [`ExchangeError`].
fn error(error: RequestTokenError<ExchangeError, BasicErrorResponse>) -> ExchangeError {
    match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::ServerResponse(error) => ExchangeError::Rejected {
            code: error.error().as_ref().to_owned(),
            description: error.error_description().cloned(),
        },
        // Discard these errors, because they contain the body, which may contain a token.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            ExchangeError::InvalidResponse
        }
    }
}

/// Token response as the type that `oauth2` requires.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "TokenResponse", into = "TokenResponse")]
struct Answer {
    answer: TokenResponse,
    access_token: AccessToken,
}

impl From<TokenResponse> for Answer {
    fn from(answer: TokenResponse) -> Self {
        Self {
            access_token: AccessToken::new(answer.access_token.clone()),
            answer,
        }
    }
}

impl From<Answer> for TokenResponse {
    fn from(answer: Answer) -> Self {
        answer.answer
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.answer.fmt(f)
    }
}

impl oauth2::TokenResponse for Answer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &BasicTokenType::Bearer
    }

    fn expires_in(&self) -> Option<Duration> {
        self.answer.expires_in.map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        None
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}
