//! Clock, keys, requests, and beginning anew.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{RemoteMock, call::RemoteError};
use crate::{clock::Timestamp, mock::http::endpoint::Endpoint};

#[derive(Deserialize)]
struct ClockView {
    unix_ms: i64,
}

#[derive(Deserialize)]
struct KeysView {
    active: String,
    published: Vec<String>,
}

/// Time, keys and counts.
impl RemoteMock {
    /// Moves the mock's clock forward, whole seconds, and [`clock`](Self::clock) with it.
    ///
    /// # Errors
    /// [`RemoteError`] if it could not be asked.
    pub async fn advance(&self, by: Duration) -> Result<(), RemoteError> {
        let body = json!({ "seconds": by.as_secs() });
        let _: Value = self.admin.post("/clock/advance", &body).await?;
        self.clock().advance(Duration::from_secs(by.as_secs()));
        Ok(())
    }

    /// Stops the mock's clock, and [`clock`](Self::clock) at the same moment.
    ///
    /// # Errors
    /// [`RemoteError`] if it could not be asked.
    pub async fn freeze(&self) -> Result<(), RemoteError> {
        let clock: ClockView = self.admin.post("/clock/freeze", &json!({})).await?;
        self.clock().freeze();
        self.clock()
            .jump_to(Timestamp::from_unix_millis(clock.unix_ms));
        Ok(())
    }

    /// Publishes a fresh key that does not sign yet; gives the `kid`s of the set.
    ///
    /// # Errors
    /// [`RemoteError`] if it could not be asked.
    pub async fn publish_next_key(&self) -> Result<Vec<String>, RemoteError> {
        Ok(self.keys("publish_next").await?.published)
    }

    /// From here the published next key signs; gives its `kid`.
    ///
    /// # Errors
    /// [`RemoteError`] if it could not be asked.
    pub async fn promote_key(&self) -> Result<String, RemoteError> {
        Ok(self.keys("promote").await?.active)
    }

    /// Takes every key that signed before out of the set; gives the `kid`s that are left.
    ///
    /// # Errors
    /// [`RemoteError`] if it could not be asked.
    pub async fn retire_old_keys(&self) -> Result<Vec<String>, RemoteError> {
        Ok(self.keys("retire_old").await?.published)
    }

    /// All three steps at once; gives the `kid` that signs from here.
    ///
    /// # Errors
    /// [`RemoteError`] if it could not be asked.
    pub async fn rotate_keys(&self) -> Result<String, RemoteError> {
        Ok(self.keys("rotate").await?.active)
    }

    /// How many requests an endpoint got.
    ///
    /// # Errors
    /// [`RemoteError`] if it could not be asked.
    pub async fn requests(&self, endpoint: Endpoint) -> Result<usize, RemoteError> {
        let counts: BTreeMap<String, usize> = self.admin.get("/requests/counts").await?;
        let own = counts.get(&endpoint.word()).copied();
        Ok(own.unwrap_or_default())
    }

    /// Everything as it was at the start; the clocks show the machine's time.
    ///
    /// # Errors
    /// [`RemoteError`] if it could not be asked.
    pub async fn reset(&self) -> Result<(), RemoteError> {
        let _: Value = self.admin.post("/reset", &json!({})).await?;
        let clock: ClockView = self.admin.get("/clock").await?;
        self.clock().resume();
        self.clock()
            .jump_to(Timestamp::from_unix_millis(clock.unix_ms));
        Ok(())
    }

    /// The environment of an app in a third process; `redirect_uri` is registered.
    ///
    /// # Errors
    /// [`RemoteError`] if it could not be asked, or the URI cannot be registered.
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
