//! Log events about the setup of an app.

/// Logs that no store is configured.
pub(crate) fn state_in_memory() {
    tracing::info!(
        name: "kycport.setup.state_in_memory", target: "kycport::setup",
        "sessions, logins and events are kept in memory: they are lost when this process ends, and \
         other instances do not see them. Set KYCPORT_STORE to a shared store"
    );
}

/// Logs that the app keeps webhook events in memory. Other instances do not know which events this
/// instance has handled.
pub(crate) fn webhooks_in_memory() {
    tracing::info!(
        name: "kycport.setup.webhooks_in_memory", target: "kycport::setup",
        "webhook events are kept in memory, which works for one instance only. Set KYCPORT_STORE to a shared store"
    );
}

/// Logs that a route lacks a layer. `remedy` says which layer to add.
pub(crate) fn layer_missing(remedy: &str) {
    tracing::error!(
        name: "kycport.setup.layer_missing", target: "kycport::setup",
        "{remedy}"
    );
}
