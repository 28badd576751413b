//! An app as it is deployed: instances that share Redis or Postgres, a probe's route, a page where
//! people see their devices, and a rejection that ends every session of whoever is rejected.
//!
//! ```text
//! cargo run --example instances
//! REDIS_URL=redis://127.0.0.1:6379 cargo run --example instances
//! DATABASE_URL=postgres://app@127.0.0.1/app cargo run --example instances
//! ```
//!
//! With `KYCPORT_CLIENT_ID` set this is one instance, which listens at `BIND`, and a load balancer
//! is yours. Without, a mock of KYCPort is started and two instances behind a balancer that sends
//! no two requests in a row to the same one. `KYCPORT_SESSION_KEYS` seals what is stored.
#![expect(clippy::print_stdout, reason = "it talks to whoever started it")]

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Extension, Form, Router,
    extract::{Request, State},
    response::{Html, IntoResponse, Redirect},
    routing::{get, post},
};
use kycport::{
    Config, ConfigBuilder, RelyingParty, SignedIn,
    mock::MockIssuer,
    web::{Delivery, SessionId, Sessions, StoreUnavailable},
};
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tower_service::Service as _;

mod page;
mod stores;

use stores::Stores;

/// Where KYCPort delivers its webhooks.
const WEBHOOKS: &str = "/webhooks/kycport";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let stores = Stores::from_env().await?;
    println!("What the instances share is in {}.", stores.name());
    if std::env::var_os("KYCPORT_CLIENT_ID").is_some() {
        let bind = std::env::var("BIND").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
        let listener = TcpListener::bind(bind).await?;
        println!("Listening at http://{}", listener.local_addr()?);
        let app = instance(Config::builder_from_env()?, &stores, 1)?;
        return serve(listener, app).await;
    }
    let kyc = MockIssuer::builder()
        .with_sample_persons()
        .console()
        .start()
        .await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    kyc.webhooks().subscribe(format!("{origin}{WEBHOOKS}"));
    let config = || kyc.config(format!("{origin}/auth/callback"));
    let instances = [
        instance(config(), &stores, 1)?,
        instance(config(), &stores, 2)?,
    ];
    println!(
        "A mock of KYCPort is running, with a console at {}/",
        kyc.origin()
    );
    println!("Two instances are running.");
    println!();
    println!("Open  {origin}/");
    println!(
        "Sign in there in two browsers as the same person, and end one session from the other."
    );
    serve(listener, balanced(instances)).await
}

/// Goes on with what is under way when it is told to end: no request is cut off by a deployment.
async fn serve(listener: TcpListener, app: Router) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let told_to_end = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    };
    Ok(axum::serve(listener, app)
        .with_graceful_shutdown(told_to_end)
        .await?)
}

/// What a handler is told of the instance.
#[derive(Clone, Copy)]
struct Number(usize);

fn instance(
    config: ConfigBuilder,
    stores: &Stores,
    number: usize,
) -> Result<Router, Box<dyn Error>> {
    let kycport = RelyingParty::new(stores.cache(config).build()?)?;
    let layer = stores.layer(&kycport)?;
    let sessions = layer.sessions();
    let mut router = Router::new();
    if kycport.config().webhook_secret().is_some() {
        let sessions = sessions.clone();
        let webhooks = kycport.webhooks(move |delivery| on_event(sessions.clone(), delivery));
        router = router.route_service(WEBHOOKS, stores.replay(webhooks).build()?);
    }
    // It asks the store for whoever calls it: in earnest, let the balancer keep it to the probe.
    let ready = layer.ready_route();
    Ok(router
        .route("/", get(home))
        .route("/end", post(end))
        .merge(kycport.router())
        .layer(layer)
        .route("/ready", ready)
        .layer(Extension(Number(number)))
        .with_state(sessions))
}

/// Who is rejected is signed out, on every device and by every instance, from the next request on.
/// An error makes KYCPort deliver it again.
async fn on_event(sessions: Sessions, delivery: Delivery) -> Result<(), StoreUnavailable> {
    if let (true, Some(person)) = (delivery.is_rejection(), delivery.event().person_id()) {
        sessions.end_all(person).await?;
    }
    Ok(())
}

async fn home(
    State(sessions): State<Sessions>,
    Extension(number): Extension<Number>,
    person: Option<SignedIn>,
) -> Result<impl IntoResponse, StoreUnavailable> {
    let Some(person) = person else {
        return Ok(Html(page::signed_out(number)));
    };
    let listed = sessions.list(person.subject()).await?;
    Ok(Html(page::devices(number, &person, &listed)))
}

#[derive(Deserialize)]
struct End {
    id: SessionId,
}

/// Nobody's but the person's own: the store is asked whose it is.
async fn end(
    State(sessions): State<Sessions>,
    person: SignedIn,
    Form(end): Form<End>,
) -> Result<Redirect, StoreUnavailable> {
    sessions.end(person.subject(), &end.id).await?;
    Ok(Redirect::to("/"))
}

/// No two requests in a row meet the same instance.
fn balanced(instances: [Router; 2]) -> Router {
    let turn = Arc::new(AtomicUsize::new(0));
    Router::new().fallback(move |request: Request| {
        let [first, second] = &instances;
        let even = turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        let mut instance = if even { first.clone() } else { second.clone() };
        async move { instance.call(request).await }
    })
}
