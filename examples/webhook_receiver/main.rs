//! A service that does one thing: it receives KYCPort's webhooks.
//!
//! ```text
//! cargo run --example webhook_receiver
//! ```
//!
//! With `KYCPORT_WEBHOOK_SECRET` set it waits for KYCPort, or for whoever has the secret, at
//! `/webhooks/kycport`. Without, it starts a mock of KYCPort and lets something happen there:
//! somebody is rejected, and a delivery is repeated. `BIND` sets the address to listen on.
#![expect(clippy::print_stdout, reason = "it talks to whoever started it")]

use std::{convert::Infallible, error::Error};

use axum::Router;
use kycport::{
    Secret,
    mock::MockIssuer,
    web::{Delivery, WebhookReceiver},
    webhook::WebhookVerifier,
};
use tokio::net::TcpListener;

const PATH: &str = "/webhooks/kycport";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let bind = std::env::var("BIND").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(bind).await?;
    let url = format!("http://{}{PATH}", listener.local_addr()?);
    if let Ok(secret) = std::env::var("KYCPORT_WEBHOOK_SECRET") {
        println!("Waiting for deliveries at {url}");
        axum::serve(listener, app(&secret)?).await?;
        return Ok(());
    }
    let kyc = MockIssuer::start().await;
    let app = app(&kyc.webhooks().secret())?;
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    play(&kyc, &url).await;
    serving.abort();
    Ok(())
}

/// Handled events are remembered in memory here, which serves one instance. Several instances share a
/// store: `.store(RedisStore::connect("redis://…").await?)`.
fn app(secret: &str) -> Result<Router, Box<dyn Error>> {
    let verifier = WebhookVerifier::builder()
        .secret("current", Secret::new(secret))
        .build()?;
    let receiver = WebhookReceiver::builder(verifier, handle).build()?;
    Ok(Router::new().route_service(PATH, receiver))
}

/// Each event comes here once. An error makes KYCPort deliver it again.
async fn handle(delivery: Delivery) -> Result<(), Infallible> {
    let event = delivery.event();
    println!("  handled {} {}", event.event_type(), event.id);
    Ok(())
}

/// What happens at KYCPort.
async fn play(kyc: &MockIssuer, url: &str) {
    let endpoint = kyc.webhooks().subscribe(url);
    let ada = kyc.person("ada").create();
    println!("Ada is rejected.");
    ada.reject();
    kyc.webhooks().settled().await;
    println!("Ada is verified after all, and that is delivered three times.");
    let _twice_more = kyc.webhooks().duplicate(2).once();
    ada.verify(kycport::KycTier::T2);
    kyc.webhooks().settled().await;
    println!("KYCPort was answered:");
    for delivery in kyc.webhooks().deliveries().iter() {
        println!("  {delivery:?}");
    }
    drop(endpoint);
}
