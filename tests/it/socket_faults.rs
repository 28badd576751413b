//! What goes wrong at the socket is a typed error, in time, whichever endpoint it goes wrong at.

use std::time::Duration;

use futures_util::future::join_all;
use kycport::{
    Clock as _, RelyingParty, Secret, TransportError,
    kyc::StatusError,
    mock::{Endpoint, Fault, MockIssuer, On, Person, Rule},
    oidc::{ExchangeError, LoginError, LoginRequest, ProviderError, UserinfoError, VerifyError},
};

use crate::direct::{come_back, relying_party_with};

/// What a request may take where no answer comes.
const DEADLINE: Duration = Duration::from_secs(1);
/// What it may take otherwise, and a test for it, on a machine that has much else to do.
const LONG: Duration = Duration::from_secs(30);
/// Slow enough that no answer is whole, nor its headers, when the deadline is over.
const SLOWLY: Duration = Duration::from_millis(50);

const ASKED: [Endpoint; 5] = [
    Endpoint::Discovery,
    Endpoint::Jwks,
    Endpoint::Token,
    Endpoint::Userinfo,
    Endpoint::Status,
];

/// What whoever asks is told.
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
            other => panic!("nobody asks {other} here"),
        }
    }
}

type Break = fn(On) -> Rule;

struct Stage {
    kyc: MockIssuer,
    app: RelyingParty,
    ada: Person,
}

impl Stage {
    /// A relying party that gives up in this time, on connections that serve one request each:
    /// what is asked next opens another.
    async fn new(deadline: Duration) -> Self {
        let kyc = MockIssuer::start().await;
        for endpoint in [Endpoint::Discovery, Endpoint::Jwks, Endpoint::Token] {
            let close = kyc.on(endpoint).add_header("connection", "close");
            close.always().keep();
        }
        let app = relying_party_with(&kyc, |config| {
            config
                .connect_timeout(LONG)
                .request_timeout(deadline)
                .max_attempts(1)
                .retry_pause(Duration::from_millis(1))
                .retry_deadline(LONG)
        });
        let ada = kyc.person("ada").create();
        Self { kyc, app, ada }
    }

    /// Asks one endpoint while this goes wrong.
    async fn ask(&self, endpoint: Endpoint, fault: impl FnOnce(&MockIssuer) -> Fault) -> Failure {
        let Self { kyc, app, ada } = self;
        let oidc = app.oidc();
        let token = || kyc.mint().access_token(ada, kyc.client()).sign();
        // What must be known before the endpoint is asked. A machine that is too slow for the
        // deadline gets another try, when the back-off is over.
        if endpoint != Endpoint::Discovery {
            while oidc.begin(&LoginRequest::new()).await.is_err() {
                kyc.clock().advance(LONG * 2);
            }
        }
        let begun = match endpoint {
            Endpoint::Token => Some(come_back(kyc, app, ada, &LoginRequest::new()).await),
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
                let told = oidc.userinfo(&Secret::new(token()), ada.id()).await;
                Failure::Userinfo(told.unwrap_err())
            }
            _ => Failure::Status(app.status().status(ada.id()).await.unwrap_err()),
        };
        let took = kyc.clock().monotonic().saturating_sub(began);
        assert!(took < LONG, "{endpoint}: {took:?}");
        fault.assert_hit();
        failure
    }
}

#[tokio::test]
async fn a_fault_at_the_socket_is_a_typed_error_within_the_deadline() {
    // cases 6, 48, 51, 89, and the same of the keys and the status
    let broken = TransportError::Broken;
    let timeout = TransportError::Timeout;
    let table: [(Break, TransportError); 8] = [
        (On::reset, broken),
        (On::drop_connection, broken),
        (On::truncate, broken),
        (On::hang, timeout),
        (On::hang_headers, timeout),
        (On::hang_body, timeout),
        (|on| on.dribble(SLOWLY), timeout),
        (|on| on.dribble_headers(SLOWLY), timeout),
    ];
    join_all(ASKED.map(async |endpoint| {
        for (fault, expected) in table {
            let stage = Stage::new(patience(expected)).await;
            let name = format!("{:?}", fault(stage.kyc.on(endpoint)));
            let failure = stage.ask(endpoint, |kyc| fault(kyc.on(endpoint)).always());
            let expected = Failure::at(endpoint, expected);
            assert_eq!(failure.await, expected, "{name}");
        }
    }))
    .await;
}

#[tokio::test]
async fn a_connection_that_goes_wrong_at_once_is_a_typed_error_within_the_deadline() {
    // cases 6, 48, 51, 89
    let (broken, timeout) = (TransportError::Broken, TransportError::Timeout);
    join_all(ASKED.map(async |endpoint| {
        let stage = Stage::new(patience(broken)).await;
        let failure = stage.ask(endpoint, |kyc| kyc.on_accept().close().always());
        assert_eq!(failure.await, Failure::at(endpoint, broken));

        let stage = Stage::new(patience(timeout)).await;
        let failure = stage.ask(endpoint, |kyc| kyc.on_accept().hang().always());
        assert_eq!(failure.await, Failure::at(endpoint, timeout));

        let stage = Stage::new(patience(broken)).await;
        let failure = stage.ask(endpoint, |kyc| kyc.on_accept().reset().always());
        let failure = failure.await;
        // It may be reset before it is seen to be there.
        let either = [broken, TransportError::Connect];
        let either = either.map(|error| Failure::at(endpoint, error));
        assert!(either.contains(&failure), "{failure:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_question_is_asked_again_when_a_connection_was_reset_and_a_code_is_not() {
    // cases 51, 116
    let stage = Stage::new(LONG).await;
    let app = relying_party_with(&stage.kyc, |config| {
        config
            .max_attempts(3)
            .retry_pause(Duration::from_millis(1))
            .retry_deadline(LONG)
    });
    let fault = stage.kyc.on(Endpoint::Status).reset().times(2);
    app.status().status(stage.ada.id()).await.unwrap();
    assert_eq!(fault.hits(), 2);

    let fault = |kyc: &MockIssuer| kyc.on(Endpoint::Token).after().reset().once();
    let failure = stage.ask(Endpoint::Token, fault).await;
    let expected = Failure::at(Endpoint::Token, TransportError::Broken);
    assert_eq!(failure, expected);
    stage.kyc.requests(Endpoint::Token).assert_count(1);
}

/// Only what must end by the deadline has a short one.
fn patience(expected: TransportError) -> Duration {
    match expected {
        TransportError::Timeout => DEADLINE,
        _ => LONG,
    }
}
