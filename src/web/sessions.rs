//! Signed-in sessions in the store.
//!
//! A session is written once, when it begins, and deleted once, when it ends. What changes lives
//! beside it, in records of its own: when it was last used, and its tokens. So a request that is
//! still under way when the person signs out can write what it likes: it brings nothing back.
//! All sessions of a person end by what [`epochs`](super::epochs) says.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};

use super::{
    epochs::{Epoch, Epochs, Person},
    random,
    records::{Created, Place, Records, StoreUnavailable},
    session_id::SessionId,
    session_records::{Activity, Session, SignIns, Tokens},
};
use crate::{
    clock::{Clock, Timestamp},
    kyc::{Assurance, AssuranceSource},
    observe::{self, Cause, LogKey},
    oidc::{SignIn, TokenSet},
    secret::Secret,
};

/// A session's last use is written down at most this often.
const TOUCH_INTERVAL: Duration = Duration::from_secs(60);

/// So many sign-ins of a person are remembered, to list their sessions.
const MOST_LISTED: usize = 32;

/// So many of them are looked at at once: a page must not take all of a store's connections.
const LOOKED_AT_ONCE: usize = 4;

/// How long sessions live.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionLimits {
    /// Without use.
    pub(crate) idle: Duration,
    /// In all.
    pub(crate) absolute: Duration,
}

/// A session that is alive.
#[derive(Clone)]
pub(super) struct LiveSession {
    pub(super) id: SessionId,
    pub(super) session: Arc<Session>,
    /// When it ends if it is not used again.
    pub(super) idle_ends_at: Timestamp,
    pub(super) last_used: Timestamp,
    /// Where the last use is written down.
    activity: Place,
}

/// What became of the wish to end one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It is ended.
    Now,
    /// This person has no session of that id, or has none any more.
    NoSuchSession,
}

#[derive(Debug, Clone)]
pub(super) struct KeptSessions {
    records: Records,
    epochs: Epochs,
    limits: SessionLimits,
    log_key: LogKey,
    clock: Arc<dyn Clock>,
}

