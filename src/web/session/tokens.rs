//! Access tokens of sessions, and their refresh.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    id::SessionId,
    record::{RefreshLease, Tokens},
    sessions::{LiveSession, SessionRecords, session_exists, stored},
};
use crate::{
    clock::Clock,
    expiring_map::ExpiringMap,
    observe::{self, Cause, LogKey, Reason},
    oidc::{ExchangeError, LoginError, OidcClient, TokenSet},
    secret::Secret,
    single_flight::SingleFlight,
    state::{Found, State, Stored as _},
    store::{Change, Condition, DEADLINE, RecordKey, StoreError, Write, Written},
};

/// Minimum remaining lifetime of an access token that is returned.
const MIN_REMAINING: Duration = Duration::from_secs(30);

/// Time between two reads of tokens that another instance is refreshing.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Number of times that the tokens are read again after KYCPort has rejected a refresh token, in
/// case another instance has used the refresh token.
const POLLS_AFTER_REJECTION: usize = 5;

/// Maximum time that a caller waits for a refresh. The refresh itself continues.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// Pause after a refresh that failed temporarily. During the pause, the instance sends no further
/// refresh request for the session.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);
/// Maximum pause, also if `Retry-After` is longer.
const MAX_FAILURE_PAUSE: Duration = Duration::from_secs(60);
/// Maximum number of sessions whose last failure is remembered.
const MAX_FAILURES: usize = 10_000;

/// Time of a refresh beyond its requests to KYCPort: three store operations, and a margin.
const STORE_OVERHEAD: Duration = Duration::from_secs(3 * DEADLINE.as_secs() + 1);

/// Error of [`SignedIn::access_token`](crate::SignedIn::access_token).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessTokenError {
    /// The token has expired, and KYCPort issued no refresh token. The person gets a new token by
    /// signing in again. The session stays active.
    #[error("the access token has expired and cannot be refreshed")]
    Expired,
    /// KYCPort rejected the refresh token. The session has ended.
    #[error("KYCPort rejected the refresh token, and the session has ended")]
    Revoked,
    /// The refresh failed temporarily. For the next 5 s, this instance returns the same error for
    /// the session without a further request. If KYCPort's `Retry-After` is longer, the pause lasts
    /// as long, but at most 60 s.
    #[error("the access token could not be refreshed: {0}")]
    Refresh(LoginError),
    /// Another refresh of the token did not finish in time. Try again in a moment. The session
    /// stays active.
    #[error("another refresh of the access token is in progress: try again in a moment")]
    RefreshInProgress,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The refresh was interrupted, for example because the runtime is shutting down.
    #[error("the refresh was interrupted")]
    Interrupted,
}

/// Current state of a session's access token.
enum Current {
    Valid(Secret),
    Expired(Option<ExpiredTokens>),
}

/// Expired access token that has a refresh token.
struct ExpiredTokens {
    refresh_token: Secret,
    version: u64,
    /// Whether an instance holds the refresh lease.
    is_leased: bool,
}

