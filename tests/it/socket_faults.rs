//! Tests that each socket fault at each endpoint causes a typed error within the deadline.

use std::time::Duration;

use futures_util::future::join_all;
use kycport::{
    Clock as _, RelyingParty, Secret, TransportError,
    kyc::StatusError,
    mock::{Endpoint, Fault, MockIssuer, On, Person, Rule},
    oidc::{ExchangeError, LoginError, LoginRequest, ProviderError, UserinfoError, VerifyError},
};

use crate::direct::{login_until_callback, relying_party_with};

/// Deadline for a request that gets no response.
const DEADLINE: Duration = Duration::from_secs(1);
/// Deadline for all other requests and for a test, long enough for a busy machine.
const LONG_DEADLINE: Duration = Duration::from_secs(30);
/// Interval between two bytes. With this interval, the headers are incomplete at the deadline.
const BYTE_INTERVAL: Duration = Duration::from_millis(50);

const ENDPOINTS: [Endpoint; 5] = [
    Endpoint::Discovery,
    Endpoint::Jwks,
    Endpoint::Token,
    Endpoint::Userinfo,
    Endpoint::Status,
];

/// Error that the caller receives.
#[derive(Debug, PartialEq)]
enum Failure {
    Discovery(ProviderError),
    Jwks(VerifyError),
    Token(LoginError),
    Userinfo(UserinfoError),
    Status(StatusError),
}

impl Failure {
    fn at(endpoint: Endpoint, error: TransportError) -> Self {
        match endpoint {
            Endpoint::Discovery => Self::Discovery(error.into()),
            Endpoint::Jwks => Self::Jwks(ProviderError::from(error).into()),
            Endpoint::Token => Self::Token(ExchangeError::from(error).into()),
            Endpoint::Userinfo => Self::Userinfo(error.into()),
            Endpoint::Status => Self::Status(StatusError::Transport(error)),
            other => panic!("no test requests {other}"),
        }
    }
}

type MakeFault = fn(On) -> Rule;

struct SocketFaultTest {
    kyc: MockIssuer,
    app: RelyingParty,
    ada: Person,
}

impl SocketFaultTest {
    /// Creates a relying party with this deadline. Each request opens a new connection.
    async fn new(deadline: Duration) -> Self {
        let kyc = MockIssuer::start().await;
        for endpoint in [Endpoint::Discovery, Endpoint::Jwks, Endpoint::Token] {
            let close = kyc.on(endpoint).add_header("connection", "close");
            close.always().keep();
        }
        let app = relying_party_with(&kyc, |config| {
            config
                .connect_timeout(LONG_DEADLINE)
                .request_timeout(deadline)
                .max_attempts(1)
                .retry_pause(Duration::from_millis(1))
                .retry_deadline(LONG_DEADLINE)
        });
        let ada = kyc.person("ada").create();
        Self { kyc, app, ada }
    }

    /// Sends one endpoint a request while this fault is active.
    async fn ask(&self, endpoint: Endpoint, fault: impl FnOnce(&MockIssuer) -> Fault) -> Failure {
        let Self { kyc, app, ada } = self;
        let oidc = app.oidc();
        let token = || kyc.mint().access_token(ada, kyc.client()).sign();
        // The client first fetches the metadata and the keys. The client tries again after the
        // back-off, because a slow machine may exceed the deadline.
        if endpoint != Endpoint::Discovery {
            while oidc.begin(&LoginRequest::new()).await.is_err() {
                kyc.clock().advance(LONG_DEADLINE * 2);
            }
        }
        let begun = match endpoint {
            Endpoint::Token => {
                Some(login_until_callback(kyc, app, ada, &LoginRequest::new()).await)
            }
            _ => None,
        };
        let fault = fault(kyc);
        let began = kyc.clock().monotonic();
        let failure = match (endpoint, begun) {
            (Endpoint::Discovery, _) => {
                let begun = oidc.begin(&LoginRequest::new()).await;
                Failure::Discovery(begun.unwrap_err())
            }
            (Endpoint::Jwks, _) => {
                let verified = oidc.verify_access_token(&token()).await;
                Failure::Jwks(verified.unwrap_err())
            }
            (Endpoint::Token, Some((transaction, params))) => {
                let finished = oidc.finish(transaction, params).await;
                Failure::Token(finished.unwrap_err())
            }
            (Endpoint::Userinfo, _) => {
                let outcome = oidc.userinfo(&Secret::new(token()), ada.id()).await;
                Failure::Userinfo(outcome.unwrap_err())
            }
            _ => Failure::Status(app.status().status(ada.id()).await.unwrap_err()),
        };
        let took = kyc.clock().monotonic().saturating_sub(began);
        assert!(took < LONG_DEADLINE, "{endpoint}: {took:?}");
        fault.assert_hit();
        failure
    }
}

