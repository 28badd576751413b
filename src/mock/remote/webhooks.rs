//! Webhook deliveries of a mock in another process.

use std::fmt::{self, Debug};

use serde_json::{Value, json};

use super::{
    RemoteMock,
    admin_client::{AdminClient, RemoteError},
};
use crate::mock::admin::webhook_views::{Settled, WebhookSecret};

/// Method that returns the webhook deliveries.
impl RemoteMock {
    /// Returns the handle to the deliveries for the tenant of the confidential client.
    pub fn webhooks(&self) -> RemoteWebhooks {
        RemoteWebhooks {
            admin: self.admin.clone(),
        }
    }
}

/// Handle to the webhook deliveries for one tenant of a mock in another process.
#[derive(Clone)]
pub struct RemoteWebhooks {
    admin: AdminClient,
}

impl RemoteWebhooks {
    /// Subscribes this HTTP or HTTPS URL to all future events.
    ///
    /// # Errors
    /// [`RemoteError`] if the URL is invalid, or the request to the mock failed.
    pub async fn subscribe(&self, url: impl AsRef<str>) -> Result<(), RemoteError> {
        let body = json!({ "url": url.as_ref() });
        let _: Value = self.admin.post("/webhooks/endpoints", &body).await?;
        Ok(())
    }

    /// Waits until no delivery is in progress or due.
    ///
    /// # Errors
    /// [`RemoteError::Unsettled`] if this takes more than 30 seconds. Other variants if the request
    /// to the mock failed.
    pub async fn settled(&self) -> Result<(), RemoteError> {
        let path = "/webhooks/settled?timeout_seconds=30";
        let settled: Settled = self.admin.get(path).await?;
        if settled.settled {
            return Ok(());
        }
        Err(RemoteError::Unsettled(settled.left.join("; ")))
    }

    /// Returns the number of deliveries, including all attempts.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn count(&self) -> Result<usize, RemoteError> {
        let all: Vec<Value> = self.admin.get("/webhooks/deliveries").await?;
        Ok(all.len())
    }

    /// Delivers the last delivered event again.
    ///
    /// # Errors
    /// [`RemoteError`] if no event was delivered, or the request to the mock failed.
    pub async fn repeat_last(&self) -> Result<(), RemoteError> {
        let _: Value = self.admin.post("/webhooks/repeat", &json!({})).await?;
        Ok(())
    }

    /// Replaces the webhook secret and returns the new secret.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn rotate_secret(&self) -> Result<String, RemoteError> {
        let secret: WebhookSecret = self
            .admin
            .post("/webhooks/secret/rotate", &json!({}))
            .await?;
        Ok(secret.secret)
    }
}

impl Debug for RemoteWebhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteWebhooks").finish_non_exhaustive()
    }
}
