//! TLS tests. The tests run in a child process. An environment variable sets the path of the root
//! certificates, and a process has only one TLS provider.

use std::process::Command;

use kycport::store::{RedisStore, Store as _, StoreError};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::CryptoProvider;

use super::server::{Server, free_port};

const CHILD: &str = "redis::tls::the_child_process_connects";
const URL: &str = "KYCPORT_TEST_REDIS_URL";
const ROOT: &str = "SSL_CERT_FILE";

/// Starts a server with TLS, and returns the server, its URL and the path of its certificate.
fn start() -> Option<(Server, String, String)> {
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let parameters = CertificateParams::new(names).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let port = free_port().to_string();
    let folder = std::env::temp_dir().join(format!("kycport-tls-{}-{port}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (cert_file, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let cert = cert_file.to_str().unwrap().to_owned();
    let server = Server::start(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        key_file.to_str().unwrap(),
        "--tls-ca-cert-file",
        &cert,
        "--tls-auth-clients",
        "no",
    ])?;
    Some((server, format!("rediss://localhost:{port}"), cert))
}

#[test]
fn tls_uses_the_root_certificates_of_the_machine() {
    let Some((_server, url, cert)) = start() else {
        return;
    };
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--ignored", "--nocapture"])
        .env(URL, url)
        .env(ROOT, cert)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}");
    assert!(output.contains("1 passed"), "{output}");
}

#[tokio::test]
#[ignore = "another test runs this test in a child process"]
async fn the_child_process_connects() {
    let url = std::env::var(URL).unwrap();
    assert!(CryptoProvider::get_default().is_none());
    let store = RedisStore::connect(&url).await.unwrap();
    store.check().await.unwrap();
    let other_name = url.replace("localhost", "127.0.0.2");
    let refused = RedisStore::connect(&other_name).await;
    assert_eq!(refused.err(), Some(StoreError::Unreachable));
    // The test has installed no TLS provider in this process.
    assert!(CryptoProvider::get_default().is_none());

    // redis-rs opens the connection if the store uses a client of the app.
    let root = std::fs::read(std::env::var(ROOT).unwrap()).unwrap();
    let certificates = redis::TlsCertificates {
        client_tls: None,
        root_cert: Some(root),
    };
    let client = redis::Client::build_with_tls(url, certificates).unwrap();
    let store = RedisStore::with_client(&client);
    store.check().await.unwrap();
    assert!(CryptoProvider::get_default().is_some());
}

#[tokio::test]
async fn an_untrusted_certificate_is_rejected() {
    let Some((_server, url, _)) = start() else {
        return;
    };
    let connected = RedisStore::connect(&url).await;
    assert_eq!(connected.err(), Some(StoreError::Unreachable));
    let cluster = url.replace("rediss", "rediss+cluster");
    let connected = RedisStore::connect(&cluster).await;
    assert_eq!(connected.err(), Some(StoreError::Unreachable));
}
