//! The session layer.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use futures_util::future::BoxFuture;
use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::web::{
    context::{RequestContext, Shared},
    pages::problem::Problem,
    request::{audience::Audience, cookies, csrf},
};

/// Layer that makes the session available to handlers. The
/// method [`RelyingParty::session_layer`](crate::RelyingParty::session_layer) creates the layer.
#[derive(Debug, Clone)]
pub struct SessionLayer {
    shared: Shared,
}

impl SessionLayer {
    pub(in crate::web) fn new(shared: Shared) -> Self {
        Self { shared }
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService {
            shared: self.shared.clone(),
            inner,
        }
    }
}

/// Service that [`SessionLayer`] creates.
#[derive(Debug, Clone)]
pub struct SessionService<S> {
    shared: Shared,
    inner: S,
}

impl<S> Service<Request<Body>> for SessionService<S>
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let context = RequestContext::new(self.shared.clone(), request.headers());
        if is_forged(&self.shared, &request) {
            let audience = Audience::of(request.method(), request.headers());
            let answer = Problem::CrossSite.answer(audience, &context);
            return Box::pin(async { Ok(answer) });
        }
        request.extensions_mut().insert(context.clone());
        // This request uses the service that is ready, and the clone serves the next request.
        let next = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let mut response = ready.call(request).await?;
            context.finish(response.headers_mut());
            Ok(response)
        })
    }
}

/// Returns whether another site sent this request, with the session cookie and with a method that
/// can change state. Requests without the session cookie are allowed, because they act for no
/// person. Webhooks and API requests have no session cookie.
fn is_forged(shared: &Shared, request: &Request<Body>) -> bool {
    let settings = shared.settings();
    cookies::is_present(request.headers(), &settings.cookies.session)
        && !csrf::is_same_origin(request.method(), request.headers(), &settings.own_origins)
}
