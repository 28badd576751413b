//! Rust client for a mock in another process.

mod admin_client;
mod control;
mod fault;
mod person;
mod sandbox;
mod webhooks;

use std::fmt::{self, Debug};

use serde::Deserialize;
use serde_json::json;

use self::{admin_client::AdminClient, sandbox::Sandbox};
use crate::{
    clock::TestClock,
    mock::{issuer::MockIssuer, overview::Overview},
};

#[cfg(feature = "mock-cli")]
pub(super) use admin_client::{AdminClient as RemoteAdmin, segment};

pub use admin_client::RemoteError;
pub use fault::{RemoteFault, RemoteOn, RemoteRule};
pub use person::{NewRemotePerson, RemotePerson};
pub use webhooks::RemoteWebhooks;

/// Handle to a mock in another process, such as `kycport-mock`. It offers the methods of
/// [`MockIssuer`] over the admin API. Each method is async and can fail.
///
/// By default, the handle has its own issuer, a sandbox. The sandbox is removed when the handle is
/// dropped. Parallel tests therefore do not affect each other.
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
/// These features of [`MockIssuer`] work only in the process of the mock. `RemoteMock` does not
/// have them:
/// - `edit_…` and `mint`
/// - `hold` and its gates
/// - deliveries that the test builds itself
/// - `stop` and `restart`
///
/// `RemoteMock` has no methods for these features. Use the admin API for them:
/// - manipulations of tokens
/// - faults of deliveries
/// - cases
/// - the content of recorded requests
pub struct RemoteMock {
    admin: AdminClient,
    overview: Overview,
    clock: TestClock,
    /// The sandbox of this handle. It is removed when the handle is dropped.
    sandbox: Option<Sandbox>,
}

/// Connection to a mock in another process.
impl MockIssuer {
    /// Connects to the mock that `KYCPORT_MOCK_URL` names, and opens a sandbox. For a mock on
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

#[derive(Deserialize)]
struct Opened {
    id: String,
    issuer: Overview,
}

impl RemoteMock {
    /// Connects to the mock at this origin, and opens a sandbox.
    ///
    /// # Errors
    /// [`RemoteError`] if no mock responds, or the mock has no free sandbox.
    pub async fn connect(url: &str) -> Result<Self, RemoteError> {
        let parent = AdminClient::new(url, None)?;
        let opened: Opened = parent.post("/sandboxes", &json!({})).await?;
        let sandbox = Sandbox::new(url, opened.id);
        Self::new(opened.issuer, Some(sandbox))
    }

    /// Connects to the mock at this origin without a sandbox. All clients of the mock see each
    /// change.
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

    /// Ends the sandbox now, if the handle has one.
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

/// The output contains no secret.
impl Debug for RemoteMock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteMock")
            .field("origin", &self.origin())
            .finish_non_exhaustive()
    }
}
