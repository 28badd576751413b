//! Storage: everything the crate keeps, behind one trait.
//!
//! A [`Store`] keeps opaque bytes. It knows where a record is, when it expires and under which
//! condition it may be replaced, and nothing else. Serialization, sealing and all rules about
//! sessions, logins and events are built above it, once, so that every engine behaves alike.
//!
//! | engine | feature | for |
//! |---|---|---|
//! | [`MemoryStore`] | | one process; everything is lost when it ends |
//! | `SqliteStore` | `sqlite` | the processes of one host; records survive a restart |
//! | `RedisStore` | `redis` | any number of instances |
//! | `PostgresStore` | `postgres` | any number of instances |
//! | `TowerSessionsStore` | `web` | sessions in a `tower_sessions` store that an app already has, everything else in a second store |
//!
//! An engine of your own implements [`Store`] and must pass [`conformance`].

#[cfg(feature = "test-util")]
pub mod conformance;
mod debug;
mod error;
#[cfg(feature = "test-util")]
mod faulty;
mod key;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "web")]
mod tower;
mod url;

pub use error::StoreError;
#[cfg(feature = "test-util")]
pub use faulty::{Counts, FaultyStore, Operation, PausePoint, Target, When};
pub use key::{Family, LeaseFamily, LeaseKey, LeaseToken, Owner, RecordId, RecordKey};
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::{InvalidPostgresUrl, PostgresConnectError, PostgresStore};

#[cfg(feature = "redis")]
pub use self::redis::{InvalidRedisUrl, RedisStore};
#[cfg(feature = "sqlite")]
pub use sqlite::{InvalidSqliteLocation, SqliteConnectError, SqliteStore};
#[cfg(feature = "web")]
pub use tower::{TowerSessionsStore, UnsharedStore};
pub use url::InvalidStoreUrl;

pub(crate) use key::digest;
#[cfg(feature = "web")]
pub(crate) use url::from_url;

use std::{fmt::Debug, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::observe::{self, Stopwatch, StoreOperation, StoreResult};

/// Maximum duration of one store operation.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// Future of a store operation.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Value of a namespace's revocation counter.
///
/// A login claim reads the counter, and the session of that login carries the value. Revoking the
/// sessions of an owner raises the counter and stores the new value as the owner's fence. A session
/// whose mark is lower than the fence is revoked. No clock is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub u64);

/// Record as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Version that the writer chose for this body.
    pub version: u64,
    /// Opaque content.
    pub body: Bytes,
}

/// Consistent view of some records of one owner, read from the primary in one step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The owner's fence. `None` if the fence was never written or has been lost: every session of
    /// the owner is invalid then.
    pub fence: Option<Mark>,
    /// The records in the order in which they were requested. An expired record is `None`.
    pub entries: Vec<Option<Entry>>,
}

/// Condition that must hold before a write is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Always applies.
    Any,
    /// There is no live record at this key.
    Absent,
    /// There is a live record at this key.
    Present,
    /// There is a live record of this version at this key.
    Version(u64),
}

/// Effect of a write on one record.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Stores a body, replacing an earlier one.
    Put {
        /// Version of the new body: a random number that the caller chooses, so that a repeated
        /// write recognises its own result.
        version: u64,
        /// Opaque content.
        body: Bytes,
        /// Lifetime of the record, on the engine's clock, to the millisecond.
        keep_for: Duration,
    },
    /// Removes the record. Removing an absent record is no error.
    Delete,
    /// Changes nothing: the write only checks its condition.
    Keep,
}

/// Conditional change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The record.
    pub key: RecordKey,
    /// What must hold.
    pub condition: Condition,
    /// What happens to the record.
    pub change: Change,
}

/// Result of [`Store::write`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// All conditions held and all changes were made.
    Applied,
    /// A condition did not hold and nothing was changed. The snapshot has one entry per write, in
    /// the same order, as they stood when the conditions were evaluated.
    Conflict(Snapshot),
    /// The owner's fence is higher than the mark that the write named. Nothing was changed.
    Fenced,
}

/// Result of [`Store::acquire`].
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub enum Acquired {
    /// The caller holds the lease. Also the result if the same token acquires it once more.
    Granted {
        /// Value of the namespace's revocation counter, read no later than the lease was taken.
        mark: Mark,
    },
    /// Another token holds the lease, for this long at most.
    Held(Duration),
    /// The work was completed, with this result.
    Done(Bytes),
}

/// What [`Store::settle`] does with a lease.
#[derive(Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Records that the work is done, with a result, for as long as given.
    Done {
        /// Opaque result that later calls of [`Store::acquire`] receive.
        result: Bytes,
        /// How long the result is kept, on the engine's clock.
        keep_for: Duration,
    },
    /// Gives the lease back, so that the next caller acquires it.
    Release,
    /// Lets the lease end after this time from now.
    Extend(Duration),
}

/// What an engine guarantees. The crate reads it at start; it never guesses it from a type's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Properties {
    /// Short name for logs and reports, such as `redis`.
    pub name: &'static str,
    /// Whether other processes see the same records.
    pub shared: bool,
    /// Whether records survive the end of the process.
    pub durable: bool,
}

