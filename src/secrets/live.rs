//! All secrets that are in use: the one place from which they are read.

use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

use super::{kind::SecretKind, slot::Slot, webhook::WebhookSecrets};
use crate::secret::Secret;

/// The secrets of one relying party. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct LiveSecrets {
    pub(crate) client: Arc<Slot>,
    pub(crate) tenant_key: Arc<Slot>,
    pub(crate) webhook: Arc<WebhookSecrets>,
    /// Reloads take turns. No request waits for one.
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
            client: Arc::new(Slot::new(SecretKind::ClientSecret, client)),
            tenant_key: Arc::new(Slot::new(SecretKind::TenantApiKey, tenant_key)),
            webhook: Arc::new(WebhookSecrets::new(webhook, previous_webhook)),
            turns: Arc::default(),
        }
    }

    /// The turn of one reload.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turns.lock().await
    }
}
