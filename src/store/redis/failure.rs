//! Mapping of Redis failures to errors, and to the decision whether to keep the connection.

use std::borrow::Cow;

use redis::{ErrorKind, RedisError, ServerError};

use crate::store::StoreError;

/// Maximum length of a logged error code of the server.
const LONGEST_CODE: usize = 24;
/// Error codes that older servers include in the text of a script's failure.
const CODES_IN_SCRIPTS: [&str; 7] = [
    "WRONGTYPE",
    "OOM",
    "READONLY",
    "MISCONF",
    "NOREPLICAS",
    "NOPERM",
    "TRYAGAIN",
];

/// Failed operation.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) error: StoreError,
    /// Error code of the server or a short name, for the log. The server's text is not logged.
    pub(super) code: Cow<'static, str>,
    pub(super) connection: Fate,
}

/// What happens to the connection after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The connection works, and the store keeps it.
    Kept,
    /// The connection works, but the server rejects this client's operations. The next operation
    /// resolves the address again.
    Replaced,
    /// The connection is broken. The store may repeat a read on a new connection.
    Broken,
}

impl Failure {
    fn new(error: StoreError, code: impl Into<Cow<'static, str>>, connection: Fate) -> Self {
        Self {
            error,
            code: code.into(),
            connection,
        }
    }

    /// The server returned a reply that the scripts and commands never produce.
    pub(super) fn damaged() -> Self {
        Self::new(StoreError::Damaged, "damaged", Fate::Kept)
    }

    /// The operation exceeded its time limit.
    pub(super) fn timeout() -> Self {
        Self::new(StoreError::Timeout, "timeout", Fate::Replaced)
    }

    /// No connection was established in time.
    pub(super) fn connect_timeout() -> Self {
        Self::new(StoreError::Unreachable, "connect_timeout", Fate::Broken)
    }

    /// The server is a replica.
    pub(super) fn replica() -> Self {
        Self::new(StoreError::ReadOnly, "replica", Fate::Replaced)
    }

    /// Fewer replicas acknowledged a revocation than configured.
    pub(super) fn not_replicated() -> Self {
        Self::new(StoreError::Failed, "not_replicated", Fate::Kept)
    }

    /// The certificates of the machine cannot be loaded.
    pub(super) fn certificates() -> Self {
        Self::new(StoreError::Unreachable, "certificates", Fate::Broken)
    }

    /// Returns `true` if the server did not run the script, because it does not know the script.
    pub(super) fn is_unknown_script(&self) -> bool {
        self.code == "NOSCRIPT"
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(
            StoreError::Unreachable,
            error.kind().to_string(),
            Fate::Broken,
        )
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let code = match error.code() {
            "ERR" => code_in(error.details().unwrap_or_default()),
            code => code,
        };
        by_code(code)
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::AuthenticationFailed => {
                let code = "authentication_failed";
                return Self::new(StoreError::AccessDenied, code, Fate::Replaced);
            }
            ErrorKind::Io => return unreachable(&error),
            ErrorKind::ClusterConnectionNotFound => {
                return Self::new(StoreError::Unreachable, "no_node", Fate::Broken);
            }
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
                return Self::new(StoreError::Damaged, "protocol", Fate::Broken);
            }
            _ => {}
        }
        let kind = error.kind();
        let errors = error.into_server_errors();
        match errors.as_deref() {
            Some([(_, error), ..]) => error.clone().into(),
            _ => Self::new(StoreError::Failed, format!("{kind:?}"), Fate::Broken),
        }
    }
}

/// Converts an I/O error to a [`Failure`]. If a cluster client reaches none of the seed nodes, only
/// the text of the error describes the cause.
fn unreachable(error: &RedisError) -> Failure {
    let text = error.detail().unwrap_or_default();
    let is_refused = ["AuthenticationFailed", "NOAUTH", "WRONGPASS"]
        .iter()
        .any(|it| text.contains(it));
    if is_refused {
        let code = "authentication_failed";
        Failure::new(StoreError::AccessDenied, code, Fate::Replaced)
    } else if error.is_timeout() {
        // A node of the cluster did not respond. The client retried until its time limit.
        Failure::new(StoreError::Timeout, "timeout", Fate::Broken)
    } else {
        Failure::new(StoreError::Unreachable, "io", Fate::Broken)
    }
}

