//! The access token of who is signed in, refreshed when it has run out.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tracing::Instrument as _;

use super::{
    claims::Claims,
    records::{DEADLINE, Place, StoreUnavailable},
    session_id::SessionId,
    sessions::{KeptSessions, LiveSession},
};
use crate::{
    clock::Clock,
    observe::{self, Cause, LogKey, Reason},
    oidc::{OidcClient, SignInError},
    secret::Secret,
};

/// A token that ends sooner is not handed out: it has to reach somebody yet.
const LEAST_REMAINING: Duration = Duration::from_secs(30);

/// So far apart it is looked whether another instance has renewed a token; and so often, when
/// KYCPort has refused to.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
const LOOKS: usize = 5;

/// Nobody waits longer: an instance that died may have the lease yet. The renewal goes on.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a renewal takes besides KYCPort: the store, which makes the lease, reads the tokens and
/// writes them, and the part of a second by which a lease ends early.
const BESIDES: Duration = Duration::from_secs(3 * DEADLINE.as_secs() + 1);

/// Why there is no access token to use.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessTokenError {
    /// It has run out, and KYCPort gave no refresh token (K21 documents none): the person signs in
    /// again to get another. The session goes on.
    #[error("the access token has run out and cannot be refreshed")]
    Expired,
    /// KYCPort refuses to refresh it. The session is ended.
    #[error("KYCPort refuses to refresh the access token: the session is ended")]
    Revoked,
    /// It could not be refreshed for now.
    #[error("the access token could not be refreshed: {0}")]
    Refresh(SignInError),
    /// Another instance is at it, and was not done in time: try again in a moment. The session goes
    /// on.
    #[error("another instance is refreshing the access token: try again in a moment")]
    UnderWay,
    /// The session store does not work, or what claims in its stead.
    #[error(transparent)]
    Store(#[from] StoreUnavailable),
    /// The refresh was interrupted, for instance because the runtime is shutting down.
    #[error("the refresh was interrupted")]
    Interrupted,
}

/// How the tokens of a session stand.
enum Standing {
    Good(Secret),
    /// With the refresh token, if there is one.
    RunOut(Option<Secret>),
}

/// Hands out access tokens, and lets one refresh at a time happen for each session: in this
/// instance by turns, among all by a lease.
#[derive(Clone)]
pub(super) struct AccessTokens {
    oidc: OidcClient,
    sessions: KeptSessions,
    claims: Claims,
    /// So long a lease is, which outlives what is done under it.
    lease: Duration,
    log_key: LogKey,
    clock: Arc<dyn Clock>,
    under_way: Arc<Mutex<HashMap<SessionId, Weak<tokio::sync::Mutex<()>>>>>,
}

