//! A replay store in Postgres.

use std::{
    fmt::{self, Debug},
    time::Duration,
};

use async_trait::async_trait;
use sqlx::{PgConnection, PgPool, Postgres, Row as _, Transaction};

use super::{
    claim::Claim,
    shared::{LATE, in_time, left},
    store::{Begun, LeaseToken, ReplayStore, ReplayStoreUnavailable, Settled},
};
use crate::{backend::millis, webhook::event::EventKey};

/// Inserts, or takes over what has ended; a row comes back if either happened. Done is what has no
/// lease.
const TAKE: &str = "
INSERT INTO kycport_webhook_events AS held (key, token, lease_until, keep_until)
VALUES (
    $1, $2,
    clock_timestamp() + $3::bigint * interval '1 millisecond',
    clock_timestamp() + $4::bigint * interval '1 millisecond'
)
ON CONFLICT (key) DO UPDATE
SET token = excluded.token, lease_until = excluded.lease_until, keep_until = excluded.keep_until
WHERE held.keep_until <= clock_timestamp() OR held.lease_until <= clock_timestamp()
RETURNING key";

/// The milliseconds that are left of a lease; null if the event is done.
const LEFT: &str = "
SELECT ceil(extract(epoch FROM lease_until - clock_timestamp()) * 1000)::bigint
FROM kycport_webhook_events WHERE key = $1";

const COMPLETE: &str = "
UPDATE kycport_webhook_events
SET lease_until = NULL, keep_until = clock_timestamp() + $3::bigint * interval '1 millisecond'
WHERE key = $1 AND token = $2";

const RELEASE: &str = "
DELETE FROM kycport_webhook_events
WHERE key = $1 AND token = $2 AND lease_until IS NOT NULL";

/// Some of the rows that may go, but for those that somebody is at. The time is the statement's:
/// compared with a clock that moves on meanwhile, every row would have to be looked at.
const SWEEP: &str = "
DELETE FROM kycport_webhook_events WHERE key IN (
    SELECT key FROM kycport_webhook_events
    WHERE keep_until <= statement_timestamp()
    ORDER BY keep_until LIMIT 100 FOR UPDATE SKIP LOCKED
)";

/// How often an event that vanishes between two looks is looked for again.
const LOOKS: u32 = 3;

/// A replay store in Postgres, for any number of instances. Leases and retention run on the
/// server's clock; each step is one statement.
///
/// It can do more than the others: [`complete_in`](Self::complete_in) and
/// [`claim_in`](Self::claim_in) join the transaction in which the handler writes, so that the event
/// is done if, and only if, its effect is there.
///
/// The table `kycport_webhook_events` comes from [`migrate`](Self::migrate) or from
/// [`MIGRATION`](Self::MIGRATION). An operation that takes longer than 5 s is
/// [not available](ReplayStoreUnavailable).
#[derive(Clone)]
pub struct PostgresReplayStore {
    pool: PgPool,
}

impl PostgresReplayStore {
    /// The statements that make the table, for whoever runs migrations of their own. They may be
    /// run again.
    pub const MIGRATION: &str = include_str!("postgres.sql");

    /// A store in the database of `pool`, of `sqlx` 0.8.
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Makes the table, if it is not there. Several instances may do so at once.
    ///
    /// # Errors
    /// [`ReplayStoreUnavailable`].
    pub async fn migrate(&self) -> Result<(), ReplayStoreUnavailable> {
        in_time(sqlx::raw_sql(Self::MIGRATION).execute(&self.pool)).await?;
        Ok(())
    }

    /// Deletes up to 100 events that need not be remembered any more, and says how many they were.
    /// Every completion does so too: there is nothing to schedule.
    ///
    /// # Errors
    /// [`ReplayStoreUnavailable`].
    pub async fn sweep(&self) -> Result<u64, ReplayStoreUnavailable> {
        let swept = in_time(sqlx::query(SWEEP).execute(&self.pool)).await?;
        Ok(swept.rows_affected())
    }

