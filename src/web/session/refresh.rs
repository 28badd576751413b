//! Refresh of a session's tokens. Only one instance at a time refreshes the tokens of a session,
//! under a lease in the store.

use std::{sync::Arc, time::Duration};

use super::{
    record::{RefreshLease, Tokens},
    sessions::{LiveSession, SessionRecords, session_exists, stored},
    token_error::AccessTokenError,
};
use crate::{
    clock::Clock,
    observe::{self, Cause, LogKey},
    oidc::{LoginError, OidcClient, TokenSet},
    secret::Secret,
    state::{Found, State, Stored as _},
    store::{Change, Condition, DEADLINE, RecordKey, StoreError, Write, Written},
};

/// Minimum remaining lifetime of a returned access token.
const MIN_REMAINING: Duration = Duration::from_secs(30);

/// Time between two reads of tokens that another instance is refreshing.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Maximum number of times to read the tokens after KYCPort has rejected a refresh token. Another
/// instance may have used the refresh token and may soon store new tokens.
const POLLS_AFTER_REJECTION: usize = 5;

/// Maximum duration of the store operations of a refresh: three operations and a margin.
const STORE_OVERHEAD: Duration = Duration::from_secs(3 * DEADLINE.as_secs() + 1);

/// Current state of a session's access token.
pub(super) enum Current {
    Valid(Secret),
    Expired(Option<ExpiredTokens>),
}

/// Expired access token that has a refresh token.
pub(super) struct ExpiredTokens {
    refresh_token: Secret,
    version: u64,
    /// Whether an instance holds the refresh lease.
    is_leased: bool,
}

/// Tokens in the store, and their refresh.
#[derive(Clone)]
pub(super) struct TokenRefresh {
    oidc: OidcClient,
    state: State,
    sessions: SessionRecords,
    /// Duration of the lease. The lease lasts longer than a refresh.
    lease: Duration,
    log_key: LogKey,
    clock: Arc<dyn Clock>,
}

impl TokenRefresh {
    pub(super) fn new(
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
        }
    }

    /// Reads the access token and the lease of a session.
    pub(super) async fn current(&self, live: &LiveSession) -> Result<Current, StoreError> {
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

    /// Refreshes the tokens, or waits until another instance has refreshed them. Logs the result.
    pub(super) async fn run(&self, live: &LiveSession) -> Result<Secret, AccessTokenError> {
        let id = live.id.to_string();
        observe::refresh(self.log_key.session(&id), self.refresh(live)).await
    }

    /// Acquires the lease and refreshes, or polls while another instance holds the lease.
    ///
    /// KYCPort may revoke the grant if a refresh token is used twice, so only one instance uses the
    /// refresh token. The other instances poll until the lease holder has written new tokens, or
    /// the lease has ended.
    #[expect(
        clippy::disallowed_methods,
        reason = "the store has no notification that another instance has written"
    )]
    async fn refresh(&self, live: &LiveSession) -> Result<Secret, AccessTokenError> {
        let deadline = self.clock.monotonic().saturating_add(self.lease);
        loop {
            // Read the clock before the tokens. The last read of the tokens then happens after the
            // lease has ended.
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
    /// the lease, which the release needs.
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
                    // The next call of this function reads the new state.
                    Some(Current::Expired(_)) => return Err(AccessTokenError::RefreshInProgress),
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

    /// Stores new tokens and releases the lease in one operation. If the session ended during the
    /// refresh, discards the tokens.
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
            // This instance's lease has ended. Do not release the lease here, because another
            // instance may hold it now.
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

    /// Releases the lease if this instance still holds it. If the release fails, the lease expires
    /// later.
    async fn release(&self, live: &LiveSession, lease: u64) {
        let writes = [released(live, Condition::Version(lease))];
        let _ = self.state.write(&live.owner, &writes, None).await;
    }

    /// Polls the tokens for one second, in case another instance has used the refresh token.
    ///
    /// The store can lose a lease with its data, and a lease expires while its holder is suspended.
    /// Another instance may therefore have used the rejected refresh token, and may soon write the
    /// new tokens.
    #[expect(
        clippy::disallowed_methods,
        reason = "the store has no notification that another instance has written"
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
