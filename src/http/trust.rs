//! Certificate authorities for TLS.

use reqwest::{Certificate, ClientBuilder};

/// Trusted certificate authorities.
#[derive(Debug, Clone, Default)]
pub(crate) enum Trust {
    /// Trusts the authorities of the operating system.
    #[default]
    System,
    /// Trusts only these authorities, and not the authorities of the operating system.
    Only(Vec<Certificate>),
}

impl Trust {
    /// Trusts only the certificates in the PEM text. Returns `None` if the text contains no
    /// certificate or an invalid certificate.
    pub(crate) fn only(pem: &str) -> Option<Self> {
        let roots = Certificate::from_pem_bundle(pem.as_bytes()).ok()?;
        if roots.is_empty() {
            return None;
        }
        let trust = Self::Only(roots);
        // Certificates are parsed only when a client is built.
        trust.apply(reqwest::Client::builder()).build().ok()?;
        Some(trust)
    }

    pub(super) fn apply(&self, builder: ClientBuilder) -> ClientBuilder {
        match self {
            Self::System => builder,
            Self::Only(roots) => builder.tls_certs_only(roots.iter().cloned()),
        }
    }
}
