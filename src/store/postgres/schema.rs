//! Creation and version of the tables.

use sqlx::{Executor as _, Row as _};

use super::{
    link::Link,
    statements::{Sender, Statements, Values},
    url::Schema,
};
use crate::store::{StoreError, sql::Failure};

/// Creates the tables in the schema `public`.
pub(super) const MIGRATION: &str = include_str!("migration.sql");
/// Version of the tables that this release creates and supports.
const VERSION: i64 = 1;

/// State of the store's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tables {
    Missing,
    Known,
    /// A newer release has changed the tables incompatibly.
    Newer,
}

/// Returns the statements that create a missing schema and the tables in the schema.
pub(super) fn migration(schema: &Schema) -> String {
    if *schema == Schema::PUBLIC {
        return MIGRATION.to_owned();
    }
    // The role needs the permission to create a schema only if the schema is missing.
    let name = schema.name();
    let creation = format!(
        "DO $$ BEGIN\n\
         \x20   IF pg_catalog.to_regnamespace('\"{name}\"') IS NULL THEN\n\
         \x20       CREATE SCHEMA \"{name}\";\n\
         \x20   END IF;\n\
         END $$;\n"
    );
    let migration = schema.qualify(MIGRATION);
    // The first statement acquires the lock, so the schema is created after it.
    match migration.split_once(";\n") {
        Some((lock, tables)) => format!("{lock};\n{creation}{tables}"),
        None => migration,
    }
}

/// Creates missing tables. The server executes all statements as one transaction.
pub(super) async fn create(link: &Link, schema: &Schema) -> Result<(), Failure> {
    let mut held = link.connection().await?;
    held.connection().execute(&*migration(schema)).await?;
    held.give_back();
    Ok(())
}

/// Determines whether this release can use the tables.
pub(super) async fn state(sender: &Sender, statements: &Statements) -> Result<Tables, Failure> {
    let answer = sender.send(&statements.version, Values::default).await;
    let rows = match answer {
        Ok(answer) => answer.rows,
        Err(failure) if failure.error == StoreError::Schema => return Ok(Tables::Missing),
        Err(failure) => return Err(failure),
    };
    let Some(row) = rows.first() else {
        return Ok(Tables::Missing);
    };
    let (version, compatible_with): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(if compatible_with > VERSION {
        Tables::Newer
    } else if version < VERSION {
        Tables::Missing
    } else {
        Tables::Known
    })
}
