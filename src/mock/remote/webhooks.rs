//! Deliveries of a mock in another process.

use std::fmt::{self, Debug};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    RemoteMock,
    call::{Admin, RemoteError},
};

/// Deliveries.
impl RemoteMock {
    /// What is delivered to the tenant of the confidential client.
    pub fn webhooks(&self) -> RemoteWebhooks {
        RemoteWebhooks {
            admin: self.admin.clone(),
        }
    }
}

/// What a mock in another process delivers to one tenant.
#[derive(Clone)]
pub struct RemoteWebhooks {
    admin: Admin,
}

#[derive(Deserialize)]
struct Settled {
    settled: bool,
    left: Vec<String>,
}

#[derive(Deserialize)]
struct Secret {
    secret: String,
}

impl RemoteWebhooks {
    /// Delivers every event from here to this address, HTTP or HTTPS.
    ///
    /// # Errors
    /// [`RemoteError`] if it is no such address, or the mock could not be asked.
    pub async fn subscribe(&self, url: impl AsRef<str>) -> Result<(), RemoteError> {
        let body = json!({ "url": url.as_ref() });
        let _: Value = self.admin.post("/webhooks/endpoints", &body).await?;
        Ok(())
    }

    /// Waits until nothing is under way and nothing is due.
    ///
    /// # Errors
    /// [`RemoteError::Unsettled`] if that takes more than 30 seconds, and any other if the mock
    /// could not be asked.
    pub async fn settled(&self) -> Result<(), RemoteError> {
        let path = "/webhooks/settled?timeout_seconds=30";
        let settled: Settled = self.admin.get(path).await?;
        if settled.settled {
            return Ok(());
        }
        Err(RemoteError::Unsettled(settled.left.join("; ")))
    }

    /// How many deliveries there were, each attempt counted.
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked.
    pub async fn count(&self) -> Result<usize, RemoteError> {
        let all: Vec<Value> = self.admin.get("/webhooks/deliveries").await?;
        Ok(all.len())
    }

    /// The last event that was delivered, once more.
    ///
    /// # Errors
    /// [`RemoteError`] if there was none, or the mock could not be asked.
    pub async fn repeat_last(&self) -> Result<(), RemoteError> {
        let _: Value = self.admin.post("/webhooks/repeat", &json!({})).await?;
        Ok(())
    }

    /// Replaces the secret, and gives the new one.
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked.
    pub async fn rotate_secret(&self) -> Result<String, RemoteError> {
        let secret: Secret = self
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
