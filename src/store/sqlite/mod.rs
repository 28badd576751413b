//! Store in an SQLite file.

mod file;
mod link;
mod location;
mod operations;
mod statements;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use sqlx::{Executor as _, Row as _, SqliteConnection, query};
use tokio::sync::OnceCell;

use link::Link;
use statements::{FetchStatements, TABLES};

pub use location::InvalidSqliteLocation;

use super::{
    LeaseKey, LeaseToken, SettleIn, Settlement, StoreError, StoreFuture,
    sql::{Failure, Fetch, Key, Reads, Records, Tidy, Upkeep, in_time},
};

/// Name of the store in the log.
const NAME: &str = "sqlite store";
/// Version of the tables that this release creates and supports.
const VERSION: i64 = 1;
/// Maximum number of concurrent read statements.
const READ_STATEMENTS: usize = 1;
/// Number of expired rows that one transaction removes.
const SWEEP_STEP: usize = 100;
/// Maximum number of removal transactions per sweep.
const SWEEP_STEPS: usize = 20;
/// Idle time after which a connection is closed.
const UNUSED_LIMIT: Duration = Duration::from_secs(600);

/// Store in an SQLite file, for a few processes on one host. Sessions survive a restart. All clones
/// share the connections.
///
/// The store creates the file, which only the file's owner can read. In the file, the store creates
/// the tables `kycport_records`, `kycport_leases`, `kycport_counter` and `kycport_schema`. The file
/// may be the database of the app: [`settle_in`](Self::settle_in) requires this. The store sets the
/// file to WAL mode, which adds the files `-wal` and `-shm`. Back up a running store with SQLite's
/// `.backup` or `VACUUM INTO`, not by copying the file.
///
/// A commit waits until the data is on disk. SQLite overwrites deleted data with zeros in the file.
/// The `-wal` file contains the deleted data until SQLite reuses the space. An operation that takes
/// longer than 5 s fails with [`StoreError::Timeout`]. If another process holds the write lock for
/// 4 s, the operation fails with [`StoreError::Busy`]. Lifetimes run on the machine's clock. The
/// store removes expired records every minute, and additionally after some writes.
///
/// SQLite uses memory that the processes of one host share. On Linux, the store rejects known
/// network file systems with [`StoreError::Failed`]. Do not use the store on any network file
/// system.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kycport::store::SqliteStore;
///
/// let store = SqliteStore::connect("sqlite:///var/lib/app/kycport.db").await?;
/// # drop(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    link: Link,
    fetches: FetchStatements,
    tables: OnceCell<()>,
    reads: Reads,
    upkeep: Upkeep,
}

