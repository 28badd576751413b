//! Sessions in the store.
//!
//! A session record is written when the session is created. Only a step-up by the same person
//! replaces the record, and only if the record still exists. The time of the last use and the tokens are separate records. The store writes these records
//! only while the session exists. A request that is running when the person signs out therefore
//! cannot restore the session.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;

use super::{
    id::SessionId,
    key::SessionKey,
    record::{Activity, KeyUse, Session, Tokens},
    revoker::TokenRevoker,
};
use crate::{
    clock::{Clock, Timestamp},
    expiring_map::ExpiringMap,
    kyc::{ASSURANCE_RECORD, Assurances, Latest},
    observe::{self, LogKey},
    oidc::TokenSet,
    state::{Found, Memo, State, Stored as _},
    store::{
        Change, Condition, Entry, Family, Owner, RecordId, RecordKey, RevocationMark, Snapshot,
        StoreError, Write,
    },
};

/// Upper limit of the setting "maximum lifetime of a session".
pub(crate) const LONGEST_SESSION: Duration = Duration::from_secs(30 * 24 * 3600);

/// Minimum time between two writes of a session's last use.
const TOUCH_INTERVAL: Duration = Duration::from_secs(60);

/// Minimum time between two attempts of one instance to write a session's last use.
const TOUCH_PAUSE: Duration = Duration::from_secs(5);

/// Maximum number of sessions whose last attempt is remembered.
const MAX_TOUCHED: usize = 10_000;

/// Number of records in one page of a list.
const PAGE: usize = 128;

/// Lifetimes of sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionLimits {
    /// Maximum time without use.
    pub(crate) idle: Duration,
    /// Maximum lifetime of a session.
    pub(crate) absolute: Duration,
}

/// Active session.
#[derive(Clone)]
pub(in crate::web) struct LiveSession {
    pub(in crate::web) id: SessionId,
    pub(in crate::web) owner: Owner,
    pub(in crate::web) session: Arc<Session>,
    /// Time at which the session ends if the person does not use it again.
    pub(in crate::web) idle_expires_at: Timestamp,
    pub(in crate::web) last_used: Timestamp,
    /// Latest assurance. The store operation that read the session also read the assurance.
    pub(in crate::web) latest: Latest,
    /// Version of the session record.
    pub(super) version: u64,
    /// Key with which the request authenticated.
    pub(super) key: KeyUse,
}

impl LiveSession {
    /// Returns whether the request authenticated with the key from before the last rotation. After
    /// a re-authentication, only the browser of the person has the new key.
    pub(in crate::web) fn has_previous_key(&self) -> bool {
        matches!(self.key, KeyUse::Previous)
    }
}

/// Session records of one relying party. Cheap to clone.
#[derive(Clone)]
pub(in crate::web) struct SessionRecords {
    pub(super) state: State,
    pub(super) assurances: Assurances,
    pub(super) limits: SessionLimits,
    pub(super) log_key: LogKey,
    pub(super) revoker: TokenRevoker,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) memo: Arc<Memo<Session>>,
    touched: Arc<Mutex<ExpiringMap<SessionId, (), MAX_TOUCHED>>>,
}

