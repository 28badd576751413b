//! Access tokens that a person's other programs send to this tenant's own API (RFC 6750, RFC 9068).

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

/// A verified access token that came as `Authorization: Bearer`, for APIs that are called with a
/// token instead of a cookie.
///
/// Needs [`RelyingParty::bearer_layer`](crate::RelyingParty::bearer_layer) on the route. Without a
/// token, or with one that is not believed, the answer is 401; if the keys are not to be had, 503.
///
/// The store is read once for a request. A token is rejected with 401 if it was issued before all
/// sessions of the person were revoked, or if the latest recorded status of the person is "rejected".
/// If the store or its records cannot be read, the answer is 503. KYCPort is not asked, and the tier
/// is not checked: see [the promises](crate::guide::promises).
#[derive(Debug, Clone)]
pub struct BearerToken(pub AccessTokenClaims);

/// Why there is no [`BearerToken`]: answers for the handler, as RFC 6750 section 3 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BearerRejection {
    /// No `Authorization` came, or one of another scheme.
    Absent,
    /// More than one `Authorization`, or `Bearer` without one word after it.
    Malformed,
    /// The token is not believed.
    InvalidToken,
    /// The keys to verify it with are not to be had.
    KeysUnavailable,
    /// The token was issued before all sessions of the person were revoked.
    Revoked,
    /// The latest recorded status of the person is "rejected".
    PersonRejected,
    /// The store could not be read, so that a revocation may be unknown.
    StoreUnavailable,
    /// The route is outside the layer.
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

/// Token that was accepted earlier in the same request.
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
    // Section 3.1: whoever tried another scheme has not been updates yet that this one is wanted.
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

/// Lets handlers take a [`BearerToken`]. Made by
/// [`RelyingParty::bearer_layer`](crate::RelyingParty::bearer_layer).
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

/// The service that [`BearerLayer`] makes.
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
