//! Access tokens of sessions. An expired token is refreshed first.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    id::SessionId,
    refresh::{Current, TokenRefresh},
    sessions::{LiveSession, SessionRecords},
    token_error::AccessTokenError,
};
use crate::{
    clock::Clock,
    expiring_map::ExpiringMap,
    observe::LogKey,
    oidc::{ExchangeError, LoginError, OidcClient},
    secret::Secret,
    single_flight::SingleFlight,
    state::State,
};

/// Maximum time that a caller waits for a refresh. The refresh itself continues without the caller.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// Pause after a refresh that failed temporarily. During the pause, the instance sends no further
/// refresh request for the session.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);
/// Maximum pause, also if `Retry-After` is longer.
const MAX_FAILURE_PAUSE: Duration = Duration::from_secs(60);
/// Maximum number of sessions whose last failure is remembered.
const MAX_FAILURES: usize = 10_000;

/// Provider of access tokens. Callers within an instance share one refresh of a session, and a
/// failed refresh is followed by a pause.
#[derive(Clone)]
pub(in crate::web) struct AccessTokens {
    refresh: TokenRefresh,
    flights: SingleFlight<SessionId, Secret, AccessTokenError>,
    /// Last temporary failure of each session, during the pause that follows it.
    failures: Arc<Mutex<ExpiringMap<SessionId, LoginError, MAX_FAILURES>>>,
    clock: Arc<dyn Clock>,
}

impl AccessTokens {
    pub(in crate::web) fn new(
        oidc: OidcClient,
        state: State,
        sessions: SessionRecords,
        log_key: LogKey,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            refresh: TokenRefresh::new(oidc, state, sessions, log_key, Arc::clone(&clock)),
            flights: SingleFlight::new(AccessTokenError::Interrupted),
            failures: Arc::default(),
            clock,
        }
    }

    pub(in crate::web) async fn get(&self, live: &LiveSession) -> Result<Secret, AccessTokenError> {
        if let Current::Valid(token) = self.refresh.current(live).await? {
            return Ok(token);
        }
        // KYCPort may have consumed the refresh token when the callers give up. The flight
        // continues, and stores the new refresh token.
        let (own, id, live) = (self.clone(), live.id, live.clone());
        let refresh = async move {
            let refreshed = own.refresh.run(&live).await;
            if let Err(AccessTokenError::Refresh(error)) = &refreshed {
                own.remember_failure(id, error);
            }
            refreshed
        };
        let start = || match self.recent_failure(id) {
            Some(error) => Err(AccessTokenError::Refresh(error)),
            None => Ok(refresh),
        };
        let flight = self.flights.join_or_start(&id, start)?;
        tokio::time::timeout(WAIT_LIMIT, flight.result)
            .await
            .unwrap_or(Err(AccessTokenError::RefreshInProgress))
    }

    fn recent_failure(&self, id: SessionId) -> Option<LoginError> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(self.clock.monotonic(), &id).cloned()
    }

    fn remember_failure(&self, id: SessionId, error: &LoginError) {
        let retry_after = match error {
            LoginError::Exchange(ExchangeError::Unavailable { retry_after, .. }) => *retry_after,
            _ => None,
        };
        let pause = retry_after.unwrap_or_default();
        let pause = pause.clamp(FAILURE_PAUSE, MAX_FAILURE_PAUSE);
        let now = self.clock.monotonic();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.insert(now, id, error.clone(), now.saturating_add(pause));
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessTokens(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::{AccessTokenError, AccessTokens, LiveSession, WAIT_LIMIT};
    use crate::{
        Config,
        clock::{Clock as _, TestClock},
        http::HttpClient,
        kyc::{Assurances, Latest},
        oidc::OidcClient,
        state::{Namespace, State},
        store::MemoryStore,
        web::session::{Session, SessionId, SessionRecords, TokenRevoker, record::KeyUse},
    };

    fn access_tokens(clock: &TestClock) -> AccessTokens {
        let config = Config::builder("client", "http://127.0.0.1:1/auth/callback");
        let config = config.build().unwrap();
        let clock = Arc::new(clock.clone());
        let oidc = OidcClient::new(
            config.oidc.clone(),
            Arc::clone(&config.live_secrets().client),
            HttpClient::new(config.deadlines, config.trust.clone()).unwrap(),
            clock.clone(),
        );
        let store = Arc::new(MemoryStore::new(10, clock.clone()));
        let state = State::new(store, Namespace::of("issuer", "client"), None);
        let log_key = config.web.log_key.clone();
        let sessions = SessionRecords::new(
            state.clone(),
            Assurances::new(state.clone()),
            config.web.limits,
            log_key.clone(),
            TokenRevoker::new(oidc.clone(), clock.clone()),
            clock.clone(),
        );
        AccessTokens::new(oidc, state, sessions, log_key, clock)
    }

    fn live(clock: &TestClock) -> LiveSession {
        let now = clock.now();
        LiveSession {
            id: SessionId::of(b"key"),
            owner: Namespace::of("issuer", "client").owner_of("ada"),
            session: Arc::new(Session {
                issuer: "issuer".to_owned(),
                subject: "ada".to_owned(),
                email: None,
                email_verified: None,
                name: None,
                auth_time: None,
                scopes: Vec::new(),
                created_at: now,
                expires_at: now,
                step_ups: Vec::new(),
                mark: 0,
                key: None,
                previous_key: None,
                rotations: 0,
                renewed_at: None,
            }),
            idle_expires_at: now,
            last_used: now,
            latest: Latest::NothingRecorded,
            version: 0,
            key: KeyUse::Current,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_wait_twenty_seconds_for_a_refresh() {
        let clock = TestClock::new();
        let (tokens, live) = (access_tokens(&clock), live(&clock));
        let _refresh = tokens.flights.join(&live.id, std::future::pending());
        let began = Instant::now();
        let callers = (0..10).map(|_| tokens.get(&live));
        let results = futures_util::future::join_all(callers).await;
        assert_eq!(began.elapsed(), WAIT_LIMIT);
        for result in results {
            assert_eq!(result.unwrap_err(), AccessTokenError::RefreshInProgress);
        }
    }
}
