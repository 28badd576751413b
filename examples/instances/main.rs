//! An app as it is deployed: instances that share a store, a route for probes, a page where people
//! see their devices, and a rejection that ends every session of the rejected person.
//!
//! ```text
//! cargo run --example instances -- memory:
//! cargo run --example instances -- sqlite:///tmp/kycport.db
//! cargo run --example instances -- redis://127.0.0.1:6379
//! cargo run --example instances -- postgres://app@127.0.0.1/app
//! ```
//!
//! `KYCPORT_STORE` names the store as well. `KYCPORT_SESSION_KEYS` seals what is stored.
//!
//! With `KYCPORT_CLIENT_ID` set this is one instance, which listens at `BIND`; the load balancer is
//! yours. Without, it starts a mock of KYCPort, and two instances behind a balancer that sends no two
//! requests in a row to the same one.
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
    http::header::CONTENT_TYPE,
    response::{Html, IntoResponse, Redirect},
    routing::{get, post},
};
use kycport::{
    Config, ConfigBuilder, RelyingParty, SignedIn,
    mock::MockIssuer,
    store::StoreError,
    web::{Delivery, SealingKeys, SessionId, Sessions},
};
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tower_service::Service as _;

mod page;

/// Where KYCPort delivers its webhooks.
const WEBHOOKS: &str = "/webhooks/kycport";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    if std::env::var_os("KYCPORT_CLIENT_ID").is_some() {
        let bind = std::env::var("BIND").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
        let listener = TcpListener::bind(bind).await?;
        println!("Listening at http://{}", listener.local_addr()?);
        let config = stored(Config::builder_from_env()?).build()?;
        return serve(listener, instance(config, 1)?).await;
    }
    let kyc = MockIssuer::builder()
        .with_sample_persons()
        .console()
        .start()
        .await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    kyc.webhooks().subscribe(format!("{origin}{WEBHOOKS}"));
    let mut config = stored(kyc.config(format!("{origin}/auth/callback")));
    if std::env::var_os("KYCPORT_SESSION_KEYS").is_some() {
        config = config.session_keys(SealingKeys::from_env()?);
    }
    // One configuration has one store, which both instances use.
    let config = config.build()?;
    let instances = [instance(config.clone(), 1)?, instance(config, 2)?];
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

/// The store that the command line names, or the environment; memory if neither does.
fn stored(config: ConfigBuilder) -> ConfigBuilder {
    let named = std::env::args().nth(1);
    let url = named.or_else(|| std::env::var("KYCPORT_STORE").ok());
    config.store_url(url.unwrap_or_else(|| "memory:".to_owned()))
}

/// Serves until the process is told to end, and completes the requests under way: a deployment cuts
/// no request off.
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

/// Number of the instance, for the pages.
#[derive(Clone, Copy)]
struct Number(usize);

fn instance(config: Config, number: usize) -> Result<Router, Box<dyn Error>> {
    let kycport = RelyingParty::new(config)?;
    let sessions = kycport.sessions();
    let mut router = Router::new();
    if kycport.config().webhook_secret().is_some() {
        let sessions = sessions.clone();
        let webhooks = kycport.webhooks(move |delivery| on_event(sessions.clone(), delivery));
        router = router.route_service(WEBHOOKS, webhooks.build()?);
    }
    Ok(router
        .route("/", get(home))
        .route("/end", post(end))
        .route("/style.css", get(style))
        .route("/session.js", get(script))
        .merge(kycport.router())
        .layer(kycport.session_layer())
        // It asks the store. In production, let the balancer keep this path to the probe.
        .route("/ready", kycport.ready_route())
        .layer(Extension(Number(number)))
        .with_state(sessions))
}

/// Signs a rejected person out, on every device and at every instance, from the next request on. On
/// an error KYCPort redelivers the event.
async fn on_event(sessions: Sessions, delivery: Delivery) -> Result<(), StoreError> {
    if let (true, Some(person)) = (delivery.is_rejection(), delivery.event().person_id()) {
        sessions.revoke_all(person).await?;
    }
    Ok(())
}

async fn home(
    State(sessions): State<Sessions>,
    Extension(number): Extension<Number>,
    person: Option<SignedIn>,
) -> Result<impl IntoResponse, StoreError> {
    let Some(person) = person else {
        return Ok(Html(page::signed_out(number)));
    };
    let listed = sessions.list(person.subject()).await?;
    Ok(Html(page::devices(number, &person, &listed)))
}

async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css")], page::STYLE)
}

async fn script() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/javascript")], page::SESSION_SCRIPT)
}

#[derive(Deserialize)]
struct End {
    id: SessionId,
}

/// Ends one session of the signed-in person. The store says whether it is theirs.
async fn end(
    State(sessions): State<Sessions>,
    person: SignedIn,
    Form(end): Form<End>,
) -> Result<Redirect, StoreError> {
    sessions.revoke(person.subject(), &end.id).await?;
    Ok(Redirect::to("/"))
}

/// Sends no two requests in a row to the same instance.
fn balanced(instances: [Router; 2]) -> Router {
    let turn = Arc::new(AtomicUsize::new(0));
    Router::new().fallback(move |request: Request| {
        let [first, second] = &instances;
        let even = turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        let mut instance = if even { first.clone() } else { second.clone() };
        async move { instance.call(request).await }
    })
}