    /// As [`complete`](ReplayStore::complete), in the handler's own transaction: the event is done
    /// when that commits, together with its effect. On [`Settled::Lost`] somebody else has the
    /// event: roll back. Who completes it once more afterwards, as the receiver does, changes
    /// nothing.
    ///
    /// # Errors
    /// [`ReplayStoreUnavailable`]: roll back.
    pub async fn complete_in(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        claim: &Claim,
    ) -> Result<Settled, ReplayStoreUnavailable> {
        let completed = complete(transaction, claim.key(), claim.token(), claim.retention());
        in_time(completed).await
    }

    /// Begins and completes in the handler's own transaction, without a lease, as a consumer of a
    /// queue can: on [`Begun::Acquired`] write the effect and commit, or roll back and leave the
    /// event to the next. Whoever comes meanwhile waits for the end of the transaction.
    ///
    /// # Errors
    /// [`ReplayStoreUnavailable`]: roll back. It is also the answer if the other's transaction
    /// takes longer than 5 s, or if the isolation is stricter than `READ COMMITTED` and another was
    /// first.
    pub async fn claim_in(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        key: &EventKey,
        retention: Duration,
    ) -> Result<Begun, ReplayStoreUnavailable> {
        in_time(take(transaction, key, None, millis(retention))).await
    }
}

/// Shows nothing of the connection.
impl Debug for PostgresReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresReplayStore")
    }
}

#[async_trait]
impl ReplayStore for PostgresReplayStore {
    async fn begin(
        &self,
        key: &EventKey,
        lease: Duration,
    ) -> Result<Begun, ReplayStoreUnavailable> {
        let begun = async {
            let mut connection = self.pool.acquire().await?;
            let keep = millis(lease.saturating_add(LATE));
            take(&mut connection, key, Some(millis(lease)), keep).await
        };
        in_time(begun).await
    }

    async fn complete(
        &self,
        key: &EventKey,
        token: &LeaseToken,
        retention: Duration,
    ) -> Result<Settled, ReplayStoreUnavailable> {
        let completed = async {
            let mut connection = self.pool.acquire().await?;
            complete(&mut connection, key, token, retention).await
        };
        let settled = in_time(completed).await?;
        // That is logged, and the completion stands.
        let _ = self.sweep().await;
        Ok(settled)
    }

    async fn release(
        &self,
        key: &EventKey,
        token: &LeaseToken,
    ) -> Result<Settled, ReplayStoreUnavailable> {
        let query = sqlx::query(RELEASE).bind(key.as_str()).bind(token.as_str());
        let released = in_time(query.execute(&self.pool)).await?;
        Ok(settled(released.rows_affected()))
    }
}

/// Without a lease it is done at once.
async fn take(
    connection: &mut PgConnection,
    key: &EventKey,
    lease: Option<i64>,
    keep: i64,
) -> sqlx::Result<Begun> {
    let token = LeaseToken::random();
    for _ in 0..LOOKS {
        let taken = sqlx::query(TAKE)
            .bind(key.as_str())
            .bind(token.as_str())
            .bind(lease)
            .bind(keep)
            .fetch_optional(&mut *connection)
            .await?;
        if taken.is_some() {
            return Ok(Begun::Acquired(token));
        }
        let held = sqlx::query(LEFT)
            .bind(key.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(row) = held {
            let millis: Option<i64> = row.try_get(0)?;
            return Ok(millis.map_or(Begun::Done, |millis| Begun::InFlight(left(millis))));
        }
    }
    // It is released as fast as it is taken: somebody is at it.
    Ok(Begun::InFlight(left(0)))
}

async fn complete(
    connection: &mut PgConnection,
    key: &EventKey,
    token: &LeaseToken,
    retention: Duration,
) -> sqlx::Result<Settled> {
    let completed = sqlx::query(COMPLETE)
        .bind(key.as_str())
        .bind(token.as_str())
        .bind(millis(retention))
        .execute(connection)
        .await?;
    Ok(settled(completed.rows_affected()))
}

fn settled(rows: u64) -> Settled {
    if rows == 1 {
        Settled::Applied
    } else {
        Settled::Lost
    }
}
