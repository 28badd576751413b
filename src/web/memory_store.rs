//! A session store for one instance.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::{self, Debug},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use cookie::time::OffsetDateTime;
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store,
};

use crate::clock::{Clock, SystemClock};

/// How many records are kept if nothing else is said. A signed-in session is up to three of them,
/// its person one or two, a pending login two.
const DEFAULT_CAPACITY: usize = 300_000;

/// A write forgets so many expired records at most: it is not kept waiting by all that ended in the
/// same minute, and nor is whoever waits for it.
const FORGOTTEN_AT_ONCE: usize = 100;

/// A session store in memory, for one instance: for development, for tests, and for a service that
/// may sign everybody out when it restarts. Clones share the same records.
///
/// Unlike the store that tower-sessions brings, it is bounded, forgets what has expired, and its
/// Debug shows no record. When it is full, the record that would expire first makes room: pending
/// logins live for minutes and sessions for hours, so a flood of logins that nobody finishes
/// pushes out its own.
#[derive(Clone)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    capacity: usize,
    shelf: Arc<Mutex<Shelf>>,
}

#[derive(Default)]
struct Shelf {
    records: HashMap<Id, Kept>,
    by_expiry: BTreeSet<(OffsetDateTime, i128)>,
}

/// A record as text, which takes a quarter of the room of what is read from it.
struct Kept {
    expiry: OffsetDateTime,
    data: Box<[u8]>,
}

impl Kept {
    fn new(record: &Record) -> session_store::Result<Self> {
        let data = serde_json::to_vec(&record.data)
            .map_err(|_| session_store::Error::Encode("a record is no JSON".to_owned()))?;
        Ok(Self {
            expiry: record.expiry_date,
            data: data.into(),
        })
    }
}

impl MemoryStore {
    /// A store of `capacity` records at most, one at least, that ages with `clock`.
    pub fn new(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            capacity: capacity.max(1),
            shelf: Arc::default(),
        }
    }

    /// How many records there are, expired ones that are not forgotten yet included.
    pub fn len(&self) -> usize {
        self.lock().records.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.clock.now().as_unix())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY, Arc::new(SystemClock::new()))
    }
}

impl Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        let kept = Kept::new(record)?;
        let now = self.now();
        let mut shelf = self.lock();
        shelf.forget_expired(now);
        while shelf.holds(&record.id, now) {
            record.id = Id::default();
        }
        shelf.insert(record.id, kept, self.capacity);
        Ok(())
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let kept = Kept::new(record)?;
        let now = self.now();
        let mut shelf = self.lock();
        shelf.forget_expired(now);
        shelf.insert(record.id, kept, self.capacity);
        Ok(())
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let now = self.now();
        let found = {
            let shelf = self.lock();
            let kept = shelf.records.get(id).filter(|kept| now < kept.expiry);
            kept.map(|kept| (kept.expiry, kept.data.clone()))
        };
        let Some((expiry_date, data)) = found else {
            return Ok(None);
        };
        let data = serde_json::from_slice(&data)
            .map_err(|_| session_store::Error::Decode("a record is no JSON".to_owned()))?;
        Ok(Some(Record {
            id: *id,
            data,
            expiry_date,
        }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.lock().remove(id);
        Ok(())
    }
}

impl Shelf {
    /// Whether there is such a record. One that has expired is none, forgotten or not.
    fn holds(&self, id: &Id, now: OffsetDateTime) -> bool {
        self.records.get(id).is_some_and(|kept| now < kept.expiry)
    }

    fn insert(&mut self, id: Id, kept: Kept, capacity: usize) {
        self.remove(&id);
        while self.records.len() >= capacity {
            let Some((_, first)) = self.by_expiry.pop_first() else {
                break;
            };
            self.records.remove(&Id(first));
        }
        self.by_expiry.insert((kept.expiry, id.0));
        self.records.insert(id, kept);
    }

    fn remove(&mut self, id: &Id) {
        if let Some(kept) = self.records.remove(id) {
            self.by_expiry.remove(&(kept.expiry, id.0));
        }
    }

    fn forget_expired(&mut self, now: OffsetDateTime) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            let Some((expiry, id)) = self.by_expiry.first().copied() else {
                return;
            };
            if expiry > now {
                return;
            }
            self.by_expiry.pop_first();
            self.records.remove(&Id(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Arc, time::Duration};

    use cookie::time::OffsetDateTime;
    use tower_sessions::{
        SessionStore as _,
        session::{Id, Record},
    };

    use super::{FORGOTTEN_AT_ONCE, MemoryStore};
    use crate::clock::{Clock as _, TestClock};

    #[tokio::test]
    async fn a_write_forgets_some_of_what_has_expired_and_the_writes_after_it_the_rest() {
        // case 100
        let clock = TestClock::new();
        clock.freeze();
        let store = MemoryStore::new(10_000, Arc::new(clock.clone()));
        let ends_in = |id, seconds| Record {
            id: Id(id),
            data: HashMap::new(),
            expiry_date: OffsetDateTime::from_unix_timestamp(clock.now().as_unix() + seconds)
                .unwrap(),
        };
        let count = 3 * FORGOTTEN_AT_ONCE;
        for id in 0..count {
            let record = ends_in(id.try_into().unwrap(), 60);
            store.save(&record).await.unwrap();
        }
        clock.advance(Duration::from_secs(60));
        assert_eq!(store.load(&Id(7)).await.unwrap(), None);
        let lives = ends_in(-1, 60);
        let mut lengths = Vec::new();
        for _ in 0..4 {
            store.save(&lives).await.unwrap();
            lengths.push(store.len());
        }
        let left = [2, 1, 0, 0].map(|hundreds| hundreds * FORGOTTEN_AT_ONCE + 1);
        assert_eq!(lengths, left);
        assert_eq!(store.load(&Id(-1)).await.unwrap(), Some(lives));
    }

    #[tokio::test]
    async fn an_id_is_free_when_its_record_has_expired_though_it_is_not_forgotten() {
        // case 100
        let clock = TestClock::new();
        clock.freeze();
        let store = MemoryStore::new(10_000, Arc::new(clock.clone()));
        let of = |id, seconds| Record {
            id: Id(id),
            data: HashMap::new(),
            expiry_date: OffsetDateTime::from_unix_timestamp(clock.now().as_unix() + seconds)
                .unwrap(),
        };
        let many = i128::try_from(3 * FORGOTTEN_AT_ONCE).unwrap();
        for id in 0..many {
            store.save(&of(id, 60)).await.unwrap();
        }
        let mut last = of(many, 61);
        store.create(&mut last).await.unwrap();
        clock.advance(Duration::from_secs(61));
        for is_free in [true, false] {
            let mut again = of(many, 60);
            store.create(&mut again).await.unwrap();
            assert_eq!(again.id == Id(many), is_free);
        }
    }
}
