//! What is said to whoever puts an app together.

/// A session store of the app's claims logins, on the app's word.
pub(crate) fn danger_store_claims() {
    tracing::warn!(
        name: "kycport.setup.danger_store_claims", target: "kycport::setup",
        "danger: logins are claimed by a session store that is not known"
    );
}

/// Nobody can sign in over this session store as it is.
pub(crate) fn store_cannot_claim() {
    tracing::error!(
        name: "kycport.setup.store_cannot_claim", target: "kycport::setup",
        "nobody can sign in: of two callbacks that take a login at once, this session \
         store may let both have it. Say where logins are claimed: \
         `kycport.session_layer(store).claims(PostgresReplayStore::new(pool))`"
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