#[tokio::test]
async fn a_socket_fault_is_a_typed_error_within_the_deadline() {
    // Covers threat cases 6, 48, 51, 89. The key set and the status endpoint have these faults too.
    let broken = TransportError::Broken;
    let timeout = TransportError::Timeout;
    let table: [(MakeFault, TransportError); 8] = [
        (On::reset, broken),
        (On::drop_connection, broken),
        (On::truncate, broken),
        (On::hang, timeout),
        (On::hang_headers, timeout),
        (On::hang_body, timeout),
        (|on| on.dribble(BYTE_INTERVAL), timeout),
        (|on| on.dribble_headers(BYTE_INTERVAL), timeout),
    ];
    join_all(ENDPOINTS.map(async |endpoint| {
        for (fault, expected) in table {
            let setup = SocketFaultTest::new(deadline_for(expected)).await;
            let name = format!("{:?}", fault(setup.kyc.on(endpoint)));
            let failure = setup.ask(endpoint, |kyc| fault(kyc.on(endpoint)).always());
            let expected = Failure::at(endpoint, expected);
            assert_eq!(failure.await, expected, "{name}");
        }
    }))
    .await;
}

#[tokio::test]
async fn an_immediate_connection_fault_is_a_typed_error_within_the_deadline() {
    // Covers threat cases 6, 48, 51, 89.
    let (broken, timeout) = (TransportError::Broken, TransportError::Timeout);
    join_all(ENDPOINTS.map(async |endpoint| {
        let setup = SocketFaultTest::new(deadline_for(broken)).await;
        let failure = setup.ask(endpoint, |kyc| kyc.on_accept().close().always());
        assert_eq!(failure.await, Failure::at(endpoint, broken));

        let setup = SocketFaultTest::new(deadline_for(timeout)).await;
        let failure = setup.ask(endpoint, |kyc| kyc.on_accept().hang().always());
        assert_eq!(failure.await, Failure::at(endpoint, timeout));

        let setup = SocketFaultTest::new(deadline_for(broken)).await;
        let failure = setup.ask(endpoint, |kyc| kyc.on_accept().reset().always());
        let failure = failure.await;
        // The server may reset the connection before the client has established it.
        let either = [broken, TransportError::Connect];
        let either = either.map(|error| Failure::at(endpoint, error));
        assert!(either.contains(&failure), "{failure:?}");
    }))
    .await;
}

#[tokio::test]
async fn idempotent_requests_are_retried_after_a_reset_and_a_code_is_not() {
    // Covers threat cases 51, 116.
    let setup = SocketFaultTest::new(LONG_DEADLINE).await;
    let app = relying_party_with(&setup.kyc, |config| {
        config
            .max_attempts(3)
            .retry_pause(Duration::from_millis(1))
            .retry_deadline(LONG_DEADLINE)
    });
    let fault = setup.kyc.on(Endpoint::Status).reset().times(2);
    app.status().status(setup.ada.id()).await.unwrap();
    assert_eq!(fault.hits(), 2);

    let fault = |kyc: &MockIssuer| kyc.on(Endpoint::Token).after().reset().once();
    let failure = setup.ask(Endpoint::Token, fault).await;
    let expected = Failure::at(Endpoint::Token, TransportError::Broken);
    assert_eq!(failure, expected);
    setup.kyc.requests(Endpoint::Token).assert_count(1);
}

/// Returns the deadline of a request. The deadline is short if the test expects a timeout, because
/// the test must wait for the timeout. In all other tests the deadline is long, because the machine
/// may be slow.
fn deadline_for(expected: TransportError) -> Duration {
    match expected {
        TransportError::Timeout => DEADLINE,
        _ => LONG_DEADLINE,
    }
}
