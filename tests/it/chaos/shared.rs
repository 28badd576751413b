//! Store that the instances share, and its outages.

use std::time::{Duration, Instant};

use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use super::{
    ledger::{After, Count},
    pass,
    users::Scenario,
};
use crate::{servers::Server, sqlite_file::SqliteFile};

/// Engine of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreEngine {
    Redis,
    Postgres,
    /// A single file that both instances open.
    Sqlite,
}

/// Shared store. Dropping this value removes the store.
pub(crate) enum Shared {
    Server(Server),
    File(SqliteFile),
}

impl Shared {
    /// Starts the server. Returns `None` if the server is not installed. The server acknowledges a
    /// write after the write is on disk.
    pub(crate) fn start(engine: StoreEngine) -> Option<Self> {
        match engine {
            StoreEngine::Redis => Server::lasting_redis().map(Self::Server),
            StoreEngine::Postgres => Server::lasting_postgres_on_disk().map(Self::Server),
            StoreEngine::Sqlite => Some(Self::File(SqliteFile::new())),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Server(server) => server.url(),
            Self::File(file) => file.url(),
        }
    }

    /// Makes the store unavailable for some time. The test kills and restarts a server, or locks a
    /// file against writes.
    #[expect(clippy::disallowed_methods, reason = "the scenario runs in real time")]
    pub(crate) async fn interrupt(self, scenario: &Scenario, away: Duration) -> Self {
        let back = match self {
            Self::Server(server) => Self::Server(killed(server, away).await),
            Self::File(file) => {
                locked(&file, away).await;
                Self::File(file)
            }
        };
        scenario.ledger.start_wait(After::Store, Instant::now());
        scenario.ledger.count(Count::StoreOutages);
        back
    }
}

async fn killed(mut server: Server, away: Duration) -> Server {
    let stopped = tokio::task::spawn_blocking(move || {
        server.stop();
        server
    });
    let mut server = stopped.await.unwrap();
    pass(away).await;
    let started = tokio::task::spawn_blocking(move || {
        server.start_again();
        server
    });
    started.await.unwrap()
}

async fn locked(file: &SqliteFile, away: Duration) {
    let options = SqliteConnectOptions::new().filename(file.path());
    let mut other = options.connect().await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    pass(away).await;
    lock.rollback().await.unwrap();
}
