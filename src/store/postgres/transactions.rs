//! Settlement of leases in a transaction of the app.

use futures_util::FutureExt as _;
use rand::RngExt as _;
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

use super::{NAME, PostgresStore, operations::settle_values, statements::Answer};
use crate::store::{
    LeaseKey, LeaseToken, SettleIn, Settlement, StoreError, StoreFuture,
    sql::{Failure, in_time},
};

impl PostgresStore {
    /// Completes, releases or extends a lease in a transaction of the app,
    /// like [`Store::settle`](crate::store::Store::settle). The settlement takes effect when the
    /// transaction commits, together with the transaction's other writes.
    ///
    /// If the result is `false`, another token holds the lease: roll the transaction back. Until
    /// the transaction ends, other callers cannot acquire the lease. The connection must belong to
    /// the database of this store, which [`is_database_of`](Self::is_database_of) checks.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the statement fails. Postgres then rejects every further statement
    /// of the transaction: roll the transaction back.
    pub async fn settle_in(
        &self,
        connection: &mut PgConnection,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> Result<bool, StoreError> {
        in_time(NAME, async {
            let arguments = settle_values(key, token, &settlement).finish()?;
            // A named statement would remain on the server. Behind a pooler, the next client of the
            // server would find this statement.
            let statement = self.inner.statements.settle.unnamed();
            let query = sqlx::query_with(statement, arguments).persistent(false);
            let rows = connection.fetch_all(query).await?;
            let answer = Answer {
                rows,
                is_repeated: false,
            };
            Ok(answer.number()? == 1)
        })
        .await
    }

    /// Returns whether a connection belongs to the database of this store.
    ///
    /// The store takes an advisory lock with a random number, and the connection tries to take this
    /// lock. An advisory lock belongs to one database of one server. Advisory locks need no
    /// permissions.
    ///
    /// # Errors
    /// Returns [`StoreError`].
    pub async fn is_database_of(&self, connection: &mut PgConnection) -> Result<bool, StoreError> {
        let lock: i64 = rand::rng().random();
        in_time(NAME, async {
            let mut held = self.inner.sender.link.connection().await?;
            let mut transaction = held.connection().begin().await?;
            let sql = format!("SELECT pg_catalog.pg_advisory_xact_lock({lock})");
            transaction.execute(&*sql).await?;
            let sql = format!("SELECT pg_catalog.pg_try_advisory_xact_lock({lock})");
            let is_free: bool = connection.fetch_one(&*sql).await?.try_get(0)?;
            transaction.rollback().await?;
            held.give_back();
            Ok::<_, Failure>(!is_free)
        })
        .await
    }
}

impl SettleIn<PgConnection> for PostgresStore {
    fn settle_in<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool> {
        Self::settle_in(self, connection, key, token, settlement).boxed()
    }
}
