//! Failed operations.

use std::borrow::Cow;

use sqlx::error::DatabaseError;
use tokio::time::timeout;

use super::DEADLINE;
use crate::{observe, store::StoreError};

/// Failed operation: the error for the caller, and the engine's code for the log.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) error: StoreError,
    /// Code of the engine. The engine's text is omitted, because it may contain addresses and
    /// values.
    pub(crate) code: Cow<'static, str>,
}

impl Failure {
    pub(crate) fn new(error: StoreError, code: impl Into<Cow<'static, str>>) -> Self {
        Self {
            error,
            code: code.into(),
        }
    }

    /// A row does not have the format of this store.
    pub(crate) fn damaged() -> Self {
        Self::new(StoreError::Damaged, "decode")
    }

    /// All connections were in use until the time limit.
    pub(crate) fn no_connection() -> Self {
        Self::new(StoreError::Busy, "no_connection")
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => of_engine(&*error),
            sqlx::Error::Io(error) => Self::new(StoreError::Unreachable, error.kind().to_string()),
            sqlx::Error::Tls(_) => Self::new(StoreError::Unreachable, "tls"),
            sqlx::Error::PoolTimedOut => Self::no_connection(),
            sqlx::Error::PoolClosed => Self::new(StoreError::Unreachable, "pool_closed"),
            sqlx::Error::Protocol(_) => Self::new(StoreError::Failed, "protocol"),
            sqlx::Error::Configuration(_) => Self::new(StoreError::Failed, "configuration"),
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::RowNotFound
            | sqlx::Error::TypeNotFound { .. } => Self::damaged(),
            _ => Self::new(StoreError::Failed, "other"),
        }
    }
}

fn of_engine(error: &dyn DatabaseError) -> Failure {
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        let code = error.code();
        let is_code = code.len() == 5 && code.bytes().all(|it| it.is_ascii_alphanumeric());
        let logged = if is_code { code } else { "other" };
        return Failure::new(of_sqlstate(code), logged.to_owned());
    }
    #[cfg(feature = "sqlite")]
    if let Some(error) = error.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
        let code = error.code().and_then(|code| code.parse().ok());
        let code: i32 = code.unwrap_or_default();
        return Failure::new(of_result_code(code, error.message()), code.to_string());
    }
    // No engine feature is enabled, so this error cannot occur.
    let _ = error;
    Failure::new(StoreError::Failed, "other")
}

/// Converts a Postgres `SQLSTATE` to a [`StoreError`]. The first two of its five characters are the
/// class.
#[cfg(feature = "postgres")]
fn of_sqlstate(code: &str) -> StoreError {
    match code {
        "25006" => StoreError::ReadOnly,
        "42501" => StoreError::AccessDenied,
        "42P01" | "3F000" | "42883" | "42703" => StoreError::Schema,
        "53100" | "53200" => StoreError::Full,
        "53300" | "55P03" | "40001" | "40P01" => StoreError::Busy,
        "57014" => StoreError::Timeout,
        "57P03" => StoreError::Starting,
        // Either the server ended the session, or a pooler switched to another server. On the other
        // server, a prepared statement is missing, exists already, or is a different statement.
        "57P01" | "57P02" | "57P05" | "25P03" | "26000" | "42P05" => StoreError::Unreachable,
        "XX001" | "XX002" => StoreError::Damaged,
        _ if code.starts_with("08") => StoreError::Unreachable,
        _ if code.starts_with("28") => StoreError::AccessDenied,
        _ => StoreError::Failed,
    }
}

/// Converts a result code of SQLite to a [`StoreError`]. The lowest byte of a result code is the
/// primary code.
#[cfg(feature = "sqlite")]
fn of_result_code(code: i32, message: &str) -> StoreError {
    /// `SQLITE_IOERR_CORRUPTFS`
    const CORRUPT_FILE_SYSTEM: i32 = 8458;
    match code & 0xff {
        // SQLite reports a missing table with its general code. Only the text of the error shows
        // that a table is missing.
        1 if message.starts_with("no such ") => StoreError::Schema,
        3 | 23 => StoreError::AccessDenied,
        5 | 6 | 15 => StoreError::Busy,
        7 | 13 => StoreError::Full,
        8 => StoreError::ReadOnly,
        10 if code == CORRUPT_FILE_SYSTEM => StoreError::Damaged,
        11 | 26 => StoreError::Damaged,
        14 => StoreError::Unreachable,
        _ => StoreError::Failed,
    }
}

/// Limits the duration of an operation, and logs the code of its failure.
pub(crate) async fn in_time<T>(
    store: &'static str,
    operation: impl Future<Output = Result<T, Failure>>,
) -> Result<T, StoreError> {
    let failure = match timeout(DEADLINE, operation).await {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(failure)) => failure,
        Err(_) => Failure::new(StoreError::Timeout, "timeout"),
    };
    observe::backend_unavailable(store, &failure.code);
    Err(failure.error)
}

#[cfg(test)]
mod tests {
    use crate::store::StoreError;

    #[cfg(feature = "postgres")]
    #[test]
    fn postgres_error_codes_map_to_store_errors() {
        for (code, error) in [
            ("25006", StoreError::ReadOnly),
            ("28P01", StoreError::AccessDenied),
            ("28000", StoreError::AccessDenied),
            ("42501", StoreError::AccessDenied),
            ("42P01", StoreError::Schema),
            ("3F000", StoreError::Schema),
            ("42883", StoreError::Schema),
            ("53100", StoreError::Full),
            ("53200", StoreError::Full),
            ("53300", StoreError::Busy),
            ("55P03", StoreError::Busy),
            ("57P03", StoreError::Starting),
            ("57P01", StoreError::Unreachable),
            ("08006", StoreError::Unreachable),
            ("08P01", StoreError::Unreachable),
            ("57014", StoreError::Timeout),
            ("XX001", StoreError::Damaged),
            ("XX002", StoreError::Damaged),
            ("22012", StoreError::Failed),
        ] {
            assert_eq!(super::of_sqlstate(code), error, "{code}");
        }
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn sqlite_result_codes_map_to_store_errors() {
        for (code, error) in [
            (5, StoreError::Busy),
            (261, StoreError::Busy),
            (8, StoreError::ReadOnly),
            (1032, StoreError::ReadOnly),
            (13, StoreError::Full),
            (11, StoreError::Damaged),
            (26, StoreError::Damaged),
            (14, StoreError::Unreachable),
            (778, StoreError::Failed),
            (8458, StoreError::Damaged),
            (1, StoreError::Failed),
        ] {
            assert_eq!(super::of_result_code(code, "text"), error, "{code}");
        }
        let message = "no such table: kycport_records";
        assert_eq!(super::of_result_code(1, message), StoreError::Schema);
    }
}
