//! Sign in with KYCPort, from nothing: a tenant's app and, unless the environment names a real one,
//! the mock issuer in the same process.
//!
//! ```text
//! cargo run --example sign_in
//! ```
//!
//! With `KYCPORT_CLIENT_ID` set it uses the issuer that the environment names. `BIND` sets the
//! address to listen on.
#![expect(clippy::print_stdout, reason = "it talks to whoever started it")]

use std::{error::Error, io::ErrorKind};

use axum::{
    Router,
    http::{HeaderValue, header},
    response::{Html, IntoResponse},
    routing::{get, post},
};
use kycport::{
    Config, KycTier, MemoryStore, RelyingParty, SignedIn, mock::MockIssuer, web::Assured,
};
use tokio::net::TcpListener;

mod page;

/// Where another program that wants to use the same mock may have its callback.
const OTHER_PROGRAM: &str = "http://localhost:4000/auth/callback";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    if std::env::var_os("KYCPORT_CLIENT_ID").is_some() {
        let config = Config::from_env()?;
        let listener = listen(config.redirect_uri().port_or_known_default()).await?;
        println!("Signing in with {}.", config.issuer());
        println!("Open  {}", home(&config));
        return serve(listener, config).await;
    }
    // The mock listens for as long as this handle lives.
    let kyc = MockIssuer::builder().with_sample_persons().start().await?;
    let listener = listen(None).await?;
    let address = listener.local_addr()?;
    let config = kyc
        .config(format!("http://{address}/auth/callback"))
        .scopes(["openid", "email", "profile", "kyc"])
        .build()?;
    println!("A mock of KYCPort is running at {}.", kyc.origin());
    println!();
    println!("Open  {}", home(&config));
    println!("Click \"Sign in with KYCPort\", choose who you are, and allow it.");
    println!();
    println!("To use the same mock from another program, give it this environment:");
    println!();
    for (name, value) in kyc.environment(OTHER_PROGRAM) {
        println!("{name}={value}");
    }
    println!();
    println!("Ctrl-C ends it.");
    serve(listener, config).await
}

async fn serve(listener: TcpListener, config: Config) -> Result<(), Box<dyn Error>> {
    axum::serve(listener, app(config)?)
        .with_graceful_shutdown(async {
            // If the signal cannot be had, the app runs on.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await?;
    Ok(())
}

/// The tenant's app: this is all it takes. The vault needs t2; a withdrawal needs KYCPort to say so
/// at this very moment, and that nothing is known against the person.
fn app(config: Config) -> Result<Router, Box<dyn Error>> {
    let kycport = RelyingParty::new(config)?;
    Ok(Router::new()
        .route("/", get(show_home))
        .route(
            "/vault",
            get(show_vault).route_layer(kycport.require(KycTier::T2)),
        )
        .route(
            "/withdraw",
            post(withdraw).route_layer(kycport.require(KycTier::T2).aml_clear().fresh()),
        )
        .route("/style.css", get(style))
        .route("/storage.js", get(script))
        .merge(kycport.router())
        .layer(kycport.session_layer(MemoryStore::default())))
}

async fn show_home(person: Option<SignedIn>) -> impl IntoResponse {
    with_policy(match &person {
        Some(person) => page::signed_in(person),
        None => page::signed_out(),
    })
}

async fn show_vault(person: SignedIn, Assured(assurance): Assured) -> impl IntoResponse {
    with_policy(page::vault(&person, &assurance))
}

async fn withdraw(person: SignedIn) -> impl IntoResponse {
    with_policy(page::withdrawn(&person))
}

fn with_policy(html: String) -> impl IntoResponse {
    (
        [(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(
                "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-action 'self'; \
                 frame-ancestors 'none'; base-uri 'none'",
            ),
        )],
        Html(html),
    )
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css")], page::STYLE)
}

async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript")], page::SCRIPT)
}

/// Listens where `BIND` says; if it says nothing, on `port` or 3000, or if that is taken on any.
async fn listen(port: Option<u16>) -> Result<TcpListener, Box<dyn Error>> {
    if let Ok(bind) = std::env::var("BIND") {
        return Ok(TcpListener::bind(&bind)
            .await
            .map_err(|error| format!("BIND={bind}: {error}"))?);
    }
    let wanted = port.filter(|port| *port >= 1024);
    match TcpListener::bind(("127.0.0.1", wanted.unwrap_or(3000))).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse && wanted.is_none() => {
            Ok(TcpListener::bind(("127.0.0.1", 0)).await?)
        }
        other => Ok(other?),
    }
}

fn home(config: &Config) -> String {
    config
        .redirect_uri()
        .join("/")
        .map_or_else(|_| config.redirect_uri().to_string(), Into::into)
}
