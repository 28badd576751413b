//! TLS: one root is trusted, the right host spoken to, and nothing older than 1.2.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use kycport::{
    Clock as _, Config, KycTier, RelyingParty, TransportError,
    cases::CaseError,
    kyc::StatusError,
    mock::{Endpoint, MockIssuer, MockIssuerBuilder},
    oidc::{LoginRequest, ProviderError},
};

use crate::{
    direct::{relying_party, relying_party_with, sign_in},
    support::serve,
};

const REDIRECT_URI: &str = "http://127.0.0.1:9/auth/callback";

/// What a request may take where no answer comes.
const DEADLINE: Duration = Duration::from_millis(300);

async fn mock(how: impl FnOnce(MockIssuerBuilder) -> MockIssuerBuilder) -> MockIssuer {
    how(MockIssuer::builder()).start().await.unwrap()
}

async fn begin(app: &RelyingParty) -> Result<(), ProviderError> {
    app.oidc().begin(&LoginRequest::new()).await.map(|_| ())
}

/// A relying party for this issuer, told everything but whom to trust.
fn untold(kyc: &MockIssuer) -> RelyingParty {
    let config = Config::builder(kyc.client().id(), REDIRECT_URI)
        .issuer(kyc.issuer())
        .discovery_url(kyc.discovery_url())
        .api_base_url(kyc.api_base_url())
        .tenant_api_key(kyc.tenant().api_key())
        .retries(3, Duration::from_millis(1), Duration::from_secs(20));
    RelyingParty::new(config.build().unwrap()).unwrap()
}

#[tokio::test]
async fn a_person_signs_in_over_tls() {
    // K70, K90
    let kyc = mock(MockIssuerBuilder::tls).await;
    assert!(kyc.issuer().starts_with("https://127.0.0.1:"));
    let app = serve(&kyc, |config| config).await;
    let ada = kyc.person("ada").create();
    let browser = kyc.browser();

    let page = browser.sign_in(app.url("/vault"), &ada).await.unwrap();
    assert_eq!(
        page.assert_ok().body(),
        format!("the vault of {}", ada.id())
    );
    // The guard asks the status endpoint, under TLS too.
    browser
        .get(app.url("/sensitive"))
        .await
        .unwrap()
        .assert_ok();
    kyc.requests(Endpoint::Status).assert_count(1);

    kyc.stop().unwrap();
    kyc.restart().unwrap();
    let again = kyc.browser();
    again
        .sign_in(app.url("/vault"), &ada)
        .await
        .unwrap()
        .assert_ok();
}

