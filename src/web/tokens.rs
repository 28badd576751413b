//! The access token of who is signed in, refreshed when it has run out.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tracing::Instrument as _;

use super::{
    records::{Place, StoreUnavailable},
    session_id::SessionId,
    sessions::{KeptSessions, LiveSession},
};
use crate::{
    clock::Clock,
    observe::{self, Cause, LogKey, Reason},
    oidc::{ExchangeError, OidcClient, SignInError},
    secret::Secret,
};

/// A token that ends sooner is not handed out: it has to reach somebody yet.
const LEAST_REMAINING: Duration = Duration::from_secs(30);

/// So often, and so far apart, it is looked whether another instance has renewed a token.
const LOOKS: usize = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

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
    /// The session store does not work.
    #[error(transparent)]
    Store(#[from] StoreUnavailable),
    /// The refresh was interrupted, for instance because the runtime is shutting down.
    #[error("the refresh was interrupted")]
    Interrupted,
}

/// Hands out access tokens, and lets one refresh at a time happen for each session.
#[derive(Clone)]
pub(super) struct AccessTokens {
    oidc: OidcClient,
    sessions: KeptSessions,
    log_key: LogKey,
    clock: Arc<dyn Clock>,
    under_way: Arc<Mutex<HashMap<SessionId, Weak<tokio::sync::Mutex<()>>>>>,
}

impl AccessTokens {
    pub(super) fn new(
        oidc: OidcClient,
        sessions: KeptSessions,
        log_key: LogKey,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            oidc,
            sessions,
            log_key,
            clock,
            under_way: Arc::default(),
        }
    }

    pub(super) async fn get(&self, live: &LiveSession) -> Result<Secret, AccessTokenError> {
        if let Some(token) = self.stored(&live.id).await? {
            return Ok(token);
        }
        // In a task of its own: KYCPort may have spent the old refresh token already when whoever
        // asked gives up, and then the new one must still be kept.
        let (own, live) = (self.clone(), live.clone());
        let refresh = async move {
            let session = own.log_key.session(live.id.as_str());
            observe::refresh(session, own.refresh(&live)).await
        };
        tokio::spawn(refresh.in_current_span())
            .await
            .unwrap_or(Err(AccessTokenError::Interrupted))
    }

    async fn stored(&self, id: &SessionId) -> Result<Option<Secret>, AccessTokenError> {
        let tokens = self.sessions.tokens(id).await?;
        let enough = self.clock.now().saturating_add(LEAST_REMAINING);
        Ok(tokens
            .filter(|tokens| enough < tokens.expires_at)
            .map(|tokens| tokens.access_token))
    }

    async fn refresh(&self, live: &LiveSession) -> Result<Secret, AccessTokenError> {
        let turn = self.turn(&live.id);
        let _turn = turn.lock().await;
        // Somebody else may have done it while this one waited.
        if let Some(token) = self.stored(&live.id).await? {
            return Ok(token);
        }
        let refresh_token = self
            .sessions
            .tokens(&live.id)
            .await?
            .and_then(|tokens| tokens.refresh_token)
            .ok_or(AccessTokenError::Expired)?;
        match self
            .oidc
            .refresh(&refresh_token, &live.session.subject)
            .await
        {
            Ok(tokens) => {
                let token = tokens.access_token.clone();
                self.sessions
                    .keep_tokens(Place::Filled, &live.id, tokens, live.session.ends_at)
                    .await?;
                Ok(token)
            }
            Err(SignInError::Exchange(ExchangeError::Refused { code, .. }))
                if code == "invalid_grant" =>
            {
                if let Some(token) = self.renewed_elsewhere(&live.id, &refresh_token).await? {
                    return Ok(token);
                }
                self.sessions.end(&live.id, Cause::Revoked).await?;
                Err(AccessTokenError::Revoked)
            }
            Err(error) => Err(AccessTokenError::Refresh(error)),
        }
    }

    /// A refresh token works once. When it is refused, another instance may have used it a moment
    /// ago, and be about to write down what it got: that is given a moment before it is bad news.
    #[expect(
        clippy::disallowed_methods,
        reason = "no store tells when another instance has written"
    )]
    async fn renewed_elsewhere(
        &self,
        id: &SessionId,
        used: &Secret,
    ) -> Result<Option<Secret>, AccessTokenError> {
        for _ in 0..LOOKS {
            let refresh_token = match self.sessions.tokens(id).await? {
                Some(tokens) => tokens.refresh_token,
                None => return Ok(None),
            };
            if refresh_token.as_ref() != Some(used) {
                return self.stored(id).await;
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
