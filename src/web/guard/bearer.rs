//! Bearer access tokens for this tenant's own API (RFC 6750, RFC 9068).

use std::{convert::Infallible, fmt, time::Duration};

use axum::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use futures_util::future::BoxFuture;
use http::{
    HeaderMap, HeaderValue, Request, StatusCode,
    header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE},
    request::Parts,
};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    observe,
    oidc::{AccessTokenClaims, OidcClient, VerifyError},
    secret::Secret,
    web::{
        request::headers,
        session::{SessionRecords, TokenStatus},
    },
};

/// Verified access token from `Authorization: Bearer`. Use this extractor for APIs that clients
/// call with a token instead of a cookie.
///
/// The extractor needs the layer [`RelyingParty::bearer_layer`](crate::RelyingParty::bearer_layer)
/// on the route. If the token is missing or invalid, the response is 401. If the keys of KYCPort
/// are unavailable, the response is 503.
///
/// The extractor reads the store once per request. If the app revoked all sessions of a person, the
/// extractor rejects older tokens of this person with 401. The extractor also rejects a token if
/// the latest recorded status of the person is "rejected". If the store or its records cannot be
/// read, the response is 503. The extractor does not query KYCPort and does not check the tier: see
/// [the promises](crate::guide::promises).
#[derive(Debug, Clone)]
pub struct BearerToken(pub AccessTokenClaims);

/// Rejection of [`BearerToken`]. The response to the client follows RFC 6750 section 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BearerRejection {
    /// The `Authorization` header is missing or has another scheme.
    Absent,
    /// The request has more than one `Authorization` header, or the text after `Bearer` is not
    /// exactly one word.
    Malformed,
    /// The token is not valid.
    InvalidToken,
    /// The keys to verify the token are unavailable.
    KeysUnavailable,
    /// KYCPort issued the token before the app revoked all sessions of the person.
    Revoked,
    /// The latest recorded status of the person is "rejected".
    PersonRejected,
    /// The store could not be read, so the token may be revoked.
    StoreUnavailable,
    /// The route is outside the bearer layer.
    MissingSessionLayer,
}

impl<S: Sync> FromRequestParts<S> for BearerToken {
    type Rejection = BearerRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, BearerRejection> {
        let Some(verifier) = parts.extensions.get::<Verifier>().cloned() else {
            return Err(BearerRejection::MissingSessionLayer);
        };
        let token = token(&parts.headers)?;
        if let Some(Accepted { text, claims }) = parts.extensions.get::<Accepted>()
            && text.expose() == token
        {
            return Ok(Self(claims.clone()));
        }
        let accepted = Accepted {
            claims: verifier.verify(token).await?,
            text: Secret::new(token),
        };
        parts.extensions.insert(accepted.clone());
        Ok(Self(accepted.claims))
    }
}

/// Token that the layer accepted earlier in this request.
#[derive(Clone)]
struct Accepted {
    text: Secret,
    claims: AccessTokenClaims,
}

fn token(headers: &HeaderMap) -> Result<&str, BearerRejection> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err(BearerRejection::Absent),
        (Some(only), None) => only,
        (Some(_), Some(_)) => return Err(BearerRejection::Malformed),
    };
    let value = value.to_str().map_err(|_| BearerRejection::Malformed)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    // RFC 6750 section 3.1: the response to a request without a bearer token contains no error
    // code.
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(BearerRejection::Absent);
    }
    let token = token.trim_start_matches(' ');
    if token.is_empty() || token.contains(' ') {
        return Err(BearerRejection::Malformed);
    }
    Ok(token)
}

impl IntoResponse for BearerRejection {
    fn into_response(self) -> Response {
        let (status, challenge) = match self {
            Self::Absent => (StatusCode::UNAUTHORIZED, Some("Bearer")),
            Self::Malformed => (
                StatusCode::BAD_REQUEST,
                Some("Bearer error=\"invalid_request\""),
            ),
            Self::InvalidToken | Self::Revoked | Self::PersonRejected => (
                StatusCode::UNAUTHORIZED,
                Some("Bearer error=\"invalid_token\""),
            ),
            Self::KeysUnavailable | Self::StoreUnavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, None)
            }
            Self::MissingSessionLayer => {
                const REMEDY: &str = "this route is outside the bearer layer: add \
                                    `.layer(kycport.bearer_layer())`";
                observe::layer_missing(REMEDY);
                return (StatusCode::INTERNAL_SERVER_ERROR, REMEDY).into_response();
            }
        };
        let mut response = status.into_response();
        let headers = response.headers_mut();
        headers::keep_private(headers);
        match challenge {
            Some(challenge) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            None => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
            }
        }
        response
    }
}

#[derive(Clone)]
struct Verifier {
    oidc: OidcClient,
    sessions: SessionRecords,
    skew: Duration,
}

impl Verifier {
    async fn verify(&self, token: &str) -> Result<AccessTokenClaims, BearerRejection> {
        let claims = match self.oidc.verify_access_token(token).await {
            Ok(claims) => claims,
            Err(VerifyError::Rejected(_)) => return Err(BearerRejection::InvalidToken),
            Err(VerifyError::Provider(error)) => {
                observe::token_unverifiable(&error);
                return Err(BearerRejection::KeysUnavailable);
            }
        };
        let AccessTokenClaims {
            subject, issued_at, ..
        } = &claims;
        let standing = self.sessions.token_status(subject, *issued_at, self.skew);
        match standing.await {
            Ok(TokenStatus::Accepted) => Ok(claims),
            Ok(TokenStatus::Revoked) => Err(BearerRejection::Revoked),
            Ok(TokenStatus::PersonRejected) => Err(BearerRejection::PersonRejected),
            Err(_) => Err(BearerRejection::StoreUnavailable),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

/// Layer for the extractor [`BearerToken`]. The
/// method [`RelyingParty::bearer_layer`](crate::RelyingParty::bearer_layer) creates the layer.
#[derive(Debug, Clone)]
pub struct BearerLayer(Verifier);

impl BearerLayer {
    pub(in crate::web) fn new(oidc: OidcClient, sessions: SessionRecords, skew: Duration) -> Self {
        Self(Verifier {
            oidc,
            sessions,
            skew,
        })
    }
}

impl<S> Layer<S> for BearerLayer {
    type Service = BearerService<S>;

    fn layer(&self, inner: S) -> BearerService<S> {
        BearerService {
            verifier: self.0.clone(),
            inner,
        }
    }
}

/// Service that [`BearerLayer`] creates.
#[derive(Debug, Clone)]
pub struct BearerService<S> {
    verifier: Verifier,
    inner: S,
}

impl<S> Service<Request<Body>> for BearerService<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.extensions_mut().insert(self.verifier.clone());
        Box::pin(self.inner.call(request))
    }
}
