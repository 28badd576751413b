//! The tenant's app that the tests run.

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{get, post},
};
use kycport::{
    BearerToken, ConfigBuilder, KycTier, MemoryStore, RelyingParty, RunningApp, SignedIn,
    mock::{MockIssuer, Person},
    web::SessionStore,
};

/// An app with what the tests need, over `store`.
pub(crate) fn tenant_app(config: ConfigBuilder, store: impl SessionStore) -> Router {
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let api = Router::new()
        .route("/api/me", get(bearer))
        .layer(kycport.bearer_layer());
    Router::new()
        .route("/", get(home))
        .route("/vault", get(vault))
        .route("/withdraw", post(withdraw))
        .route("/token", get(access_token))
        .route("/broken", get(broken))
        .route("/webhook", post(async || StatusCode::NO_CONTENT))
        .nest("/nested", Router::new().route("/vault", get(vault)))
        .merge(kycport.router())
        .layer(kycport.session_layer(store))
        .merge(api)
}

/// The mock, the app on it, and a person who is t2.
pub(crate) async fn stage() -> (MockIssuer, RunningApp, Person) {
    stage_with(|config| config).await
}

/// The same, with more said to the configuration.
pub(crate) async fn stage_with(
    more: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
) -> (MockIssuer, RunningApp, Person) {
    let kyc = MockIssuer::start().await;
    let app = serve(&kyc, more).await;
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    (kyc, app, ada)
}

/// A further instance of the app, with a store of its own.
pub(crate) async fn serve(
    kyc: &MockIssuer,
    more: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
) -> RunningApp {
    let store = MemoryStore::new(100_000, std::sync::Arc::new(kyc.clock().clone()));
    kyc.serve(|config| tenant_app(more(config), store))
        .await
        .unwrap()
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

async fn withdraw(person: SignedIn) -> String {
    format!("withdrawn by {}", person.subject())
}

/// Only the length: the token itself is for the server.
async fn access_token(person: SignedIn) -> Result<String, (StatusCode, String)> {
    match person.access_token().await {
        Ok(token) => Ok(token.expose().len().to_string()),
        Err(error) => Err((StatusCode::BAD_GATEWAY, error.to_string())),
    }
}

async fn broken(_: SignedIn) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn bearer(BearerToken(token): BearerToken) -> Json<Vec<String>> {
    Json(token.scopes)
}
