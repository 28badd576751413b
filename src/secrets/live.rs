//! The secrets in use. All other modules read the secrets from this module.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use super::{kind::SecretKind, rotating::RotatingSecret, webhook::WebhookSecrets};
use crate::secret::Secret;

/// Secrets of one relying party. Clones share state.
#[derive(Debug, Clone)]
pub(crate) struct LiveSecrets {
    pub(crate) client: Arc<RotatingSecret>,
    pub(crate) tenant_key: Arc<RotatingSecret>,
    pub(crate) webhook: Arc<WebhookSecrets>,
    /// Serializes reloads. Requests never wait for this lock.
    rotation_lock: Arc<Mutex<()>>,
}

impl LiveSecrets {
    pub(crate) fn new(
        client: Option<Secret>,
        tenant_key: Option<Secret>,
        webhook: Option<Secret>,
        previous_webhook: Option<Secret>,
    ) -> Self {
        Self {
            client: Arc::new(RotatingSecret::new(SecretKind::ClientSecret, client)),
            tenant_key: Arc::new(RotatingSecret::new(SecretKind::TenantApiKey, tenant_key)),
            webhook: Arc::new(WebhookSecrets::new(webhook, previous_webhook)),
            rotation_lock: Arc::default(),
        }
    }

    /// Waits for a running reload, and returns a guard that delays the next reload.
    pub(crate) async fn lock_rotation(&self) -> MutexGuard<'_, ()> {
        self.rotation_lock.lock().await
    }
}
