//! Service that only receives KYCPort's webhooks.
//!
//! ```text
//! cargo run --example webhook_receiver
//! ```
//!
//! If `KYCPORT_WEBHOOK_SECRET` is set, the service accepts deliveries at `/webhooks/kycport` that
//! are signed with this secret. Without a secret, the program starts a mock of KYCPort. The mock
//! rejects a person and repeats a delivery. `BIND` sets the address of the service.
#![expect(clippy::print_stdout, reason = "the example prints to its user")]

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
    change_status(&kyc, &url).await;
    serving.abort();
    Ok(())
}

/// Builds the service. The receiver stores handled events in memory, which works for one instance.
/// Several instances need a shared store: `.store(RedisStore::connect("redis://…").await?)`.
fn app(secret: &str) -> Result<Router, Box<dyn Error>> {
    let verifier = WebhookVerifier::builder()
        .secret("current", Secret::new(secret))
        .build()?;
    let receiver = WebhookReceiver::builder(verifier, handle).build()?;
    Ok(Router::new().route_service(PATH, receiver))
}

/// Handles an event. The receiver calls the handler once for each event. If the handler returns an
/// error, KYCPort redelivers the event.
async fn handle(delivery: Delivery) -> Result<(), Infallible> {
    let event = delivery.event();
    println!("  handled {} {}", event.event_type(), event.id);
    Ok(())
}

/// Changes a person's status at the mock.
async fn change_status(kyc: &MockIssuer, url: &str) {
    let endpoint = kyc.webhooks().subscribe(url);
    let ada = kyc.person("ada").create();
    println!("Ada is rejected.");
    ada.reject();
    kyc.webhooks().settled().await;
    println!("Ada is verified, and the mock delivers the event three times.");
    let _twice_more = kyc.webhooks().duplicate(2).once();
    ada.verify(kycport::KycTier::T2);
    kyc.webhooks().settled().await;
    println!("Deliveries and responses:");
    for delivery in kyc.webhooks().deliveries().iter() {
        println!("  {delivery:?}");
    }
    drop(endpoint);
}
