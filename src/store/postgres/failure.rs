//! What a failure of Postgres means for the caller, and for the connection.

use crate::store::{StoreError, sql};

pub(super) type Failure = sql::Failure<Remedy>;

/// What may help after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing. The connection works.
    Keep,
    /// Nothing. The connection is not used again.
    Close,
    /// The same statement once more on the same connection.
    Repeat,
    /// The same statement once more on a new connection: this one was broken.
    Reconnect,
    /// The same statement once more in a transaction, without a name: a pooler sends what belongs
    /// together to different servers, or the isolation level is another one.
    Unname,
}

pub(super) fn failure(error: StoreError, code: &str, remedy: Remedy) -> Failure {
    Failure {
        error,
        code: code.to_owned(),
        remedy,
    }
}

/// The answer is none that these statements have.
pub(super) fn damaged() -> Failure {
    failure(StoreError::Damaged, "decode", Remedy::Close)
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => by_code(&error.code().unwrap_or_default()),
            sqlx::Error::Io(error) => {
                let code = error.kind().to_string();
                failure(StoreError::Unreachable, &code, Remedy::Reconnect)
            }
            sqlx::Error::Tls(_) => failure(StoreError::Unreachable, "tls", Remedy::Close),
            sqlx::Error::PoolTimedOut => failure(StoreError::Busy, "no_connection", Remedy::Close),
            sqlx::Error::PoolClosed => {
                failure(StoreError::Unreachable, "pool_closed", Remedy::Close)
            }
            sqlx::Error::Protocol(_) => failure(StoreError::Failed, "protocol", Remedy::Unname),
            sqlx::Error::Configuration(_) => {
                failure(StoreError::Failed, "configuration", Remedy::Close)
            }
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::RowNotFound
            | sqlx::Error::TypeNotFound { .. } => damaged(),
            _ => failure(StoreError::Failed, "other", Remedy::Close),
        }
    }
}

/// By the `SQLSTATE`: five characters, of which the first two are the class.
fn by_code(code: &str) -> Failure {
    let (error, remedy) = match code {
        // A prepared statement is not there, is there already, or is another one: a pooler.
        "26000" | "42P05" | "08P01" | "22P03" => (StoreError::Unreachable, Remedy::Unname),
        // Raised by the functions of this store.
        "KP001" => (StoreError::Failed, Remedy::Unname),
        // The server ended the session.
        "57P01" | "57P02" | "57P05" | "25P03" => (StoreError::Unreachable, Remedy::Reconnect),
        "57P03" => (StoreError::Starting, Remedy::Close),
        "57014" => (StoreError::Timeout, Remedy::Keep),
        // The server has become a replica, perhaps: a new connection may lead to the primary.
        "25006" => (StoreError::ReadOnly, Remedy::Close),
        "42501" => (StoreError::AccessDenied, Remedy::Keep),
        "42P01" | "3F000" | "42883" | "42703" => (StoreError::Schema, Remedy::Keep),
        "53100" | "53200" => (StoreError::Full, Remedy::Keep),
        "53300" => (StoreError::Busy, Remedy::Close),
        "55P03" => (StoreError::Busy, Remedy::Keep),
        "XX001" | "XX002" => (StoreError::Damaged, Remedy::Keep),
        // Another transaction was faster.
        "40001" | "40P01" => (StoreError::Busy, Remedy::Repeat),
        // A statement was prepared before its tables were migrated.
        "0A000" => (StoreError::Failed, Remedy::Reconnect),
        _ if code.starts_with("28") => (StoreError::AccessDenied, Remedy::Close),
        _ if code.starts_with("08") => (StoreError::Unreachable, Remedy::Reconnect),
        _ => (StoreError::Failed, Remedy::Keep),
    };
    let is_code = code.len() == 5 && code.bytes().all(|it| it.is_ascii_alphanumeric());
    failure(error, if is_code { code } else { "other" }, remedy)
}

#[cfg(test)]
mod tests {
    use super::{Remedy, by_code};
    use crate::store::StoreError;

    #[test]
    fn a_code_says_what_is_wrong() {
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
            ("57014", StoreError::Timeout),
            ("XX001", StoreError::Damaged),
            ("XX002", StoreError::Damaged),
            ("22012", StoreError::Failed),
        ] {
            assert_eq!(by_code(code).error, error, "{code}");
        }
    }

    #[test]
    fn signs_of_a_pooler_lead_to_statements_without_names() {
        for code in ["26000", "42P05", "08P01"] {
            assert_eq!(by_code(code).remedy, Remedy::Unname, "{code}");
        }
    }

    #[test]
    fn the_log_gets_codes_only() {
        assert_eq!(by_code("42P01").code, "42P01");
        assert_eq!(by_code("host=secret").code, "other");
    }
}
