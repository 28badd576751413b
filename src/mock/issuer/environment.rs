//! Environment variables for an app in another process.

use super::MockIssuer;
use crate::mock::{oidc::client::Client, overview};

/// Environment variables for an app in another process.
impl MockIssuer {
    /// Registers `redirect_uri` and returns the environment variables for an app in another
    /// process.
    ///
    /// [`Config::from_env`](crate::Config::from_env) reads these variables. If the mock uses TLS,
    /// the app also needs the [CA certificate](MockIssuer::root_pem), which no variable contains.
    pub fn environment(&self, redirect_uri: impl Into<String>) -> Vec<(&'static str, String)> {
        self.environment_for(self.client(), redirect_uri)
    }

    /// Returns the environment variables for another client of the issuer. See
    /// [`environment`](Self::environment).
    pub fn environment_for(
        &self,
        client: &Client,
        redirect_uri: impl Into<String>,
    ) -> Vec<(&'static str, String)> {
        let redirect_uri = redirect_uri.into();
        // Ignore the error, because the configuration of the app also rejects an invalid URI and
        // reports the reason.
        let _ = client.register_redirect_uri(&redirect_uri);
        overview::variables(self.core(), client.record(), redirect_uri)
    }
}
