//! Methods that control the clock, the keys and the request log of a mock, and reset the mock.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{RemoteMock, admin_client::RemoteError};
use crate::{
    clock::Timestamp,
    mock::{
        admin::{clock::ClockView, keys::KeysView},
        http::endpoint::Endpoint,
    },
};

/// Methods for the clock, the keys and the request counts.
impl RemoteMock {
    /// Advances the mock's clock and [`clock`](Self::clock) by the whole seconds of `by`.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn advance(&self, by: Duration) -> Result<(), RemoteError> {
        let body = json!({ "seconds": by.as_secs() });
        let _: Value = self.admin.post("/clock/advance", &body).await?;
        self.clock().advance(Duration::from_secs(by.as_secs()));
        Ok(())
    }

    /// Stops the mock's clock and [`clock`](Self::clock). The two clocks then show the same time.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn freeze(&self) -> Result<(), RemoteError> {
        let clock: ClockView = self.admin.post("/clock/freeze", &json!({})).await?;
        self.clock().freeze();
        self.clock()
            .jump_to(Timestamp::from_unix_millis(clock.unix_ms));
        Ok(())
    }

    /// Publishes a new key but does not sign with this key yet. Returns the `kid`s of the key set.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn publish_next_key(&self) -> Result<Vec<String>, RemoteError> {
        Ok(self.keys("publish_next").await?.published)
    }

    /// Makes the next key the signing key. Returns the `kid` of the signing key.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn promote_key(&self) -> Result<String, RemoteError> {
        Ok(self.keys("promote").await?.active)
    }

    /// Removes all previous signing keys from the key set. Returns the `kid`s of the remaining
    /// keys.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn retire_old_keys(&self) -> Result<Vec<String>, RemoteError> {
        Ok(self.keys("retire_old").await?.published)
    }

    /// Publishes a new key, makes it the signing key and removes the old keys. Returns the `kid` of
    /// the new key.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn rotate_keys(&self) -> Result<String, RemoteError> {
        Ok(self.keys("rotate").await?.active)
    }

    /// Returns the number of requests that an endpoint received.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn requests(&self, endpoint: Endpoint) -> Result<usize, RemoteError> {
        let counts: BTreeMap<String, usize> = self.admin.get("/requests/counts").await?;
        let own = counts.get(&endpoint.json_name()).copied();
        Ok(own.unwrap_or_default())
    }

    /// Resets the mock to its initial state. Sets the mock's clock and [`clock`](Self::clock) to
    /// the system time.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed.
    pub async fn reset(&self) -> Result<(), RemoteError> {
        let _: Value = self.admin.post("/reset", &json!({})).await?;
        let clock: ClockView = self.admin.get("/clock").await?;
        self.clock().resume();
        self.clock()
            .jump_to(Timestamp::from_unix_millis(clock.unix_ms));
        Ok(())
    }

    /// Registers `redirect_uri`, and returns the environment variables for an app in another
    /// process.
    ///
    /// # Errors
    /// [`RemoteError`] if the request to the mock failed, or the URI cannot be registered.
    pub async fn environment(
        &self,
        redirect_uri: &str,
    ) -> Result<BTreeMap<String, String>, RemoteError> {
        let body = json!({ "redirect_uri": redirect_uri });
        self.admin.post("/environment", &body).await
    }

    async fn keys(&self, step: &str) -> Result<KeysView, RemoteError> {
        self.admin.post(&format!("/keys/{step}"), &json!({})).await
    }
}
