//! A mock in another process, driven from Rust.

mod call;
mod desk;
mod fault;
mod person;
mod sandbox;
mod webhooks;

use std::fmt::{self, Debug};

use serde::Deserialize;
use serde_json::json;

use self::{call::Admin, sandbox::Sandbox};
use crate::{
    clock::TestClock,
    mock::{issuer::MockIssuer, overview::Overview},
};

#[cfg(feature = "mock-cli")]
pub(super) use call::{Admin as RemoteAdmin, segment};

pub use call::RemoteError;
pub use fault::{RemoteFault, RemoteOn, RemoteRule};
pub use person::{NewRemotePerson, RemotePerson};
pub use webhooks::RemoteWebhooks;

/// A mock in another process, such as `kycport-mock`: the calls of [`MockIssuer`] over its admin API,
/// so that each is awaited and can fail.
///
/// It has an issuer of its own there, a sandbox, which ends when this is dropped: tests that run
/// beside each other do not meet.
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
/// // … the app runs with `config`, and Ada signs in …
/// ada.reject().await?;
/// kyc.webhooks().settled().await?;
/// # Ok(())
/// # }
/// ```
///
/// What is not here, for it is code or needs the same process: `edit_…`, `mint`, `hold` and its
/// gates, `by_hand`, `stop` and `restart`, tampers, faults of deliveries, cases, and the recorded
/// requests themselves. The admin API has all but the first five of these.
pub struct RemoteMock {
    admin: Admin,
    overview: Overview,
    clock: TestClock,
    /// It ends with this.
    sandbox: Option<Sandbox>,
}

/// How a mock in another process is found.
impl MockIssuer {
    /// Connects to the mock that `KYCPORT_MOCK_URL` names, and opens a sandbox there. A mock on
    /// another machine asks for its admin token, as the password of that URL.
    ///
    /// # Errors
    /// [`RemoteError`] if nothing is named, nobody answers, or no sandbox is left.
    pub async fn connect_from_env() -> Result<RemoteMock, RemoteError> {
        let url = std::env::var("KYCPORT_MOCK_URL").map_err(|_| RemoteError::NoUrl)?;
        RemoteMock::connect(&url).await
    }
}

#[derive(Deserialize)]
struct Opened {
    id: String,
    issuer: Overview,
}

impl RemoteMock {
    /// Connects to the mock at this origin, and opens a sandbox there.
    ///
    /// # Errors
    /// [`RemoteError`] if nobody answers, or no sandbox is left.
    pub async fn connect(url: &str) -> Result<Self, RemoteError> {
        let parent = Admin::new(url, None)?;
        let opened: Opened = parent.post("/sandboxes", &json!({})).await?;
        let sandbox = Sandbox::new(url, opened.id);
        Self::new(opened.issuer, Some(sandbox))
    }

    /// Connects to the mock at this origin itself: whatever is changed, everyone there sees.
    ///
    /// # Errors
    /// [`RemoteError`] if nobody answers.
    pub async fn connect_shared(url: &str) -> Result<Self, RemoteError> {
        let overview: Overview = Admin::new(url, None)?.get("").await?;
        Self::new(overview, None)
    }

    fn new(overview: Overview, sandbox: Option<Sandbox>) -> Result<Self, RemoteError> {
        Ok(Self {
            admin: Admin::new(
                &call::with_token(&overview.origin, &overview.admin_token),
                overview.root_pem.as_deref(),
            )?,
            overview,
            clock: TestClock::new(),
            sandbox,
        })
    }

    /// Where it is reached, without a slash at the end.
    pub fn origin(&self) -> &str {
        &self.overview.origin
    }

    /// The issuer identifier.
    pub fn issuer(&self) -> &str {
        &self.overview.issuer
    }

    /// Where its discovery document is.
    pub fn discovery_url(&self) -> &str {
        &self.overview.discovery_url
    }

    /// The `client_id` of its confidential client.
    pub fn client_id(&self) -> &str {
        &self.overview.client_id
    }

    /// The clock of an app that uses [`config`](Self::config): it moves with the mock's when this
    /// moves that, and never otherwise.
    pub fn clock(&self) -> &TestClock {
        &self.clock
    }

    /// Ends it now: its sandbox, if it has one.
    ///
    /// # Errors
    /// [`RemoteError`] if nobody answers.
    pub async fn end(mut self) -> Result<(), RemoteError> {
        match self.sandbox.take() {
            Some(sandbox) => sandbox.end().await,
            None => Ok(()),
        }
    }

    /// The certificate of the authority that vouches for it, in PEM, if it speaks TLS.
    pub fn root_pem(&self) -> Option<&str> {
        self.overview.root_pem.as_deref()
    }
}

/// Shows no secret.
impl Debug for RemoteMock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteMock")
            .field("origin", &self.origin())
            .finish_non_exhaustive()
    }
}
