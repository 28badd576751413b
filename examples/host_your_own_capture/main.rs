//! Host your own capture: the pictures go from the person's browser through this app to KYCPort,
//! which decides, and the vault opens at once. From nothing: a tenant's app and the mock issuer in
//! the same process.
//!
//! ```text
//! cargo run --example host_your_own_capture
//! ```
//!
//! `BIND` sets the address to listen on.
#![expect(clippy::print_stdout, reason = "it talks to whoever started it")]

use std::{error::Error, io::ErrorKind, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse},
    routing::{get, post},
};
use kycport::{
    KycStatus, KycTier, RelyingParty, SignedIn,
    cases::{Outcome, WaitOutcome},
    mock::{MockIssuer, samples},
    web::{CaptureError, CaptureUpload},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

mod page;

/// The tier that the vault needs, and a case is opened for.
const NEEDED: KycTier = KycTier::T2;
/// How long one request waits for a reviewer; then the page asks again.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone)]
struct App {
    kycport: RelyingParty,
    /// The mock is asked for sample pictures, and plays the reviewer. A real app has no such thing.
    kyc: MockIssuer,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let kyc = MockIssuer::builder().console().start().await?;
    for (slug, name) in [
        ("rosalind", "Rosalind Franklin"),
        ("katherine", "Katherine Johnson"),
    ] {
        let person = kyc.person(slug).name(name);
        person
            .status(KycStatus::Unverified)
            .tier(KycTier::T0)
            .create();
    }
    let listener = listen().await?;
    let address = listener.local_addr()?;
    let config = kyc
        .config(format!("http://{address}/auth/callback"))
        .scopes(["openid", "profile", "kyc"])
        .build()?;
    let kycport = RelyingParty::new(config)?;
    println!(
        "A mock of KYCPort is running, with a console at {}/",
        kyc.origin()
    );
    println!();
    println!("Open  http://{address}/");
    println!("Sign in, and send pictures: the page has some to try.");
    println!();
    println!("Ctrl-C ends it.");
    axum::serve(listener, app(App { kycport, kyc }))
        .with_graceful_shutdown(async {
            // If the signal cannot be had, the app runs on.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await?;
    Ok(())
}

/// The tenant's app: three calls, each for whoever is signed in.
fn app(app: App) -> Router {
    let kycport = app.kycport.clone();
    Router::new()
        .route("/", get(show_home))
        .route(
            "/vault",
            get(open_vault).route_layer(kycport.require(NEEDED)),
        )
        .route("/cases", post(open_case))
        .route("/cases/{case}/upload", post(upload))
        .route("/cases/{case}/decide", post(decide))
        .route("/cases/{case}", get(wait))
        .route("/samples/{outcome}/{part}", get(sample))
        .route("/reviewer/{case}/{outcome}", post(review))
        .route("/style.css", get(style))
        .route("/capture.js", get(async || script(page::SCRIPT)))
        .route("/session.js", get(async || script(page::SESSION_SCRIPT)))
        .merge(kycport.router())
        .layer(kycport.session_layer())
        .with_state(app)
}

async fn open_case(State(app): State<App>, person: SignedIn) -> Result<Json<Value>, CaptureError> {
    let case = app.kycport.cases().open(person.subject(), &NEEDED).await?;
    Ok(Json(json!({ "id": case.id })))
}

/// Nothing is held here: each piece goes on to KYCPort as it comes.
async fn upload(
    State(app): State<App>,
    Path(case): Path<String>,
    person: SignedIn,
    upload: CaptureUpload,
) -> Result<Json<Value>, CaptureError> {
    let relayed = upload.forward(app.kycport.cases(), &person, &case).await?;
    Ok(Json(json!({ "received": relayed.received })))
}

/// The id came from the browser: whose case it is, is asked first.
async fn decide(
    State(app): State<App>,
    Path(case): Path<String>,
    person: SignedIn,
) -> Result<Json<Value>, CaptureError> {
    let cases = app.kycport.cases();
    cases.get_of(person.subject(), &case).await?;
    let decision = cases.decide(&case).await?;
    Ok(Json(json!({ "outcome": decision.outcome.to_string() })))
}

/// For a case that a reviewer looks at.
async fn wait(
    State(app): State<App>,
    Path(case): Path<String>,
    person: SignedIn,
) -> Result<Json<Value>, CaptureError> {
    let cases = app.kycport.cases();
    cases.get_of(person.subject(), &case).await?;
    let outcome = match cases.wait_until_decided(&case, PATIENCE).await? {
        WaitOutcome::Decided(_, decision) => decision.outcome,
        _ => Outcome::Review,
    };
    Ok(Json(json!({ "outcome": outcome.to_string() })))
}

/// The guard on the route has let the person in.
async fn open_vault(person: SignedIn) -> String {
    format!("Three bars of gold, for {}.", page::name_of(&person))
}

async fn show_home(State(app): State<App>, person: Option<SignedIn>) -> impl IntoResponse {
    // KYCPort's origin is there for forms to guarded routes, which can be redirected there.
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
         img-src data:; form-action 'self' {}; frame-ancestors 'none'; base-uri 'none'",
        app.kycport.config().issuer_origin()
    );
    let html = person.map_or_else(page::signed_out, |person| page::signed_in(&person));
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html))
}

/// A picture for the person who is signed in: the same for two persons is a fraud to the engine.
async fn sample(
    Path((outcome, part)): Path<(Outcome, String)>,
    person: SignedIn,
) -> Result<impl IntoResponse, StatusCode> {
    let seed = person.subject();
    let picture = match part.as_str() {
        "document.png" => samples::document_that_is(&outcome, seed),
        "document_back.png" => samples::document_back(seed),
        "selfie.png" => samples::selfie(seed),
        _ => return Err(StatusCode::NOT_FOUND),
    };
    Ok(([(header::CONTENT_TYPE, "image/png")], picture))
}

/// The reviewer's word, from the mock's side. KYCPort's webhook would say that there is news.
async fn review(
    State(app): State<App>,
    Path((case, outcome)): Path<(String, Outcome)>,
) -> StatusCode {
    match app.kyc.cases().review(&case, &outcome) {
        Ok(()) => {
            app.kycport.cases().poll_now(&case);
            StatusCode::NO_CONTENT
        }
        Err(_) => StatusCode::CONFLICT,
    }
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css")], page::STYLE)
}

fn script(text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript")], text)
}

/// Listens where `BIND` says; if it says nothing, on 3000, or if that is taken on any.
async fn listen() -> Result<TcpListener, Box<dyn Error>> {
    if let Ok(bind) = std::env::var("BIND") {
        return Ok(TcpListener::bind(&bind)
            .await
            .map_err(|error| format!("BIND={bind}: {error}"))?);
    }
    match TcpListener::bind("127.0.0.1:3000").await {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Ok(TcpListener::bind("127.0.0.1:0").await?)
        }
        other => Ok(other?),
    }
}
