//! Sign-in with KYCPort. The program runs a tenant's app.
//!
//! ```text
//! cargo run --example sign_in
//! ```
//!
//! If `KYCPORT_CLIENT_ID` is set, the app uses the issuer from the environment. Without the
//! variable, the program also runs the mock issuer. `BIND` sets the address of the app.
#![expect(clippy::print_stdout, reason = "the example prints to its user")]

use std::{convert::Infallible, error::Error, future::IntoFuture as _, io::ErrorKind};

use axum::{
    Router,
    extract::{FromRef, State},
    http::{HeaderValue, StatusCode, header},
    middleware::map_response_with_state,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use kycport::{Config, KycTier, RelyingParty, SignedIn, mock::MockIssuer, web::AcceptedAssurance};
use tokio::net::TcpListener;

mod news;
mod page;

/// Path to which KYCPort delivers webhooks.
const WEBHOOKS: &str = "/webhooks/kycport";
/// Callback of another program that may use the same mock.
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
        return serve(listener, config, None).await;
    }
    // The mock runs until the program drops this handle.
    let kyc = MockIssuer::builder()
        .with_sample_persons()
        .console()
        .start()
        .await?;
    let listener = listen(None).await?;
    let address = listener.local_addr()?;
    let config = kyc
        .config(format!("http://{address}/auth/callback"))
        .scopes(["openid", "email", "profile", "kyc"])
        .build()?;
    kyc.webhooks()
        .subscribe(format!("http://{address}{WEBHOOKS}"));
    println!(
        "A mock of KYCPort is running, with a console at {}/",
        kyc.origin()
    );
    println!();
    println!("Open  {}", home(&config));
    println!("Click \"Sign in with KYCPort\", choose a person, and allow the login.");
    println!();
    println!("To use this mock from another program, set these environment variables:");
    println!();
    for (name, value) in kyc.environment(OTHER_PROGRAM) {
        println!("{name}={value}");
    }
    println!();
    println!("Ctrl-C ends it.");
    serve(listener, config, Some(kyc)).await
}

/// State that the handlers share.
#[derive(Clone)]
struct App {
    news: news::News,
    /// The mock, for a button that rejects the person at KYCPort. A real app has no mock.
    kyc: Option<MockIssuer>,
}

impl FromRef<App> for news::News {
    fn from_ref(app: &App) -> Self {
        app.news.clone()
    }
}

async fn serve(
    listener: TcpListener,
    config: Config,
    kyc: Option<MockIssuer>,
) -> Result<(), Box<dyn Error>> {
    // Pages keep a connection open for events. The shutdown does not wait for open connections.
    tokio::select! {
        served = axum::serve(listener, app(config, kyc)?).into_future() => served?,
        Ok(()) = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}

/// Builds the tenant's app. The vault needs t2. A withdrawal needs a fresh status and a passed AML
/// check. The app applies a webhook from KYCPort immediately.
fn app(config: Config, kyc: Option<MockIssuer>) -> Result<Router, Box<dyn Error>> {
    let kycport = RelyingParty::new(config)?;
    // The policy allows KYCPort's origin, because the guard of `/withdraw` redirects a form to
    // KYCPort if the person is signed out.
    let policy = HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
         img-src data:; form-action 'self' {}; frame-ancestors 'none'; base-uri 'none'",
        kycport.config().issuer_origin()
    ))?;
    let news = news::News::new();
    let mut router = Router::new();
    if kycport.config().webhook_secret().is_some() {
        let handler = news.clone();
        let webhooks = kycport.webhooks(move |delivery| {
            handler.tell(&delivery);
            std::future::ready(Ok::<(), Infallible>(()))
        });
        router = router.route_service(WEBHOOKS, webhooks.build()?);
    }
    Ok(router
        .route("/", get(show_home))
        .route(
            "/vault",
            get(show_vault).route_layer(kycport.require(KycTier::T2)),
        )
        .route(
            "/withdraw",
            post(withdraw).route_layer(kycport.require(KycTier::T2).aml_clear().fresh()),
        )
        .route("/news", get(news::news))
        .route("/at-kycport/reject", post(reject))
        .route("/style.css", get(style))
        .route("/storage.js", get(async || script(page::SCRIPT)))
        .route("/session.js", get(async || script(page::SESSION_SCRIPT)))
        .route("/vault.js", get(async || script(page::VAULT_SCRIPT)))
        .merge(kycport.router())
        .layer(kycport.session_layer())
        .layer(map_response_with_state(policy, with_policy))
        .with_state(App { news, kyc }))
}

async fn show_home(person: Option<SignedIn>) -> impl IntoResponse {
    Html(match &person {
        Some(person) => page::signed_in(person),
        None => page::signed_out(),
    })
}

async fn show_vault(
    State(app): State<App>,
    person: SignedIn,
    AcceptedAssurance(assurance): AcceptedAssurance,
) -> impl IntoResponse {
    Html(page::vault(&person, &assurance, app.kyc.is_some()))
}

/// Rejects the person at the mock. The mock then sends a webhook to the app, as KYCPort does.
async fn reject(State(app): State<App>, person: SignedIn) -> Result<Redirect, StatusCode> {
    let kyc = app.kyc.ok_or(StatusCode::NOT_FOUND)?;
    let at_kycport = kyc
        .find_person(person.subject())
        .ok_or(StatusCode::NOT_FOUND)?;
    at_kycport.reject();
    Ok(Redirect::to("/vault"))
}

async fn withdraw(person: SignedIn) -> impl IntoResponse {
    Html(page::withdrawn(&person))
}

/// Adds the content security policy to each page that has no policy.
async fn with_policy(State(policy): State<HeaderValue>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(policy);
    response
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css")], page::STYLE)
}

fn script(text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript")], text)
}

/// Listens on the address in `BIND`. Default: `port` or 3000. If port 3000 is in use, any free
/// port.
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
