//! The guard: a layer that enforces a requirement on a route.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use futures_util::future::BoxFuture;
use http::{Request, StatusCode, request::Parts};
use tower_layer::Layer;
use tower_service::Service;

use super::denial_response;
use crate::{
    kyc::{Assurance, Requirement, RequirementError},
    observe::{self, GuardSpan},
    web::{
        context::{MissingSessionLayer, RequestContext},
        evaluation::evaluate::Freshness,
        pages::problem::Problem,
        request::audience::Audience,
        session::{LiveSession, Session},
        settings::MAX_AUTHENTICATION_AGE,
    },
    wire::kyc::KycTier,
};

/// Layer that passes a request to the handler only if the person meets a requirement. The
/// method [`RelyingParty::require`](crate::RelyingParty::require) creates the layer. Add the layer
/// with `route_layer`.
///
/// | The person | Response to a page request |
/// |---|---|
/// | is not signed in | redirect to the login, and back afterwards |
/// | authenticated too long ago | redirect to KYCPort to sign in again, and back afterwards |
/// | does not have the tier | redirect to KYCPort to be verified, and back afterwards |
/// | has a pending verification | a page with this information |
/// | has not passed the AML check | 403 |
/// | cannot be checked | 503: the guard fails closed |
///
/// For a script, the response is problem JSON with `login_url` or `step_up_url`.
#[derive(Debug, Clone)]
pub struct Guard {
    requirement: Arc<Requirement>,
    freshness: Freshness,
    /// Maximum time since the person authenticated, in seconds.
    authenticated_within: Option<u32>,
}

impl Guard {
    pub(in crate::web) fn new(tier: KycTier) -> Self {
        Self {
            requirement: Arc::new(Requirement::tier(tier)),
            freshness: Freshness::Cached,
            authenticated_within: None,
        }
    }

    /// Also requires that the person's AML check passed.
    #[must_use]
    pub fn aml_clear(self) -> Self {
        self.with(Requirement::aml_clear)
    }

    /// Sets the maximum age of the stored verification result. If the result is older, the guard
    /// queries KYCPort.
    #[must_use]
    pub fn max_age(self, age: Duration) -> Self {
        self.with(|requirement| requirement.max_age(age))
    }

    /// Makes the guard query KYCPort for every request. Use this method for sensitive actions
    /// (K42).
    #[must_use]
    pub fn fresh(mut self) -> Self {
        self.freshness = Freshness::Now;
        self
    }

    /// Also requires that the person authenticated at KYCPort at most this long ago, in whole
    /// seconds. Maximum: 24 h.
    ///
    /// The guard checks only `auth_time` of the ID token. A missing `auth_time` does not satisfy
    /// the guard, and an `auth_time` in the future does not either. The step-up of this guard sends
    /// `max_age` and `prompt=login`, and keeps the session.
    ///
    /// The guard allows the [clock skew](crate::ConfigBuilder::clock_skew). With a limit of 0 s,
    /// the guard therefore accepts a person for 60 s after the sign-in.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use kycport::{KycTier, RelyingParty};
    /// # fn guard(kycport: &RelyingParty) -> kycport::web::Guard {
    /// kycport.require(KycTier::T2).authenticated_within(Duration::from_secs(300))
    /// # }
    /// ```
    #[must_use]
    pub fn authenticated_within(mut self, age: Duration) -> Self {
        let seconds = u32::try_from(age.as_secs()).unwrap_or(MAX_AUTHENTICATION_AGE);
        self.authenticated_within = Some(seconds.min(MAX_AUTHENTICATION_AGE));
        self
    }

    fn with(mut self, change: impl FnOnce(Requirement) -> Requirement) -> Self {
        self.requirement = Arc::new(change((*self.requirement).clone()));
        self
    }
}

impl<S> Layer<S> for Guard {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> GuardService<S> {
        GuardService {
            guard: self.clone(),
            inner,
        }
    }
}

/// Service that [`Guard`] creates.
#[derive(Debug, Clone)]
pub struct GuardService<S> {
    guard: Guard,
    inner: S,
}

impl<S> Service<Request<Body>> for GuardService<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let guard = self.guard.clone();
        // This request uses the service that is ready, and the clone serves the next request.
        let next = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match guard.authorize(&parts).await {
                Ok(assurance) => {
                    parts.extensions.insert(AcceptedAssurance(assurance));
                    ready.call(Request::from_parts(parts, body)).await
                }
                Err(answer) => Ok(answer),
            }
        })
    }
}

impl Guard {
    async fn authorize(&self, parts: &Parts) -> Result<Assurance, Response> {
        let Some(context) = parts.extensions.get::<RequestContext>() else {
            return Err(MissingSessionLayer.into_response());
        };
        let tier = self.requirement.required_tier().as_str();
        observe::guard(context.reference(), tier, |span| {
            self.evaluate(context, parts, span)
        })
        .await
    }

    async fn evaluate(
        &self,
        context: &RequestContext,
        parts: &Parts,
        span: GuardSpan,
    ) -> (Result<Assurance, Response>, &'static str) {
        let live = match context.session().await {
            Ok(Some(live)) => live,
            Ok(None) => {
                return (
                    Err(denial_response::signed_out(context, parts)),
                    "signed_out",
                );
            }
            Err(_) => {
                let audience = Audience::of(&parts.method, &parts.headers);
                let problem = Problem::StoreUnavailable;
                return (Err(problem.answer(audience, context)), problem.code());
            }
        };
        let Session {
            issuer, subject, ..
        } = &*live.session;
        let person = context.settings().log_key.person(issuer, subject);
        span.know(person);
        let evaluated = if self.is_too_old(context, &live) {
            // A status query cannot help, so the guard sends no query.
            Err(RequirementError::AuthenticationTooOld.into())
        } else {
            context
                .evaluator()
                .evaluate(&live, &self.requirement, self.freshness)
                .await
        };
        match evaluated {
            Ok(assurance) => {
                context.touch(&live).await;
                (Ok(assurance), "admitted")
            }
            Err(denial) => {
                let tier = self.requirement.required_tier();
                let max_age = self.authenticated_within;
                let answer =
                    denial_response::answer(context, parts, tier, max_age, &denial, person);
                (Err(answer), denial.reason.code())
            }
        }
    }

    /// Returns whether the person must authenticate again. A key from before the last
    /// re-authentication may be in a stolen cookie, so such a key is never recent.
    fn is_too_old(&self, context: &RequestContext, live: &LiveSession) -> bool {
        self.authenticated_within.is_some_and(|seconds| {
            let age = Duration::from_secs(seconds.into());
            let skew = context.settings().skew;
            let session = &live.session;
            live.has_previous_key() || !session.is_authenticated_within(age, skew, context.now())
        })
    }
}

/// Extractor for the verification result ([`Assurance`]) that the [`Guard`] of this route accepted.
#[derive(Debug, Clone)]
pub struct AcceptedAssurance(pub Assurance);

/// Error from the extractor [`AcceptedAssurance`] if the route has no guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this route has no guard: add `.route_layer(kycport.require(tier))`")]
pub struct MissingGuard;

impl IntoResponse for MissingGuard {
    fn into_response(self) -> Response {
        observe::layer_missing(&self.to_string());
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for AcceptedAssurance {
    type Rejection = MissingGuard;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingGuard> {
        parts.extensions.get::<Self>().cloned().ok_or(MissingGuard)
    }
}
