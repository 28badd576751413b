//! Tests that the SDK's HTTP client verifies the certificate and the host name of a TLS server.

use std::{net::TcpStream, process::Command, time::Duration};

use kycport::{
    Clock as _, Config, RelyingParty, TransportError,
    kyc::StatusError,
    mock::{Endpoint, MockIssuer, MockIssuerBuilder},
    oidc::{LoginRequest, ProviderError},
};

use crate::{
    direct::{relying_party, relying_party_with, sign_in},
    support::serve,
};

const REDIRECT_URI: &str = "http://127.0.0.1:9/auth/callback";

/// Deadline for a request that gets no response.
const DEADLINE: Duration = Duration::from_secs(1);

pub(crate) async fn mock(how: impl FnOnce(MockIssuerBuilder) -> MockIssuerBuilder) -> MockIssuer {
    how(MockIssuer::builder()).start().await.unwrap()
}

pub(crate) async fn begin(app: &RelyingParty) -> Result<(), ProviderError> {
    app.oidc().begin(&LoginRequest::new()).await.map(|_| ())
}

/// Creates a relying party for this issuer, without the mock's root certificate.
fn without_root(kyc: &MockIssuer) -> RelyingParty {
    let config = Config::builder(kyc.client().id(), REDIRECT_URI)
        .issuer(kyc.issuer())
        .discovery_url(kyc.discovery_url())
        .api_base_url(kyc.api_base_url())
        .tenant_api_key(kyc.tenant().api_key())
        .max_attempts(3)
        .retry_pause(Duration::from_millis(1))
        .retry_deadline(Duration::from_secs(20));
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
    // The guard also sends its status request over TLS.
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
async fn the_certificate_has_every_loopback_name() {
    // K90
    let kyc = mock(MockIssuerBuilder::tls).await;
    let by_name = kyc.discovery_url().replace("127.0.0.1", "localhost");
    kyc.browser().fetch(by_name).await.unwrap().assert_ok();

    let address = "127.0.0.2:0".parse().unwrap();
    let kyc = mock(|builder| builder.tls().bind(address)).await;
    begin(&relying_party(&kyc)).await.unwrap();
}

#[tokio::test]
async fn a_server_with_an_untrusted_certificate_receives_no_request() {
    // Covers threat case 120.
    let kyc = mock(MockIssuerBuilder::tls).await;
    let other = mock(MockIssuerBuilder::tls).await;
    let other_root = other.root_pem().unwrap();
    for app in [
        without_root(&kyc),
        relying_party_with(&kyc, |config| config.trust_only(other_root)),
    ] {
        assert_eq!(begin(&app).await, Err(TransportError::Tls.into()));
        let status = app.status().status("ada").await;
        assert_eq!(status, Err(StatusError::Transport(TransportError::Tls)));
    }
    assert_eq!(kyc.all_requests().len(), 0);
    assert!(browser_without_root_fails(&kyc).await);
}

async fn browser_without_root_fails(kyc: &MockIssuer) -> bool {
    let browser = kycport::mock::Browser::new();
    browser.fetch(kyc.discovery_url()).await.is_err()
}

#[tokio::test]
async fn a_certificate_of_another_host_is_rejected() {
    // Covers threat case 120.
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
async fn any_configured_root_is_trusted() {
    let kyc = mock(MockIssuerBuilder::tls).await;
    let other = mock(MockIssuerBuilder::tls).await;
    let roots = format!("{}{}", other.root_pem().unwrap(), kyc.root_pem().unwrap());
    let app = relying_party_with(&kyc, |config| config.trust_only(roots));
    let ada = kyc.person("ada").create();
    sign_in(&kyc, &app, &ada).await.unwrap();
}

/// Environment variables set the root certificates and the proxy, so this test needs another
/// process.
#[test]
fn system_roots_are_used_by_default_and_the_proxy_is_not_used_for_loopback() {
    let kyc = MockIssuer::builder().tls().start_blocking().unwrap();
    // No other process uses the mock's port while the mock runs.
    let (_, port) = kyc.origin().rsplit_once(':').unwrap();
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let root = folder.join(format!("tls-root-{port}.pem"));
    std::fs::write(&root, kyc.root_pem().unwrap()).unwrap();
    let other = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "tls::tls_with_roots_and_proxy_of_the_environment",
        ])
        .env("SSL_CERT_FILE", &root)
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .envs(kyc.environment(REDIRECT_URI))
        .output();
    std::fs::remove_file(&root).unwrap();
    let suite_output = String::from_utf8(other.unwrap().stdout).unwrap();
    assert!(
        suite_output.contains("test result: ok. 1 passed"),
        "{suite_output}"
    );
}

#[tokio::test]
#[ignore = "the test above runs this test in another process"]
async fn tls_with_roots_and_proxy_of_the_environment() {
    let config = || Config::builder_from_env().unwrap();
    let app = RelyingParty::new(config().build().unwrap()).unwrap();
    assert_eq!(begin(&app).await, Ok(()));

    let other = mock(MockIssuerBuilder::tls).await;
    let config = config().trust_only(other.root_pem().unwrap());
    let app = RelyingParty::new(config.build().unwrap()).unwrap();
    assert_eq!(begin(&app).await, Err(TransportError::Tls.into()));
}

#[tokio::test]
async fn a_failed_tls_handshake_is_a_typed_error_within_the_deadline() {
    // Threat case 6: the fault happens during the TLS handshake
    let kyc = mock(MockIssuerBuilder::tls).await;
    let long = Duration::from_secs(30);
    let relying_party_with_short_timeouts = || {
        relying_party_with(&kyc, |config| {
            config.connect_timeout(DEADLINE).request_timeout(long)
        })
    };
    for (fault, expected) in [
        (kyc.on_accept().close(), TransportError::Connect),
        (kyc.on_accept().reset(), TransportError::Connect),
        (kyc.on_accept().hang(), TransportError::Connect),
    ] {
        let fault = fault.always();
        let began = kyc.clock().monotonic();
        assert_eq!(
            begin(&relying_party_with_short_timeouts()).await,
            Err(expected.into()),
            "{fault:?}"
        );
        let took = kyc.clock().monotonic().saturating_sub(began);
        assert!(took < long, "{took:?}");
        fault.assert_hit();
    }
}

#[tokio::test]
async fn socket_faults_work_with_tls() {
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
        let long = Duration::from_secs(30);
        let total = match expected {
            TransportError::Timeout => DEADLINE,
            _ => long,
        };
        let app = relying_party_with(&kyc, |config| {
            config.connect_timeout(long).request_timeout(total)
        });
        assert_eq!(begin(&app).await, Err(expected.into()), "{fault:?}");
    }
}

#[tokio::test]
async fn a_silent_tls_client_does_not_block_other_clients() {
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
fn an_invalid_root_certificate_is_rejected_by_name() {
    let kyc = MockIssuer::builder().tls().start_blocking().unwrap();
    let root = kyc.root_pem().unwrap();
    let begin = "-----BEGIN CERTIFICATE-----";
    let end = "-----END CERTIFICATE-----";
    for (pem, message) in [
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
        assert!(error.to_string().contains(message), "{error}");
    }
}
