//! What is kept on a server, or in memory besides sessions.

/// What is kept on a server is not there. `code` is the server's or its client's, never a text.
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(crate) fn backend_unavailable(what: &'static str, code: &str) {
    tracing::warn!(
        name: "kycport.backend.unavailable", target: "kycport::store",
        code, what, "what is kept on a server is not available"
    );
}

/// No event can be remembered before one is forgotten.
pub(crate) fn replay_store_full(capacity: usize) {
    tracing::warn!(
        name: "kycport.replay_store.full", target: "kycport::store",
        capacity, "the replay store in memory is full"
    );
}

/// The memory store holds as many events as it may, and refuses a new one.
pub(crate) fn memory_store_full(capacity: usize) {
    tracing::warn!(
        name: "kycport.store.full", target: "kycport::store",
        capacity, "the memory store is full of events that must be remembered: use a shared store"
    );
}