impl SessionRecords {
    pub(in crate::web) fn new(
        state: State,
        assurances: Assurances,
        limits: SessionLimits,
        log_key: LogKey,
        revoker: TokenRevoker,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            state,
            assurances,
            limits,
            log_key,
            revoker,
            clock,
            memo: Arc::new(Memo::new()),
            touched: Arc::default(),
        }
    }

    /// Loads the active session of a key in one store operation.
    pub(in crate::web) async fn load(
        &self,
        key: &SessionKey,
    ) -> Result<Option<LiveSession>, StoreError> {
        let owner = key.owner(self.state.namespace());
        let now = self.clock.now();
        let accept = |session: &Session| session.key_use(key, now);
        self.read_live(&owner, key.id(), accept).await
    }

    /// Reads a session again whose key this request has already proven. Meanwhile another step-up
    /// may have rotated the key.
    pub(super) async fn reload(
        &self,
        live: &LiveSession,
        key: &SessionKey,
    ) -> Result<Option<LiveSession>, StoreError> {
        let accept = |session: &Session| {
            Some(if session.is_current(key) {
                KeyUse::Current
            } else {
                KeyUse::Previous
            })
        };
        self.read_live(&live.owner, live.id, accept).await
    }

    /// Reads the active session with this ID, if `accept` accepts the key of the request.
    async fn read_live(
        &self,
        owner: &Owner,
        session_id: SessionId,
        accept: impl Fn(&Session) -> Option<KeyUse>,
    ) -> Result<Option<LiveSession>, StoreError> {
        let id = session_id.record_id();
        let keys = [
            RecordKey::new(Family::Session, id),
            RecordKey::new(Family::Activity, id),
            ASSURANCE_RECORD,
        ];
        let snapshot = self.state.read(owner, &keys).await?;
        let Snapshot { fence, entries } = snapshot;
        let [Some(entry), activity, assurance] = entries.as_slice() else {
            return Ok(None);
        };
        let Some(session) = self.open(owner, id, entry) else {
            return Ok(None);
        };
        let Some(key) = accept(&session) else {
            return Ok(None);
        };
        let activity = self.state.open(owner, id, activity.as_ref()).value();
        let times = self.times(&session, fence, activity.as_ref());
        Ok(times.map(|(last_used, idle_expires_at)| LiveSession {
            id: session_id,
            latest: self
                .assurances
                .open(owner, &session.subject, assurance.as_ref()),
            owner: *owner,
            session,
            idle_expires_at,
            last_used,
            version: entry.version,
            key,
        }))
    }

    /// Decodes a session record. Treats a record whose subject does not match its owner as
    /// unreadable.
    pub(super) fn open(&self, owner: &Owner, id: RecordId, entry: &Entry) -> Option<Arc<Session>> {
        if let Some(session) = self.memo.get(owner, id, &entry.body) {
            return Some(session);
        }
        let Found::Record { value, .. } = self.state.open::<Session>(owner, id, Some(entry)) else {
            return None;
        };
        if self.state.namespace().owner_of(&value.subject) != *owner {
            return None;
        }
        let session = Arc::new(value);
        self.memo
            .insert(owner, id, entry.body.clone(), Arc::clone(&session));
        Some(session)
    }

    /// Returns the time of the last use, and the time at which the session ends if it stays unused.
    /// Returns `None` if the session has ended.
    fn times(
        &self,
        session: &Session,
        fence: Option<RevocationMark>,
        activity: Option<&Activity>,
    ) -> Option<(Timestamp, Timestamp)> {
        if session.is_revoked(fence) {
            return None;
        }
        let now = self.clock.now();
        let last_used = activity.map_or(session.created_at, |activity| activity.last_used);
        let idle_expires_at = last_used.saturating_add(self.limits.idle);
        let is_alive = now < session.expires_at && now < idle_expires_at;
        is_alive.then(|| (last_used, idle_expires_at.min(session.expires_at)))
    }

    /// Lists the active sessions of a person, the newest first.
    pub(super) async fn list(&self, subject: &str) -> Result<Vec<Listed>, StoreError> {
        let owner = self.state.namespace().owner_of(subject);
        let sessions = self.all::<Session>(&owner).await?;
        let activities = self.all::<Activity>(&owner).await?;
        // Read the session records last, because a revocation can happen between the reads. The
        // list then omits the revoked sessions.
        let fence = self.state.read(&owner, &[]).await?.fence;
        let mut listed: Vec<_> = sessions
            .into_iter()
            .filter_map(|(id, session)| {
                let activity = activities.iter().find(|(own, _)| *own == id);
                let activity = activity.map(|(_, activity)| activity);
                let (last_used, _) = self.times(&session, fence, activity)?;
                Some(Listed {
                    id: SessionId::of_record(id),
                    session,
                    last_used,
                })
            })
            .collect();
        listed.sort_by_key(|it| std::cmp::Reverse(it.session.created_at));
        Ok(listed)
    }

    /// Reads all records of one family and one owner. Skips unreadable records.
    pub(super) async fn all<T: crate::state::Stored>(
        &self,
        owner: &Owner,
    ) -> Result<Vec<(RecordId, T)>, StoreError> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = self.state.list(owner, T::FAMILY, after, PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|(id, _)| *id);
            for (id, entry) in page {
                if let Some(value) = self.state.open::<T>(owner, id, Some(&entry)).value() {
                    all.push((id, value));
                }
            }
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Records this request as a use of the session, at most once a minute. If the store fails, the
    /// session may become idle earlier.
    pub(in crate::web) async fn touch(&self, live: &LiveSession) {
        let now = self.clock.now();
        if now.since(live.last_used) < TOUCH_INTERVAL || !self.may_touch(live.id) {
            return;
        }
        // This future is boxed, because most requests do not need it.
        self.record_use(live, now).boxed().await;
    }

    /// Returns whether no other request of this instance has started to record a use of the session
    /// in the last five seconds. Otherwise each of many concurrent requests would write.
    fn may_touch(&self, id: SessionId) -> bool {
        let now = self.clock.monotonic();
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        if touched.get(now, &id).is_some() {
            return false;
        }
        touched.insert(now, id, (), now.saturating_add(TOUCH_PAUSE));
        true
    }

    async fn record_use(&self, live: &LiveSession, now: Timestamp) {
        let id = live.id.record_id();
        // The activity record lives until the maximum lifetime of the session. Without the record,
        // a session in use would appear idle.
        let keep_for = live.session.expires_at.since(now);
        let activity = Activity { last_used: now };
        let put = self
            .state
            .put(&live.owner, id, Condition::Any, &activity, keep_for);
        let written = match put {
            Ok(put) => {
                let writes = [session_exists(id), put];
                self.state.write(&live.owner, &writes, None).await
            }
            Err(error) => Err(error),
        };
        if written.is_err() {
            observe::use_not_recorded();
        }
    }
}

/// Session in a list.
pub(super) struct Listed {
    pub(super) id: SessionId,
    pub(super) session: Session,
    pub(super) last_used: Timestamp,
}

pub(super) fn stored(tokens: TokenSet) -> Tokens {
    Tokens {
        access_token: tokens.access_token,
        expires_at: tokens.expires_at,
        refresh_token: tokens.refresh_token,
    }
}

/// Returns the condition that a session has not been deleted.
pub(super) fn session_exists(id: RecordId) -> Write {
    Write {
        key: RecordKey::new(Session::FAMILY, id),
        condition: Condition::Present,
        change: Change::Keep,
    }
}

impl std::fmt::Debug for SessionRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionRecords(…)")
    }
}
