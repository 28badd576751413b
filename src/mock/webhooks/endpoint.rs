//! Handle to a webhook endpoint.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use url::Url;

use crate::mock::core::Core;

/// Handle to a tenant's webhook endpoint. [`Webhooks::subscribe`] returns this handle. Dropping the
/// handle does not remove the endpoint.
///
/// [`Webhooks::subscribe`]: crate::mock::Webhooks::subscribe
#[derive(Clone)]
pub struct WebhookEndpoint {
    core: Arc<Core>,
    id: u64,
    url: Url,
}

impl WebhookEndpoint {
    pub(in crate::mock) fn new(core: Arc<Core>, id: u64, url: Url) -> Self {
        Self { core, id, url }
    }

    pub(in crate::mock) fn number(&self) -> u64 {
        self.id
    }

    /// Returns the URL of the endpoint.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Pauses the endpoint until [`resume`](Self::resume). The mock queues deliveries to a paused
    /// endpoint. [`Webhooks::settled`](crate::mock::Webhooks::settled) does not wait for these
    /// deliveries.
    pub fn pause(&self) {
        self.core.outbox().pause(self.id, true);
    }

    /// Resumes the endpoint. The mock sends the queued deliveries before new deliveries.
    pub fn resume(&self) {
        self.core.outbox().pause(self.id, false);
    }

    /// Removes the endpoint and its queued deliveries.
    pub fn unsubscribe(&self) {
        self.core.outbox().unsubscribe(self.id);
    }
}

impl Debug for WebhookEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebhookEndpoint").field(&self.url()).finish()
    }
}
