//! The store that the instances share, and its outages.

use std::time::{Duration, Instant};

use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use super::{
    ledger::{After, Count},
    pass,
    people::Town,
};
use crate::{servers::Server, sqlite_file::SqliteFile};

/// Engine of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Redis,
    Postgres,
    /// One file, which both instances open.
    Sqlite,
}

/// The store, until it is dropped.
pub(crate) enum Shared {
    Server(Server),
    File(SqliteFile),
}

impl Shared {
    /// Starts the server; `None` if it is not installed here. What it acknowledges is on the disk.
    pub(crate) fn start(kept: Kept) -> Option<Self> {
        match kept {
            Kept::Redis => Server::lasting_redis().map(Self::Server),
            Kept::Postgres => Server::lasting_postgres_on_disk().map(Self::Server),
            Kept::Sqlite => Some(Self::File(SqliteFile::new())),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Server(server) => server.url(),
            Self::File(file) => file.url(),
        }
    }

    /// Takes the store away for some time: a server is killed and started again, and a file is
    /// locked for writes.
    #[expect(clippy::disallowed_methods, reason = "it measures real time")]
    pub(crate) async fn goes_away(self, town: &Town, away: Duration) -> Self {
        let back = match self {
            Self::Server(server) => Self::Server(killed(server, away).await),
            Self::File(file) => {
                locked(&file, away).await;
                Self::File(file)
            }
        };
        town.ledger.waits(After::Store, Instant::now());
        town.ledger.count(Count::StoreOutages);
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
