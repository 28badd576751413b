//! Who vouches for the servers that are spoken to.

use reqwest::{Certificate, ClientBuilder};

/// The certificate authorities that are believed.
#[derive(Debug, Clone, Default)]
pub(crate) enum Trust {
    /// Those that this machine believes.
    #[default]
    System,
    /// These, and none of the machine's.
    Only(Vec<Certificate>),
}

impl Trust {
    /// These alone; none if there is no certificate in the PEM text, or one that cannot be read.
    pub(crate) fn only(pem: &str) -> Option<Self> {
        let roots = Certificate::from_pem_bundle(pem.as_bytes()).ok()?;
        if roots.is_empty() {
            return None;
        }
        let trust = Self::Only(roots);
        // What a certificate says is read only when a client is made of it.
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