/// Error from [`SqliteStore::connect`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteConnectError {
    /// The location is invalid.
    #[error(transparent)]
    Location(#[from] InvalidSqliteLocation),
    /// The file or its tables cannot be used or created.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SqliteStore {
    /// Statements that create the tables, for apps that run their own migrations. An app can run
    /// the statements repeatedly.
    pub const MIGRATION: &str = TABLES;

    /// Opens a file, given as a path or as `sqlite:///path/to/file.db`. Creates the file and the
    /// tables if they are missing, but not the directory.
    ///
    /// # Errors
    /// Returns [`SqliteConnectError`].
    pub async fn connect(location: &str) -> Result<Self, SqliteConnectError> {
        let store = Self::open(location)?;
        in_time(NAME, store.inner.ready()).await?;
        Ok(store)
    }

    /// Creates a store that opens the file at its first use. At the first use, the store creates
    /// the file and the tables if they are missing. This function does no I/O and works outside a
    /// Tokio runtime.
    ///
    /// # Errors
    /// Returns [`InvalidSqliteLocation`].
    pub fn open(location: &str) -> Result<Self, InvalidSqliteLocation> {
        let inner = Inner {
            link: Link::new(location::parse(location)?),
            fetches: FetchStatements::new(),
            tables: OnceCell::new(),
            reads: Reads::new(READ_STATEMENTS),
            upkeep: Upkeep::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Settles a lease in a transaction of the app, like [`Store::settle`](super::Store::settle).
    /// The settlement takes effect when the transaction commits, together with the other writes of
    /// the transaction.
    ///
    /// If the result is `false`, another token holds the lease: roll the transaction back. The
    /// connection must belong to the file of this store,
    /// which [`is_database_of`](Self::is_database_of) checks. Begin the transaction with `BEGIN
    /// IMMEDIATE`, and keep the transaction short: no other connection can write to the file until
    /// the transaction ends.
    ///
    /// # Errors
    /// Returns [`StoreError`]. In this case, roll the transaction back.
    pub async fn settle_in(
        &self,
        connection: &mut SqliteConnection,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> Result<bool, StoreError> {
        in_time(
            NAME,
            statements::settle(connection, key, token, &settlement),
        )
        .await
    }

    /// Returns whether a connection belongs to the file of this store.
    ///
    /// # Errors
    /// Returns [`StoreError`].
    pub async fn is_database_of(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<bool, StoreError> {
        in_time(NAME, async {
            let file = "SELECT file FROM pragma_database_list WHERE name = 'main'";
            let row = connection.fetch_one(query(file)).await?;
            let theirs: String = row.try_get(0)?;
            let theirs = tokio::fs::canonicalize(theirs).await.ok();
            let ours = tokio::fs::canonicalize(self.inner.link.path()).await.ok();
            Ok::<_, Failure>(ours.is_some() && ours == theirs)
        })
        .await
    }
}

impl SettleIn<SqliteConnection> for SqliteStore {
    fn settle_in<'a>(
        &'a self,
        connection: &'a mut SqliteConnection,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool> {
        Self::settle_in(self, connection, key, token, settlement).boxed()
    }
}

impl Inner {
    /// Checks once that the tables exist and that this release supports them.
    async fn ready(self: &Arc<Self>) -> Result<(), Failure> {
        if self.tables.initialized() {
            return Ok(());
        }
        let prepared = self.tables.get_or_try_init(async || {
            self.upkeep.ensure(self);
            file::create(self.link.path()).await?;
            file::require_local(self.link.path()).await?;
            self.create_tables().await?;
            self.require_version().await
        });
        prepared.await.copied()
    }

    async fn create_tables(&self) -> Result<(), Failure> {
        let mut writer = self.link.writer().await?;
        writer.connection.execute(TABLES).await?;
        writer.commit().await
    }

    async fn require_version(&self) -> Result<(), Failure> {
        let mut reader = self.link.reader().await?;
        let version = query("SELECT compatible_with FROM kycport_schema");
        let row = reader.connection.fetch_one(version).await?;
        reader.give_back();
        if row.try_get::<i64, _>(0)? > VERSION {
            return Err(Failure::new(StoreError::Schema, "tables_newer"));
        }
        Ok(())
    }

    async fn sweep(&self, limit: usize) -> Result<usize, Failure> {
        let mut writer = self.link.writer().await?;
        let removed = statements::sweep(&mut writer.connection, limit).await?;
        writer.commit().await?;
        Ok(removed)
    }
}

impl Fetch for Inner {
    fn reads(&self) -> &Reads {
        &self.reads
    }

    fn fetch<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Records, Failure>> {
        async move {
            let mut reader = self.link.reader().await?;
            let now = statements::now();
            let connection = &mut reader.connection;
            let found = statements::fetch(connection, &self.fetches, keys, now).await?;
            reader.give_back();
            Ok(found)
        }
        .boxed()
    }
}

impl Tidy for Inner {
    fn tidy(&self) -> BoxFuture<'_, ()> {
        async {
            self.link.close_unused_for(UNUSED_LIMIT);
            for _ in 0..SWEEP_STEPS {
                match in_time(NAME, self.sweep(SWEEP_STEP)).await {
                    Ok(SWEEP_STEP..) => {}
                    Ok(_) | Err(_) => break,
                }
            }
        }
        .boxed()
    }
}

/// `Debug` hides the location.
impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}
