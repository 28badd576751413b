//! Certificate authorities for TLS.

use reqwest::{Certificate, ClientBuilder};

/// Certificate authorities that are trusted.
#[derive(Debug, Clone, Default)]
pub(crate) enum Trust {
    /// The authorities of the operating system.
    #[default]
    System,
    /// Only these authorities. Authorities of the operating system are not trusted.
    Only(Vec<Certificate>),
}

impl Trust {
    /// Trusts only the certificates in the PEM text. Returns `None` if there is no certificate, or
    /// if a certificate is invalid.
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