#[tokio::test]
async fn every_name_of_this_machine_is_in_the_certificate() {
    // K90
    let kyc = mock(MockIssuerBuilder::tls).await;
    let by_name = kyc.discovery_url().replace("127.0.0.1", "localhost");
    kyc.browser().fetch(by_name).await.unwrap().assert_ok();

    let address = "127.0.0.2:0".parse().unwrap();
    let kyc = mock(|builder| builder.tls().bind(address)).await;
    begin(&relying_party(&kyc)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_nobody_known_vouches_for_is_refused_and_told_nothing() {
    // case 120
    let kyc = mock(MockIssuerBuilder::tls).await;
    let other = mock(MockIssuerBuilder::tls).await;
    let other_root = other.root_pem().unwrap();
    for app in [
        untold(&kyc),
        relying_party_with(&kyc, |config| config.trust_only(other_root)),
    ] {
        assert_eq!(begin(&app).await, Err(TransportError::Tls.into()));
        let status = app.status().status("ada").await;
        assert_eq!(status, Err(StatusError::Transport(TransportError::Tls)));
    }
    assert_eq!(kyc.all_requests().len(), 0);
    assert!(untold_browser_fails(&kyc).await);
}

async fn untold_browser_fails(kyc: &MockIssuer) -> bool {
    let browser = kycport::mock::Browser::new();
    browser.fetch(kyc.discovery_url()).await.is_err()
}

#[tokio::test]
async fn the_certificate_of_another_host_is_refused() {
    // case 120
    for name in ["other.test", "127.0.0.2", "*.test"] {
        let kyc = mock(|builder| builder.tls_for(name)).await;
        let app = relying_party(&kyc);
        assert_eq!(begin(&app).await, Err(TransportError::Tls.into()), "{name}");
        assert_eq!(kyc.all_requests().len(), 0);
    }
    let failed = MockIssuer::builder().tls_for("no näme").start().await;
    assert!(failed.is_err());
}

#[tokio::test]
async fn any_of_several_roots_will_do() {
    let kyc = mock(MockIssuerBuilder::tls).await;
    let other = mock(MockIssuerBuilder::tls).await;
    let roots = format!("{}{}", other.root_pem().unwrap(), kyc.root_pem().unwrap());
    let app = relying_party_with(&kyc, |config| config.trust_only(roots));
    let ada = kyc.person("ada").create();
    sign_in(&kyc, &app, &ada).await.unwrap();
}

/// The machine's roots and its proxy are told by the environment, so this takes another process.
#[test]
fn the_machines_roots_count_unless_others_are_named_and_its_proxy_not_for_this_machine() {
    let kyc = MockIssuer::builder().tls().start_blocking().unwrap();
    // The port is this mock's alone, while it runs.
    let (_, port) = kyc.origin().rsplit_once(':').unwrap();
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let root = folder.join(format!("tls-root-{port}.pem"));
    std::fs::write(&root, kyc.root_pem().unwrap()).unwrap();
    let other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "tls::as_another_process_sees_it"])
        .env("SSL_CERT_FILE", &root)
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .envs(kyc.environment(REDIRECT_URI))
        .output();
    std::fs::remove_file(&root).unwrap();
    let said = String::from_utf8(other.unwrap().stdout).unwrap();
    assert!(said.contains("test result: ok. 1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "the test above runs it, in a process of its own"]
async fn as_another_process_sees_it() {
    let config = || Config::builder_from_env().unwrap();
    let app = RelyingParty::new(config().build().unwrap()).unwrap();
    assert_eq!(begin(&app).await, Ok(()));

    let other = mock(MockIssuerBuilder::tls).await;
    let config = config().trust_only(other.root_pem().unwrap());
    let app = RelyingParty::new(config.build().unwrap()).unwrap();
    assert_eq!(begin(&app).await, Err(TransportError::Tls.into()));
}

#[tokio::test]
async fn tls_1_2_is_spoken() {
    // K70
    let kyc = mock(MockIssuerBuilder::tls_1_2).await;
    let app = relying_party(&kyc);
    let ada = kyc.person("ada").create();
    sign_in(&kyc, &app, &ada).await.unwrap();
}

#[tokio::test]
async fn nothing_older_than_tls_1_2_is_offered_or_spoken() {
    // K70: TLS 1.1, whether the server insists on it or says that it has nothing else
    for answer in [server_hello_of_tls_1_1(), PROTOCOL_VERSION.to_vec()] {
        let (url, server) = old_server(answer);
        let kyc = mock(MockIssuerBuilder::tls).await;
        let app = relying_party_with(&kyc, |config| config.discovery_url(&url));

        assert_eq!(begin(&app).await, Err(TransportError::Tls.into()));

        let (offered, after) = server.join().unwrap();
        assert_eq!(offered, [TLS_1_3, TLS_1_2]);
        // An alert, or nothing: never a handshake that goes on.
        assert!(after.first().is_none_or(|it| *it == ALERT), "{after:?}");
    }
}

#[tokio::test]
async fn what_tls_refuses_is_not_asked_again_and_was_not_done() {
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
            .retries(3, moment, Duration::from_secs(20))
    });
    let refused = TransportError::Tls;
    let status = app.status().status("ada").await;
    assert_eq!(status, Err(StatusError::Transport(refused)));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    // Not "perhaps it was opened": nothing was sent.
    let case = app.cases().open("ada", &KycTier::T2).await.unwrap_err();
    assert!(
        matches!(case, CaseError::Transport(it) if it == refused),
        "{case:?}"
    );
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_is_no_tls_is_a_typed_error_in_time() {
    // case 6, at the handshake
    let kyc = mock(MockIssuerBuilder::tls).await;
    let long = Duration::from_secs(10);
    let hasty = || relying_party_with(&kyc, |config| config.timeouts(DEADLINE, long));
    for (fault, expected) in [
        (kyc.on_accept().close(), TransportError::Connect),
        (kyc.on_accept().reset(), TransportError::Connect),
        (kyc.on_accept().hang(), TransportError::Connect),
    ] {
        let fault = fault.always();
        let began = kyc.clock().monotonic();
        assert_eq!(begin(&hasty()).await, Err(expected.into()), "{fault:?}");
        let took = kyc.clock().monotonic().saturating_sub(began);
        assert!(took < long, "{took:?}");
        fault.assert_hit();
    }
    let (url, server) = old_server(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let app = relying_party_with(&kyc, |config| config.discovery_url(&url));
    assert_eq!(begin(&app).await, Err(TransportError::Tls.into()));
    server.join().unwrap();
}

#[tokio::test]
async fn faults_at_the_socket_work_under_tls() {
    let kyc = mock(MockIssuerBuilder::tls).await;
    let at = || kyc.on(Endpoint::Discovery);
    for (fault, expected) in [
        (at().reset(), TransportError::Broken),
        (at().drop_connection(), TransportError::Broken),
        (at().truncate(), TransportError::Broken),
        (at().hang_headers(), TransportError::Timeout),
        (
            at().dribble_headers(Duration::from_millis(50)),
            TransportError::Timeout,
        ),
    ] {
        let fault = fault.always();
        let app = relying_party_with(&kyc, |config| config.timeouts(DEADLINE * 10, DEADLINE));
        assert_eq!(begin(&app).await, Err(expected.into()), "{fault:?}");
    }
}

#[tokio::test]
async fn whoever_never_says_a_word_is_in_nobodys_way() {
    let kyc = mock(MockIssuerBuilder::tls).await;
    let address = kyc.origin().replace("https://", "");
    let silent = TcpStream::connect(address).unwrap();
    kyc.browser()
        .fetch(kyc.discovery_url())
        .await
        .unwrap()
        .assert_ok();
    drop(silent);
}

#[test]
fn a_root_that_is_none_is_refused_by_name() {
    let kyc = MockIssuer::builder().tls().start_blocking().unwrap();
    let root = kyc.root_pem().unwrap();
    let begin = "-----BEGIN CERTIFICATE-----";
    let end = "-----END CERTIFICATE-----";
    for (pem, told) in [
        (String::new(), "no certificate"),
        ("root.pem".to_owned(), "no certificate"),
        (root.replace(end, ""), "no certificate"),
        (format!("{begin}\nAAAA\n{end}\n"), "no certificate"),
        (format!("{root}{begin}\nAAAA\n{end}\n"), "no certificate"),
        (
            format!("{root}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            "private key",
        ),
    ] {
        let config = Config::builder("client", REDIRECT_URI).trust_only(pem);
        let error = config.build().unwrap_err();
        assert_eq!(error.setting(), "trust_only");
        assert!(error.to_string().contains(told), "{error}");
    }
}

const ALERT: u8 = 0x15;
const TLS_1_1: [u8; 2] = [3, 2];
const TLS_1_2: [u8; 2] = [3, 3];
const TLS_1_3: [u8; 2] = [3, 4];

/// An alert record: fatal, `protocol_version` (RFC 4346 section 7.2).
const PROTOCOL_VERSION: [u8; 7] = [ALERT, 3, 2, 0, 2, 2, 70];

/// RFC 4346 section 7.4.1.3, byte by byte: its version, 32 bytes of randomness, no session,
/// `TLS_RSA_WITH_AES_128_CBC_SHA`, no compression.
fn server_hello_of_tls_1_1() -> Vec<u8> {
    let mut hello = TLS_1_1.to_vec();
    hello.extend([7; 32]);
    hello.extend([0, 0x00, 0x2f, 0]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![0x16, 3, 2, 0, length + 4, 2, 0, 0, length];
    record.extend(hello);
    record
}

/// The versions that a client offered, and what it said when it had the answer.
type Heard = (Vec<[u8; 2]>, Vec<u8>);

/// A server of one connection: it reads the `ClientHello`, answers with these bytes, and reads on.
fn old_server(answer: Vec<u8>) -> (String, JoinHandle<Heard>) {
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
        // A client that resets the connection has said enough.
        let _ = socket.read_to_end(&mut after);
        (offered(&hello), after)
    });
    (url, server)
}

/// What stands in the extension `supported_versions` of a `ClientHello` (RFC 8446 sections 4.1.2
/// and 4.2.1).
fn offered(hello: &[u8]) -> Vec<[u8; 2]> {
    // Type and length, version, randomness.
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

/// What follows a vector whose length takes so many bytes.
fn skip(bytes: &[u8], length_bytes: usize) -> &[u8] {
    let (length, rest) = bytes.split_at(length_bytes);
    let length = length
        .iter()
        .fold(0, |all, byte| all << 8 | usize::from(*byte));
    &rest[length..]
}
