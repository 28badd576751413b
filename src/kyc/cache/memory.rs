//! A cache for one instance.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::{self, Debug},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use super::store::{AssuranceCache, CacheUnavailable, PersonKey};
use crate::{clock::Timestamp, kyc::assurance::Assurance};

/// A cache in memory, for one instance. When it is full, the person who was asked about longest ago
/// makes room. Clones share what they know.
#[derive(Clone)]
pub struct MemoryCache {
    capacity: usize,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    by_person: HashMap<PersonKey, Assurance>,
    by_time: BTreeSet<(Timestamp, PersonKey)>,
}

impl Kept {
    fn insert(&mut self, person: &PersonKey, assurance: Assurance) {
        self.by_time.insert((assurance.checked_at, person.clone()));
        self.by_person.insert(person.clone(), assurance);
    }

    fn remove(&mut self, person: &PersonKey) -> Option<Assurance> {
        let removed = self.by_person.remove(person)?;
        self.by_time.remove(&(removed.checked_at, person.clone()));
        Some(removed)
    }

    fn make_room(&mut self, capacity: usize) {
        while self.by_person.len() >= capacity {
            let Some((_, oldest)) = self.by_time.pop_first() else {
                return;
            };
            self.by_person.remove(&oldest);
        }
    }
}

impl MemoryCache {
    /// A cache of `capacity` persons at most, one at least.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            kept: Arc::default(),
        }
    }
}

impl Default for MemoryCache {
    fn default() -> Self {
        Self::new(100_000)
    }
}

impl Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl AssuranceCache for MemoryCache {
    async fn get(&self, person: &PersonKey) -> Result<Option<Assurance>, CacheUnavailable> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(kept.by_person.get(person).cloned())
    }

    async fn put(&self, person: &PersonKey, assurance: Assurance) -> Result<(), CacheUnavailable> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let assurance = match kept.remove(person) {
            Some(before) => before.or_newer(assurance),
            None => assurance,
        };
        kept.make_room(self.capacity);
        kept.insert(person, assurance);
        Ok(())
    }

    async fn forget(&self, person: &PersonKey) -> Result<(), CacheUnavailable> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(person);
        Ok(())
    }
}
