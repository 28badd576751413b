//! The token request (K20): the code, or a refresh token, for tokens. What comes is taken apart
//! here and believed nowhere before the tokens are verified.

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
    secrets::Said,
    strict_json,
    wire::token::TokenResponse,
};

/// The largest token answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The client is not believed, and the code or the refresh token is not good (RFC 6749 section 5.2).
const INVALID_CLIENT: &str = "invalid_client";
const INVALID_GRANT: &str = "invalid_grant";

/// Why the token endpoint gave no tokens.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// KYCPort could not be asked, or its answer was lost. The code may be spent: it is not sent
    /// again.
    #[error("the token endpoint could not be asked: {0}")]
    Transport(#[from] TransportError),
    /// KYCPort is overloaded or broken (429 or 5xx).
    #[error("the token endpoint answered with status {status}")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// What `Retry-After` said, one hour at most.
        retry_after: Option<Duration>,
    },
    /// KYCPort said no (K23, RFC 6749 section 5.2).
    #[error("the token endpoint refused: {}", printable(code))]
    Rejected {
        /// The code, as it came: `invalid_grant`, `invalid_client`, …
        code: String,
        /// A text for the developer.
        description: Option<String>,
    },
    /// The token endpoint responded with 403 and no error code: the client secret is wrong, or the
    /// tenant is not active. KYCPort does not say which.
    #[error(
        "the token endpoint responded with 403 and no error code: check in KYCPort's console that \
         the tenant is active, and that KYCPORT_CLIENT_SECRET is this client's secret"
    )]
    Forbidden,
    /// The answer is no token answer.
    #[error("the answer of the token endpoint is not what RFC 6749 section 5.1 says")]
    InvalidResponse,
}

/// Shows the code escaped and cut, and never the text, in which an answer may repeat what it was
/// asked.
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
                .debug_struct("Refused")
                .field("code", &printable(code))
                .finish_non_exhaustive(),
            Self::Forbidden => f.write_str("Forbidden"),
            Self::InvalidResponse => f.write_str("InvalidResponse"),
        }
    }
}

impl ExchangeError {
    /// Whether KYCPort may have rejected the client's secret, which does not use up the code (K97).
    /// After a 403 without an error code this is possible, so another secret is tried once.
    pub(super) fn is_of_the_client(&self) -> bool {
        match self {
            Self::Rejected { code, .. } => code == INVALID_CLIENT,
            Self::Forbidden => true,
            _ => false,
        }
    }

    /// Whether the code or the refresh token is not good, or not any more.
    pub(crate) fn is_of_the_grant(&self) -> bool {
        matches!(self, Self::Rejected { code, .. } if code == INVALID_GRANT)
    }
}

/// What a check's answer says of the secret: there is no such code, for a client that is believed.
pub(super) fn said(answer: &Result<TokenResponse, ExchangeError>) -> Said {
    match answer {
        // The secret may be good, and the tenant not active.
        Err(ExchangeError::Forbidden) => Said::Unclear,
        Err(error) if error.is_of_the_client() => Said::No,
        Err(error) if error.is_of_the_grant() => Said::Yes,
        Ok(_) | Err(ExchangeError::Rejected { .. } | ExchangeError::InvalidResponse) => {
            Said::Unclear
        }
        Err(ExchangeError::Transport(_) | ExchangeError::Unavailable { .. }) => Said::Nothing,
    }
}

/// What is sent for tokens.
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
    let adapter = Adapter {
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
        // K20: in the body, not as Basic.
        .set_auth_type(AuthType::RequestBody);
    Ok(match client_secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose().to_owned())),
        None => client,
    })
}

/// The crate's one HTTP client, as `oauth2` wants it.
struct Adapter {
    http: HttpClient,
    now: Timestamp,
}

impl AsyncHttpClient<'_> for Adapter {
    type Error = ExchangeError;
    type Future = BoxFuture<'static, Result<HttpResponse, ExchangeError>>;

    fn call(&self, request: HttpRequest) -> Self::Future {
        let (http, now) = (self.http.clone(), self.now);
        Box::pin(async move { send(&http, request, now).await })
    }
}

/// `oauth2` loses the status and `Retry-After` of an answer that is not 200, so those are judged
/// before it sees the answer.
async fn send(
    http: &HttpClient,
    request: HttpRequest,
    now: Timestamp,
) -> Result<HttpResponse, ExchangeError> {
    let answer = http.send(request, MAX_ANSWER_BYTES).await?;
    if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS {
        return Err(ExchangeError::Unavailable {
            status: answer.status.as_u16(),
            retry_after: retry_after(&answer.headers, now),
        });
    }
    let body = strict_json::readable(&answer.body);
    // K23: whatever stands in the body, 401 is said of the client.
    if answer.status == StatusCode::UNAUTHORIZED && !names_an_error(&body) {
        return Err(ExchangeError::Rejected {
            code: INVALID_CLIENT.to_owned(),
            description: None,
        });
    }
    if answer.status == StatusCode::FORBIDDEN && !names_an_error(&body) {
        return Err(ExchangeError::Forbidden);
    }
    // One member that cannot be read, such as an `error_description`, must not hide the others.
    let mut response = HttpResponse::new(body.into_owned());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

fn names_an_error(body: &[u8]) -> bool {
    serde_json::from_slice::<BasicErrorResponse>(body).is_ok()
}

/// Seconds or a date (RFC 9110 section 10.2.3); a date that is past says "now".
fn error(error: RequestTokenError<ExchangeError, BasicErrorResponse>) -> ExchangeError {
    match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::ServerResponse(refusal) => ExchangeError::Rejected {
            code: refusal.error().as_ref().to_owned(),
            description: refusal.error_description().cloned(),
        },
        // Both carry the body, which may hold a token.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            ExchangeError::InvalidResponse
        }
    }
}

/// The wire's answer in the shape that `oauth2` wants its answers in.
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
