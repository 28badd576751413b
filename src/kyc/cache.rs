//! Where assurances are kept between two questions.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::{self, Debug},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;

use super::assurance::Assurance;
use crate::clock::Timestamp;

/// Who: one person, as one tenant's client sees them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey {
    /// The issuer.
    pub issuer: String,
    /// The tenant's client.
    pub client_id: String,
    /// The person.
    pub subject: String,
}

/// Shows no personal data.
impl Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonKey")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// The cache does not work: it is down, slow, or full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the assurance cache is not available")]
pub struct CacheUnavailable;

/// Keeps the last assurance of each person. Instances that share one share what they know: what one
/// learns is felt by the sessions of all.
#[async_trait]
pub trait AssuranceCache: Debug + Send + Sync + 'static {
    /// The last that was kept.
    ///
    /// # Errors
    /// [`CacheUnavailable`]; KYCPort is then asked instead.
    async fn get(&self, person: &PersonKey) -> Result<Option<Assurance>, CacheUnavailable>;

    /// Keeps `assurance`, unless what is kept is to be believed more, as
    /// [`Assurance::or_newer`] says.
    ///
    /// # Errors
    /// [`CacheUnavailable`].
    async fn put(&self, person: &PersonKey, assurance: Assurance) -> Result<(), CacheUnavailable>;

    /// Keeps nothing of the person any more.
    ///
    /// # Errors
    /// [`CacheUnavailable`].
    async fn forget(&self, person: &PersonKey) -> Result<(), CacheUnavailable>;
}

/// A cache in memory, for one instance. When it is full, the person who was asked about longest ago
/// makes room.
pub struct MemoryCache {
    capacity: usize,
    kept: Mutex<Kept>,
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
            kept: Mutex::default(),
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
