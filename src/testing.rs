//! Test setup of an app with the mock issuer.

use crate::{
    config::{Config, ConfigBuilder},
    mock::{Client, MockIssuer, RemoteError, RemoteMock},
};

/// Name of the session cookie of an app on the mock, without the prefix `__Host-`. The default name
/// depends on the issuer, and the issuer changes with the port of the mock.
#[cfg(feature = "web")]
const COOKIE_NAME: &str = "kycport";

/// Methods that return a configuration for an app.
impl MockIssuer {
    /// Returns a configuration for the mock's initial confidential client. The configuration
    /// contains the API key and the webhook secret of the client's tenant. Registers `redirect_uri`
    /// with the client.
    ///
    /// The app and the mock use the same clock. The name of the session cookie is `__Host-kycport`.
    pub fn config(&self, redirect_uri: impl Into<String>) -> ConfigBuilder {
        self.config_for(self.client(), redirect_uri)
    }

    /// Returns a configuration for another client of the mock. See [`config`](Self::config).
    pub fn config_for(&self, client: &Client, redirect_uri: impl Into<String>) -> ConfigBuilder {
        let redirect_uri = redirect_uri.into();
        if client.register_redirect_uri(&redirect_uri).is_err() {
            // `ConfigBuilder::build` also rejects an invalid redirect URI and returns the reason.
            tracing::debug!("the mock rejected the redirect URI");
        }
        let builder = Config::builder(client.id(), redirect_uri)
            .issuer(self.issuer())
            .discovery_url(self.discovery_url())
            .api_base_url(self.api_base_url())
            .tenant_api_key(self.tenant_of(client).api_key())
            .webhook_secret(self.tenant_of(client).webhooks().secret())
            .clock(self.clock().clone());
        #[cfg(feature = "web")]
        let builder = builder.cookie_name(COOKIE_NAME);
        let builder = match self.root_pem() {
            Some(root) => builder.trust_only(root),
            None => builder,
        };
        match client.current_secret() {
            Some(secret) => builder.client_secret(secret),
            None => builder,
        }
    }
}

/// Method that returns a configuration for an app.
impl RemoteMock {
    /// Returns the same configuration as [`MockIssuer::config`]. The app uses
    /// [`RemoteMock::clock`].
    ///
    /// # Errors
    /// Returns [`RemoteError`] if the mock does not respond, or rejects the redirect URI.
    pub async fn config(
        &self,
        redirect_uri: impl Into<String>,
    ) -> Result<ConfigBuilder, RemoteError> {
        let redirect_uri = redirect_uri.into();
        let variables = self.environment(&redirect_uri).await?;
        let variable = |name| variables.get(name).cloned();
        let mut builder = Config::builder(self.client_id(), redirect_uri)
            .issuer(self.issuer())
            .discovery_url(self.discovery_url())
            .api_base_url(self.origin())
            .clock(self.clock().clone());
        #[cfg(feature = "web")]
        {
            builder = builder.cookie_name(COOKIE_NAME);
        }
        if let Some(key) = variable("KYCPORT_TENANT_API_KEY") {
            builder = builder.tenant_api_key(key);
        }
        if let Some(secret) = variable("KYCPORT_WEBHOOK_SECRET") {
            builder = builder.webhook_secret(secret);
        }
        if let Some(secret) = variable("KYCPORT_CLIENT_SECRET") {
            builder = builder.client_secret(secret);
        }
        Ok(match self.root_pem() {
            Some(root) => builder.trust_only(root),
            None => builder,
        })
    }
}

#[cfg(feature = "web")]
pub use running_app::RunningApp;

#[cfg(feature = "web")]
mod running_app {
    use std::{future::IntoFuture as _, net::SocketAddr};

    use axum::Router;
    use tokio::{net::TcpListener, task::JoinHandle};

    use super::{ConfigBuilder, MockIssuer};

    /// Handle to a running app, which [`MockIssuer::serve`] returns. Dropping the handle stops the
    /// app.
    #[derive(Debug)]
    #[must_use = "the app stops when this is dropped"]
    pub struct RunningApp {
        address: SocketAddr,
        task: JoinHandle<()>,
    }

    impl MockIssuer {
        /// Serves an app on a random loopback port. `app` receives a configuration for this address
        /// and can change the configuration.
        ///
        /// # Errors
        /// Returns an error if the app cannot bind a port.
        pub async fn serve(
            &self,
            app: impl FnOnce(ConfigBuilder) -> Router,
        ) -> std::io::Result<RunningApp> {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            let address = listener.local_addr()?;
            let router = app(self.config(format!("http://{address}/auth/callback")));
            let task = tokio::spawn(async move {
                if let Err(error) = axum::serve(listener, router).into_future().await {
                    tracing::error!(%error, "the app stopped");
                }
            });
            Ok(RunningApp { address, task })
        }
    }

    impl RunningApp {
        /// Returns the URL of `path`, which must begin with a slash.
        pub fn url(&self, path: &str) -> String {
            format!("http://{}{path}", self.address)
        }
    }

    impl Drop for RunningApp {
        fn drop(&mut self) {
            self.task.abort();
        }
    }
}
