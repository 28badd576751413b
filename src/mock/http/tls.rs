//! TLS: the certificate authority of the mock, and the server certificate from this authority.

use std::{io, net::IpAddr, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig, SupportedProtocolVersion,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        version::{TLS12, TLS13},
    },
};

/// TLS settings of a mock.
#[derive(Debug, Clone, Default)]
pub(in crate::mock) struct TlsPlan {
    /// The only name in the certificate. Default: The certificate contains the server's address and
    /// the loopback names.
    pub(in crate::mock) name: Option<String>,
    pub(in crate::mock) versions: TlsVersions,
}

#[derive(Debug, Clone, Copy, Default)]
pub(in crate::mock) enum TlsVersions {
    #[default]
    All,
    /// TLS 1.2 only, without TLS 1.3.
    Old,
}

/// TLS configuration of a running mock. The mock generates new keys at every start. The mock
/// discards the key of the certificate authority after it has signed the certificate.
pub(in crate::mock) struct Tls {
    /// The CA certificate in PEM.
    pub(in crate::mock) root_pem: String,
    pub(in crate::mock) acceptor: TlsAcceptor,
}

impl Tls {
    pub(in crate::mock) fn new(plan: &TlsPlan, own: IpAddr) -> io::Result<Self> {
        let names = match &plan.name {
            Some(name) => vec![name.clone()],
            None => [own.to_string()]
                .into_iter()
                .chain(LOOPBACK.map(str::to_owned))
                .collect(),
        };
        let root = authority().map_err(io::Error::other)?;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = server(names)
            .and_then(|params| params.signed_by(&key, &root))
            .map_err(io::Error::other)?;
        let versions: &[&'static SupportedProtocolVersion] = match plan.versions {
            TlsVersions::All => &[&TLS13, &TLS12],
            TlsVersions::Old => &[&TLS12],
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        // Set the crypto provider explicitly, because another crate in the process may have
        // installed another provider.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(io::Error::other)?;
        Ok(Self {
            root_pem: root.pem(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    let name = "kycport mock certificate authority";
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn server(names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "kycport mock issuer");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

const LOOPBACK: [&str; 3] = ["127.0.0.1", "::1", "localhost"];
