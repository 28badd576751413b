//! The trait [`Store`], through which the crate stores all data, and its engines.
//!
//! A [`Store`] stores opaque bytes. The store knows only the key of a record, its expiry, and the
//! condition for replacing the record. A layer above the store implements serialization, encryption
//! and all rules about sessions, logins and events. All engines therefore behave in the same way.
//!
//! | engine | feature | for |
//! |---|---|---|
//! | [`MemoryStore`] | | one process; everything is lost when it ends |
//! | `SqliteStore` | `sqlite` | the processes of one host; records survive a restart |
//! | `RedisStore` | `redis` | any number of instances |
//! | `PostgresStore` | `postgres` | any number of instances |
//! | `TowerSessionsStore` | `web` | sessions in a `tower_sessions` store that an app already has, everything else in a second store |
//!
//! A custom engine implements [`Store`] and must pass [`conformance`].

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
#[cfg(feature = "web")]
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
#[cfg(feature = "web")]
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
/// A login reads the counter when it acquires its lease. The session that the login creates stores
/// the value as its mark. A revocation of an owner's sessions raises the counter, and stores the
/// new value as the owner's fence. The fence is the lowest mark that is still valid. A session
/// whose mark is lower than the fence is revoked. Comparing a mark with a fence requires no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationMark(pub u64);

/// Record as an engine stores it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Version of the body, chosen by the writer. A later write can require this version with
    /// [`Condition::Version`].
    pub version: u64,
    /// Content of the record, opaque to the store.
    pub body: Bytes,
}

/// Consistent view of some records of one owner, read from the primary in one step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The owner's fence (see [`RevocationMark`]). `None` if the fence was never written or has been lost.
    /// Without a fence, every session of the owner is invalid.
    pub fence: Option<RevocationMark>,
    /// The records in the order of the request. The entry of an expired record is `None`.
    pub entries: Vec<Option<Entry>>,
}

/// Condition that must hold before a write is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The write always applies.
    Any,
    /// The key has no live record.
    Absent,
    /// The key has a live record.
    Present,
    /// The key has a live record of this version.
    Version(u64),
}

/// Effect of a write on one record.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Stores a body, and replaces an earlier body.
    Put {
        /// Version of the new body: a random number that the caller chooses. A caller that repeats
        /// a write recognises its own result by the version.
        version: u64,
        /// Content of the record, opaque to the store.
        body: Bytes,
        /// Lifetime of the record on the engine's clock, accurate to the millisecond.
        keep_for: Duration,
    },
    /// Removes the record. Removing an absent record is not an error.
    Delete,
    /// Keeps the record: the write only checks its condition.
    Keep,
}

/// Conditional change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Key of the record.
    pub key: RecordKey,
    /// Condition for the write.
    pub condition: Condition,
    /// Change of the record.
    pub change: Change,
}

/// Result of [`Store::write`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// All conditions held, and all changes were applied.
    Applied,
    /// A condition did not hold, and the store made no change. The snapshot has one entry per
    /// write, in the order of the writes, with the state at the time of the evaluation.
    Conflict(Snapshot),
    /// The `admitted_at` of the write is lower than the owner's fence, so the login is revoked. The
    /// store made no change. See [`RevocationMark`].
    Fenced,
}

/// Result of [`Store::acquire`].
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub enum Acquired {
    /// The caller holds the lease. A further call with the holder's token also returns `Granted`.
    Granted {
        /// Value of the namespace's revocation counter. The store reads the counter before or while
        /// it grants the lease.
        mark: RevocationMark,
    },
    /// Another token holds the lease for at most this time.
    Held(Duration),
    /// The work was completed earlier, with this result.
    Done(Bytes),
}

/// Action of [`Store::settle`] on a lease.
#[derive(Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Records that the work is done.
    Done {
        /// Opaque result that later calls of [`Store::acquire`] receive.
        result: Bytes,
        /// Lifetime of the result on the engine's clock.
        keep_for: Duration,
    },
    /// Releases the lease. The next caller can then acquire the lease.
    Release,
    /// Extends or shortens the lease. The lease then ends after this duration.
    Extend(Duration),
}

