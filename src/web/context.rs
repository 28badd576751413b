//! Context of one request: the session, and the cookies to set.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, header::SET_COOKIE, request::Parts};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use super::{
    evaluation::evaluate::Evaluator,
    pending::{LoginCookies, LoginKeys, WaitingCallbacks, WaitingPermit},
    request::{cookies, headers, reference::Reference},
    session::{AccessTokens, LiveSession, SessionKey, SessionRecords, Sessions, TokenRevoker},
    settings::Settings,
};
use crate::{
    clock::{Clock, Timestamp},
    kyc::{Assurances, StatusClient},
    observe,
    oidc::OidcClient,
    secret::Secret,
    state::State,
    store::{LeaseKey, StoreError},
};

/// Maximum number of concurrent code exchanges.
const MAX_EXCHANGES: usize = 256;

/// Context of one request in the session layer. The context is cheap to clone, and its clones share
/// all state.
#[derive(Clone)]
pub(super) struct RequestContext(Arc<Inner>);

struct Inner {
    shared: Shared,
    session_key: Option<SessionKey>,
    session: OnceCell<Result<Option<LiveSession>, StoreError>>,
    depends_on_session: AtomicBool,
    set_cookies: Mutex<Vec<HeaderValue>>,
    reference: Reference,
}

/// State that all requests of one relying party share. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<SharedParts>);

#[derive(Debug)]
struct SharedParts {
    oidc: OidcClient,
    settings: Arc<Settings>,
    state: State,
    clock: Arc<dyn Clock>,
    sessions: SessionRecords,
    login_cookies: LoginCookies,
    access_tokens: AccessTokens,
    evaluator: Evaluator,
    exchanges: Arc<Semaphore>,
    waiting: WaitingCallbacks,
}

impl Shared {
    pub(super) fn new(
        oidc: OidcClient,
        status: StatusClient,
        settings: Arc<Settings>,
        clock: Arc<dyn Clock>,
        assurances: Assurances,
        state: State,
    ) -> Self {
        let sessions = SessionRecords::new(
            state.clone(),
            assurances.clone(),
            settings.limits,
            settings.log_key.clone(),
            TokenRevoker::new(oidc.clone(), Arc::clone(&clock)),
            Arc::clone(&clock),
        );
        let access_tokens = AccessTokens::new(
            oidc.clone(),
            state.clone(),
            sessions.clone(),
            settings.log_key.clone(),
            Arc::clone(&clock),
        );
        let login_cookies = LoginCookies::new(
            &settings.cookies.login_prefix,
            *state.namespace(),
            LoginKeys::new(state.clone(), Arc::clone(&clock)),
        );
        Self(Arc::new(SharedParts {
            evaluator: Evaluator::new(
                oidc.clone(),
                status,
                access_tokens.clone(),
                assurances,
                settings.assurance_max_age,
                Arc::clone(&clock),
            ),
            state,
            clock,
            access_tokens,
            oidc,
            settings,
            sessions,
            login_cookies,
            exchanges: Arc::new(Semaphore::new(MAX_EXCHANGES)),
            waiting: WaitingCallbacks::default(),
        }))
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(super) fn state(&self) -> &State {
        &self.0.state
    }

    pub(super) fn sessions(&self) -> &SessionRecords {
        &self.0.sessions
    }

    /// Returns the administration of sessions.
    pub(super) fn administration(&self) -> Sessions {
        Sessions::new(self.0.sessions.clone(), self.0.oidc.issuer())
    }
}

impl RequestContext {
    pub(super) fn new(shared: Shared, headers: &HeaderMap) -> Self {
        let names = &shared.settings().cookies;
        Self(Arc::new(Inner {
            session_key: cookies::session_key(headers, names),
            shared,
            session: OnceCell::new(),
            depends_on_session: AtomicBool::new(false),
            set_cookies: Mutex::default(),
            reference: Reference::default(),
        }))
    }

