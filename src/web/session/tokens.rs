//! Access tokens of sessions, refreshed when they have expired.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tracing::Instrument as _;

use super::{
    id::SessionId,
    record::{RefreshLease, Tokens},
    sessions::{LiveSession, SessionRecords, session_exists, stored},
};
use crate::{
    clock::Clock,
    observe::{self, Cause, LogKey, Reason},
    oidc::{LoginError, OidcClient, TokenSet},
    secret::Secret,
    state::{Found, State, Stored as _},
    store::{Change, Condition, DEADLINE, RecordKey, StoreError, Write, Written},
};

/// Minimum remaining lifetime of an access token that is handed out.
const MIN_REMAINING: Duration = Duration::from_secs(30);

/// Time between two reads of tokens that another instance is refreshing.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Number of times that the tokens are read after KYCPort has rejected a refresh token, in case
/// another instance has used it.
const POLLS_AFTER_REJECTION: usize = 5;

/// Maximum time that a caller waits for a refresh. The refresh itself goes on.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// Time that a refresh takes besides its requests to KYCPort: three store operations, and a margin.
const STORE_OVERHEAD: Duration = Duration::from_secs(3 * DEADLINE.as_secs() + 1);

/// Reason why there is no access token to use.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessTokenError {
    /// The token has expired, and KYCPort gave no refresh token. The person gets another token by
    /// signing in again. The session goes on.
    #[error("the access token has expired and cannot be refreshed")]
    Expired,
    /// KYCPort refuses to refresh the token. The session is ended.
    #[error("KYCPort refuses to refresh the access token: the session is ended")]
    Revoked,
    /// The token could not be refreshed for now.
    #[error("the access token could not be refreshed: {0}")]
    Refresh(LoginError),
    /// Another instance is refreshing the token and did not finish in time. Try again in a moment.
    /// The session goes on.
    #[error("another instance is refreshing the access token: try again in a moment")]
    UnderWay,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The refresh was interrupted, for instance because the runtime is shutting down.
    #[error("the refresh was interrupted")]
    Interrupted,
}

/// Tokens of a session, as far as they matter here.
enum Current {
    Valid(Secret),
    Expired(Option<ExpiredTokens>),
}

/// Expired access token that has a refresh token.
struct ExpiredTokens {
    refresh_token: Secret,
    version: u64,
    /// Whether an instance holds the lease.
    is_leased: bool,
}

/// RefreshSlot to refresh the tokens of one session within this instance.
#[derive(Default)]
struct RefreshSlot {
    /// Held during a refresh. It holds the error of the last refresh that failed.
    last_error: tokio::sync::Mutex<Option<AccessTokenError>>,
    /// Number of refreshes that failed.
    failures: AtomicU64,
}

