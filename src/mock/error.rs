//! Error types of a mock's configuration.

use std::{io, net::SocketAddr};

/// Error when a mock starts or when a test changes the configuration of a mock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MockError {
    /// The address is not loopback, so other machines could reach it
    /// ([case 135](crate::guide::threats)).
    #[error(
        "the mock issuer logs in anyone, so it binds only loopback addresses, not {0}; \
         if it must, call `danger_bind_any`"
    )]
    NotLoopback(SocketAddr),
    /// The mock could not bind its address or start its thread.
    #[error("the mock issuer could not listen: {0}")]
    Listen(#[from] io::Error),
    /// The mock could not create a certificate, for example because a host name is invalid.
    #[error("the mock issuer could not create its certificate: {0}")]
    Certificate(#[source] io::Error),
    /// The mock cannot register the redirect URI ([K12](crate::guide::contract)).
    #[error("the redirect URI {uri:?} cannot be registered: {reason}")]
    RedirectUri {
        /// The redirect URI that the caller passed.
        uri: String,
        /// The rule that the redirect URI violates.
        reason: &'static str,
    },
    /// The URL of a webhook endpoint is not a valid HTTP or HTTPS URL.
    #[error("{0:?} is not a valid HTTP or HTTPS URL of a webhook endpoint")]
    WebhookAddress(String),
    /// A setting of the initial state is invalid.
    #[error("`{setting}`: {reason}")]
    Setting {
        /// The name of the setting.
        setting: &'static str,
        /// The rule that the setting violates.
        reason: &'static str,
    },
    /// The case is not under review, so a reviewer cannot decide it
    /// ([K55](crate::guide::contract)).
    #[error("there is no case {0:?} under review")]
    NotUnderReview(String),
}
