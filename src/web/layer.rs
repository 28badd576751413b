//! The session layer.
//!
//! tower-sessions brings the stores; its layer is not used. It would send a deletion cookie that
//! browsers ignore under `__Host-`, keep nothing when the answer is a 5xx, turn a store that is
//! down into an empty 500, and let a request under way bring back a session that was ended.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response, routing::MethodRouter};
use futures_util::future::BoxFuture;
use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    context::{RequestContext, Shared},
    cookies, csrf,
    people::Sessions,
    problem::{Audience, Problem},
    ready::{self, Readiness},
    store_check::StoreCheck,
};
use crate::{observe, webhook::ReplayStore};

/// Lets handlers see who is signed in. Made by
/// [`RelyingParty::session_layer`](crate::RelyingParty::session_layer).
#[derive(Debug, Clone)]
pub struct SessionLayer {
    shared: Shared,
}

impl SessionLayer {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// Claims each login in `engine`, of which all instances share one, so that of several
    /// simultaneous callbacks one takes it; and each renewal of an access token, so that one
    /// instance at a time sends a refresh token. [`MemoryStore`](crate::MemoryStore) and
    /// `RedisStore` claim them themselves, by refusing an id that is taken; every other session store needs
    /// this, such as `PostgresStore`. Without it nobody can sign in there, and the log says so.
    ///
    /// ```
    /// # use kycport::{Config, MemoryStore, RelyingParty, webhook::MemoryReplayStore};
    /// # let config = Config::builder("my-client", "https://app.example.com/auth/callback").build()?;
    /// # let kycport = RelyingParty::new(config)?;
    /// # let store = MemoryStore::default();
    /// let layer = kycport.session_layer(store).claims(MemoryReplayStore::default());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn claims(self, engine: impl ReplayStore) -> Self {
        Self {
            shared: self.shared.claimed_in(Arc::new(engine)),
        }
    }

    /// Lets a session store of your own claim logins. Its `create` must refuse an id that is taken
    /// and write in one step, across all instances: if it looks and then writes, one login can be
    /// taken twice. An id whose record has expired is free. Stores that are known to do so are refused all the same, and so are those that
    /// a trial at the first login finds out; it does not find out all.
    #[must_use]
    pub fn danger_store_claims(self) -> Self {
        observe::danger_store_claims();
        Self {
            shared: self.shared.claimed_by_vouched_store(),
        }
    }

    /// A route for the probe that decides whether this instance is sent requests, to be put where
    /// only that probe comes: 200 if the session store answers, 503 if not, with a JSON that says
    /// which. KYCPort being down makes no instance unready; it is in the JSON.
    ///
    /// ```
    /// # use kycport::{Config, MemoryStore, RelyingParty};
    /// # let config = Config::builder("c", "https://app.example.com/auth/callback").build()?;
    /// # let kycport = RelyingParty::new(config)?;
    /// let layer = kycport.session_layer(MemoryStore::default());
    /// let app: axum::Router = axum::Router::new().route("/ready", layer.ready_route());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ready_route<S: Clone + Send + Sync + 'static>(&self) -> MethodRouter<S> {
        ready::route(self.shared.clone())
    }

    /// The same for an app that answers its probe itself.
    pub async fn readiness(&self) -> Readiness {
        ready::readiness(&self.shared).await
    }

    pub(crate) async fn check_store(&self) -> StoreCheck {
        self.shared.check_store().await
    }

    /// Ends the sessions that are kept in this layer's store, and lists them.
    pub fn sessions(&self) -> Sessions {
        self.shared.people()
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

/// The service that [`SessionLayer`] makes.
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
        // The one that is ready is the one to call; its clone waits for the next request.
        let next = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let mut response = ready.call(request).await?;
            context.finish(response.headers_mut());
            Ok(response)
        })
    }
}

/// A request that would act for the person whose cookie it bears, and that their own page did not
/// make. Without the cookie there is nobody to act for: webhooks and APIs pass.
fn is_forged(shared: &Shared, request: &Request<Body>) -> bool {
    let settings = shared.settings();
    cookies::is_present(request.headers(), &settings.cookies.session)
        && !csrf::is_same_origin(request.method(), request.headers(), &settings.own_origins)
}