impl AccessTokens {
    pub(super) fn new(
        oidc: OidcClient,
        sessions: KeptSessions,
        claims: Claims,
        log_key: LogKey,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            lease: oidc.longest_refresh().saturating_add(BESIDES),
            oidc,
            sessions,
            claims,
            log_key,
            clock,
            under_way: Arc::default(),
        }
    }

    /// The same, where `claims` gives the leases.
    pub(super) fn claimed_by(self, claims: Claims) -> Self {
        Self { claims, ..self }
    }

    pub(super) async fn get(&self, live: &LiveSession) -> Result<Secret, AccessTokenError> {
        if let Standing::Good(token) = self.standing(&live.id).await? {
            return Ok(token);
        }
        // In a task of its own: KYCPort may have spent the old refresh token already when whoever
        // asked gives up, and then the new one must still be kept.
        let (own, live) = (self.clone(), live.clone());
        let refresh = async move {
            let session = own.log_key.session(live.id.as_str());
            observe::refresh(session, own.refresh(&live)).await
        };
        let task = tokio::spawn(refresh.in_current_span());
        match tokio::time::timeout(PATIENCE, task).await {
            Ok(refreshed) => refreshed.unwrap_or(Err(AccessTokenError::Interrupted)),
            Err(_) => Err(AccessTokenError::UnderWay),
        }
    }

    async fn standing(&self, id: &SessionId) -> Result<Standing, StoreUnavailable> {
        let Some(tokens) = self.sessions.tokens(id).await? else {
            return Ok(Standing::RunOut(None));
        };
        let enough = self.clock.now().saturating_add(LEAST_REMAINING);
        Ok(if enough < tokens.expires_at {
            Standing::Good(tokens.access_token)
        } else {
            Standing::RunOut(tokens.refresh_token)
        })
    }

    /// A refresh token that is used twice may end the session at KYCPort, so of all instances one
    /// uses it. The others look until that one has written what it got, or its lease is over.
    #[expect(
        clippy::disallowed_methods,
        reason = "no store tells when another instance has written"
    )]
    async fn refresh(&self, live: &LiveSession) -> Result<Secret, AccessTokenError> {
        let turn = self.turn(&live.id);
        let _turn = turn.lock().await;
        let over = self.clock.monotonic().saturating_add(self.lease);
        loop {
            // Asked first: so the last look comes when the lease is over.
            let is_last = self.clock.monotonic() >= over;
            let refresh_token = match self.standing(&live.id).await? {
                Standing::Good(token) => return Ok(token),
                Standing::RunOut(token) => token.ok_or(AccessTokenError::Expired)?,
            };
            if let Some(lease) = self.claims.lease(&refresh_token, self.lease).await? {
                let renewed = self.refresh_under_lease(live, &refresh_token).await;
                self.claims.give_back(lease).await;
                return renewed;
            }
            if is_last {
                return Err(AccessTokenError::UnderWay);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn refresh_under_lease(
        &self,
        live: &LiveSession,
        refresh_token: &Secret,
    ) -> Result<Secret, AccessTokenError> {
        // Between the look and the lease another instance may have had it, and given it back.
        match self.standing(&live.id).await? {
            Standing::Good(token) => return Ok(token),
            Standing::RunOut(kept) if kept.as_ref() == Some(refresh_token) => {}
            Standing::RunOut(_) => return Err(AccessTokenError::UnderWay),
        }
        match self
            .oidc
            .refresh(refresh_token, &live.session.subject)
            .await
        {
            Ok(tokens) => {
                let token = tokens.access_token.clone();
                self.sessions
                    .keep_tokens(Place::Filled, &live.id, tokens, live.session.ends_at)
                    .await?;
                Ok(token)
            }
            Err(SignInError::Exchange(error)) if error.is_of_the_grant() => {
                match self.renewed_elsewhere(&live.id, refresh_token).await? {
                    Some(Standing::Good(token)) => return Ok(token),
                    // Whoever asks next begins with what is there now.
                    Some(Standing::RunOut(_)) => return Err(AccessTokenError::UnderWay),
                    None => {}
                }
                self.sessions.end(&live.id, Cause::Revoked).await?;
                Err(AccessTokenError::Revoked)
            }
            Err(error) => Err(AccessTokenError::Refresh(error)),
        }
    }

    /// A lease is lost with the server that forgets it, and runs out while an instance stands
    /// still. So a refresh token that is refused may have been used elsewhere all the same, and what
    /// came of it be about to be written down: that is given a moment before it is bad news.
    #[expect(
        clippy::disallowed_methods,
        reason = "no store tells when another instance has written"
    )]
    async fn renewed_elsewhere(
        &self,
        id: &SessionId,
        used: &Secret,
    ) -> Result<Option<Standing>, StoreUnavailable> {
        for _ in 0..LOOKS {
            match self.standing(id).await? {
                Standing::RunOut(Some(kept)) if kept == *used => {}
                Standing::RunOut(None) => return Ok(None),
                other => return Ok(Some(other)),
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Ok(None)
    }

    fn turn(&self, id: &SessionId) -> Arc<tokio::sync::Mutex<()>> {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = under_way.get(id).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        under_way.insert(id.clone(), Arc::downgrade(&turn));
        turn
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
