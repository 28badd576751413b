//! Log events and metrics of the store.

#[cfg(feature = "web")]
use super::count;
use super::{Stopwatch, time};

/// Operation of the store, identified by its code in logs and metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreOperation(&'static str);

impl StoreOperation {
    pub(crate) const ACQUIRE: Self = Self("acquire");
    pub(crate) const SETTLE: Self = Self("settle");
}

/// Names of the store operations that the SDK calls.
#[cfg(feature = "web")]
impl StoreOperation {
    pub(crate) const READ: Self = Self("read");
    pub(crate) const WRITE: Self = Self("write");
    pub(crate) const REVOKE: Self = Self("revoke");
    pub(crate) const LIST: Self = Self("list");
    pub(crate) const CHECK: Self = Self("check");
}

/// Result of a store operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreResult {
    Ok,
    /// The operation failed. The code belongs to a closed set.
    Failed(&'static str),
}

/// Counts a store operation, and logs a failure.
pub(crate) fn store_operation(operation: StoreOperation, result: StoreResult, since: Stopwatch) {
    let StoreOperation(operation) = operation;
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

/// Whether an event is the first of its kind in the log.
#[cfg(feature = "web")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogOnce {
    First,
    Repeated,
}

/// Reports a record that cannot be read. The function logs only the first record of each kind and
/// reason. During the rollout of a new release, many requests may read unreadable records.
#[cfg(feature = "web")]
pub(crate) fn record_unreadable(kind: &'static str, reason: &'static str, once: LogOnce) {
    if once == LogOnce::First {
        tracing::warn!(
            name: "kycport.store.record_unreadable", target: "kycport::store",
            kind, reason,
            "a stored record cannot be read and stays unchanged; further records of this kind are \
             counted but not logged"
        );
    }
    count!(RECORDS_UNREADABLE, kind, reason);
}

/// Logs that the memory store is full and rejects a new event.
pub(crate) fn memory_store_full(capacity: usize) {
    tracing::warn!(
        name: "kycport.store.full", target: "kycport::store",
        capacity, "the memory store is full of events that must be remembered. Set KYCPORT_STORE to a shared store"
    );
}

/// Reports a failure of a database server. `code` is an error code of the server or of the client
/// library, and never free text.
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
pub(crate) fn backend_unavailable(what: &'static str, code: &str) {
    tracing::warn!(
        name: "kycport.backend.unavailable", target: "kycport::store",
        code, what, "the database server of the store failed"
    );
}

/// Reports that a session in a tower-sessions store was modified or cannot be decoded.
#[cfg(feature = "web")]
pub(crate) fn session_body_damaged() {
    tracing::error!(
        name: "kycport.store.session_damaged", target: "kycport::store",
        "a session in the tower-sessions store was modified or cannot be decoded"
    );
}
