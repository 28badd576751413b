//! Capture of documents on a page of the app. The person's browser sends the pictures through this
//! app to KYCPort. KYCPort decides, and the vault opens immediately. The app and the mock issuer
//! run in one process.
//!
//! ```text
//! cargo run --example host_your_own_capture
//! ```
//!
//! `BIND` sets the address of the app.
#![expect(clippy::print_stdout, reason = "the example prints to its user")]

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

/// Tier that the vault requires and to which a case verifies a person.
const NEEDED: KycTier = KycTier::T2;
/// Maximum time for which one request waits for a reviewer. After that, the page sends a new
/// request.
const REVIEW_WAIT: Duration = Duration::from_secs(20);

#[derive(Clone)]
struct App {
    kycport: RelyingParty,
    /// The mock provides sample pictures and acts as the reviewer. A real app has no mock.
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
    println!("Sign in and send pictures. The page has sample pictures.");
    println!();
    println!("Ctrl-C ends it.");
    axum::serve(listener, app(App { kycport, kyc }))
        .with_graceful_shutdown(async {
            // If the app cannot install the signal handler, it continues to run.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await?;
    Ok(())
}

/// Builds the tenant's app. A verification needs three requests of the signed-in person: open a
/// case, upload the files, request the decision.
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

/// Streams an upload to KYCPort without storing it.
async fn upload(
    State(app): State<App>,
    Path(case): Path<String>,
    person: SignedIn,
    upload: CaptureUpload,
) -> Result<Json<Value>, CaptureError> {
    let relayed = upload.forward(app.kycport.cases(), &person, &case).await?;
    Ok(Json(json!({ "received": relayed.received })))
}

/// Requests the decision of a case. The id comes from a browser, so the app first checks that the
/// case belongs to the signed-in person.
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

/// Waits for the decision of a reviewer.
async fn wait(
    State(app): State<App>,
    Path(case): Path<String>,
    person: SignedIn,
) -> Result<Json<Value>, CaptureError> {
    let cases = app.kycport.cases();
    cases.get_of(person.subject(), &case).await?;
    let outcome = match cases.wait_until_decided(&case, REVIEW_WAIT).await? {
        WaitOutcome::Decided(_, decision) => decision.outcome,
        _ => Outcome::Review,
    };
    Ok(Json(json!({ "outcome": outcome.to_string() })))
}

/// Shows the vault. The guard of the route has already accepted the person.
async fn open_vault(person: SignedIn) -> String {
    format!("Three bars of gold, for {}.", page::name_of(&person))
}

async fn show_home(State(app): State<App>, person: Option<SignedIn>) -> impl IntoResponse {
    // The policy allows KYCPort's origin, because a guarded route can redirect a form to KYCPort.
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
         img-src data:; form-action 'self' {}; frame-ancestors 'none'; base-uri 'none'",
        app.kycport.config().issuer_origin()
    );
    let html = person.map_or_else(page::signed_out, |person| page::signed_in(&person));
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html))
}

/// Returns a picture for the signed-in person. Each person gets a different picture, because the
/// engine rejects a picture that another person has uploaded.
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

/// Decides a case as the reviewer at the mock. In production, a webhook from KYCPort reports the
/// decision.
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

/// Listens on the address in `BIND`. Default: port 3000. If port 3000 is in use, any free port.
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
