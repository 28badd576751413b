//! Where assurances are kept between two questions.

use std::{
    collections::HashMap,
    fmt::{self, Debug},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;

use super::assurance::Assurance;

/// Who: one person, as one tenant's client sees them.
#[derive(Clone, PartialEq, Eq, Hash)]
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
    kept: Mutex<HashMap<PersonKey, Assurance>>,
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
        Ok(kept.get(person).cloned())
    }

    async fn put(&self, person: &PersonKey, assurance: Assurance) -> Result<(), CacheUnavailable> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let assurance = match kept.remove(person) {
            Some(before) => before.or_newer(assurance),
            None => assurance,
        };
        if kept.len() >= self.capacity {
            let oldest = kept.iter().min_by_key(|(_, it)| it.checked_at);
            if let Some(person) = oldest.map(|(person, _)| person.clone()) {
                kept.remove(&person);
            }
        }
        kept.insert(person.clone(), assurance);
        Ok(())
    }

    async fn forget(&self, person: &PersonKey) -> Result<(), CacheUnavailable> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(person);
        Ok(())
    }
}
