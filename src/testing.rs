//! A tenant's app on the mock issuer: what stands above both.

use crate::{
    config::{Config, ConfigBuilder},
    mock::{Client, MockIssuer, RemoteError, RemoteMock},
};

/// Name of the session cookie of an app on the mock, without `__Host-`. A name that is derived from
/// the issuer would change with the mock's port.
#[cfg(feature = "web")]
const COOKIE_NAME: &str = "kycport";

/// How an app finds the mock.
impl MockIssuer {
    /// Begins a configuration for this mock's confidential client, with its tenant's API key and
    /// webhook secret. `redirect_uri` is registered with the client. The app uses the mock's clock:
    /// moving one moves both. The session cookie is named `__Host-kycport`, whatever the port of the
    /// mock.
    pub fn config(&self, redirect_uri: impl Into<String>) -> ConfigBuilder {
        self.config_for(self.client(), redirect_uri)
    }

    /// The same for another of its clients.
    pub fn config_for(&self, client: &Client, redirect_uri: impl Into<String>) -> ConfigBuilder {
        let redirect_uri = redirect_uri.into();
        if client.register_redirect_uri(&redirect_uri).is_err() {
            // The configuration will not build with it either, and says why.
            tracing::debug!("the mock does not register the redirect URI");
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
        match client.present_secret() {
            Some(secret) => builder.client_secret(secret),
            None => builder,
        }
    }
}

/// How an app finds a mock in another process.
impl RemoteMock {
    /// The same as [`MockIssuer::config`]. The app's clock is [`RemoteMock::clock`].
    ///
    /// # Errors
    /// [`RemoteError`] if the mock could not be asked, or does not register the redirect URI.
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

    /// An app that runs for as long as this handle lives. Made by [`MockIssuer::serve`].
    #[derive(Debug)]
    #[must_use = "the app stops when this is dropped"]
    pub struct RunningApp {
        address: SocketAddr,
        task: JoinHandle<()>,
    }

    impl MockIssuer {
        /// Runs a tenant's app on a random loopback port, with a configuration that fits. `app` is
        /// handed the builder, to say more before it builds.
        ///
        /// # Errors
        /// If no port can be listened on.
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
        /// The address of `path`, which begins with a slash.
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
