//! One address that takes deliveries.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use url::Url;

use crate::mock::core::Core;

/// An address that takes a tenant's deliveries, made by [`Webhooks::subscribe`]. It stays when this
/// is dropped.
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

    /// The address.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Sends nothing there until [`resume`](Self::resume): what there is to send waits, and
    /// [`Webhooks::settled`](crate::mock::Webhooks::settled) does not wait for it.
    pub fn pause(&self) {
        self.core.outbox().pause(self.id, true);
    }

    /// Sends again, what waited first.
    pub fn resume(&self) {
        self.core.outbox().pause(self.id, false);
    }

    /// Sends nothing there any more. What waits for it is forgotten.
    pub fn unsubscribe(&self) {
        self.core.outbox().unsubscribe(self.id);
    }
}

impl Debug for WebhookEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebhookEndpoint").field(&self.url()).finish()
    }
}
