//! What may help after a failure of Postgres.

/// What may help after a failure, and what becomes of the connection.
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
            // A prepared statement is not there, is there already, or is another one: a pooler. The
            // last is raised by the functions of this store: another isolation level.
            "26000" | "42P05" | "08P01" | "22P03" | "KP001" => Self::Unname,
            // The server ended the session, or the statement was prepared before its tables were
            // migrated.
            "57P01" | "57P02" | "57P05" | "25P03" | "0A000" => Self::Reconnect,
            // Another transaction was faster.
            "40001" | "40P01" => Self::Repeat,
            // The server has become a replica, perhaps: a new connection may lead to the primary.
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
    fn signs_of_a_pooler_lead_to_statements_without_names() {
        for code in ["26000", "42P05", "08P01"] {
            assert_eq!(Remedy::by_code(code), Remedy::Unname, "{code}");
        }
    }

    #[test]
    fn a_session_that_the_server_ended_is_replaced() {
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
