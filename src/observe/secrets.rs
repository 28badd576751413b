//! Secrets that change. Each is told by the name of its variable.

use std::fmt::Display;

/// KYCPort has accepted a new one.
pub(crate) fn secret_proven(secret: &str) {
    tracing::info!(
        name: "kycport.secret.activated", target: "kycport::secret",
        secret, "KYCPort accepts the new secret: it is in use"
    );
}

/// A new one is not known to be good.
pub(crate) fn secret_waits(secret: &str, reason: &'static str) {
    tracing::warn!(
        name: "kycport.secret.pending", target: "kycport::secret",
        secret, reason, "a new secret is not proven: the old one serves"
    );
}

/// A new webhook secret is believed, and KYCPort has not signed with it yet.
pub(crate) fn webhook_secret_added(secret: &str) {
    tracing::info!(
        name: "kycport.secret.added", target: "kycport::secret",
        secret, "a new secret is believed beside the old one, until a delivery proves it"
    );
}

/// Old webhook secrets are believed no more.
pub(crate) fn webhook_secrets_forgotten(secret: &str, forgotten: usize) {
    tracing::info!(
        name: "kycport.secret.removed", target: "kycport::secret",
        secret, forgotten, "the old secrets are forgotten"
    );
}

/// A webhook secret is none that the scheme of signatures can use.
pub(crate) fn webhook_secret_unusable(secret: &str, error: &impl Display) {
    tracing::error!(
        name: "kycport.secret.unusable", target: "kycport::secret",
        secret, %error, "a webhook secret cannot be used: what it signs is refused"
    );
}

/// What the secrets are could not be found out, or one of them cannot be one.
pub(crate) fn secrets_not_reloaded(error: &impl Display) {
    tracing::warn!(
        name: "kycport.secret.reload_failed", target: "kycport::secret",
        %error, "the secrets were not reloaded"
    );
}