/// Provider of access tokens. At any time, one of all instances refreshes the tokens of a session.
/// Callers within an instance share one refresh, and a lease in the store selects the instance.
#[derive(Clone)]
pub(in crate::web) struct AccessTokens {
    oidc: OidcClient,
    state: State,
    sessions: SessionRecords,
    /// Length of the lease. The lease outlives the refresh.
    lease: Duration,
    log_key: LogKey,
    clock: Arc<dyn Clock>,
    refreshes: SingleFlight<SessionId, Secret, AccessTokenError>,
    /// Last temporary failure of each session, during the pause that follows it.
    failures: Arc<Mutex<ExpiringMap<SessionId, LoginError, MAX_FAILURES>>>,
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
            lease: oidc.max_refresh_duration().saturating_add(STORE_OVERHEAD),
            oidc,
            state,
            sessions,
            log_key,
            clock,
            refreshes: SingleFlight::new(AccessTokenError::Interrupted),
            failures: Arc::default(),
        }
    }

    pub(in crate::web) async fn get(&self, live: &LiveSession) -> Result<Secret, AccessTokenError> {
        if let Current::Valid(token) = self.current(live).await? {
            return Ok(token);
        }
        // KYCPort may have consumed the refresh token when the callers give up. The flight
        // continues, and stores the new refresh token.
        let (own, id, live) = (self.clone(), live.id, live.clone());
        let refresh = async move {
            let text = live.id.to_string();
            observe::refresh(own.log_key.session(&text), own.refresh(&live)).await
        };
        let start = || match self.recent_failure(id) {
            Some(error) => Err(AccessTokenError::Refresh(error)),
            None => Ok(refresh),
        };
        let flight = self.refreshes.join_or_start(&id, start)?;
        tokio::time::timeout(WAIT_LIMIT, flight.result)
            .await
            .unwrap_or(Err(AccessTokenError::RefreshInProgress))
    }

    async fn current(&self, live: &LiveSession) -> Result<Current, StoreError> {
        let id = live.id.record_id();
        let keys = [
            RecordKey::new(Tokens::FAMILY, id),
            RecordKey::new(RefreshLease::FAMILY, id),
        ];
        let snapshot = self.state.read(&live.owner, &keys).await?;
        let [tokens, lease] = snapshot.entries.as_slice() else {
            return Err(StoreError::Damaged);
        };
        let found = self.state.open::<Tokens>(&live.owner, id, tokens.as_ref());
        let Found::Record { value, version } = found else {
            return Ok(Current::Expired(None));
        };
        let enough = self.clock.now().saturating_add(MIN_REMAINING);
        if enough < value.expires_at {
            return Ok(Current::Valid(value.access_token));
        }
        Ok(Current::Expired(value.refresh_token.map(|refresh_token| {
            ExpiredTokens {
                refresh_token,
                version,
                is_leased: lease.is_some(),
            }
        })))
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

    /// Refreshes the tokens, or waits until another instance has refreshed them.
    ///
    /// KYCPort may revoke the grant if a refresh token is used twice, so only one instance uses the
    /// refresh token. The other instances poll until that instance has written new tokens, or its
    /// lease has ended.
    #[expect(
        clippy::disallowed_methods,
        reason = "no store tells when another instance has written"
    )]
    async fn refresh(&self, live: &LiveSession) -> Result<Secret, AccessTokenError> {
        let deadline = self.clock.monotonic().saturating_add(self.lease);
        loop {
            // The clock is read before the tokens, so that the last read happens after the lease
            // has ended.
            let is_last = self.clock.monotonic() >= deadline;
            let expired = match self.current(live).await? {
                Current::Valid(token) => return Ok(token),
                Current::Expired(tokens) => tokens.ok_or(AccessTokenError::Expired)?,
            };
            if !expired.is_leased
                && let Some(lease) = self.acquire(live, &expired).await?
            {
                return self.refresh_under_lease(live, &expired, lease).await;
            }
            if is_last {
                return Err(AccessTokenError::RefreshInProgress);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Acquires the lease if the session and the tokens have not changed. Returns the version of
    /// the lease, which is needed to release it.
    async fn acquire(
        &self,
        live: &LiveSession,
        expired: &ExpiredTokens,
    ) -> Result<Option<u64>, StoreError> {
        let id = live.id.record_id();
        let put = self.state.put(
            &live.owner,
            id,
            Condition::Absent,
            &RefreshLease {},
            self.lease,
        )?;
        let Change::Put { version, .. } = put.change else {
            return Ok(None);
        };
        let writes = [
            put,
            Write {
                key: RecordKey::new(Tokens::FAMILY, id),
                condition: Condition::Version(expired.version),
                change: Change::Keep,
            },
        ];
        match self.state.write(&live.owner, &writes, None).await? {
            Written::Applied => Ok(Some(version)),
            Written::Conflict(_) | Written::Fenced => Ok(None),
        }
    }

    async fn refresh_under_lease(
        &self,
        live: &LiveSession,
        expired: &ExpiredTokens,
        lease: u64,
    ) -> Result<Secret, AccessTokenError> {
        let subject = &live.session.subject;
        match self.oidc.refresh(&expired.refresh_token, subject).await {
            Ok(tokens) => self.keep(live, expired, lease, tokens).await,
            Err(LoginError::Exchange(error)) if error.rejects_grant() => {
                let elsewhere = self.refreshed_elsewhere(live, expired).await;
                if !matches!(elsewhere, Ok(None)) {
                    self.release(live, lease).await;
                }
                match elsewhere? {
                    Some(Current::Valid(token)) => return Ok(token),
                    // The next call reads the new state.
                    Some(Current::Expired(_)) => return Err(AccessTokenError::RefreshInProgress),
                    None => {}
                }
                self.sessions
                    .end(&live.owner, live.id, Cause::Revoked)
                    .await?;
                Err(AccessTokenError::Revoked)
            }
            Err(error) => {
                self.remember_failure(live.id, &error);
                self.release(live, lease).await;
                Err(AccessTokenError::Refresh(error))
            }
        }
    }

    /// Stores new tokens and releases the lease in one operation. If the session has ended
    /// meanwhile, the tokens are dropped.
    async fn keep(
        &self,
        live: &LiveSession,
        expired: &ExpiredTokens,
        lease: u64,
        tokens: TokenSet,
    ) -> Result<Secret, AccessTokenError> {
        let id = live.id.record_id();
        let token = tokens.access_token.clone();
        let keep_for = live.session.expires_at.since(self.clock.now());
        let unchanged = Condition::Version(expired.version);
        let tokens = stored(tokens);
        let put = self
            .state
            .put(&live.owner, id, unchanged, &tokens, keep_for)?;
        let mut writes = vec![
            session_exists(id),
            put,
            released(live, Condition::Version(lease)),
        ];
        let mut written = self.state.write(&live.owner, &writes, None).await?;
        if let Written::Conflict(now) = &written
            && let [Some(_), Some(tokens), _] = now.entries.as_slice()
            && tokens.version == expired.version
        {
            // The lease has ended, and another instance may hold it now. That instance keeps its
            // lease.
            writes.truncate(2);
            written = self.state.write(&live.owner, &writes, None).await?;
        }
        match written {
            Written::Applied => Ok(token),
            Written::Conflict(now) if now.entries.first().is_some_and(Option::is_none) => {
                let id = live.id.to_string();
                observe::refreshed_after_end(self.log_key.session(&id));
                self.sessions.revoke_dropped(tokens);
                Err(AccessTokenError::Revoked)
            }
            // Another instance has written tokens, because this refresh took longer than its lease.
            Written::Conflict(_) | Written::Fenced => {
                self.release(live, lease).await;
                match self.current(live).await? {
                    Current::Valid(token) => Ok(token),
                    Current::Expired(_) => Err(AccessTokenError::RefreshInProgress),
                }
            }
        }
    }

    /// Releases the lease if this instance still holds it. A lease that cannot be released expires.
    async fn release(&self, live: &LiveSession, lease: u64) {
        let writes = [released(live, Condition::Version(lease))];
        let _ = self.state.write(&live.owner, &writes, None).await;
    }

    /// Polls the tokens for one second, in case another instance has used the refresh token.
    ///
    /// A lease is lost if the store loses its data, and expires while an instance is suspended. So
    /// another instance may have used the rejected refresh token, and may be about to write the new
    /// tokens.
    #[expect(
        clippy::disallowed_methods,
        reason = "no store tells when another instance has written"
    )]
    async fn refreshed_elsewhere(
        &self,
        live: &LiveSession,
        used: &ExpiredTokens,
    ) -> Result<Option<Current>, StoreError> {
        for _ in 0..POLLS_AFTER_REJECTION {
            match self.current(live).await? {
                Current::Expired(Some(kept)) if kept.version == used.version => {}
                Current::Expired(None) => return Ok(None),
                other => return Ok(Some(other)),
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(None)
    }
}

/// Returns the deletion of a session's lease.
fn released(live: &LiveSession, condition: Condition) -> Write {
    Write {
        key: RecordKey::new(RefreshLease::FAMILY, live.id.record_id()),
        condition,
        change: Change::Delete,
    }
}

impl Reason for AccessTokenError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Expired => "no_refresh_token",
            Self::Revoked => "revoked",
            Self::Refresh(error) => error.reason(),
            Self::RefreshInProgress => "in_progress",
            Self::Store(_) => "store_unavailable",
            Self::Interrupted => "interrupted",
        }
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
        web::session::{Session, SessionId, SessionRecords, TokenRevoker},
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
            TokenRevoker::new(oidc.clone()),
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
                mark: 0,
            }),
            idle_expires_at: now,
            last_used: now,
            latest: Latest::NothingRecorded,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_wait_twenty_seconds_for_a_refresh() {
        let clock = TestClock::new();
        let (tokens, live) = (access_tokens(&clock), live(&clock));
        let _refresh = tokens.refreshes.join(&live.id, std::future::pending());
        let began = Instant::now();
        let callers = (0..10).map(|_| tokens.get(&live));
        let results = futures_util::future::join_all(callers).await;
        assert_eq!(began.elapsed(), WAIT_LIMIT);
        for result in results {
            assert_eq!(result.unwrap_err(), AccessTokenError::RefreshInProgress);
        }
    }
}