fn by_code(code: &str) -> Failure {
    let (error, connection) = match code {
        "NOAUTH" | "WRONGPASS" => (StoreError::AccessDenied, Fate::Replaced),
        "NOPERM" | "DENIED" => (StoreError::AccessDenied, Fate::Kept),
        "READONLY" | "MASTERDOWN" => (StoreError::ReadOnly, Fate::Replaced),
        "NOREPLICAS" => (StoreError::ReadOnly, Fate::Kept),
        "OOM" | "MISCONF" => (StoreError::Full, Fate::Kept),
        "LOADING" => (StoreError::Starting, Fate::Replaced),
        "BUSY" | "TRYAGAIN" => (StoreError::Busy, Fate::Kept),
        "MAXCLIENTS" => (StoreError::Busy, Fate::Broken),
        "CLUSTERDOWN" => (StoreError::Unreachable, Fate::Kept),
        "WRONGTYPE" => (StoreError::Damaged, Fate::Kept),
        _ => (StoreError::Failed, Fate::Kept),
    };
    let is_code = code.len() <= LONGEST_CODE && code.bytes().all(|it| it.is_ascii_uppercase());
    let code = if is_code {
        code.to_owned()
    } else {
        "other".to_owned()
    };
    Failure::new(error, code, connection)
}

/// Finds the error code that corresponds to a text without a code.
fn code_in(text: &str) -> &'static str {
    if text.starts_with("max number of clients reached") {
        return "MAXCLIENTS";
    }
    if text.starts_with("The user executing the script") {
        return "NOPERM";
    }
    let is_of_script = text.contains("@user_script") || text.contains("user_script:");
    let found = CODES_IN_SCRIPTS
        .into_iter()
        .find(|code| text.contains(code));
    match found {
        Some(code) if is_of_script => code,
        _ => "ERR",
    }
}

#[cfg(test)]
mod tests {
    use redis::parse_redis_value;

    use super::{Failure, Fate};
    use crate::store::StoreError;

    fn failure(text: &str) -> Failure {
        let value = parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err().into()
    }

    #[test]
    fn server_error_codes_map_to_store_errors() {
        for (text, error) in [
            ("NOAUTH Authentication required.", StoreError::AccessDenied),
            (
                "WRONGPASS invalid username-password pair",
                StoreError::AccessDenied,
            ),
            (
                "NOPERM no permissions to run 'hmget'",
                StoreError::AccessDenied,
            ),
            (
                "READONLY You can't write against a read only replica.",
                StoreError::ReadOnly,
            ),
            ("MASTERDOWN Link with MASTER is down", StoreError::ReadOnly),
            ("OOM command not allowed", StoreError::Full),
            (
                "MISCONF Redis is configured to save RDB snapshots",
                StoreError::Full,
            ),
            (
                "LOADING Redis is loading the dataset in memory",
                StoreError::Starting,
            ),
            ("BUSY Redis is busy running a script.", StoreError::Busy),
            ("CLUSTERDOWN Hash slot not served", StoreError::Unreachable),
            ("WRONGTYPE Operation against a key", StoreError::Damaged),
            ("ERR max number of clients reached", StoreError::Busy),
            (
                "ERR The user executing the script can't run this command or subcommand script: 0",
                StoreError::AccessDenied,
            ),
            ("ERR unknown command", StoreError::Failed),
            ("MOVED 3999 127.0.0.1:6381", StoreError::Failed),
        ] {
            assert_eq!(failure(text).error, error, "{text}");
        }
    }

    #[test]
    fn script_error_codes_of_older_servers_are_found_in_the_text() {
        let text = "ERR Error running script (call to f_0): @user_script:9: \
                    @user_script: 9: -OOM command not allowed when used memory > 'maxmemory'.";
        assert_eq!(failure(text).error, StoreError::Full);
        let text = "ERR Error running script (call to f_0): @user_script:9: \
                    WRONGTYPE Operation against a key holding the wrong kind of value";
        assert_eq!(failure(text).error, StoreError::Damaged);
    }

    #[test]
    fn a_connection_to_a_server_that_is_not_the_primary_is_replaced() {
        assert_eq!(failure("READONLY no").connection, Fate::Replaced);
        assert_eq!(failure("LOADING no").connection, Fate::Replaced);
        assert_eq!(failure("NOAUTH no").connection, Fate::Replaced);
        assert_eq!(failure("NOPERM no").connection, Fate::Kept);
    }

    #[test]
    fn logged_codes_contain_no_text_of_the_server() {
        let failure = failure("ERR the key kycport:secret is odd");
        assert_eq!(failure.code, "ERR");
        assert_eq!(super::by_code("kycport:secret").code, "other");
    }
}
