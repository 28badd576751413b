//! Tests that the mock starts, stops, and listens on the correct addresses.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use axum::{Router, http::StatusCode, routing::post};
use kycport::{
    KycStatus,
    mock::{Endpoint, MockError, MockIssuer, Page},
};
use tokio::net::TcpListener;

use crate::support::TestIssuer;

// case 135
#[tokio::test]
async fn the_mock_listens_on_loopback_by_default() {
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let refused = MockIssuer::builder().bind(everywhere).start().await;
    assert!(
        matches!(refused, Err(MockError::NotLoopback(_))),
        "{refused:?}"
    );
    let builder = MockIssuer::builder().danger_bind_any(everywhere);
    let kyc = builder.start().await.unwrap();
    assert!(kyc.origin().starts_with("http://127.0.0.1:"));
    kyc.browser()
        .get(kyc.discovery_url())
        .await
        .unwrap()
        .assert_ok();
}

// case 135
#[tokio::test]
async fn every_start_has_new_keys_and_secrets() {
    let (one, two) = (MockIssuer::start().await, MockIssuer::start().await);
    let document = async |kyc: &MockIssuer| {
        let page = kyc.browser().fetch(kyc.url(Endpoint::Jwks)).await.unwrap();
        page.json()["keys"][0]["x"].as_str().unwrap().to_owned()
    };
    assert_ne!(document(&one).await, document(&two).await);
    assert_ne!(one.client().secret(), two.client().secret());
    assert_ne!(one.client().id(), one.public_client().id());
    assert_ne!(one.client().tenant(), one.public_client().tenant());
}

#[tokio::test]
async fn the_mock_listens_until_its_last_handle_is_dropped() {
    let kyc = MockIssuer::start().await;
    let (url, browser, other) = (kyc.discovery_url(), kyc.browser(), kyc.clone());
    drop(kyc);
    browser.get(&url).await.unwrap().assert_ok();
    drop(other);
    assert!(browser.get(&url).await.is_err());
}

#[tokio::test]
async fn a_stopped_issuer_rejects_connections_and_restarts_unchanged() {
    let kyc = MockIssuer::start().await;
    let (url, kid) = (kyc.discovery_url(), kyc.keys().active_kid());
    for _ in 0..3 {
        kyc.stop().unwrap();
        kyc.stop().unwrap();
        assert!(kyc.browser().get(&url).await.is_err());
        kyc.restart().unwrap();
        kyc.restart().unwrap();
        kyc.browser().get(&url).await.unwrap().assert_ok();
    }
    assert_eq!(kyc.keys().active_kid(), kid);
    kyc.requests(Endpoint::Discovery).assert_count(3);
}

#[test]
fn the_mock_serves_a_blocking_test() {
    let kyc = MockIssuer::start_blocking();
    let address = kyc.origin().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {} HTTP/1.0\r\n\r\n", Endpoint::Discovery.path());
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let answer = std::io::read_to_string(stream).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    drop(kyc);
}

#[test]
fn a_blocking_test_needs_no_runtime() {
    let kyc = MockIssuer::start_blocking();
    let issuer = TestIssuer::with(kyc.clone());
    let receiver = kyc.block_on(async {
        // A task that the first `block_on` call spawns continues to run in the next call.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/hooks", post(async || StatusCode::OK));
        tokio::spawn(async { axum::serve(listener, app).await });
        format!("http://{address}/hooks")
    });
    let tokens = kyc.block_on(issuer.tokens());
    assert!(tokens.assert_ok().json()["id_token"].is_string());
    kyc.webhooks().subscribe(receiver);
    issuer.ada.reject();
    kyc.block_on(kyc.webhooks().settled());
    kyc.webhooks().deliveries().assert_count(1);
    // A future may drop the last handle to the mock.
    let (browser, url) = (kyc.browser(), kyc.discovery_url());
    drop(issuer);
    kyc.clone().block_on(async move { drop(kyc) });
    let other = MockIssuer::start_blocking();
    assert!(other.block_on(browser.get(url)).is_err());
}

#[tokio::test]
#[should_panic(expected = "use `.await`")]
async fn block_on_inside_a_runtime_panics_with_an_explanation() {
    MockIssuer::start().await.block_on(async {});
}

#[tokio::test(flavor = "current_thread")]
async fn the_mock_works_on_a_single_threaded_runtime() {
    two_issuers_are_independent().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mock_works_on_a_multi_threaded_runtime() {
    two_issuers_are_independent().await;
}

/// Changes of one issuer do not affect another issuer in the same process.
async fn two_issuers_are_independent() {
    let (one, two) = (TestIssuer::new().await, TestIssuer::new().await);
    let (first, second) = tokio::join!(one.tokens(), two.tokens());
    let token = |page: &Page| page.json()["access_token"].as_str().unwrap().to_owned();
    let (first, second) = (token(&first), token(&second));
    one.userinfo(&first).await.assert_ok();
    two.userinfo(&second).await.assert_ok();
    one.userinfo(&second).await.assert_status(401);
    two.ada.reject();
    assert_eq!(one.ada.status(), KycStatus::Verified);
    one.kyc.requests(Endpoint::Token).assert_count(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_issuers_run_in_one_process() {
    let many: Vec<_> = (0..50).map(|_| MockIssuer::start_blocking()).collect();
    for kyc in &many {
        let page = kyc.browser().fetch(kyc.discovery_url()).await.unwrap();
        assert_eq!(page.json()["issuer"], kyc.origin());
        kyc.requests(Endpoint::Discovery).assert_count(1);
    }
}

#[tokio::test]
async fn the_issuer_is_not_the_prefix_of_its_discovery_document() {
    let claimed = "https://www.kycport.com";
    let builder = MockIssuer::builder().issuer(claimed);
    let kyc = builder.start().await.unwrap();
    let page = kyc.browser().fetch(kyc.discovery_url()).await.unwrap();
    assert_eq!(page.json()["issuer"], claimed);
    let endpoint = page.json()["token_endpoint"].as_str().unwrap().to_owned();
    assert_eq!(endpoint, kyc.url(Endpoint::Token));
    assert_eq!(page.header("cache-control"), Some("public, max-age=600"));
    kyc.switch(|switches| switches.cache_max_age = None);
    let page = kyc.browser().fetch(kyc.discovery_url()).await.unwrap();
    assert_eq!(page.header("cache-control"), None);
}
