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
    records: HashMap<Id, Record>,
    by_expiry: BTreeSet<(OffsetDateTime, i128)>,
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

    /// How many records there are, expired ones that nobody has met yet included.
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
        let now = self.now();
        let mut shelf = self.lock();
        shelf.forget_expired(now);
        while shelf.records.contains_key(&record.id) {
            record.id = Id::default();
        }
        shelf.insert(record.clone(), self.capacity);
        Ok(())
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let now = self.now();
        let mut shelf = self.lock();
        shelf.forget_expired(now);
        shelf.insert(record.clone(), self.capacity);
        Ok(())
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let now = self.now();
        let record = self.lock().records.get(id).cloned();
        Ok(record.filter(|record| now < record.expiry_date))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.lock().remove(id);
        Ok(())
    }
}

impl Shelf {
    fn insert(&mut self, record: Record, capacity: usize) {
        self.remove(&record.id);
        while self.records.len() >= capacity {
            let Some((_, first)) = self.by_expiry.pop_first() else {
                break;
            };
            self.records.remove(&Id(first));
        }
        self.by_expiry.insert((record.expiry_date, record.id.0));
        self.records.insert(record.id, record);
    }

    fn remove(&mut self, id: &Id) {
        if let Some(record) = self.records.remove(id) {
            self.by_expiry.remove(&(record.expiry_date, id.0));
        }
    }

    fn forget_expired(&mut self, now: OffsetDateTime) {
        while let Some((expiry, id)) = self.by_expiry.first().copied()
            && expiry <= now
        {
            self.by_expiry.pop_first();
            self.records.remove(&Id(id));
        }
    }
}
