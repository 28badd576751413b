//! Keys that seal pending logins.
//!
//! If session keys are configured, the login keys are derived from them. Without session keys,
//! every namespace has one random login key in the store. The first login creates the key, and all
//! instances share it. Once a week, an instance replaces the key. The previous key still opens
//! logins.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    clock::{Clock, Timestamp},
    secret::{Secret, at_rest},
    single_flight::SingleFlight,
    state::{Found, SealKey, SealingKeys, State, Stored},
    store::{Condition, Family, RecordId, RecordKey, StoreError, Written},
};

/// Age at which a stored key is replaced.
const REPLACED_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
/// Lifetime of the stored keys if no login starts.
const KEPT_FOR: Duration = Duration::from_secs(60 * 24 * 3600);
/// Time after which an instance reads the stored key again.
const FRESH_FOR: Duration = Duration::from_secs(600);
/// Minimum time between two reads of the store because of an unknown key.
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum number of attempts to create or replace the key while other instances also write the
/// key.
const MAX_ATTEMPTS: usize = 8;
/// Length of a stored key, in bytes.
const KEY_BYTES: usize = 32;

/// Login keys of one relying party. Cheap to clone.
#[derive(Clone)]
pub(in crate::web) struct LoginKeys(Arc<Inner>);

struct Inner {
    state: State,
    clock: Arc<dyn Clock>,
    stored: RwLock<Option<StoredRing>>,
    reads: SingleFlight<(), Arc<Ring>, StoreError>,
}

#[derive(Clone)]
struct StoredRing {
    ring: Arc<Ring>,
    read_at: Duration,
}

/// Snapshot of the keys.
#[derive(Clone)]
pub(super) enum KeyRing {
    Configured(Arc<SealingKeys>),
    Stored(Arc<Ring>),
}

/// Keys from the store. The first key seals new logins.
pub(super) struct Ring(Vec<(String, SealKey)>);

/// Record of the stored keys.
#[derive(Clone, Serialize, Deserialize)]
struct LoginKeyRecord {
    current: StoredKey,
    #[serde(default)]
    previous: Option<StoredKey>,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredKey {
    name: String,
    #[serde(with = "at_rest")]
    key: Secret,
    created_at: Timestamp,
}

impl Stored for LoginKeyRecord {
    const FAMILY: Family = Family::LoginKey;
}

impl LoginKeys {
    pub(in crate::web) fn new(state: State, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            state,
            clock,
            stored: RwLock::new(None),
            reads: SingleFlight::new(StoreError::Failed),
        }))
    }

    /// Returns the current keys. Reads the store if the last read was more than ten minutes ago.
    pub(super) async fn current(&self) -> Result<KeyRing, StoreError> {
        if let Some(keys) = self.0.state.sealing_keys() {
            return Ok(KeyRing::Configured(Arc::clone(keys)));
        }
        if let Some(ring) = self.read_within(FRESH_FOR) {
            return Ok(KeyRing::Stored(ring));
        }
        match self.read_once(FRESH_FOR).await {
            Ok(ring) => Ok(KeyRing::Stored(ring)),
            // If the store fails, the known keys still work, because other instances keep them as
            // previous keys.
            Err(error) => self
                .read_within(REPLACED_AFTER)
                .map(KeyRing::Stored)
                .ok_or(error),
        }
    }

    /// Reads the keys again because a key is unknown, at most once in five seconds.
    pub(super) async fn after_unknown_key(&self) -> Result<KeyRing, StoreError> {
        if let Some(keys) = self.0.state.sealing_keys() {
            return Ok(KeyRing::Configured(Arc::clone(keys)));
        }
        let read = self.read_once(UNKNOWN_KEY_INTERVAL).await;
        read.map(KeyRing::Stored)
    }

    /// Reads the stored keys if the last read is older than `age`. Callers that wait during a read
    /// share its result, even a failure. Without a shared result, each caller would wait separately
    /// for the timeout of an unresponsive store.
    async fn read_once(&self, age: Duration) -> Result<Arc<Ring>, StoreError> {
        let flight = self.0.reads.join_or_start(&(), || {
            let own = self.clone();
            let read = async move { own.read().await };
            self.read_within(age).map_or(Ok(read), Err)
        });
        match flight {
            Ok(flight) => flight.result.await,
            Err(known) => Ok(known),
        }
    }

    fn read_within(&self, age: Duration) -> Option<Arc<Ring>> {
        let stored = self.0.stored.read().unwrap_or_else(PoisonError::into_inner);
        let stored = stored.as_ref()?;
        let now = self.0.clock.monotonic();
        (now.saturating_sub(stored.read_at) < age).then(|| Arc::clone(&stored.ring))
    }

    /// Reads the stored keys. Creates them if they do not exist, and replaces a key that is too
    /// old.
    async fn read(&self) -> Result<Arc<Ring>, StoreError> {
        let state = &self.0.state;
        let owner = state.namespace().itself();
        let id = RecordId::ONLY;
        for _ in 0..MAX_ATTEMPTS {
            let read_at = self.0.clock.monotonic();
            let keys = [RecordKey::only(Family::LoginKey)];
            let snapshot = state.read(&owner, &keys).await?;
            let entry = snapshot.entries.first().and_then(Option::as_ref);
            let now = self.0.clock.now();
            let (record, condition) = match state.open::<LoginKeyRecord>(&owner, id, entry) {
                Found::Absent => (LoginKeyRecord::draw(now, None), Condition::Absent),
                // Other instances may be able to read this record. A new record would make their
                // pending logins fail.
                Found::Unreadable { .. } => return Err(StoreError::Damaged),
                Found::Record { value, version } if value.is_due(now) => {
                    let record = LoginKeyRecord::draw(now, Some(value.current));
                    (record, Condition::Version(version))
                }
                Found::Record { value, .. } => return self.remember(&value, read_at),
            };
            let write = state.put(&owner, id, condition, &record, KEPT_FOR)?;
            if state.write(&owner, &[write], None).await? == Written::Applied {
                return self.remember(&record, read_at);
            }
        }
        Err(StoreError::Busy)
    }

    fn remember(
        &self,
        record: &LoginKeyRecord,
        read_at: Duration,
    ) -> Result<Arc<Ring>, StoreError> {
        let ring = Arc::new(record.ring().ok_or(StoreError::Damaged)?);
        let mut stored = self
            .0
            .stored
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *stored = Some(StoredRing {
            ring: Arc::clone(&ring),
            read_at,
        });
        Ok(ring)
    }
}

