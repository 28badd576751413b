//! Adapter that keeps sessions in a tower-sessions store, and all other records in a second store.

mod bodies;
mod index;
mod read;
mod write;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future};
use tower_sessions::SessionStore;

use self::bodies::Bodies;
use super::{
    Acquired, Entry, Family, LeaseKey, LeaseToken, Owner, Properties, RecordId, RecordKey,
    RevocationMark, Settlement, Snapshot, Store, StoreFuture, Write, Written,
};

/// Store that saves sessions in an existing [`tower_sessions::SessionStore`] of the app.
///
/// A tower-sessions store has no conditional write, no batch and no list. The adapter therefore
/// needs a second store for the atomic operations:
///
/// | where | what |
/// |---|---|
/// | tower-sessions store | the content of each session, written once |
/// | second store | an index entry for each session with a digest of its content; all other records, fences, leases and counters |
///
/// A fence is the lowest [`RevocationMark`](super::RevocationMark) of an owner that is still valid.
///
/// With the feature `postgres`, both stores can be in one database:
#[cfg_attr(feature = "postgres", doc = "```no_run")]
#[cfg_attr(not(feature = "postgres"), doc = "```ignore")]
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kycport::store::{PostgresStore, TowerSessionsStore};
/// use tower_sessions_sqlx_store::{PostgresStore as Sessions, sqlx::PgPool};
///
/// let url = "postgres://app:password@db.internal/app";
/// let sessions = Sessions::new(PgPool::connect(url).await?);
/// let store = TowerSessionsStore::new(sessions, PostgresStore::connect(url).await?)?;
/// # drop(store);
/// # Ok(())
/// # }
/// ```
///
/// # Guarantees
/// The second store decides whether a session exists. A session exists if the second store has its
/// index entry and the tower-sessions store has its content:
///
/// - The adapter first writes the content, then the index entry and the fence in one step. Content
///   without an index entry is unreachable.
/// - An index entry without content reads as absent.
/// - For content that cannot be decoded or does not match the digest, the read fails with
///   [`StoreError::Damaged`](super::StoreError::Damaged).
/// - If the tower-sessions store fails or exceeds the time limit, the read also fails.
/// - A revocation changes the second store first. From then on, the sessions are invalid, whatever
///   the tower-sessions store contains.
///
/// # Limits
/// A single store for everything has these properties, and the adapter does not:
///
/// - **One round trip.** The adapter needs two sequential round trips to read a session, because
///   the index entry contains the identifier of the content. If the content is missing, the adapter
///   reads the index entry again.
/// - **One snapshot over both stores.** The records of the second store form a snapshot, and the
///   adapter reads the session content that this snapshot names.
/// - **Deletion in one step.** The adapter deletes the content of a session after the session has
///   ended, within 2 s. Content that cannot be deleted is unreachable and expires.
/// - **Expiry in the tower-sessions store.** The index entry expires to the millisecond on the
///   second store's clock. The content expires at least 60 s later, in whole seconds, on the clocks
///   of the app and of the tower-sessions store. Run the deletion task of the tower-sessions store
///   as its documentation says, because [`sweep`](Store::sweep) sweeps only the second store.
/// - **A condition on the content.** [`Condition::Present`](super::Condition::Present) and
///   [`Condition::Version`](super::Condition::Version) hold if the index entry exists.
///
/// On every instance, the tower-sessions store must return the latest write.
#[derive(Clone)]
pub struct TowerSessionsStore {
    bodies: Bodies,
    atomic: Arc<dyn Store>,
}

/// Error from [`TowerSessionsStore::new`]: other processes cannot use the second store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the second store ({name}) exists in this process only, so other processes would know neither \
     the sessions nor what was revoked. Give a store that all processes share, such as Redis or \
     Postgres, or call TowerSessionsStore::danger_unshared if the app is one process"
)]
pub struct UnsharedStore {
    name: &'static str,
}

impl TowerSessionsStore {
    /// Creates an adapter over a tower-sessions store and a second store for the atomic operations.
    ///
    /// # Errors
    /// Returns [`UnsharedStore`] if the second store is not shared between processes.
    /// Other processes may share the tower-sessions store, and a revocation must apply to all
    /// sessions.
    pub fn new(sessions: impl SessionStore, atomic: impl Store) -> Result<Self, UnsharedStore> {
        let properties = atomic.properties();
        if properties.shared {
            Ok(Self::danger_unshared(sessions, atomic))
        } else {
            Err(UnsharedStore {
                name: properties.name,
            })
        }
    }

    /// Creates an adapter whose second store may be unshared, such
    /// as [`MemoryStore`](super::MemoryStore). Use this function only for an app of one process. A
    /// second process would not see the sessions and revocations of the first process. If the
    /// second store loses its records, all sessions end.
    pub fn danger_unshared(sessions: impl SessionStore, atomic: impl Store) -> Self {
        Self {
            bodies: Bodies::new(sessions),
            atomic: Arc::new(atomic),
        }
    }
}

impl Store for TowerSessionsStore {
    fn read<'a>(&'a self, owner: &'a Owner, keys: &'a [RecordKey]) -> StoreFuture<'a, Snapshot> {
        self.read_both(owner, keys).boxed()
    }

    fn write<'a>(
        &'a self,
        owner: &'a Owner,
        writes: &'a [Write],
        admitted_at: Option<RevocationMark>,
    ) -> StoreFuture<'a, Written> {
        self.write_both(owner, writes, admitted_at).boxed()
    }

    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, RevocationMark> {
        self.revoke_both(owner, families, keep_fence_for).boxed()
    }

    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<(RecordId, Entry)>> {
        if family == Family::Session {
            self.list_sessions(owner, after, limit).boxed()
        } else {
            self.atomic.list(owner, family, after, limit)
        }
    }

    fn acquire<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> StoreFuture<'a, Acquired> {
        self.atomic.acquire(key, token, length)
    }

    fn settle<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool> {
        self.atomic.settle(key, token, settlement)
    }

    fn sweep(&self, limit: usize) -> StoreFuture<'_, usize> {
        self.atomic.sweep(limit)
    }

    /// Checks both stores.
    fn check(&self) -> StoreFuture<'_, ()> {
        let both = future::try_join(self.atomic.check(), self.bodies.check());
        both.map(|result| result.map(|_| ())).boxed()
    }

    /// Returns the guarantees of the second store. The guarantees of the tower-sessions store are
    /// unknown, and its records are unusable without the second store.
    fn properties(&self) -> Properties {
        let properties = self.atomic.properties();
        Properties::new("tower-sessions", properties.shared, properties.durable)
    }
}

/// `Debug` shows no records, because the `Debug` output of a tower-sessions store may contain all
/// sessions.
impl fmt::Debug for TowerSessionsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerSessionsStore")
            .field("atomic", &self.atomic)
            .finish_non_exhaustive()
    }
}
