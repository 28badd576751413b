//! Why a mock could not be set up or changed.

use std::{io, net::SocketAddr};

/// Why a mock could not be set up or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MockError {
    /// The address is reachable from other machines ([case 135](crate::guide::threats)).
    #[error(
        "the mock issuer signs anyone in, so it binds loopback addresses alone, not {0}; \
         if it must, call `danger_bind_any`"
    )]
    NotLoopback(SocketAddr),
    /// The address could not be bound, or the thread not be started.
    #[error("the mock issuer could not listen: {0}")]
    Listen(#[from] io::Error),
    /// No certificate could be made, for a name that is none.
    #[error("the mock issuer could not make its certificate: {0}")]
    Certificate(#[source] io::Error),
    /// The redirect URI cannot be registered (K12).
    #[error("the redirect URI {uri:?} cannot be registered: {reason}")]
    RedirectUri {
        /// What was given.
        uri: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Webhooks are delivered over HTTP or HTTPS.
    #[error("{0:?} is no address that webhooks could be delivered to")]
    WebhookAddress(String),
    /// Something that it was to begin with cannot be.
    #[error("`{setting}`: {reason}")]
    Setting {
        /// What it is called.
        setting: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A reviewer has a word only on a case that is being decided (K55).
    #[error("there is no case {0:?} that a reviewer looks at")]
    NotUnderReview(String),
}
