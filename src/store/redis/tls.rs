//! TLS to Redis with rustls, aws-lc-rs and the root certificates of the machine.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types::ServerName,
    },
};

use super::failure::Failure;

/// TLS settings of one store.
///
/// The settings select the crypto provider explicitly. The default provider of the process
/// therefore has no effect.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Loads the root certificates of the machine. Blocks the thread during file system access.
    pub(super) fn load() -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        // If one certificate is unreadable, the other certificates still work.
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(Failure::certificates());
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| Failure::certificates())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let name = ServerName::try_from(host).map_err(|_| Failure::certificates())?;
        let connector = TlsConnector::from(Arc::clone(&self.0));
        Ok(connector.connect(name.to_owned(), stream).await?)
    }
}

/// Ensures that rustls has a default provider when redis-rs opens a TLS connection itself, to a
/// cluster or with the app's client. Without a default provider, rustls panics if several providers
/// are compiled in. Keeps a provider that is already installed.
pub(super) fn ensure_provider() {
    if CryptoProvider::get_default().is_none() {
        // Ignore an error here: it means that another thread has just installed a provider.
        let _ = aws_lc_rs::default_provider().install_default();
    }
}
