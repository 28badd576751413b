//! What an app in another process must be told.

use super::MockIssuer;
use crate::mock::{oidc::client::Client, overview};

/// How another process finds the mock.
impl MockIssuer {
    /// What an app in another process needs in its environment to use this mock: names and values,
    /// as [`Config::from_env`](crate::Config::from_env) reads them. `redirect_uri` is registered. Of
    /// a mock with TLS, such an app must be told the [root](MockIssuer::root_pem) too, which no
    /// variable carries.
    pub fn environment(&self, redirect_uri: impl Into<String>) -> Vec<(&'static str, String)> {
        self.environment_for(self.client(), redirect_uri)
    }

    /// The same for another of its clients.
    pub fn environment_for(
        &self,
        client: &Client,
        redirect_uri: impl Into<String>,
    ) -> Vec<(&'static str, String)> {
        let redirect_uri = redirect_uri.into();
        // What cannot be registered, the app's own configuration refuses too, and says why.
        let _ = client.register_redirect_uri(&redirect_uri);
        overview::variables(self.core(), client.record(), redirect_uri)
    }
}