impl KeptSessions {
    pub(super) fn new(
        records: Records,
        limits: SessionLimits,
        log_key: LogKey,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            epochs: Epochs::new(records.clone(), Arc::clone(&clock)),
            records,
            limits,
            log_key,
            clock,
        }
    }

    /// The epoch in which a session of this sign-in begins. Asked first of all that follows a
    /// sign-in: whoever ends all sessions from here on ends this one.
    pub(super) async fn epoch_of(
        &self,
        sign_in: &SignIn,
    ) -> Result<Option<Epoch>, StoreUnavailable> {
        let person = Person {
            issuer: &sign_in.claims.issuer,
            subject: &sign_in.claims.subject,
        };
        self.epochs.current(person).await
    }

    /// Begins a session under a new key, in that epoch.
    pub(super) async fn begin(
        &self,
        sign_in: SignIn,
        epoch: Option<Epoch>,
    ) -> Result<(Secret, LiveSession), StoreUnavailable> {
        let now = self.clock.now();
        let ends_at = now.saturating_add(self.limits.absolute);
        let SignIn {
            claims,
            tokens,
            asked_at,
        } = sign_in;
        let person = Person {
            issuer: &claims.issuer,
            subject: &claims.subject,
        };
        let sign_ins_key = person.record_key();
        let sign_ins = self.records.get::<SignIns>(&sign_ins_key).await?;
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
            epoch,
        };
        let key = random::token();
        let id = SessionId::of(&key);
        self.keep_tokens(Place::Empty, &id, tokens, ends_at).await?;
        // The session comes last: from when it is there, all of it is there.
        match self
            .records
            .create(&id.record_key(), &session, ends_at)
            .await?
        {
            Created::New => {}
            // Random bits do not meet; a store that says so is broken.
            Created::Taken => return Err(StoreUnavailable),
        }
        self.remember(&sign_ins_key, sign_ins, &id, ends_at).await;
        let live = LiveSession {
            id,
            idle_ends_at: now.saturating_add(self.limits.idle).min(ends_at),
            session: Arc::new(session),
            last_used: now,
            activity: Place::Empty,
        };
        Ok((key, live))
    }

    /// The session of that key, if it is alive.
    pub(super) async fn load(&self, key: &Secret) -> Result<Option<LiveSession>, StoreUnavailable> {
        self.look(SessionId::of(key)).await
    }

    /// The session of that id, if it is alive. Looking at it does not count as using it.
    async fn look(&self, id: SessionId) -> Result<Option<LiveSession>, StoreUnavailable> {
        let key = id.record_key();
        let Some(session) = self.records.get::<Session>(&key).await? else {
            return Ok(None);
        };
        let (is_over, activity) = tokio::try_join!(
            self.epochs
                .is_over(session.person(), session.epoch.as_ref()),
            self.records.get::<Activity>(&key)
        )?;
        if is_over {
            return Ok(None);
        }
        let now = self.clock.now();
        let place = activity.as_ref().map_or(Place::Empty, |_| Place::Filled);
        let last_used = activity.map_or(session.began_at, |activity| activity.last_used);
        let idle_ends_at = last_used.saturating_add(self.limits.idle);
        if now >= session.ends_at || now >= idle_ends_at {
            return Ok(None);
        }
        Ok(Some(LiveSession {
            id,
            idle_ends_at: idle_ends_at.min(session.ends_at),
            session: Arc::new(session),
            last_used,
            activity: place,
        }))
    }

    /// Ends a session. Whoever still holds its key is nobody from now on.
    pub(super) async fn end(&self, id: &SessionId, cause: Cause) -> Result<(), StoreUnavailable> {
        let key = id.record_key();
        self.records.delete::<Session>(&key).await?;
        // Without the session these say nothing to anybody; they would expire by themselves.
        let _ = self.records.delete::<Tokens>(&key).await;
        let _ = self.records.delete::<Activity>(&key).await;
        observe::session_ended(cause, self.log_key.session(id.as_str()));
        Ok(())
    }

    /// Ends the session of that id if it is this person's.
    pub(super) async fn end_of(
        &self,
        person: Person<'_>,
        id: &SessionId,
    ) -> Result<Ended, StoreUnavailable> {
        let session = self.records.get::<Session>(&id.record_key()).await?;
        if session.is_none_or(|session| session.person() != person) {
            return Ok(Ended::NoSuchSession);
        }
        self.end(id, Cause::App).await?;
        Ok(Ended::Now)
    }

    /// Ends all sessions of a person. Their records stay until they expire, and open nothing.
    pub(super) async fn end_all(
        &self,
        person: Person<'_>,
        cause: Cause,
    ) -> Result<(), StoreUnavailable> {
        self.epochs.begin(person).await?;
        let Person { issuer, subject } = person;
        observe::all_sessions_ended(cause, self.log_key.person(issuer, subject));
        Ok(())
    }

    /// The live sessions of a person's latest sign-ins, the newest first.
    pub(super) async fn list(
        &self,
        person: Person<'_>,
    ) -> Result<Vec<LiveSession>, StoreUnavailable> {
        let sign_ins = self.records.get::<SignIns>(&person.record_key()).await?;
        let newest_first = sign_ins.unwrap_or_default().sessions.into_iter().rev();
        stream::iter(newest_first.map(|id| self.look(id)))
            .buffered(LOOKED_AT_ONCE)
            .try_filter_map(|found| future::ready(Ok(found)))
            .try_collect()
            .await
    }

    /// Nothing but the list goes by it: two that are under way at once may lose one, and a store
    /// that fails here keeps nobody from signing in.
    async fn remember(
        &self,
        key: &Secret,
        sign_ins: Option<SignIns>,
        id: &SessionId,
        ends_at: Timestamp,
    ) {
        let place = sign_ins.as_ref().map_or(Place::Empty, |_| Place::Filled);
        let mut sign_ins = sign_ins.unwrap_or_default();
        sign_ins.sessions.push(id.clone());
        let too_many = sign_ins.sessions.len().saturating_sub(MOST_LISTED);
        sign_ins.sessions.drain(..too_many);
        if self
            .records
            .put(place, key, &sign_ins, ends_at)
            .await
            .is_err()
        {
            observe::sign_in_not_listed();
        }
    }

    pub(super) async fn tokens(&self, id: &SessionId) -> Result<Option<Tokens>, StoreUnavailable> {
        self.records.get(&id.record_key()).await
    }

    pub(super) async fn keep_tokens(
        &self,
        place: Place,
        id: &SessionId,
        tokens: TokenSet,
        ends_at: Timestamp,
    ) -> Result<(), StoreUnavailable> {
        let tokens = Tokens {
            access_token: tokens.access_token,
            expires_at: tokens.expires_at,
            refresh_token: tokens.refresh_token,
        };
        self.records
            .put(place, &id.record_key(), &tokens, ends_at)
            .await
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
            .put(live.activity, &live.id.record_key(), &activity, ends_at)
            .await
            .is_err()
        {
            observe::use_not_written();
        }
    }
}
