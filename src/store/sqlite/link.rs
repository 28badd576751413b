//! Connections to the file: one writing connection and some reading connections.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::TryFutureExt as _;
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::file;
use crate::store::{
    StoreError,
    sql::{BUSY_LIMIT, Connections, Failure, Place},
};

/// Maximum number of reading connections: one connection for the reads of requests, and one for
/// lists.
const READERS: usize = 2;
/// Number of rows that a connection's thread buffers before it waits.
const ROW_BUFFER: usize = 4096;
/// Pause between two attempts to open a file that another process is creating.
const OPENING_PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Link {
    path: PathBuf,
    writing: SqliteConnectOptions,
    reading: SqliteConnectOptions,
    writer: Connections<SqliteConnection>,
    readers: Connections<SqliteConnection>,
}

/// Reading connection.
pub(super) struct Reader<'a> {
    place: Place<'a, SqliteConnection>,
    pub(super) connection: SqliteConnection,
}

/// Transaction that holds the file's write lock. Dropping the transaction closes the connection
/// without a commit.
pub(super) struct Writer<'a> {
    place: Place<'a, SqliteConnection>,
    pub(super) connection: SqliteConnection,
}

impl Link {
    pub(super) fn new(path: PathBuf) -> Self {
        let reading = SqliteConnectOptions::new()
            .filename(&path)
            .busy_timeout(BUSY_LIMIT)
            .row_buffer_size(ROW_BUFFER)
            .disable_statement_logging();
        let writing = reading
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            // Without `synchronous = FULL`, a power failure loses the last commits.
            .synchronous(SqliteSynchronous::Full)
            // Without `secure_delete`, deleted data stays in the file.
            .pragma("secure_delete", "ON");
        Self {
            path,
            writing,
            reading,
            writer: Connections::new(1),
            readers: Connections::new(READERS),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn reader(&self) -> Result<Reader<'_>, Failure> {
        let place = self.readers.place().await;
        let place = place.ok_or_else(Failure::no_connection)?;
        let connection = match place.reuse() {
            Some((connection, _)) => connection,
            None => open(&self.path, &self.reading).await?,
        };
        Ok(Reader { place, connection })
    }

    /// Begins a transaction, and waits for the write lock. If a transaction acquired the lock only
    /// at its first write, it would fail after another process has written.
    pub(super) async fn writer(&self) -> Result<Writer<'_>, Failure> {
        let place = self.writer.place().await;
        let place = place.ok_or_else(Failure::no_connection)?;
        let mut connection = match place.reuse() {
            Some((connection, _)) => connection,
            None => open(&self.path, &self.writing).await?,
        };
        match connection.execute("BEGIN IMMEDIATE").await {
            Ok(_) => Ok(Writer { place, connection }),
            Err(error) => {
                let failure = Failure::from(error);
                if failure.error == StoreError::Busy {
                    place.give_back(connection);
                }
                Err(failure)
            }
        }
    }

    /// Closes the connections that have been idle for `limit`.
    pub(super) fn close_unused_for(&self, limit: Duration) {
        self.writer.close_unused_for(limit);
        self.readers.close_unused_for(limit);
    }
}

/// Opens a connection. Retries, because SQLite does not wait for a process that changes the journal
/// mode.
#[expect(
    clippy::disallowed_methods,
    reason = "SQLite has no notification to wait for; the operation's time limit ends the loop"
)]
async fn open(path: &Path, options: &SqliteConnectOptions) -> Result<SqliteConnection, Failure> {
    loop {
        let opened = SqliteConnection::connect_with(options).map_err(Failure::from);
        match opened.await {
            Err(failure) if failure.error == StoreError::Busy => {
                tokio::time::sleep(OPENING_PAUSE).await;
            }
            Err(failure) if failure.error == StoreError::Unreachable => {
                return Err(file::explain(path, failure).await);
            }
            opened => return opened,
        }
    }
}

impl Reader<'_> {
    pub(super) fn give_back(self) {
        self.place.give_back(self.connection);
    }
}

impl Writer<'_> {
    pub(super) async fn commit(self) -> Result<(), Failure> {
        self.finish("COMMIT").await
    }

    pub(super) async fn roll_back(self) -> Result<(), Failure> {
        self.finish("ROLLBACK").await
    }

    async fn finish(mut self, statement: &str) -> Result<(), Failure> {
        self.connection.execute(statement).await?;
        self.place.give_back(self.connection);
        Ok(())
    }
}
