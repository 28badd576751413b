//! The secrets in use. All other modules read the secrets here.

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
    turns: Arc<Mutex<()>>,
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
            turns: Arc::default(),
        }
    }

    /// Waits until no other reload runs. The guard keeps further reloads waiting.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turns.lock().await
    }
}