impl Properties {
    /// Describes an engine.
    pub fn new(name: &'static str, shared: bool, durable: bool) -> Self {
        Self {
            name,
            shared,
            durable,
        }
    }
}

/// Storage engine.
///
/// Every operation is atomic on its own. An operation that fails may or may not have taken effect;
/// all operations can be repeated, because versions and tokens are chosen by the caller: a repeated
/// write meets its own version, a repeated [`acquire`](Self::acquire) its own token.
///
/// Cancellation: dropping a future leaves the operation applied or not applied, never half applied.
///
/// Lifetimes run on the engine's clock. A record whose lifetime is over reads as absent at once,
/// whether or not it has been removed.
pub trait Store: Debug + Send + Sync + 'static {
    /// Reads some records of one owner, and the owner's fence, as one snapshot from the primary.
    fn read<'a>(&'a self, owner: &'a Owner, keys: &'a [RecordKey]) -> StoreFuture<'a, Snapshot>;

    /// Changes some records of one owner: all of them, or none. Each key occurs once.
    ///
    /// With `admitted_at`, the write is refused as [`Written::Fenced`] if the owner's fence is
    /// higher. Otherwise it stores the fence 0 if there is none, and keeps the fence at least as
    /// long as the longest-lived record of this write.
    fn write<'a>(
        &'a self,
        owner: &'a Owner,
        writes: &'a [Write],
        admitted_at: Option<Mark>,
    ) -> StoreFuture<'a, Written>;

    /// Raises the counter of the namespace, then stores its value as the owner's fence and deletes
    /// the owner's records of `families`, the latter two in one step.
    ///
    /// When this returns, no session with a mark from before the call is alive, and none can be
    /// created. The engine acknowledges as durably as it can be asked to. The fence is kept for at
    /// least `keep_fence_for`.
    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, Mark>;

    /// Lists the live records of one family of one owner by ascending id, beginning behind `after`.
    /// The list is complete: a page shorter than `limit` is the last.
    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<(RecordId, Entry)>>;

    /// Takes a lease, unless another token holds it or the work is done. Of any number of
    /// simultaneous callers with different tokens one is granted the lease. A lease whose time is
    /// over is free.
    fn acquire<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> StoreFuture<'a, Acquired>;

    /// Settles a lease. Returns `false` if the token does not hold the lease any more; nothing is
    /// changed then. [`Settlement::Done`] may be repeated with the same token, which replaces the
    /// result and its lifetime. It may come after the lease has ended, if no other token has acquired
    /// the lease since and it ended within the last hour; not after the same token has released the
    /// lease, nor after the result has expired.
    fn settle<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool>;

    /// Removes at most `limit` expired records in one bounded step, and returns how many. Engines
    /// that expire records themselves return 0.
    fn sweep(&self, limit: usize) -> StoreFuture<'_, usize>;

    /// Writes a record and reads it back, to tell an engine that works from one that is read-only,
    /// full or damaged. For readiness probes and the doctor.
    fn check(&self) -> StoreFuture<'_, ()>;

    /// What this engine guarantees.
    fn properties(&self) -> Properties;
}

/// Shared handle to a store.
impl<S: Store + ?Sized> Store for Arc<S> {
    fn read<'a>(&'a self, owner: &'a Owner, keys: &'a [RecordKey]) -> StoreFuture<'a, Snapshot> {
        (**self).read(owner, keys)
    }

    fn write<'a>(
        &'a self,
        owner: &'a Owner,
        writes: &'a [Write],
        admitted_at: Option<Mark>,
    ) -> StoreFuture<'a, Written> {
        (**self).write(owner, writes, admitted_at)
    }

    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, Mark> {
        (**self).revoke(owner, families, keep_fence_for)
    }

    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<(RecordId, Entry)>> {
        (**self).list(owner, family, after, limit)
    }

    fn acquire<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> StoreFuture<'a, Acquired> {
        (**self).acquire(key, token, length)
    }

    fn settle<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool> {
        (**self).settle(key, token, settlement)
    }

    fn sweep(&self, limit: usize) -> StoreFuture<'_, usize> {
        (**self).sweep(limit)
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        (**self).check()
    }

    fn properties(&self) -> Properties {
        (**self).properties()
    }
}

/// Store that can settle a lease inside a transaction of the caller's own, on a connection of type
/// `C`.
pub trait SettleIn<C: ?Sized>: Store {
    /// Settles a lease as [`Store::settle`] does, but within the transaction of `connection`: the
    /// settlement takes effect when that commits.
    fn settle_in<'a>(
        &'a self,
        connection: &'a mut C,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool>;
}

/// Awaits a store operation for at most 5 s, and counts how it ended.
pub(crate) async fn within_deadline<T>(
    operation: StoreOperation,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let since = Stopwatch::start();
    let answer = tokio::time::timeout(DEADLINE, answer)
        .await
        .unwrap_or(Err(StoreError::Timeout));
    let result = match &answer {
        Ok(_) => StoreResult::Ok,
        Err(error) => StoreResult::Failed(error.code()),
    };
    observe::store_operation(operation, result, since);
    answer
}
