//! Reactions to a failure of Postgres.

/// Reaction to a failure: whether to repeat the statement, and whether to keep the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Keep the connection, and do not repeat the statement.
    Keep,
    /// Close the connection, and do not repeat the statement.
    Close,
    /// Keep the connection, and repeat the statement on it.
    Repeat,
    /// Repeat the statement on a new connection, because the connection is broken.
    Reconnect,
    /// Repeat the statement unnamed and in a transaction. Either a pooler distributes related
    /// messages over several servers, or the isolation level is wrong.
    Unname,
}

impl Remedy {
    pub(super) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => Self::by_code(&error.code().unwrap_or_default()),
            sqlx::Error::Io(_) => Self::Reconnect,
            sqlx::Error::Protocol(_) => Self::Unname,
            _ => Self::Close,
        }
    }

    fn by_code(code: &str) -> Self {
        match code {
            // Behind a pooler, a prepared statement can be missing, exist already, or be a
            // different statement. The functions of this store raise KP001 for a wrong isolation
            // level.
            "26000" | "42P05" | "08P01" | "22P03" | "KP001" => Self::Unname,
            // The server ended the session, or the statement was prepared before a migration of its
            // tables.
            "57P01" | "57P02" | "57P05" | "25P03" | "0A000" => Self::Reconnect,
            // The server aborted this transaction because of a conflict with another transaction.
            "40001" | "40P01" => Self::Repeat,
            // The server may have become a replica. A new connection may reach the primary.
            "25006" | "57P03" | "53300" => Self::Close,
            _ if code.starts_with("08") => Self::Reconnect,
            _ if code.starts_with("28") => Self::Close,
            _ => Self::Keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Remedy;

    #[test]
    fn signs_of_a_pooler_lead_to_unnamed_statements() {
        for code in ["26000", "42P05", "08P01"] {
            assert_eq!(Remedy::by_code(code), Remedy::Unname, "{code}");
        }
    }

    #[test]
    fn a_connection_ended_by_the_server_is_replaced() {
        for code in ["57P01", "57P02", "08006"] {
            assert_eq!(Remedy::by_code(code), Remedy::Reconnect, "{code}");
        }
    }

    #[test]
    fn a_statement_that_cannot_succeed_is_sent_once() {
        for code in ["42501", "42P01", "53100", "57014", "55P03"] {
            assert_eq!(Remedy::by_code(code), Remedy::Keep, "{code}");
        }
    }
}
