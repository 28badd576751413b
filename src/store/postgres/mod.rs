//! Store in Postgres.

mod link;
mod operations;
mod own_result;
mod remedy;
mod schema;
mod statements;
mod transactions;
mod url;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use sqlx::{PgPool, Row as _, postgres::PgRow};
use tokio::sync::OnceCell;

use link::{Link, MAX_CONNECTIONS};
use schema::Tables;
use statements::{Sender, Statements, Values};
use url::Schema;

pub use url::InvalidPostgresUrl;

use super::{
    Entry, StoreError,
    sql::{Failure, Fetch, Key, Reads, Records, Tidy, Upkeep, entry, in_time},
};

/// Name of the store in the log.
const NAME: &str = "postgres store";
/// Maximum number of concurrent read statements.
const READ_STATEMENTS: usize = 2;
/// Number of expired rows that one statement removes.
const SWEEP_STEP: usize = 100;
/// Maximum number of removal statements per sweep.
const SWEEP_STEPS: usize = 20;
/// Idle time after which a connection is closed.
const UNUSED_LIMIT: Duration = Duration::from_secs(600);

/// Store in a Postgres database, for any number of instances. All clones share the connections.
///
/// Stores from [`connect`](Self::connect) and [`open`](Self::open) open at most 10 connections. A
/// store from [`new`](Self::new) uses an [`sqlx`] 0.8 pool. With the store's own connections, an
/// operation takes less than half as long as with an sqlx pool. An sqlx pool is slower, because it
/// tests each connection before and after its use.
///
/// # Tables
/// The store uses the tables `kycport_records`, `kycport_leases` and `kycport_schema`, the sequence
/// `kycport_marks` and some functions. The tables, the sequence and the functions are in the schema
/// `public`. To use another schema, call [`schema`](Self::schema) or set the URL parameter
/// `schema`. The search path has no effect. `connect` and `open` create missing tables. For apps
/// that create the tables in their own migrations, see [`migrate`](Self::migrate)
/// and [`MIGRATION`](Self::MIGRATION). After the tables exist, a role without permission to create
/// tables needs these grants:
///
/// ```sql
/// GRANT USAGE ON SCHEMA public TO app;
/// GRANT SELECT ON kycport_schema TO app;
/// GRANT SELECT, INSERT, UPDATE, DELETE ON kycport_records, kycport_leases TO app;
/// GRANT SELECT, USAGE ON SEQUENCE kycport_marks TO app;
/// ```
///
/// # Behaviour Each operation is one statement and one round trip. An operation that takes longer
/// than 5 s fails with [`StoreError::Timeout`]. Lifetimes run on the server's clock. Revocations,
/// deletions and settlements of leases wait until the server has written the data to its disk, with
/// any value of `synchronous_commit`. An instance removes expired rows every minute, and
/// additionally after some writes.
///
/// Connect the store to the primary. The store's own connections reject a server in recovery
/// with [`StoreError::ReadOnly`].
///
/// # PgBouncer
/// The store works with a pooler in transaction mode. The store's own connections detect the
/// pooler. With an sqlx pool, the store detects the pooler at the first error, for example a
/// missing prepared statement. Set `statement_cache_capacity(0)` on the sqlx pool if the app sends
/// other statements through the pool. With a pooler, each operation is a transaction with four
/// round trips. The store must prepare the statement on the server that executes it.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use kycport::store::PostgresStore;
///
/// let store = PostgresStore::connect("postgres://app:password@db.internal/app").await?;
/// # drop(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    sender: Arc<Sender>,
    statements: Statements,
    schema: Schema,
    /// Whether the store creates missing tables at its first use.
    creates_tables: bool,
    tables: OnceCell<()>,
    reads: Reads,
    upkeep: Upkeep,
}

