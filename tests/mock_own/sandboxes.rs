//! Tests that sandboxes are independent of each other, and that `RemoteMock` controls a sandbox. A
//! sandbox is a separate issuer in the process of the mock.

use std::time::Duration;

use axum::{Router, routing::get};
use kycport::{
    Clock as _, KycStatus, KycTier, RelyingParty, SignedIn,
    mock::{Endpoint, MockIssuer, RemoteError, RemoteMock},
};
use serde_json::{Value, json};

use crate::{admin_desk::AdminClient, receiver::Receiver};

async fn running() -> AdminClient {
    let builder = MockIssuer::builder().admin().with_sample_persons();
    AdminClient::with(builder.start().await.unwrap())
}

#[tokio::test]
async fn sandboxes_are_independent() {
    let admin = running().await;
    let one = RemoteMock::connect(admin.kyc.origin()).await.unwrap();
    let two = RemoteMock::connect(admin.kyc.origin()).await.unwrap();
    assert_ne!(one.origin(), two.origin());
    // The two sandboxes start with equal states. A change in one sandbox does not affect the other
    // sandbox.
    let ada = one.find_person("ada").await.unwrap();
    ada.reject().await.unwrap();
    let other = two.find_person("ada").await.unwrap();
    let verified = (KycStatus::Verified, KycTier::T2);
    assert_eq!(other.status_and_tier().await.unwrap(), verified);
    assert_eq!(
        admin.kyc.find_person("ada").unwrap().status(),
        KycStatus::Verified
    );
    let kid = one.rotate_keys().await.unwrap();
    assert_ne!(kid, two.rotate_keys().await.unwrap());
    one.advance(Duration::from_secs(3600)).await.unwrap();
    assert!(one.clock().now().since(two.clock().now()) > Duration::from_secs(3500));
    assert!(admin.kyc.clock().now().since(two.clock().now()) < Duration::from_secs(60));
}

