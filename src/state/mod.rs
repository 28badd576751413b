//! Typed records over a [`Store`]: namespaces, stored formats, sealing, deadlines and metrics.
//!
//! The modules above this layer address records by type and owner. The modules below this layer
//! handle bytes.

mod cipher;
mod form;
mod memo;
mod namespace;
mod sealing;

pub(crate) use cipher::SealKey;
pub(crate) use form::{Found, Stored};
pub(crate) use memo::Memo;
pub(crate) use namespace::Namespace;
pub use sealing::{SealingKeys, SealingKeysError};

use std::{fmt, sync::Arc, time::Duration};

use rand::Rng as _;

use crate::{
    observe::StoreOperation,
    store::{
        Acquired, Change, Condition, Entry, Family, LeaseKey, LeaseToken, Owner, Properties,
        RecordId, RecordKey, RevocationMark, Settlement, Snapshot, Store, StoreError, Write,
        Written, within_deadline,
    },
};
use form::Forms;

/// Lifetime of a fence (the lowest mark that is still valid) after a revocation. The lifetime is
/// longer than the time between the acquisition of a login's lock and the write of its session.
const FENCE_LIFETIME: Duration = Duration::from_secs(3600);

/// State of one relying party. Cheap to clone.
#[derive(Clone)]
pub(crate) struct State(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    namespace: Namespace,
    forms: Forms,
}

impl State {
    /// Creates the state. The records of `namespace` are in `store`, and are sealed if `keys` is
    /// set.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        namespace: Namespace,
        keys: Option<Arc<SealingKeys>>,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            namespace,
            forms: Forms::new(keys),
        }))
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// Returns the store, for modules that use their own lease keys.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    pub(crate) fn sealing_keys(&self) -> Option<&Arc<SealingKeys>> {
        self.0.forms.keys()
    }

    pub(crate) fn properties(&self) -> Properties {
        self.0.store.properties()
    }

    pub(crate) async fn read(
        &self,
        owner: &Owner,
        keys: &[RecordKey],
    ) -> Result<Snapshot, StoreError> {
        let snapshot =
            within_deadline(StoreOperation::READ, self.0.store.read(owner, keys)).await?;
        if snapshot.entries.len() == keys.len() {
            Ok(snapshot)
        } else {
            // The caller matches entries by position, so a missing entry would shift the later
            // entries.
            Err(StoreError::Damaged)
        }
    }

    pub(crate) async fn write(
        &self,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written, StoreError> {
        let write = self.0.store.write(owner, writes, admitted_at);
        within_deadline(StoreOperation::WRITE, write).await
    }

    pub(crate) async fn revoke(
        &self,
        owner: &Owner,
        families: &[Family],
    ) -> Result<RevocationMark, StoreError> {
        let revoke = self.0.store.revoke(owner, families, FENCE_LIFETIME);
        within_deadline(StoreOperation::REVOKE, revoke).await
    }

    /// Reads one page of a list.
    pub(crate) async fn list(
        &self,
        owner: &Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Entry)>, StoreError> {
        let list = self.0.store.list(owner, family, after, limit);
        within_deadline(StoreOperation::LIST, list).await
    }

    pub(crate) async fn acquire(
        &self,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired, StoreError> {
        let acquire = self.0.store.acquire(key, token, length);
        within_deadline(StoreOperation::ACQUIRE, acquire).await
    }

    pub(crate) async fn settle(
        &self,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> Result<bool, StoreError> {
        let settle = self.0.store.settle(key, token, settlement);
        within_deadline(StoreOperation::SETTLE, settle).await
    }

    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        within_deadline(StoreOperation::CHECK, self.0.store.check()).await
    }

    /// Prepares the write of a value under a fresh version.
    pub(crate) fn put<T: Stored>(
        &self,
        owner: &Owner,
        id: RecordId,
        condition: Condition,
        value: &T,
        keep_for: Duration,
    ) -> Result<Write, StoreError> {
        let key = RecordKey::new(T::FAMILY, id);
        Ok(Write {
            key,
            condition,
            change: Change::Put {
                version: fresh_version(),
                body: self.0.forms.write(owner, key, value)?,
                keep_for,
            },
        })
    }

    /// Reads a stored entry as a value.
    pub(crate) fn open<T: Stored>(
        &self,
        owner: &Owner,
        id: RecordId,
        entry: Option<&Entry>,
    ) -> Found<T> {
        let Some(entry) = entry else {
            return Found::Absent;
        };
        let key = RecordKey::new(T::FAMILY, id);
        match self.0.forms.read(owner, key, &entry.body) {
            Some(value) => Found::Record {
                value,
                version: entry.version,
            },
            None => Found::Unreadable {
                version: entry.version,
            },
        }
    }
}

/// Generates a version for a new body. A version has 64 random bits, so versions of a record
/// practically never repeat.
pub(crate) fn fresh_version() -> u64 {
    rand::rng().next_u64()
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("store", &self.0.store)
            .finish_non_exhaustive()
    }
}
