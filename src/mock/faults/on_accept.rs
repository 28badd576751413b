//! What can go wrong with a connection before anything of it is read.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use super::Rule;
use crate::mock::{
    core::{
        Core,
        rules::{Effect, Place},
    },
    http::breakage::Unread,
};

/// What is to go wrong with connections as they come: nothing of them is read, so no endpoint is
/// known yet. A client that keeps its connection opens a new one only when it must, as after
/// [`stop`](crate::mock::MockIssuer::stop) and [`restart`](crate::mock::MockIssuer::restart).
///
/// Each method gives a [`Rule`], to be finished with [`once`](Rule::once), [`times`](Rule::times)
/// or [`always`](Rule::always).
///
/// ```
/// # use kycport::mock::{Endpoint, MockIssuer};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let kyc = MockIssuer::start().await;
/// let fault = kyc.on_accept().close().once();
/// assert!(kyc.browser().fetch(kyc.discovery_url()).await.is_err());
/// fault.assert_hit();
/// # }
/// ```
#[must_use = "a fault is installed by `once`, `times` or `always`"]
pub struct OnAccept(Arc<Core>);

impl OnAccept {
    pub(in crate::mock) fn new(core: Arc<Core>) -> Self {
        Self(core)
    }

    /// Closes the connection.
    pub fn close(self) -> Rule {
        self.rule("close", Unread::Close)
    }

    /// Resets the connection.
    pub fn reset(self) -> Rule {
        self.rule("reset", Unread::Reset)
    }

    /// Never reads from the connection; under TLS there is no handshake.
    pub fn hang(self) -> Rule {
        self.rule("hang", Unread::Hang)
    }

    fn rule(self, name: &str, unread: Unread) -> Rule {
        let name = format!("on_accept.{name}");
        Rule::new(self.0, name, Place::Accept, Effect::Unread(unread))
    }
}

impl Debug for OnAccept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnAccept").finish()
    }
}
