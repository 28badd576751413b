//! Tests that socket faults break connections, with a client that uses a plain TCP socket.

use std::{
    io::{self, ErrorKind},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use kycport::mock::{Endpoint, MockIssuer, Rule};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Time after which the test assumes that no more data arrives.
const SILENCE: Duration = Duration::from_millis(100);

async fn connect(kyc: &MockIssuer) -> io::Result<TcpStream> {
    let (_, address) = kyc.origin().split_once("://").unwrap();
    TcpStream::connect(address).await
}

/// Requests the discovery document with `Connection: close`.
async fn ask(kyc: &MockIssuer) -> io::Result<TcpStream> {
    ask_with(kyc, "connection: close\r\n").await
}

async fn ask_with(kyc: &MockIssuer, headers: &str) -> io::Result<TcpStream> {
    let mut socket = connect(kyc).await?;
    let path = Endpoint::Discovery.path();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).await?;
    Ok(socket)
}

async fn all(mut socket: TcpStream) -> io::Result<Vec<u8>> {
    let mut received = Vec::new();
    socket.read_to_end(&mut received).await?;
    Ok(received)
}

#[tokio::test]
async fn a_dropped_connection_ends_and_a_reset_connection_is_an_error() {
    let kyc = MockIssuer::start().await;
    let fault = kyc.on(Endpoint::Discovery).drop_connection().once();
    assert_eq!(all(ask(&kyc).await.unwrap()).await.unwrap(), b"");
    fault.assert_hit();

    let fault = kyc.on(Endpoint::Discovery).reset().times(2);
    for _ in 0..2 {
        let error = all(ask(&kyc).await.unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(fault.hits(), 2);
    assert!(!all(ask(&kyc).await.unwrap()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_response_can_hang_within_its_headers() {
    let kyc = MockIssuer::start().await;
    let fault = kyc.on(Endpoint::Discovery).hang_headers().once();
    let mut socket = ask(&kyc).await.unwrap();
    let mut received = [0; 24];
    socket.read_exact(&mut received).await.unwrap();
    assert!(received.starts_with(b"HTTP/1.1 200 OK\r\n"), "{received:?}");
    let more = tokio::time::timeout(SILENCE, socket.read_u8()).await;
    assert!(more.is_err(), "{more:?}");
    fault.assert_hit();
}

#[tokio::test]
async fn a_slow_response_is_complete_and_closes_its_connection() {
    let kyc = MockIssuer::start().await;
    let plain = all(ask(&kyc).await.unwrap()).await.unwrap();
    let fault = kyc
        .on(Endpoint::Discovery)
        .dribble_headers(Duration::from_millis(1))
        .once();
    let dribbled = all(ask_with(&kyc, "").await.unwrap()).await.unwrap();
    let body = |answer: &[u8]| {
        let text = String::from_utf8(answer.to_vec()).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    assert_eq!(body(&dribbled), body(&plain));
    fault.assert_hit();

    // The mock needs more time for the status line than the client's timeout. The client therefore
    // never receives the body.
    let _fault = kyc
        .on(Endpoint::Discovery)
        .dribble_headers(Duration::from_millis(50))
        .once();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(1));
    let answer = client.build().unwrap().get(kyc.discovery_url()).send();
    assert!(answer.await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn a_connection_can_fail_before_the_request_is_read() {
    let kyc = MockIssuer::start().await;
    let fault = kyc.on_accept().close().times(2);
    for _ in 0..2 {
        assert_eq!(all(ask(&kyc).await.unwrap()).await.unwrap(), b"");
    }
    assert_eq!(fault.hits(), 2);

    let fault = kyc.on_accept().reset().once();
    // The mock may reset the connection before `connect` returns.
    let socket = connect(&kyc).await;
    let error = match socket {
        Ok(socket) => all(socket).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    fault.assert_hit();

    let fault = kyc.on_accept().hang().once();
    let waiting = tokio::time::timeout(SILENCE, all(ask(&kyc).await.unwrap())).await;
    assert!(waiting.is_err(), "{waiting:?}");
    fault.assert_hit();

    // The mock serves the next connections. The request log contains no failed connection.
    kyc.browser().fetch(kyc.discovery_url()).await.unwrap();
    assert_eq!(kyc.all_requests().len(), 1);
}

#[test]
fn an_unused_connection_fault_fails_the_test_with_its_name() {
    let kyc = MockIssuer::start_blocking();
    let rules: [fn(&MockIssuer) -> Rule; 2] = [
        |kyc| kyc.on_accept().close(),
        |kyc| kyc.on(Endpoint::Token).reset(),
    ];
    for (rule, name) in rules.into_iter().zip(["on_accept.close", "Token.reset"]) {
        let fault = rule(&kyc).once();
        let failure = catch_unwind(AssertUnwindSafe(|| drop(fault))).unwrap_err();
        let text = failure.downcast_ref::<String>().unwrap();
        assert!(text.contains(&format!("`{name}` was never hit")), "{text}");
    }
}

#[test]
fn a_failing_test_is_not_masked_by_an_unused_fault() {
    let kyc = MockIssuer::start_blocking();
    let failure = catch_unwind(AssertUnwindSafe(|| {
        let _fault = kyc.on(Endpoint::Token).reset().once();
        panic!("another reason");
    }));
    let failure = failure.unwrap_err();
    assert_eq!(failure.downcast_ref::<&str>(), Some(&"another reason"));
}