impl LoginKeyRecord {
    fn draw(now: Timestamp, previous: Option<StoredKey>) -> Self {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        rand::rng().fill_bytes(&mut *key);
        Self {
            current: StoredKey {
                name: format!("{:08x}", rand::rng().next_u32()),
                key: Secret::new(STANDARD_NO_PAD.encode(*key)),
                created_at: now,
            },
            previous,
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        now.since(self.current.created_at) >= REPLACED_AFTER
    }

    fn ring(&self) -> Option<Ring> {
        let keys = std::iter::once(&self.current).chain(&self.previous);
        let keys = keys.map(|stored| {
            let bytes = STANDARD_NO_PAD.decode(stored.key.expose()).ok()?;
            Some((stored.name.clone(), SealKey::new(&Zeroizing::new(bytes))?))
        });
        keys.collect::<Option<_>>().map(Ring)
    }
}

impl KeyRing {
    /// Seals a login with the current key. Returns the key's name and the sealed bytes.
    pub(super) fn seal(&self, about: &[u8], plain: &[u8]) -> Option<(&str, Vec<u8>)> {
        let (name, key) = match self {
            Self::Configured(keys) => keys.login_keys().next()?,
            Self::Stored(ring) => ring.0.first().map(|(name, key)| (name.as_str(), key))?,
        };
        Some((name, key.seal(about, plain)?))
    }

    /// Returns the key with this name.
    pub(super) fn key(&self, name: &str) -> Option<&SealKey> {
        match self {
            Self::Configured(keys) => keys.login_keys().find(|(own, _)| *own == name),
            Self::Stored(ring) => {
                let mut keys = ring.0.iter().map(|(name, key)| (name.as_str(), key));
                keys.find(|(own, _)| *own == name)
            }
        }
        .map(|(_, key)| key)
    }
}

impl fmt::Debug for LoginKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginKeys(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::join_all;
    use tokio::time::Instant;

    use super::LoginKeys;
    use crate::{
        clock::TestClock,
        state::{Namespace, State},
        store::{DEADLINE, FaultyStore, MemoryStore, Operation, StoreError, When},
    };

    /// Creates login keys and the store under them.
    fn login_keys() -> (LoginKeys, FaultyStore) {
        let clock = Arc::new(TestClock::new());
        let store = FaultyStore::new(MemoryStore::new(10, clock.clone()));
        let namespace = Namespace::of("issuer", "client");
        let state = State::new(Arc::new(store.clone()), namespace, None);
        (LoginKeys::new(state, clock), store)
    }

    #[tokio::test(start_paused = true)]
    async fn simultaneous_logins_share_one_read_that_hangs() {
        let (keys, store) = login_keys();
        let hanging = store.hang(Operation::Read, When::Before);
        let began = Instant::now();
        let results = join_all((0..50).map(|_| keys.current())).await;
        assert_eq!(began.elapsed(), DEADLINE);
        assert!(
            results
                .iter()
                .all(|it| matches!(it, Err(StoreError::Timeout)))
        );
        // A later login reads the keys again.
        hanging.resume();
        assert!(keys.current().await.is_ok());
    }

    #[tokio::test]
    async fn simultaneous_logins_share_one_read_that_fails() {
        let (keys, store) = login_keys();
        // The first read fails after all logins have started to wait.
        let point = store.pause(Operation::Read, When::Before);
        store.fail(Operation::Read, When::Before, StoreError::Unreachable);
        let started = join_all((0..50).map(|_| keys.current()));
        let resume = async {
            point.reached().await;
            point.resume();
        };
        let (results, ()) = tokio::join!(started, resume);
        assert!(
            results
                .iter()
                .all(|it| matches!(it, Err(StoreError::Unreachable)))
        );
        assert_eq!(store.counts().of(Operation::Read), 1);
        // A later call reads the keys again.
        assert!(keys.after_unknown_key().await.is_err());
        assert_eq!(store.counts().of(Operation::Read), 2);
    }
}
