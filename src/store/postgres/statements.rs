//! SQL statements, and the sender of statements.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::Arguments as _;
use sqlx::{
    Connection as _, Executor as _, PgConnection,
    encode::Encode,
    error::BoxDynError,
    postgres::{PgArguments, PgRow, Postgres},
    types::Type,
};

use super::{link::Link, remedy::Remedy, url::Schema};
use crate::store::sql::Failure;

/// Maximum number of attempts to execute one statement.
const ATTEMPTS: usize = 3;

/// Statement with two texts that differ by a space. For each connection, sqlx remembers the name of
/// each prepared text. The second text is never prepared under a name.
pub(super) struct Statement {
    named: String,
    unnamed: String,
}

impl Statement {
    fn new(schema: &Schema, sql: &str) -> Self {
        let named = schema.qualify(sql);
        let unnamed = format!("{named} ");
        Self { named, unnamed }
    }

    /// Returns the text that is never prepared under a name.
    pub(super) fn unnamed(&self) -> &str {
        &self.unnamed
    }
}

/// All statements for the tables of one schema.
pub(super) struct Statements {
    pub(super) read: Statement,
    pub(super) list: Statement,
    pub(super) write: Statement,
    pub(super) revoke: Statement,
    pub(super) acquire: Statement,
    pub(super) settle: Statement,
    pub(super) sweep: Statement,
    pub(super) version: Statement,
}

impl Statements {
    pub(super) fn new(schema: &Schema) -> Self {
        let statement = |sql| Statement::new(schema, sql);
        Self {
            read: statement(
                "SELECT key, version, body FROM public.kycport_records \
                 WHERE key = ANY ($1) AND expires_at > statement_timestamp()",
            ),
            list: statement(
                "SELECT key, version, body FROM public.kycport_records \
                 WHERE key > $1 AND key < $2 AND expires_at > statement_timestamp() \
                 ORDER BY key LIMIT $3",
            ),
            write: statement(
                "SELECT * FROM public.kycport_write_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            ),
            revoke: statement("SELECT public.kycport_revoke_1($1, $2, $3, $4, $5)"),
            acquire: statement("SELECT * FROM public.kycport_acquire_1($1, $2, $3, $4)"),
            settle: statement("SELECT public.kycport_settle_1($1, $2, $3, $4, $5, $6)"),
            // The statement skips rows that another transaction has locked. `statement_timestamp()`
            // is constant during the statement, so Postgres can search the index.
            sweep: statement(
                "WITH records AS (DELETE FROM public.kycport_records WHERE key = ANY (ARRAY( \
                     SELECT key FROM public.kycport_records \
                     WHERE expires_at <= statement_timestamp() \
                     ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)) RETURNING 1), \
                 leases AS (DELETE FROM public.kycport_leases WHERE key = ANY (ARRAY( \
                     SELECT key FROM public.kycport_leases \
                     WHERE expires_at <= statement_timestamp() \
                     ORDER BY expires_at LIMIT $1 - (SELECT count(*) FROM records) \
                     FOR UPDATE SKIP LOCKED)) RETURNING 1) \
                 SELECT (SELECT count(*) FROM records) + (SELECT count(*) FROM leases)",
            ),
            version: statement("SELECT version, compatible_with FROM public.kycport_schema"),
        }
    }
}

/// Values of a statement, in the order of its parameters.
#[derive(Default)]
pub(super) struct Values {
    arguments: PgArguments,
    error: Option<BoxDynError>,
}

impl Values {
    pub(super) fn with<'q, T>(mut self, value: T) -> Self
    where
        T: Encode<'q, Postgres> + Type<Postgres> + 'q,
    {
        if let Err(error) = self.arguments.add(value) {
            self.error = Some(error);
        }
        self
    }

    pub(super) fn finish(self) -> sqlx::Result<PgArguments> {
        match self.error {
            Some(error) => Err(sqlx::Error::Encode(error)),
            None => Ok(self.arguments),
        }
    }
}

/// Result of a statement.
pub(super) struct Answer {
    pub(super) rows: Vec<PgRow>,
    /// Whether an earlier attempt of the statement may have taken effect.
    pub(super) is_repeated: bool,
}

/// Sender of statements. The sender repeats a statement after some failures, because all statements
/// of this store can be repeated.
pub(super) struct Sender {
    pub(super) link: Link,
    /// Whether the store sends each statement without a name and in a separate transaction.
    is_unnamed: AtomicBool,
}

impl Sender {
    pub(super) fn new(link: Link) -> Self {
        Self {
            link,
            is_unnamed: AtomicBool::new(false),
        }
    }

    /// Sends a statement. `values` creates the values for each attempt.
    pub(super) async fn send(
        &self,
        statement: &Statement,
        values: impl Fn() -> Values + Send + Sync,
    ) -> Result<Answer, Failure> {
        let mut attempt = 1;
        loop {
            let mut held = self.link.connection().await?;
            let is_unnamed = self.is_unnamed.load(Ordering::Relaxed) || self.link.is_pooled();
            let arguments = values().finish()?;
            let connection = held.connection();
            let result = if is_unnamed {
                unnamed(connection, statement, arguments).await
            } else {
                sqlx::query_with(&statement.named, arguments)
                    .fetch_all(connection)
                    .await
            };
            let error = match result {
                Ok(rows) => {
                    held.give_back();
                    let is_repeated = attempt > 1;
                    return Ok(Answer { rows, is_repeated });
                }
                Err(error) => error,
            };
            let remedy = Remedy::of(&error);
            match remedy {
                Remedy::Keep | Remedy::Repeat if !is_unnamed => held.give_back(),
                _ => drop(held),
            }
            let helps = match remedy {
                Remedy::Keep | Remedy::Close => false,
                Remedy::Repeat => true,
                Remedy::Reconnect => {
                    self.link.close_idle();
                    true
                }
                Remedy::Unname => {
                    self.is_unnamed.store(true, Ordering::Relaxed);
                    self.link.close_idle();
                    !is_unnamed
                }
            };
            if !helps || attempt >= ATTEMPTS {
                return Err(error.into());
            }
            attempt = attempt.saturating_add(1);
        }
    }
}

/// Sends a statement in a transaction. A pooler keeps a transaction on one server, so the server
/// that executes the statement has also prepared it.
async fn unnamed(
    connection: &mut PgConnection,
    statement: &Statement,
    arguments: PgArguments,
) -> sqlx::Result<Vec<PgRow>> {
    let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
    let mut transaction = connection.begin_with(begin).await?;
    let query = sqlx::query_with(&statement.unnamed, arguments).persistent(false);
    let rows = transaction.fetch_all(query).await?;
    transaction.commit().await?;
    Ok(rows)
}
