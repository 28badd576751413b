//! TLS to Redis, by rustls and aws-lc-rs, with the root certificates of the machine.

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

/// Settings of all TLS connections of one store.
///
/// The provider is named, so that nothing depends on what the app installed for its process.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Reads the root certificates of the machine. Blocks on the file system.
    pub(super) fn load() -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        // A certificate that cannot be read does not spoil the others.
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

/// Makes sure that redis-rs finds a provider when it makes a TLS connection itself, which it does
/// to a cluster and with a client of the app. Without one, rustls panics if the app is built with
/// several providers. A provider that the app has installed stays.
pub(super) fn ensure_provider() {
    if CryptoProvider::get_default().is_none() {
        // Fails if another thread was faster, which is as good.
        let _ = aws_lc_rs::default_provider().install_default();
    }
}
