//! Signed-in sessions in the store.
//!
//! A session is written once, when it begins, and deleted once, when it ends. What changes lives
//! beside it, in records of its own: when it was last used, and its tokens. So a request that is
//! still under way when the person signs out can write what it likes: it brings nothing back.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    random,
    records::{Created, Place, Records, StoreUnavailable, Stored},
};
use crate::{
    clock::{Clock, Timestamp},
    kyc::{Assurance, AssuranceSource},
    oidc::{SignIn, TokenSet},
    secret::{Secret, at_rest},
};

/// A session's last use is written down at most this often.
const TOUCH_INTERVAL: Duration = Duration::from_secs(60);

/// How long sessions live.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionLimits {
    /// Without use.
    pub(crate) idle: Duration,
    /// In all.
    pub(crate) absolute: Duration,
}

/// What is kept of who signed in.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) email: Option<String>,
    pub(super) email_verified: Option<bool>,
    pub(super) name: Option<String>,
    pub(super) assurance: Assurance,
    pub(super) auth_time: Option<Timestamp>,
    pub(super) scopes: Vec<String>,
    pub(super) began_at: Timestamp,
    /// The absolute limit.
    pub(super) ends_at: Timestamp,
}

impl Stored for Session {
    const KIND: &'static str = "session";
}

/// When a session was last used.
#[derive(Clone, Serialize, Deserialize)]
struct Activity {
    last_used: Timestamp,
}

impl Stored for Activity {
    const KIND: &'static str = "activity";
}

/// The tokens of a session.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Tokens {
    #[serde(with = "at_rest")]
    pub(super) access_token: Secret,
    pub(super) expires_at: Timestamp,
    #[serde(with = "at_rest::option")]
    pub(super) refresh_token: Option<Secret>,
}

impl Stored for Tokens {
    const KIND: &'static str = "tokens";
}

/// A session that is alive, by its key.
#[derive(Clone)]
pub(super) struct LiveSession {
    pub(super) key: Secret,
    pub(super) session: Arc<Session>,
    /// When it ends if it is not used again.
    pub(super) idle_ends_at: Timestamp,
    last_used: Timestamp,
    /// Where the last use is written down.
    activity: Place,
}

#[derive(Debug, Clone)]
pub(super) struct Sessions {
    records: Records,
    limits: SessionLimits,
    clock: Arc<dyn Clock>,
}

impl Sessions {
    pub(super) fn new(records: Records, limits: SessionLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            records,
            limits,
            clock,
        }
    }

    /// Begins a session under a new key.
    pub(super) async fn begin(&self, sign_in: SignIn) -> Result<LiveSession, StoreUnavailable> {
        let now = self.clock.now();
        let ends_at = now.saturating_add(self.limits.absolute);
        let SignIn {
            claims,
            tokens,
            asked_at,
        } = sign_in;
        let session = Session {
            issuer: claims.issuer,
            subject: claims.subject,
            email: claims.email,
            email_verified: claims.email_verified,
            name: claims.name,
            assurance: Assurance::new(
                claims.kyc_status,
                claims.kyc_tier,
                claims.aml_clear,
                asked_at,
                AssuranceSource::IdToken,
            ),
            auth_time: claims.auth_time,
            scopes: tokens.scopes.clone(),
            began_at: now,
            ends_at,
        };
        let key = random::token();
        self.keep_tokens(Place::Empty, &key, tokens, ends_at)
            .await?;
        // The session comes last: from when it is there, all of it is there.
        match self.records.create(&key, &session, ends_at).await? {
            Created::New => Ok(LiveSession {
                key,
                idle_ends_at: now.saturating_add(self.limits.idle).min(ends_at),
                session: Arc::new(session),
                last_used: now,
                activity: Place::Empty,
            }),
            // 256 random bits do not meet; a store that says so is broken.
            Created::Taken => Err(StoreUnavailable),
        }
    }

    /// The session of that key, if it is alive. Looking at it does not count as using it.
    pub(super) async fn load(&self, key: &Secret) -> Result<Option<LiveSession>, StoreUnavailable> {
        let (session, activity) = tokio::try_join!(
            self.records.get::<Session>(key),
            self.records.get::<Activity>(key)
        )?;
        let Some(session) = session else {
            return Ok(None);
        };
        let now = self.clock.now();
        let place = activity.as_ref().map_or(Place::Empty, |_| Place::Filled);
        let last_used = activity.map_or(session.began_at, |activity| activity.last_used);
        let idle_ends_at = last_used.saturating_add(self.limits.idle);
        if now >= session.ends_at || now >= idle_ends_at {
            return Ok(None);
        }
        Ok(Some(LiveSession {
            key: key.clone(),
            idle_ends_at: idle_ends_at.min(session.ends_at),
            session: Arc::new(session),
            last_used,
            activity: place,
        }))
    }

    /// Ends a session. Whoever still holds its key is nobody from now on.
    pub(super) async fn end(&self, key: &Secret) -> Result<(), StoreUnavailable> {
        self.records.delete::<Session>(key).await?;
        // Without the session these say nothing to anybody; they would expire by themselves.
        let _ = self.records.delete::<Tokens>(key).await;
        let _ = self.records.delete::<Activity>(key).await;
        Ok(())
    }

    pub(super) async fn tokens(&self, key: &Secret) -> Result<Option<Tokens>, StoreUnavailable> {
        self.records.get(key).await
    }

    pub(super) async fn keep_tokens(
        &self,
        place: Place,
        key: &Secret,
        tokens: TokenSet,
        ends_at: Timestamp,
    ) -> Result<(), StoreUnavailable> {
        let tokens = Tokens {
            access_token: tokens.access_token,
            expires_at: tokens.expires_at,
            refresh_token: tokens.refresh_token,
        };
        self.records.put(place, key, &tokens, ends_at).await
    }

    /// Counts this as a use. One that cannot be written down shortens the session and harms nobody
    /// else.
    pub(super) async fn touch(&self, live: &LiveSession) {
        let now = self.clock.now();
        if now.since(live.last_used) < TOUCH_INTERVAL {
            return;
        }
        let activity = Activity { last_used: now };
        let ends_at = live.session.ends_at;
        // Kept as long as the session, though it says "idle" sooner: a bounded store that runs full
        // drops first what ends first, and must not take a person for idle because of it.
        if self
            .records
            .put(live.activity, &live.key, &activity, ends_at)
            .await
            .is_err()
        {
            tracing::warn!("the last use of a session could not be written down");
        }
    }
}
