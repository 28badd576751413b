//! The store.

#[cfg(feature = "web")]
use super::count;
use super::{Stopwatch, time};

/// Operation of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreOperation {
    Read,
    Write,
    Revoke,
    List,
    Acquire,
    Settle,
    Check,
}

impl StoreOperation {
    fn code(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Revoke => "revoke",
            Self::List => "list",
            Self::Acquire => "acquire",
            Self::Settle => "settle",
            Self::Check => "check",
        }
    }
}

/// How a store operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreResult {
    Ok,
    /// The operation failed. The code is one of a closed set.
    Failed(&'static str),
}

/// Counts a store operation, and logs a failure.
pub(crate) fn store_answered(operation: StoreOperation, result: StoreResult, since: Stopwatch) {
    let operation = operation.code();
    let code = match result {
        StoreResult::Ok => "ok",
        StoreResult::Failed(code) => code,
    };
    time!(STORE_TIME, since, operation, code);
    if result != StoreResult::Ok {
        tracing::error!(
            name: "kycport.store.failed", target: "kycport::store",
            operation, result = code, "a store operation failed"
        );
    }
}

/// Whether the log has named something before.
#[cfg(feature = "web")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogOnce {
    First,
    Repeated,
}

/// Reports a record that cannot be read. The first of each kind and reason is logged: while a new
/// release is rolled out, every request may meet one.
#[cfg(feature = "web")]
pub(crate) fn record_unreadable(kind: &'static str, reason: &'static str, once: LogOnce) {
    if once == LogOnce::First {
        tracing::warn!(
            name: "kycport.store.record_unreadable", target: "kycport::store",
            kind, reason,
            "a stored record cannot be read; it is left as it is, and further ones of this kind \
             are counted and not logged"
        );
    }
    count!(RECORDS_UNREADABLE, kind, reason);
}

/// The memory store holds as many events as it may, and refuses a new one.
pub(crate) fn memory_store_full(capacity: usize) {
    tracing::warn!(
        name: "kycport.store.full", target: "kycport::store",
        capacity, "the memory store is full of events that must be remembered: use a shared store"
    );
}

/// Reports the failure of a server. `code` is the server's or its client's, never a text.
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
pub(crate) fn backend_unavailable(what: &'static str, code: &str) {
    tracing::warn!(
        name: "kycport.backend.unavailable", target: "kycport::store",
        code, what, "a server that keeps records failed"
    );
}

/// A session in a tower-sessions store cannot be decoded, or is not what was written there.
#[cfg(feature = "web")]
pub(crate) fn session_body_damaged() {
    tracing::error!(
        name: "kycport.store.session_damaged", target: "kycport::store",
        "a session in the tower-sessions store cannot be decoded, or is not what was written"
    );
}