/// Error from [`PostgresStore::connect`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresConnectError {
    /// The URL is invalid.
    #[error(transparent)]
    Url(#[from] InvalidPostgresUrl),
    /// The database does not answer, or its tables cannot be used or created.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PostgresStore {
    /// Statements that create the tables in the schema `public`, for apps that run their own
    /// migrations. Apps can execute the statements repeatedly, and several instances can execute
    /// them simultaneously, if each execution is one transaction.
    pub const MIGRATION: &str = schema::MIGRATION;

    /// Connects to `postgres://user:password@host:port/database` and creates missing tables.
    ///
    /// The URL accepts `schema` and the libpq parameters that sqlx supports, such as `sslmode` and
    /// `sslrootcert`.
    ///
    /// # Errors
    /// Returns [`PostgresConnectError`].
    pub async fn connect(url: &str) -> Result<Self, PostgresConnectError> {
        let store = Self::open(url)?;
        in_time(NAME, store.inner.ready()).await?;
        Ok(store)
    }

    /// Creates a store that connects at its first use and then creates missing tables. This
    /// function does no I/O and works outside a Tokio runtime.
    ///
    /// # Errors
    /// Returns [`InvalidPostgresUrl`].
    pub fn open(url: &str) -> Result<Self, InvalidPostgresUrl> {
        let (options, schema) = url::parse(url)?;
        let link = Link::own(options, MAX_CONNECTIONS);
        Ok(Self::of(Sender::new(link).into(), schema, true))
    }

    /// Creates a store on the app's connection pool. Before the first use of the store,
    /// call [`migrate`](Self::migrate) or create the tables in a migration of the app.
    pub fn new(pool: PgPool) -> Self {
        let sender = Sender::new(Link::Pool(pool));
        Self::of(sender.into(), Schema::PUBLIC, false)
    }

    fn of(sender: Arc<Sender>, schema: Schema, creates_tables: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                sender,
                statements: Statements::new(&schema),
                schema,
                creates_tables,
                tables: OnceCell::new(),
                reads: Reads::new(READ_STATEMENTS),
                upkeep: Upkeep::default(),
            }),
        }
    }

    /// Sets the schema of the tables. Default: `public`.
    ///
    /// The function [`connect`](Self::connect) creates the tables before it returns. For `connect`,
    /// name the schema in the URL: `?schema=name`.
    ///
    /// # Errors
    /// Returns [`InvalidPostgresUrl::Schema`].
    pub fn schema(self, name: &str) -> Result<Self, InvalidPostgresUrl> {
        let schema = Schema::new(name)?;
        let sender = Arc::clone(&self.inner.sender);
        Ok(Self::of(sender, schema, self.inner.creates_tables))
    }

    /// Creates the missing tables and the schema. Several instances may call this method
    /// simultaneously.
    ///
    /// # Errors
    /// Returns [`StoreError`]. The error is [`StoreError::Schema`] if a newer release has changed
    /// the tables incompatibly.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        in_time(NAME, self.inner.prepare(true)).await
    }
}

impl Inner {
    /// Checks once that this release supports the tables.
    async fn ready(self: &Arc<Self>) -> Result<(), Failure> {
        if self.tables.initialized() {
            return Ok(());
        }
        let prepared = self.tables.get_or_try_init(async || {
            self.upkeep.ensure(self);
            self.prepare(self.creates_tables).await
        });
        prepared.await.copied()
    }

    async fn prepare(&self, creates_tables: bool) -> Result<(), Failure> {
        let missing = || Failure::new(StoreError::Schema, "tables_missing");
        match schema::state(&self.sender, &self.statements).await? {
            Tables::Known => Ok(()),
            Tables::Newer => Err(Failure::new(StoreError::Schema, "tables_newer")),
            Tables::Missing if creates_tables => {
                schema::create(&self.sender.link, &self.schema).await?;
                match schema::state(&self.sender, &self.statements).await? {
                    Tables::Known => Ok(()),
                    Tables::Missing | Tables::Newer => Err(missing()),
                }
            }
            Tables::Missing => Err(missing()),
        }
    }

    async fn sweep(&self, limit: usize) -> Result<usize, Failure> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = || Values::default().with(limit);
        let answer = self.sender.send(&self.statements.sweep, values).await?;
        let removed: i64 = answer.number()?;
        Ok(usize::try_from(removed).unwrap_or_default())
    }
}

impl Fetch for Inner {
    fn reads(&self) -> &Reads {
        &self.reads
    }

    fn fetch<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Records, Failure>> {
        async move {
            let values = || {
                let keys: Vec<&[u8]> = keys.iter().map(Key::as_slice).collect();
                Values::default().with(keys)
            };
            let answer = self.sender.send(&self.statements.read, values).await?;
            Records::collect(answer.rows.iter().map(|row| record(row, [0, 1, 2])))
        }
        .boxed()
    }
}

impl Tidy for Inner {
    fn tidy(&self) -> BoxFuture<'_, ()> {
        async {
            self.sender.link.close_unused_for(UNUSED_LIMIT);
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

/// `Debug` shows no connection settings.
impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

/// Reads the key, the version and the body of a record from these columns.
fn record(row: &PgRow, [key, version, body]: [usize; 3]) -> Result<(Key, Entry), Failure> {
    let key: &[u8] = row.try_get(key)?;
    let key = key.try_into().map_err(|_| Failure::damaged())?;
    Ok((key, entry(row.try_get(version)?, row.try_get(body)?)))
}
