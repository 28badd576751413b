//! Connections to the database: the store's own connections, or connections from the app's pool.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgConnection, PgPool, Postgres, Row as _,
    error::DatabaseError, pool::PoolConnection, postgres::PgConnectOptions,
};
use tokio::time::timeout;

use crate::store::{
    StoreError,
    sql::{BUSY_LIMIT, Connections, Failure, Place},
};

/// Default maximum number of connections.
pub(super) const MAX_CONNECTIONS: usize = 10;
/// Idle time after which a connection is tested before reuse, because a firewall may have dropped
/// it.
const TESTED_AFTER: Duration = Duration::from_secs(30);
/// Time limit for testing an idle connection.
const TEST_LIMIT: Duration = Duration::from_secs(1);

/// Source of connections.
pub(super) enum Link {
    Own(Box<Own>),
    Pool(PgPool),
}

/// Connections opened by this store.
pub(super) struct Own {
    /// Options that a server accepts and a pooler rejects.
    direct: PgConnectOptions,
    plain: PgConnectOptions,
    /// Whether the store has detected a pooler between the store and the server.
    is_pooled: AtomicBool,
    connections: Connections<PgConnection>,
}

/// Connection in use.
pub(super) enum Held<'a> {
    Own(Place<'a, PgConnection>, PgConnection),
    Pool(PoolConnection<Postgres>),
}

impl Link {
    pub(super) fn own(options: PgConnectOptions, max_connections: usize) -> Self {
        let name = options
            .get_application_name()
            .unwrap_or("kycport")
            .to_owned();
        let plain = options
            .application_name(&name)
            // A pooler rejects this setting for floats, and the store uses no floats.
            .extra_float_digits(None)
            .disable_statement_logging();
        let direct = plain.clone().options([
            ("kycport.direct", "1"),
            // The space within the value needs an escape.
            ("default_transaction_isolation", "read\\ committed"),
        ]);
        Self::Own(Box::new(Own {
            direct,
            plain,
            is_pooled: AtomicBool::new(false),
            connections: Connections::new(max_connections),
        }))
    }

    pub(super) async fn connection(&self) -> Result<Held<'_>, Failure> {
        match self {
            Self::Own(own) => own.connection().await,
            Self::Pool(pool) => {
                let connection = timeout(BUSY_LIMIT, pool.acquire()).await;
                let connection = connection.map_err(|_| Failure::no_connection())?;
                Ok(Held::Pool(connection?))
            }
        }
    }

    /// Returns whether the store has detected a pooler on this connection.
    pub(super) fn is_pooled(&self) -> bool {
        matches!(self, Self::Own(own) if own.is_pooled.load(Ordering::Relaxed))
    }

    /// Closes all idle connections.
    pub(super) fn close_idle(&self) {
        if let Self::Own(own) = self {
            own.connections.close_unused_for(Duration::ZERO);
        }
    }

    /// Closes connections that have been idle for `limit`.
    pub(super) fn close_unused_for(&self, limit: Duration) {
        if let Self::Own(own) = self {
            own.connections.close_unused_for(limit);
        }
    }
}

impl Own {
    async fn connection(&self) -> Result<Held<'_>, Failure> {
        let Some(place) = self.connections.place().await else {
            return Err(Failure::no_connection());
        };
        while let Some((mut connection, idle_for)) = place.reuse() {
            if idle_for < TESTED_AFTER {
                return Ok(Held::Own(place, connection));
            }
            if matches!(timeout(TEST_LIMIT, connection.ping()).await, Ok(Ok(()))) {
                return Ok(Held::Own(place, connection));
            }
        }
        let connection = self.connect().await?;
        Ok(Held::Own(place, connection))
    }

    async fn connect(&self) -> Result<PgConnection, Failure> {
        if !self.is_pooled.load(Ordering::Relaxed) {
            match PgConnection::connect_with(&self.direct).await {
                Ok(connection) => return self.examined(connection).await,
                Err(error) if is_of_pooler(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let connection = PgConnection::connect_with(&self.plain).await?;
        self.is_pooled.store(true, Ordering::Relaxed);
        Ok(connection)
    }

    /// Detects a pooler: a server keeps this setting, and a pooler ignores it.
    async fn examined(&self, mut connection: PgConnection) -> Result<PgConnection, Failure> {
        let question = "SELECT pg_catalog.current_setting('kycport.direct', true), \
                        pg_catalog.pg_is_in_recovery()";
        let row = connection.fetch_one(question).await?;
        let direct: Option<String> = row.try_get(0)?;
        let is_replica: bool = row.try_get(1)?;
        if direct.as_deref() != Some("1") {
            self.is_pooled.store(true, Ordering::Relaxed);
        } else if is_replica {
            return Err(Failure::new(StoreError::ReadOnly, "replica"));
        }
        Ok(connection)
    }
}

/// Returns whether the server or a pooler rejected the connection settings.
fn is_of_pooler(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    matches!(code.as_deref(), Some("08P01" | "0A000"))
}

impl Held<'_> {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Own(_, connection) => connection,
            Self::Pool(connection) => connection,
        }
    }

    /// Returns the connection for reuse. Without this call, dropping the value closes the store's
    /// own connection.
    pub(super) fn give_back(self) {
        if let Self::Own(place, connection) = self {
            place.give_back(connection);
        }
    }
}
