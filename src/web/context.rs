//! One request, as the session layer sees it: whose it is, and which cookies its answer sets.

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
use http::{HeaderMap, HeaderValue, StatusCode, header::SET_COOKIE, request::Parts};
use tokio::sync::OnceCell;

use super::{
    assess::Assessor,
    claims::Claims,
    cookies, headers,
    pending::PendingLogins,
    people,
    records::{Records, StoreUnavailable},
    reference::Reference,
    sessions::{KeptSessions, LiveSession},
    settings::Settings,
    store_check::{self, StoreCheck},
    tokens::AccessTokens,
};
use crate::{
    clock::Clock,
    kyc::{Assurance, Assurances, StatusClient},
    observe,
    oidc::OidcClient,
    secret::Secret,
    webhook::ReplayStore,
};

/// What every request through the layer carries. Cheap to clone; clones are the same request.
#[derive(Clone)]
pub(super) struct RequestContext(Arc<Inner>);

struct Inner {
    shared: Shared,
    session_key: Option<Secret>,
    browser_key: Option<Secret>,
    session: OnceCell<Result<Option<LiveSession>, StoreUnavailable>>,
    names_a_person: AtomicBool,
    set_cookies: Mutex<Vec<HeaderValue>>,
    reference: Reference,
}

/// What all requests through one layer share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    oidc: OidcClient,
    settings: Arc<Settings>,
    records: Records,
    claims: Claims,
    clock: Arc<dyn Clock>,
    sessions: KeptSessions,
    pending: PendingLogins,
    access_tokens: AccessTokens,
    assessor: Assessor,
}

impl Shared {
    pub(super) fn new(
        oidc: OidcClient,
        status: StatusClient,
        settings: Arc<Settings>,
        clock: Arc<dyn Clock>,
        assurances: Assurances,
        records: Records,
    ) -> Self {
        let sessions = KeptSessions::new(
            records.clone(),
            settings.limits,
            settings.log_key.clone(),
            Arc::clone(&clock),
        );
        let claims = Claims::by_store(records.clone(), Arc::clone(&clock));
        let pending = PendingLogins::new(records.clone(), claims.clone(), Arc::clone(&clock));
        let access_tokens = AccessTokens::new(
            oidc.clone(),
            sessions.clone(),
            claims.clone(),
            settings.log_key.clone(),
            Arc::clone(&clock),
        );
        Self {
            assessor: Assessor::new(
                oidc.clone(),
                status,
                access_tokens.clone(),
                assurances,
                settings.assurance_max_age,
                Arc::clone(&clock),
            ),
            records,
            claims,
            clock,
            access_tokens,
            oidc,
            settings,
            sessions,
            pending,
        }
    }

    /// The same, where logins and renewals are claimed in `engine`.
    pub(super) fn claimed_in(self, engine: Arc<dyn ReplayStore>) -> Self {
        let claims = self.claims.clone().by_engine(engine);
        self.claimed_by(claims)
    }

    /// The same, where the store claims them, on the app's word.
    pub(super) fn claimed_by_vouched_store(self) -> Self {
        let claims = self.claims.clone().by_vouched_store();
        self.claimed_by(claims)
    }

