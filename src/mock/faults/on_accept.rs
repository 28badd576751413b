//! Faults of a new connection, which act before the server reads from the connection.

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
    http::broken_response::AcceptFault,
};

/// Builder for faults of new connections. The server has not read a request, so the fault affects
/// connections to every endpoint.
///
/// A client that reuses its connections opens a new connection only when it must, for example after
/// [`stop`](crate::mock::MockIssuer::stop) and [`restart`](crate::mock::MockIssuer::restart).
///
/// Each method returns a [`Rule`]. Install the rule with [`once`](Rule::once),
/// [`times`](Rule::times) or [`always`](Rule::always).
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
#[must_use = "call `once`, `times` or `always` to install the fault"]
pub struct OnAccept(Arc<Core>);

impl OnAccept {
    pub(in crate::mock) fn new(core: Arc<Core>) -> Self {
        Self(core)
    }

    /// Closes the connection immediately.
    pub fn close(self) -> Rule {
        self.rule("close", AcceptFault::Close)
    }

    /// Resets the connection immediately.
    pub fn reset(self) -> Rule {
        self.rule("reset", AcceptFault::Reset)
    }

    /// Never reads from the connection. With TLS, the server does not complete the handshake.
    pub fn hang(self) -> Rule {
        self.rule("hang", AcceptFault::Hang)
    }

    fn rule(self, name: &str, unread: AcceptFault) -> Rule {
        let name = format!("on_accept.{name}");
        Rule::new(self.0, name, Place::Accept, Effect::Accept(unread))
    }
}

impl Debug for OnAccept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnAccept").finish()
    }
}
