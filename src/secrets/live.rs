//! All secrets that are in use: the one place from which they are read.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{kind::SecretKind, slot::Slot, webhook::WebhookSecrets};
use crate::secret::Secret;

/// The secrets of one relying party. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct LiveSecrets {
    pub(crate) client: Arc<Slot>,
    pub(crate) tenant_key: Arc<Slot>,
    pub(crate) webhook: Arc<WebhookSecrets>,
    /// Reloads take turns. No request waits for one.
    turns: Arc<Semaphore>,
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
            turns: Arc::new(Semaphore::new(1)),
        }
    }

    /// The turn of one reload. None never happens: nobody ends the turns.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }
}
