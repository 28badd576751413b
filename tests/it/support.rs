//! Tenant app that the tests run.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Extension, Json, Router,
    http::{StatusCode, header::CACHE_CONTROL},
    response::IntoResponse,
    routing::{get, post},
};
use kycport::{
    Assurance, BearerToken, ConfigBuilder, KycTier, RelyingParty, RunningApp, SignedIn,
    mock::{MockIssuer, Person},
    web::AcceptedAssurance,
};

/// Creates an app with the routes that the tests need.
pub(crate) fn tenant_app(config: ConfigBuilder) -> Router {
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    tenant_app_of(&kycport)
}

/// Creates the app with a relying party of the test.
pub(crate) fn tenant_app_of(kycport: &RelyingParty) -> Router {
    let api = Router::new()
        .route("/api/me", get(bearer))
        .layer(kycport.bearer_layer());
    Router::new()
        .route("/", get(home))
        .route("/vault", get(vault))
        .route("/withdraw", post(withdraw))
        .route("/withdrawals", get(withdrawals))
        .route("/cached", get(cached))
        .route("/panic", get(panics))
        .route("/token", get(access_token))
        .route("/broken", get(broken))
        .route(
            "/guarded",
            get(assured).route_layer(kycport.require(KycTier::T2)),
        )
        .route(
            "/sensitive",
            get(assured)
                .post(assured)
                .route_layer(kycport.require(KycTier::T2).aml_clear().fresh()),
        )
        .route("/webhook", post(async || StatusCode::NO_CONTENT))
        .nest("/nested", Router::new().route("/vault", get(vault)))
        .merge(kycport.router())
        .layer(kycport.session_layer())
        .layer(Extension(Withdrawals::default()))
        .merge(api)
}

/// Starts the mock and the app with a person who is verified at t2.
pub(crate) async fn setup() -> (MockIssuer, RunningApp, Person) {
    setup_with(|config| config).await
}

/// Starts the mock and the app with additional settings.
pub(crate) async fn setup_with(
    more: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
) -> (MockIssuer, RunningApp, Person) {
    let kyc = MockIssuer::start().await;
    let app = serve(&kyc, more).await;
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    (kyc, app, ada)
}

/// Starts a further instance of the app with its own store.
pub(crate) async fn serve(
    kyc: &MockIssuer,
    more: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
) -> RunningApp {
    kyc.serve(|config| tenant_app(more(config))).await.unwrap()
}

async fn home(person: Option<SignedIn>) -> String {
    match person {
        Some(person) => format!("signed in as {}", person.subject()),
        None => "signed out".to_owned(),
    }
}

async fn vault(person: SignedIn) -> String {
    format!("the vault of {}", person.subject())
}

/// Number of calls to the handler.
#[derive(Clone, Default)]
struct Withdrawals(Arc<AtomicUsize>);

async fn withdraw(Extension(count): Extension<Withdrawals>, person: SignedIn) -> String {
    count.0.fetch_add(1, Ordering::SeqCst);
    format!("withdrawn by {}", person.subject())
}

async fn withdrawals(Extension(count): Extension<Withdrawals>) -> String {
    count.0.load(Ordering::SeqCst).to_string()
}

/// Handler that wrongly allows caching.
async fn cached(person: SignedIn) -> impl IntoResponse {
    (
        [(CACHE_CONTROL, "public, max-age=3600")],
        format!("seen by {}", person.subject()),
    )
}

async fn panics(_: SignedIn) -> StatusCode {
    panic!("this handler panics")
}

/// Returns only the length of the access token. The access token stays on the server.
async fn access_token(person: SignedIn) -> Result<String, (StatusCode, String)> {
    match person.access_token().await {
        Ok(token) => Ok(token.expose().len().to_string()),
        Err(error) => Err((StatusCode::BAD_GATEWAY, error.to_string())),
    }
}

async fn assured(AcceptedAssurance(assurance): AcceptedAssurance) -> Json<Assurance> {
    Json(assurance)
}

async fn broken(_: SignedIn) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn bearer(BearerToken(token): BearerToken) -> Json<Vec<String>> {
    Json(token.scopes)
}

/// Sends these bytes to the app, and returns all bytes that the app sends before the connection
/// closes.
pub(crate) async fn raw(app: &RunningApp, request: &[u8]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = app.url("").replace("http://", "");
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