/// Hands out access tokens. Of all instances one refreshes the tokens of a session at a time: within
/// an instance a mutex decides, among instances a lease in the store.
#[derive(Clone)]
pub(in crate::web) struct AccessTokens {
    oidc: OidcClient,
    state: State,
    sessions: SessionRecords,
    /// Length of the lease, which outlives what is done under it.
    lease: Duration,
    log_key: LogKey,
    clock: Arc<dyn Clock>,
    under_way: Arc<Mutex<HashMap<SessionId, Weak<RefreshSlot>>>>,
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
            under_way: Arc::default(),
        }
    }

    pub(in crate::web) async fn get(&self, live: &LiveSession) -> Result<Secret, AccessTokenError> {
        if let Current::Valid(token) = self.current(live).await? {
            return Ok(token);
        }
        // The refresh runs in a task of its own: KYCPort may have consumed the refresh token when
        // the caller gives up, and the new one must be kept all the same.
        let (own, live) = (self.clone(), live.clone());
        let slot = self.slot(live.id);
        let failures = slot.failures.load(Ordering::SeqCst);
        let refresh = async move {
            let id = live.id.to_string();
            let session = own.log_key.session(&id);
            observe::refresh(session, own.refresh_once(&live, &slot, failures)).await
        };
        let task = tokio::spawn(refresh.in_current_span());
        match tokio::time::timeout(WAIT_LIMIT, task).await {
            Ok(refreshed) => refreshed.unwrap_or(Err(AccessTokenError::Interrupted)),
            Err(_) => Err(AccessTokenError::UnderWay),
        }
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

    /// Refreshes the tokens when it is this caller's slot. Callers that wait while another one
    /// refreshes share its error: otherwise they would send the same refresh token one after the
    /// other, also after their own callers have given up.
    async fn refresh_once(
        &self,
        live: &LiveSession,
        slot: &RefreshSlot,
        failures: u64,
    ) -> Result<Secret, AccessTokenError> {
        let Ok(mut last_error) = tokio::time::timeout(WAIT_LIMIT, slot.last_error.lock()).await
        else {
            return Err(AccessTokenError::UnderWay);
        };
        if let Some(error) = &*last_error
            && slot.failures.load(Ordering::SeqCst) != failures
        {
            return Err(error.clone());
        }
        let refreshed = self.refresh(live).await;
        if let Err(error) = &refreshed {
            *last_error = Some(error.clone());
            slot.failures.fetch_add(1, Ordering::SeqCst);
        }
        refreshed
    }

    /// Refreshes the tokens, or waits until another instance has.
    ///
    /// KYCPort may revoke the grant if a refresh token is used twice, so one instance uses it. The
    /// others poll until that instance has written new tokens, or its lease has ended.
    #[expect(
        clippy::disallowed_methods,
        reason = "no store tells when another instance has written"
    )]
    async fn refresh(&self, live: &LiveSession) -> Result<Secret, AccessTokenError> {
        let deadline = self.clock.monotonic().saturating_add(self.lease);
        loop {
            // The clock is read before the tokens: the last read comes when the lease has ended.
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
                return Err(AccessTokenError::UnderWay);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Takes the lease while the session and the tokens are as they were read. Returns the version
    /// of the lease, by which it is released.
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
                    // The next call begins with what is there now.
                    Some(Current::Expired(_)) => return Err(AccessTokenError::UnderWay),
                    None => {}
                }
                self.sessions
                    .end(&live.owner, live.id, Cause::Revoked)
                    .await?;
                Err(AccessTokenError::Revoked)
            }
            Err(error) => {
                self.release(live, lease).await;
                Err(AccessTokenError::Refresh(error))
            }
        }
    }

    /// Stores new tokens and releases the lease in one step. If the session has ended meanwhile, the
    /// tokens are dropped.
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
            // The lease has ended, and may be another instance's by now: that one keeps it.
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
            // Another instance has written tokens, because this one was too slow for its lease.
            Written::Conflict(_) | Written::Fenced => {
                self.release(live, lease).await;
                match self.current(live).await? {
                    Current::Valid(token) => Ok(token),
                    Current::Expired(_) => Err(AccessTokenError::UnderWay),
                }
            }
        }
    }

    /// Releases the lease if this instance still holds it. A lease that cannot be released ends by
    /// itself.
    async fn release(&self, live: &LiveSession, lease: u64) {
        let writes = [released(live, Condition::Version(lease))];
        let _ = self.state.write(&live.owner, &writes, None).await;
    }

    /// Reads the tokens for a second, in case another instance has used the refresh token.
    ///
    /// A lease is lost together with the server that forgets it, and ends while an instance is
    /// suspended. So a rejected refresh token may have been used elsewhere, and its result may be
    /// about to be written.
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

    fn slot(&self, id: SessionId) -> Arc<RefreshSlot> {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, slot| slot.strong_count() > 0);
        if let Some(slot) = under_way.get(&id).and_then(Weak::upgrade) {
            return slot;
        }
        let slot = Arc::<RefreshSlot>::default();
        under_way.insert(id, Arc::downgrade(&slot));
        slot
    }
}

/// The deletion of a session's lease.
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
            Self::UnderWay => "under_way",
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
    async fn callers_and_their_tasks_wait_twenty_seconds_for_a_refresh() {
        let clock = TestClock::new();
        let (tokens, live) = (access_tokens(&clock), live(&clock));
        let slot = tokens.slot(live.id);
        let under_way = slot.last_error.lock().await;
        let began = Instant::now();
        let callers = (0..10).map(|_| tokens.get(&live));
        let results = futures_util::future::join_all(callers).await;
        assert_eq!(began.elapsed(), WAIT_LIMIT);
        for result in results {
            assert_eq!(result.unwrap_err(), AccessTokenError::UnderWay);
        }
        // A task that still waited would hold the slot.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(Arc::strong_count(&slot), 1);
        drop(under_way);
    }
}
