//! What is said to whoever puts an app together.

/// No store is configured.
pub(crate) fn state_in_memory() {
    tracing::info!(
        name: "kycport.setup.state_in_memory", target: "kycport::setup",
        "sessions, logins and events are kept in memory: they end with this process, and other \
         instances do not see them. Set KYCPORT_STORE to a shared store"
    );
}

/// Webhooks are remembered by one instance alone.
pub(crate) fn webhooks_in_memory() {
    tracing::info!(
        name: "kycport.setup.webhooks_in_memory", target: "kycport::setup",
        "webhooks are remembered in memory: that is for one instance"
    );
}

/// A handler asks for what no layer on its route gives: `mend` says which to add.
pub(crate) fn layer_missing(mend: &str) {
    tracing::error!(
        name: "kycport.setup.layer_missing", target: "kycport::setup",
        "{mend}"
    );
}