/// Guarantees of an engine. The SDK reads the guarantees of a store at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Properties {
    /// Short name for logs and reports, such as `redis`.
    pub name: &'static str,
    /// Whether other processes see the records.
    pub shared: bool,
    /// Whether records survive the end of the process.
    pub durable: bool,
}

impl Properties {
    /// Creates the description of an engine.
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
/// Every operation is atomic. After an error, the operation may still have taken effect. Callers
/// can repeat every operation, because the caller chooses versions and tokens. A repeated write
/// conflicts with its own version. A repeated [`acquire`](Self::acquire) finds its own token.
///
/// Cancellation safety: if the caller drops a future, the operation is either applied completely or
/// not applied.
///
/// Lifetimes run on the engine's clock. An expired record immediately reads as absent, even before
/// the engine removes it.
pub trait Store: Debug + Send + Sync + 'static {
    /// Reads records of one owner and the owner's fence as one snapshot from the primary.
    fn read<'a>(&'a self, owner: &'a Owner, keys: &'a [RecordKey]) -> StoreFuture<'a, Snapshot>;

    /// Changes several records of one owner. Applies either all changes or none. Each key must
    /// occur once.
    ///
    /// With `admitted_at`, the store rejects the write as [`Written::Fenced`] if the owner's fence
    /// is higher than `admitted_at`. If the store accepts the write and the owner has no fence, the
    /// store creates the fence 0. The store also keeps the fence at least as long as the
    /// longest-lived record of this write.
    fn write<'a>(
        &'a self,
        owner: &'a Owner,
        writes: &'a [Write],
        admitted_at: Option<RevocationMark>,
    ) -> StoreFuture<'a, Written>;

    /// Revokes records of an owner. Raises the counter of the namespace, then stores its value as
    /// the owner's fence and deletes the owner's records of `families`. The engine stores the fence
    /// and deletes the records atomically.
    ///
    /// When this method returns, no session with an earlier mark exists, and no caller can create a
    /// session with an earlier mark. The engine acknowledges a revocation with the highest
    /// durability that the engine offers. The engine keeps the fence for at least `keep_fence_for`.
    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, RevocationMark>;

    /// Lists the live records that one owner has in one family. The ids ascend, starting after
    /// `after`. The list is complete: a page with fewer than `limit` records is the last page.
    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<(RecordId, Entry)>>;

    /// Acquires a lease. If another token holds the lease, or the work is done, the caller does not
    /// get the lease. If many callers with different tokens call simultaneously, exactly one caller
    /// gets the lease. After a lease has expired, any caller can acquire it.
    fn acquire<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> StoreFuture<'a, Acquired>;

    /// Settles a lease: completes, releases or extends the lease. If the token does not hold the
    /// lease, returns `false` without a change.
    ///
    /// A caller can repeat [`Settlement::Done`] with its token. The repetition replaces the result
    /// and its lifetime. The store accepts [`Settlement::Done`] after the end of the lease if:
    ///
    /// - no other token has acquired the lease since,
    /// - the lease ended within the last hour,
    /// - the same token has not released the lease, and
    /// - the result has not expired.
    fn settle<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool>;

    /// Removes at most `limit` expired records in one bounded step, and returns their number.
    /// Engines that remove expired records automatically return 0.
    fn sweep(&self, limit: usize) -> StoreFuture<'_, usize>;

    /// Writes a record and reads it back. The check detects an engine that is read-only, full or
    /// damaged. Readiness probes and the doctor call `check`.
    fn check(&self) -> StoreFuture<'_, ()>;

    /// Returns the guarantees of this engine.
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
        admitted_at: Option<RevocationMark>,
    ) -> StoreFuture<'a, Written> {
        (**self).write(owner, writes, admitted_at)
    }

    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, RevocationMark> {
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

/// Store that can complete, release or extend a lease inside a transaction of the caller, on a
/// connection of type `C`.
pub trait SettleIn<C: ?Sized>: Store {
    /// Settles a lease like [`Store::settle`], but within the transaction of `connection`. The
    /// settlement takes effect when the transaction commits.
    fn settle_in<'a>(
        &'a self,
        connection: &'a mut C,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool>;
}

/// Awaits a store operation for at most 5 s, and records the outcome in the metrics.
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
