//! Rust client for a mock in another process.

mod admin_client;
mod control;
mod fault;
mod person;
mod sandbox;
mod webhooks;

use std::fmt::{self, Debug};

use serde_json::json;

use self::{admin_client::AdminClient, sandbox::Sandbox};
use crate::{
    clock::TestClock,
    mock::{admin::sandboxes::SandboxView, issuer::MockIssuer, overview::Overview},
};

#[cfg(feature = "mock-cli")]
pub(super) use admin_client::AdminClient as RemoteAdmin;

pub use admin_client::RemoteError;
pub use fault::{RemoteFault, RemoteOn, RemoteRule};
pub use person::{NewRemotePerson, RemotePerson};
pub use webhooks::RemoteWebhooks;

/// Handle to a mock in another process, such as `kycport-mock`. `RemoteMock` offers the methods of
/// [`MockIssuer`] over the admin API. Each method is async and can fail.
///
/// By default, each handle uses a separate issuer, called a sandbox. Parallel tests therefore do
/// not affect each other. Dropping the handle removes the sandbox.
///
/// ```
/// # use kycport::{KycTier, mock::{MockIssuer, RemoteMock}};
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let running = MockIssuer::builder().admin().start().await?;
/// # let url = running.origin();
/// let kyc = RemoteMock::connect(url).await?; // or `MockIssuer::connect_from_env()`
/// let ada = kyc.person("ada").tier(KycTier::T2).create().await?;
/// let config = kyc.config("http://127.0.0.1:3000/auth/callback").await?.build()?;
/// // … start the app with `config` and log Ada in …
/// ada.reject().await?;
/// kyc.webhooks().settled().await?;
/// # Ok(())
/// # }
/// ```
///
/// `RemoteMock` does not offer these features of [`MockIssuer`], because they work only in the
/// process of the mock:
/// - `edit_…` and `mint`
/// - `hold` and its gates
/// - manual deliveries
/// - `stop` and `restart`
///
/// `RemoteMock` has no methods for the following tasks. A test can perform these tasks with the
/// admin API:
/// - manipulate tokens
/// - install faults of deliveries
/// - read and decide cases
/// - read recorded requests
pub struct RemoteMock {
    admin: AdminClient,
    overview: Overview,
    clock: TestClock,
    /// The sandbox of this handle. Dropping the handle removes the sandbox.
    sandbox: Option<Sandbox>,
}

/// Connection to a mock in another process.
impl MockIssuer {
    /// Connects to the mock at the URL in `KYCPORT_MOCK_URL`, and opens a sandbox. For a mock on
    /// another machine, the URL contains the admin token as its password.
    ///
    /// # Errors
    /// [`RemoteError`] if the variable is not set, no mock responds, or the mock has no free
    /// sandbox.
    pub async fn connect_from_env() -> Result<RemoteMock, RemoteError> {
        let url = std::env::var("KYCPORT_MOCK_URL").map_err(|_| RemoteError::MissingUrl)?;
        RemoteMock::connect(&url).await
    }
}

impl RemoteMock {
    /// Connects to the mock at this origin, and opens a sandbox.
    ///
    /// # Errors
    /// [`RemoteError`] if no mock responds, or the mock has no free sandbox.
    pub async fn connect(url: &str) -> Result<Self, RemoteError> {
        let parent = AdminClient::new(url, None)?;
        let opened: SandboxView = parent.post("/sandboxes", &json!({})).await?;
        let sandbox = Sandbox::new(url, opened.id);
        Self::new(opened.issuer, Some(sandbox))
    }

    /// Connects to the mock at this origin and does not open a sandbox. Changes therefore affect
    /// all clients of the mock.
    ///
    /// # Errors
    /// [`RemoteError`] if no mock responds.
    pub async fn connect_shared(url: &str) -> Result<Self, RemoteError> {
        let overview: Overview = AdminClient::new(url, None)?.get("").await?;
        Self::new(overview, None)
    }

    fn new(overview: Overview, sandbox: Option<Sandbox>) -> Result<Self, RemoteError> {
        Ok(Self {
            admin: AdminClient::new(
                &admin_client::with_token(&overview.origin, &overview.admin_token),
                overview.root_pem.as_deref(),
            )?,
            overview,
            clock: TestClock::new(),
            sandbox,
        })
    }

    /// Returns the mock's origin, without a trailing slash.
    pub fn origin(&self) -> &str {
        &self.overview.origin
    }

    /// Returns the issuer identifier.
    pub fn issuer(&self) -> &str {
        &self.overview.issuer
    }

    /// Returns the URL of the discovery document.
    pub fn discovery_url(&self) -> &str {
        &self.overview.discovery_url
    }

    /// Returns the `client_id` of the confidential client.
    pub fn client_id(&self) -> &str {
        &self.overview.client_id
    }

    /// Returns the clock of an app that uses [`config`](Self::config). The clock moves only when
    /// this handle moves the mock's clock.
    pub fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// Removes the sandbox of this handle now. Without a sandbox, the call has no effect.
    ///
    /// # Errors
    /// [`RemoteError`] if the mock does not respond.
    pub async fn end(mut self) -> Result<(), RemoteError> {
        match self.sandbox.take() {
            Some(sandbox) => sandbox.end().await,
            None => Ok(()),
        }
    }

    /// Returns the mock's CA certificate in PEM, if the mock uses TLS.
    pub fn root_pem(&self) -> Option<&str> {
        self.overview.root_pem.as_deref()
    }
}

/// The `Debug` output contains no secret.
impl Debug for RemoteMock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteMock")
            .field("origin", &self.origin())
            .finish_non_exhaustive()
    }
}
