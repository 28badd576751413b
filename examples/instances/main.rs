//! App in a production set-up. Several instances share a store. The app has a readiness route and
//! a page that lists a person's sessions. A webhook handler revokes all sessions of a rejected
//! person.
//!
//! ```text
//! cargo run --example instances -- memory:
//! cargo run --example instances -- sqlite:///tmp/kycport.db
//! cargo run --example instances -- redis://127.0.0.1:6379
//! cargo run --example instances -- postgres://app@127.0.0.1/app
//! ```
//!
//! `KYCPORT_STORE` can also set the store. `KYCPORT_SESSION_KEYS` sets the keys that encrypt the
//! stored data.
//!
//! If `KYCPORT_CLIENT_ID` is set, the program runs one instance that listens on `BIND`, for your
//! own load balancer. Without the variable, the program starts a mock of KYCPort and two
//! instances. A load balancer sends consecutive requests to different instances.
#![expect(clippy::print_stdout, reason = "the example prints to its user")]

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

/// Path to which KYCPort delivers webhooks.
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
    // The configuration has one store, which both instances use.
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

/// Configures the store from the command line or the environment. Default: a store in memory.
fn stored(config: ConfigBuilder) -> ConfigBuilder {
    let named = std::env::args().nth(1);
    let url = named.or_else(|| std::env::var("KYCPORT_STORE").ok());
    config.store_url(url.unwrap_or_else(|| "memory:".to_owned()))
}

/// Serves requests until the process receives a signal to stop. The server first completes the
/// requests in progress. A deployment therefore interrupts no request.
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

/// Number of the instance, which the pages show.
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
        // `/ready` checks the store. In production, restrict `/ready` to the load balancer's
        // probe.
        .route("/ready", kycport.ready_route())
        .layer(Extension(Number(number)))
        .with_state(sessions))
}

/// Revokes all sessions of a rejected person, on every device and at every instance. If the
/// revocation fails, KYCPort redelivers the event.
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

/// Revokes one session of the signed-in person. The store checks that the session belongs to the
/// signed-in person.
async fn end(
    State(sessions): State<Sessions>,
    person: SignedIn,
    Form(end): Form<End>,
) -> Result<Redirect, StoreError> {
    sessions.revoke(person.subject(), &end.id).await?;
    Ok(Redirect::to("/"))
}

/// Sends consecutive requests to different instances.
fn balanced(instances: [Router; 2]) -> Router {
    let turn = Arc::new(AtomicUsize::new(0));
    Router::new().fallback(move |request: Request| {
        let [first, second] = &instances;
        let even = turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        let mut instance = if even { first.clone() } else { second.clone() };
        async move { instance.call(request).await }
    })
}