    fn parts(&self) -> &SharedParts {
        &self.0.shared.0
    }

    pub(super) fn oidc(&self) -> &OidcClient {
        &self.parts().oidc
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.parts().settings
    }

    pub(super) fn state(&self) -> &State {
        &self.parts().state
    }

    pub(super) fn now(&self) -> Timestamp {
        self.parts().clock.now()
    }

    /// Returns the correlation ID of this request. The error response and the log contain the ID.
    pub(super) fn reference(&self) -> &Reference {
        &self.0.reference
    }

    pub(super) fn sessions(&self) -> &SessionRecords {
        &self.parts().sessions
    }

    pub(super) fn login_cookies(&self) -> &LoginCookies {
        &self.parts().login_cookies
    }

    pub(super) fn access_tokens(&self) -> &AccessTokens {
        &self.parts().access_tokens
    }

    pub(super) fn evaluator(&self) -> &Evaluator {
        &self.parts().evaluator
    }

    /// Returns a permit to wait for another callback of the login. Returns `None` if too many
    /// callbacks wait.
    pub(super) fn waiting_turn(&self, login: LeaseKey) -> Option<WaitingPermit<'_>> {
        self.parts().waiting.enter(login)
    }

    /// Returns a permit to exchange a code. Returns `None` if too many exchanges are running.
    pub(super) fn exchange_turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.parts().exchanges).try_acquire_owned().ok()
    }

    /// Records this request as a use of the session.
    pub(super) async fn touch(&self, live: &LiveSession) {
        self.sessions().touch(live).await;
    }

    /// Returns the session key from the cookie. The session of this key may not exist.
    pub(super) fn session_key(&self) -> Option<&SessionKey> {
        self.0.session_key.as_ref()
    }

    /// Returns the active session. Each request reads the session from the store at most once, on
    /// the first call.
    pub(super) async fn session(&self) -> Result<Option<LiveSession>, StoreError> {
        // From here on, the response depends on the session cookie, even if the request has none.
        self.0.depends_on_session.store(true, Ordering::Relaxed);
        let Some(key) = self.session_key() else {
            return Ok(None);
        };
        if let Some(loaded) = self.0.session.get() {
            return loaded.clone();
        }
        // This future is boxed to keep its callers' futures small.
        self.0
            .session
            .get_or_init(|| self.sessions().load(key).boxed())
            .await
            .clone()
    }

    pub(super) fn set_session_cookie(&self, key: &Secret) {
        self.set_cookie(&self.settings().cookies.session, key, None);
    }

    pub(super) fn delete_session_cookie(&self) {
        self.delete_cookie(&self.settings().cookies.session);
    }

    pub(super) fn set_cookie(&self, name: &str, value: &Secret, max_age: Option<Duration>) {
        self.push(cookies::set(name, value, max_age));
    }

    pub(super) fn delete_cookie(&self, name: &str) {
        self.push(cookies::delete(name));
    }

    /// Adds the cookies and the caching headers to the response.
    pub(super) fn finish(&self, headers: &mut HeaderMap) {
        let set_cookies = std::mem::take(
            &mut *self
                .0
                .set_cookies
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if self.0.depends_on_session.load(Ordering::Relaxed) || !set_cookies.is_empty() {
            headers::no_store(headers);
        }
        for cookie in set_cookies {
            headers.append(SET_COOKIE, cookie);
        }
    }

    fn push(&self, cookie: Option<HeaderValue>) {
        self.0
            .set_cookies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(cookie);
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestContext(…)")
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = MissingSessionLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingSessionLayer> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or(MissingSessionLayer)
    }
}

/// Error from an extractor if the route has no session layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this route is outside the session layer: add `.layer(kycport.session_layer())` after the last \
     route that needs it"
)]
pub struct MissingSessionLayer;

impl IntoResponse for MissingSessionLayer {
    fn into_response(self) -> Response {
        observe::layer_missing(&self.to_string());
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}