#[tokio::test]
async fn a_sandbox_ends_when_its_handle_is_dropped() {
    let admin = running().await;
    let sandbox = RemoteMock::connect(admin.kyc.origin()).await.unwrap();
    let origin = sandbox.origin().to_owned();
    assert_eq!(admin.get("/sandboxes").await[0]["issuer"]["origin"], origin);
    drop(sandbox);
    assert_eq!(admin.get("/sandboxes").await, json!([]));
    let result = RemoteMock::connect_shared(&origin).await;
    assert!(
        matches!(result, Err(RemoteError::Unreachable { .. })),
        "{result:?}"
    );
    let sandbox = RemoteMock::connect(admin.kyc.origin()).await.unwrap();
    sandbox.end().await.unwrap();
    assert_eq!(admin.get("/sandboxes").await, json!([]));
    assert_eq!(
        admin
            .rejection("DELETE", "/sandboxes/none", &Value::Null)
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn sandboxes_end_with_the_issuer() {
    let admin = running().await;
    let opened = admin.step("/sandboxes").await;
    let origin = opened["issuer"]["origin"].as_str().unwrap();
    RemoteMock::connect_shared(origin).await.unwrap();
    drop(admin);
    assert!(RemoteMock::connect_shared(origin).await.is_err());
}

#[tokio::test]
async fn a_sandbox_cannot_start_a_sandbox() {
    let admin = running().await;
    let opened = admin.step("/sandboxes").await;
    let nested = RemoteMock::connect(opened["issuer"]["origin"].as_str().unwrap()).await;
    assert!(
        matches!(nested, Err(RemoteError::Rejected { status: 409, .. })),
        "{nested:?}"
    );
}

#[tokio::test]
async fn the_number_of_sandboxes_is_limited() {
    let admin = running().await;
    for _ in 0..256 {
        admin.step("/sandboxes").await;
    }
    let error = admin.rejection("POST", "/sandboxes", &Value::Null).await;
    assert_eq!((error.0, error.1.as_str()), (409, "conflict"));
}

#[tokio::test]
async fn connecting_without_a_mock_returns_a_clear_error() {
    let error = RemoteMock::connect("http://127.0.0.1:9").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no kycport-mock responds at http://127.0.0.1:9: start one with `kycport-mock`, or correct \
         the URL"
    );
    // `RemoteMock` cannot control a mock without the admin API.
    let kyc = MockIssuer::start().await;
    let stranger = RemoteMock::connect(kyc.origin()).await.unwrap_err();
    assert!(
        matches!(stranger, RemoteError::NotAMock { .. }),
        "{stranger:?}"
    );
}

#[tokio::test]
async fn an_app_runs_on_a_remote_mock() {
    let admin = running().await;
    let kyc = RemoteMock::connect(admin.kyc.origin()).await.unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let app = format!("http://{}", listener.local_addr().unwrap());
    let config = kyc.config(format!("{app}/auth/callback")).await.unwrap();
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let router = Router::new()
        .route(
            "/",
            get(async |person: SignedIn| person.subject().to_owned()),
        )
        .merge(kycport.router())
        .layer(kycport.session_layer());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let grace = kyc
        .person("grace")
        .tier(KycTier::T1)
        .create()
        .await
        .unwrap();
    // The main issuer creates the browser. A browser can open pages of any issuer.
    let browser = admin.kyc.browser();
    let form = [("person", grace.id()), ("decision", "allow")];
    let page = browser.open(&format!("{app}/")).await.unwrap();
    let page = browser.follow(&page).await.unwrap();
    let page = browser.follow(&page).await.unwrap();
    let visit = browser
        .request(http::Method::POST, page.url())
        .from(page.url());
    let page = visit.form(&form).send().await.unwrap();
    assert_eq!(page.assert_ok().body(), grace.id());
    assert_eq!(kyc.requests(Endpoint::Token).await.unwrap(), 1);
}

#[tokio::test]
async fn the_remote_mock_has_the_methods_of_the_mock() {
    let admin = running().await;
    let kyc = RemoteMock::connect_shared(admin.kyc.origin())
        .await
        .unwrap();
    let receiver = Receiver::start().await;
    kyc.webhooks().subscribe(receiver.url()).await.unwrap();
    let bob = kyc
        .person("bob")
        .status(KycStatus::Pending)
        .email("bob@example.test")
        .name("Bob")
        .aml_clear(None)
        .create()
        .await
        .unwrap();
    let own = admin.kyc.find_person(bob.slug()).unwrap();
    assert_eq!((own.id(), own.name()), (bob.id(), "Bob".to_owned()));
    bob.verify(KycTier::T3).await.unwrap();
    assert_eq!(
        (own.status(), own.tier()),
        (KycStatus::Verified, KycTier::T3)
    );
    bob.set_tier(KycTier::T1).await.unwrap();
    bob.set_aml_clear(Some(false)).await.unwrap();
    bob.expires_in(Duration::from_secs(60)).await.unwrap();
    kyc.freeze().await.unwrap();
    assert_eq!(kyc.clock().now(), admin.kyc.clock().now());
    kyc.advance(Duration::from_secs(61)).await.unwrap();
    assert_eq!(kyc.clock().now(), admin.kyc.clock().now());
    kyc.webhooks().settled().await.unwrap();
    assert_eq!(own.status(), KycStatus::Expired);
    assert_eq!(receiver.take().len(), 4);
    assert_eq!(kyc.webhooks().count().await.unwrap(), 4);
    kyc.webhooks().repeat_last().await.unwrap();
    kyc.webhooks().settled().await.unwrap();
    assert_eq!(receiver.take().len(), 1);
    let secret = kyc.webhooks().rotate_secret().await.unwrap();
    assert_eq!(secret, admin.kyc.webhooks().secret());

    let fault = kyc
        .on(Endpoint::Jwks)
        .fail(503)
        .retry_after(1)
        .times(1)
        .await
        .unwrap();
    let url = admin.kyc.url(Endpoint::Jwks);
    assert_eq!(admin.kyc.browser().fetch(&url).await.unwrap().status(), 503);
    assert_eq!(fault.hits().await.unwrap(), 1);
    fault.remove().await.unwrap();
    for rule in [
        kyc.on(Endpoint::Jwks).reset(),
        kyc.on(Endpoint::Jwks).truncate(),
        kyc.on(Endpoint::Jwks).drop_connection(),
    ] {
        rule.once().await.unwrap();
        assert!(admin.kyc.browser().fetch(&url).await.is_err());
    }
    assert_eq!(kyc.publish_next_key().await.unwrap().len(), 2);
    assert_eq!(
        kyc.promote_key().await.unwrap(),
        admin.kyc.keys().active_kid()
    );
    assert_eq!(kyc.retire_old_keys().await.unwrap().len(), 1);
    kyc.reset().await.unwrap();
    assert!(admin.kyc.find_person("bob").is_none());
    // The error of the remote handle contains the message of the mock.
    let odd = kyc
        .person("x")
        .status(KycStatus::Unknown("odd".into()))
        .create()
        .await;
    let odd = odd.unwrap_err().to_string();
    assert!(odd.contains("unknown variant `odd`"), "{odd}");
}
