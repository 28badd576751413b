//! A cache in Postgres.

use std::{
    fmt::{self, Debug},
    time::Duration,
};

use async_trait::async_trait;
use sqlx::PgPool;

use super::{
    shared::{RETENTION, SWAPS, in_time, merged, read, written},
    store::{AssuranceCache, CacheUnavailable, PersonKey},
};
use crate::{backend::millis, kyc::assurance::Assurance};

const GET: &str = "
SELECT assurance FROM kycport_assurances
WHERE person = $1 AND keep_until > clock_timestamp()";

/// Where nothing is kept, or nothing that need be.
const INSERT: &str = "
INSERT INTO kycport_assurances AS kept (person, assurance, keep_until)
VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 millisecond')
ON CONFLICT (person) DO UPDATE
SET assurance = excluded.assurance, keep_until = excluded.keep_until
WHERE kept.keep_until <= clock_timestamp()";

/// Where what is kept is what was seen.
const UPDATE: &str = "
UPDATE kycport_assurances
SET assurance = $2, keep_until = clock_timestamp() + $3::bigint * interval '1 millisecond'
WHERE person = $1 AND assurance = $4";

const FORGET: &str = "DELETE FROM kycport_assurances WHERE person = $1";

/// Some of the rows that may go, but for those that somebody is at. The time is the statement's:
/// compared with a clock that moves on meanwhile, every row would have to be looked at.
const SWEEP: &str = "
DELETE FROM kycport_assurances WHERE person IN (
    SELECT person FROM kycport_assurances
    WHERE keep_until <= statement_timestamp()
    ORDER BY keep_until LIMIT 100 FOR UPDATE SKIP LOCKED
)";

/// A cache in Postgres, for any number of instances.
///
/// The table `kycport_assurances` comes from [`migrate`](Self::migrate) or from
/// [`MIGRATION`](Self::MIGRATION). An operation that takes longer than 5 s is
/// [not available](CacheUnavailable); a guard waits 1 s for it and then asks KYCPort. A key is a hash, which names nobody,
/// and its row goes when nothing was heard of the person for 30 days.
#[derive(Clone)]
pub struct PostgresAssuranceCache {
    pool: PgPool,
    retention: Duration,
}

impl PostgresAssuranceCache {
    /// The statements that make the table, for whoever runs migrations of their own. They may be
    /// run again.
    pub const MIGRATION: &str = include_str!("postgres.sql");

    /// A cache in the database of `pool`, of `sqlx` 0.8.
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            retention: RETENTION,
        }
    }

    /// How long a person is kept of whom nothing more is heard: 30 days. It must be longer than
    /// [the session lives and an assurance is acted on](crate::ConfigBuilder::session_limits), or
    /// old good news outlives newer bad news.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Makes the table, if it is not there. Several instances may do so at once.
    ///
    /// # Errors
    /// [`CacheUnavailable`].
    pub async fn migrate(&self) -> Result<(), CacheUnavailable> {
        in_time(sqlx::raw_sql(Self::MIGRATION).execute(&self.pool)).await?;
        Ok(())
    }

    /// Deletes up to 100 persons who need not be kept any more, and says how many they were. Every
    /// new person does so too: there is nothing to schedule.
    ///
    /// # Errors
    /// [`CacheUnavailable`].
    pub async fn sweep(&self) -> Result<u64, CacheUnavailable> {
        let swept = in_time(sqlx::query(SWEEP).execute(&self.pool)).await?;
        Ok(swept.rows_affected())
    }

    async fn kept(&self, person: &str) -> Result<Option<String>, CacheUnavailable> {
        let get = sqlx::query_scalar(GET).bind(person);
        in_time(get.fetch_optional(&self.pool)).await
    }
}

/// Shows nothing of the connection.
impl Debug for PostgresAssuranceCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresAssuranceCache")
    }
}

#[async_trait]
impl AssuranceCache for PostgresAssuranceCache {
    async fn get(&self, person: &PersonKey) -> Result<Option<Assurance>, CacheUnavailable> {
        let kept = self.kept(&person.hashed()).await?;
        Ok(kept.as_deref().and_then(read))
    }

    async fn put(&self, person: &PersonKey, assurance: Assurance) -> Result<(), CacheUnavailable> {
        let person = person.hashed();
        for _ in 0..SWAPS {
            let kept = self.kept(&person).await?;
            let Some(believed) = merged(kept.as_deref(), &assurance) else {
                return Ok(());
            };
            let swap = sqlx::query(if kept.is_some() { UPDATE } else { INSERT })
                .bind(&person)
                .bind(written(&believed)?)
                .bind(millis(self.retention));
            let swap = match &kept {
                Some(kept) => swap.bind(kept),
                None => swap,
            };
            let swapped = in_time(swap.execute(&self.pool)).await?;
            if swapped.rows_affected() == 1 {
                if kept.is_none() {
                    // That is logged, and what is kept is kept.
                    let _ = self.sweep().await;
                }
                return Ok(());
            }
        }
        Err(CacheUnavailable)
    }

    async fn forget(&self, person: &PersonKey) -> Result<(), CacheUnavailable> {
        let query = sqlx::query(FORGET).bind(person.hashed());
        in_time(query.execute(&self.pool)).await?;
        Ok(())
    }
}
