//! Tests that the SDK's HTTP client accepts only TLS 1.2 and newer. The test servers send
//! hand-written handshakes of other versions.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use kycport::{
    KycTier, TransportError, cases::CaseError, kyc::StatusError, mock::MockIssuerBuilder,
};

use crate::{
    direct::{relying_party, relying_party_with, sign_in},
    tls::{begin, mock},
};

#[tokio::test]
async fn tls_1_2_is_supported() {
    // K70
    let kyc = mock(MockIssuerBuilder::tls_1_2).await;
    let app = relying_party(&kyc);
    let ada = kyc.person("ada").create();
    sign_in(&kyc, &app, &ada).await.unwrap();
}

#[tokio::test]
async fn versions_older_than_tls_1_2_are_not_offered_and_not_accepted() {
    // K70: one server selects TLS 1.1, and another server rejects every newer version.
    for answer in [server_hello_of_tls_1_1(), PROTOCOL_VERSION.to_vec()] {
        let (url, server) = old_server(answer);
        let kyc = mock(MockIssuerBuilder::tls).await;
        let app = relying_party_with(&kyc, |config| config.discovery_url(&url));

        assert_eq!(begin(&app).await, Err(TransportError::Tls.into()));

        let (offered, after) = server.join().unwrap();
        assert_eq!(offered, [TLS_1_3, TLS_1_2]);
        // The client sends an alert or closes the connection. The client never continues the
        // handshake.
        assert!(after.first().is_none_or(|it| *it == ALERT), "{after:?}");
    }
}

#[tokio::test]
async fn a_tls_failure_is_not_retried_and_counts_as_not_applied() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = socket.write_all(&PROTOCOL_VERSION);
            let _ = socket.read_to_end(&mut Vec::new());
        }
    });
    let kyc = mock(MockIssuerBuilder::tls).await;
    let app = relying_party_with(&kyc, |config| {
        let moment = Duration::from_millis(1);
        config
            .api_base_url(&url)
            .max_attempts(3)
            .retry_pause(moment)
            .retry_deadline(Duration::from_secs(20))
    });
    let refused = TransportError::Tls;
    let status = app.status().status("ada").await;
    assert_eq!(status, Err(StatusError::Transport(refused)));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    // The error means that KYCPort opened no case, because the client has sent no request.
    let case = app.cases().open("ada", &KycTier::T2).await.unwrap_err();
    assert!(
        matches!(case, CaseError::Transport(it) if it == refused),
        "{case:?}"
    );
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_server_without_tls_is_a_typed_error() {
    let (url, server) = old_server(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let kyc = mock(MockIssuerBuilder::tls).await;
    let app = relying_party_with(&kyc, |config| config.discovery_url(&url));
    assert_eq!(begin(&app).await, Err(TransportError::Tls.into()));
    server.join().unwrap();
}

const ALERT: u8 = 0x15;
const TLS_1_1: [u8; 2] = [3, 2];
const TLS_1_2: [u8; 2] = [3, 3];
const TLS_1_3: [u8; 2] = [3, 4];

/// Alert record with the level "fatal" and the description `protocol_version` (RFC 4346 section
/// 7.2).
const PROTOCOL_VERSION: [u8; 7] = [ALERT, 3, 2, 0, 2, 2, 70];

/// Returns a `ServerHello` (RFC 4346 section 7.4.1.3). The message contains the version, 32 random
/// bytes, no session ID, the cipher suite `TLS_RSA_WITH_AES_128_CBC_SHA`, and no compression.
fn server_hello_of_tls_1_1() -> Vec<u8> {
    let mut hello = TLS_1_1.to_vec();
    hello.extend([7; 32]);
    hello.extend([0, 0x00, 0x2f, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![0x16, 3, 2, 0, length + 4, 2, 0, 0, length];
    record.extend(hello);
    record
}

/// TLS versions that a client offered, and the bytes that the client sent after the server's
/// response.
type Received = (Vec<[u8; 2]>, Vec<u8>);

/// Starts a server for one connection. The server reads the `ClientHello`, responds with these
/// bytes, and reads on.
fn old_server(answer: Vec<u8>) -> (String, JoinHandle<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut header = [0; 5];
        socket.read_exact(&mut header).unwrap();
        let length = usize::from(header[3]) << 8 | usize::from(header[4]);
        let mut hello = vec![0; length];
        socket.read_exact(&mut hello).unwrap();
        socket.write_all(&answer).unwrap();
        let mut after = Vec::new();
        // The client may also reset the connection.
        let _ = socket.read_to_end(&mut after);
        (offered(&hello), after)
    });
    (url, server)
}

/// Returns the extension `supported_versions` of a `ClientHello` (RFC 8446 sections 4.1.2 and
/// 4.2.1).
fn offered(hello: &[u8]) -> Vec<[u8; 2]> {
    // The message begins with its type and length, the version, and the random bytes.
    let after_session = skip(&hello[4 + 2 + 32..], 1);
    let after_ciphers = skip(after_session, 2);
    let mut extensions = &skip(after_ciphers, 1)[2..];
    while let [a, b, c, d, rest @ ..] = extensions {
        let (body, others) = rest.split_at(usize::from(*c) << 8 | usize::from(*d));
        if [*a, *b] == [0, 43] {
            return body[1..].chunks(2).map(|it| [it[0], it[1]]).collect();
        }
        extensions = others;
    }
    Vec::new()
}

/// Skips a vector whose length field has `length_bytes` bytes, and returns the remaining bytes.
fn skip(bytes: &[u8], length_bytes: usize) -> &[u8] {
    let (length, rest) = bytes.split_at(length_bytes);
    let length = length
        .iter()
        .fold(0, |all, byte| all << 8 | usize::from(*byte));
    &rest[length..]
}
