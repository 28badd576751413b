//! Log events of secret rotation. The name of a secret in the log is its environment variable.

use std::fmt::Display;

/// Logs that KYCPort accepted a new secret.
pub(crate) fn secret_activated(secret: &str) {
    tracing::info!(
        name: "kycport.secret.activated", target: "kycport::secret",
        secret, "KYCPort accepted the new secret; it is in use now"
    );
}

/// Logs that a new secret is pending.
pub(crate) fn secret_pending(secret: &str, reason: &'static str) {
    tracing::warn!(
        name: "kycport.secret.pending", target: "kycport::secret",
        secret, reason, "the new secret is pending; the old secret stays in use"
    );
}

/// Logs that a new webhook secret was added. KYCPort has not signed a delivery with this secret
/// yet.
pub(crate) fn webhook_secret_added(secret: &str) {
    tracing::info!(
        name: "kycport.secret.added", target: "kycport::secret",
        secret, "the new secret is accepted in parallel with the old secret, until a delivery proves it"
    );
}

/// Logs that previous webhook secrets were removed.
pub(crate) fn webhook_secrets_removed(secret: &str, removed: usize) {
    tracing::info!(
        name: "kycport.secret.removed", target: "kycport::secret",
        secret, removed, "the previous webhook secrets were removed"
    );
}

/// Logs that the signature scheme cannot use a webhook secret.
pub(crate) fn webhook_secret_invalid(secret: &str, error: &impl Display) {
    tracing::error!(
        name: "kycport.secret.unusable", target: "kycport::secret",
        secret, %error, "a webhook secret is invalid; deliveries that it signs are rejected"
    );
}

/// Logs that a reload failed because of a failed provider or an invalid secret.
pub(crate) fn secret_reload_failed(error: &impl Display) {
    tracing::warn!(
        name: "kycport.secret.reload_failed", target: "kycport::secret",
        %error, "reloading the secrets failed; the previous secrets stay in use"
    );
}