    /// Everybody who claims has the same claims.
    fn claimed_by(self, claims: Claims) -> Self {
        let access_tokens = self.access_tokens.claimed_by(claims.clone());
        Self {
            pending: self.pending.claimed_by(claims.clone()),
            assessor: self.assessor.asking_with(access_tokens.clone()),
            access_tokens,
            claims,
            ..self
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn oidc(&self) -> &OidcClient {
        &self.oidc
    }

    pub(super) async fn store_answers(&self) -> bool {
        store_check::answers(&self.records).await
    }

    pub(super) async fn check_store(&self) -> StoreCheck {
        store_check::check(&self.records, &self.claims, self.clock.now()).await
    }

    /// The sessions of people, for whoever must end them.
    pub(super) fn people(&self) -> people::Sessions {
        people::Sessions::new(self.sessions.clone(), self.oidc.issuer())
    }
}

impl RequestContext {
    pub(super) fn new(shared: Shared, headers: &HeaderMap) -> Self {
        let names = &shared.settings.cookies;
        Self(Arc::new(Inner {
            session_key: cookies::read(headers, &names.session),
            browser_key: cookies::read(headers, &names.browser),
            shared,
            session: OnceCell::new(),
            names_a_person: AtomicBool::new(false),
            set_cookies: Mutex::default(),
            reference: Reference::default(),
        }))
    }

    pub(super) fn oidc(&self) -> &OidcClient {
        &self.0.shared.oidc
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.shared.settings
    }

    /// What this request is called in its answer and in the log.
    pub(super) fn reference(&self) -> &Reference {
        &self.0.reference
    }

    pub(super) fn sessions(&self) -> &KeptSessions {
        &self.0.shared.sessions
    }

    pub(super) fn pending(&self) -> &PendingLogins {
        &self.0.shared.pending
    }

    pub(super) fn access_tokens(&self) -> &AccessTokens {
        &self.0.shared.access_tokens
    }

    pub(super) fn assessor(&self) -> &Assessor {
        &self.0.shared.assessor
    }

    /// The newest that is known of who is signed in, without asking.
    pub(super) async fn newest_assurance(&self, live: &LiveSession) -> Assurance {
        self.assessor().newest(&live.session).await
    }

    /// Counts this request as a use of the session.
    pub(super) async fn touch(&self, live: &LiveSession) {
        self.sessions().touch(live).await;
    }

    /// The key in the session cookie, whether or not there is a session.
    pub(super) fn session_key(&self) -> Option<&Secret> {
        self.0.session_key.as_ref()
    }

    /// The key that ties pending logins to this browser.
    pub(super) fn browser_key(&self) -> Option<&Secret> {
        self.0.browser_key.as_ref()
    }

    /// The live session. The store is asked once a request, and only if the request asks.
    pub(super) async fn session(&self) -> Result<Option<LiveSession>, StoreUnavailable> {
        // From here on the answer depends on the cookie, and if only on its not being there.
        self.0.names_a_person.store(true, Ordering::Relaxed);
        let Some(key) = self.session_key() else {
            return Ok(None);
        };
        self.0
            .session
            .get_or_init(|| self.sessions().load(key))
            .await
            .clone()
    }

    pub(super) fn set_session_cookie(&self, key: &Secret) {
        self.push(cookies::set(&self.names().session, key, None));
    }

    pub(super) fn delete_session_cookie(&self) {
        self.push(cookies::delete(&self.names().session));
    }

    pub(super) fn set_browser_cookie(&self, key: &Secret, lifetime: Duration) {
        self.push(cookies::set(&self.names().browser, key, Some(lifetime)));
    }

    /// Puts onto the answer what the request has led to.
    pub(super) fn finish(&self, headers: &mut HeaderMap) {
        let set_cookies = std::mem::take(
            &mut *self
                .0
                .set_cookies
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if self.0.names_a_person.load(Ordering::Relaxed) || !set_cookies.is_empty() {
            headers::names_a_person(headers);
        }
        for cookie in set_cookies {
            headers.append(SET_COOKIE, cookie);
        }
    }

    fn names(&self) -> &cookies::CookieNames {
        &self.settings().cookies
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
    type Rejection = LayerMissing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, LayerMissing> {
        parts.extensions.get::<Self>().cloned().ok_or(LayerMissing)
    }
}

/// A handler asks who is signed in, on a route that the session layer does not cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this route is outside the session layer: add `.layer(kycport.session_layer(store))` after the \
     last route that needs it"
)]
pub struct LayerMissing;

impl IntoResponse for LayerMissing {
    fn into_response(self) -> Response {
        observe::layer_missing(&self.to_string());
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}
