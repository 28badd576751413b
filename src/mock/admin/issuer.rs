//! Admin API routes for the whole issuer: overview, environment of an app, switches and reset.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Admin,
    api_error::ApiError,
    clients, clock, openapi,
    route::{Empty, Route},
};
use crate::mock::{
    oidc::client::Client,
    overview::{self, Overview},
    start::{switches::SwitchesSpec, texts::RedirectUri},
};

/// Body of a request for the environment of an app.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvironmentRequest {
    /// Redirect URI of the app. The mock registers this URI.
    #[schemars(with = "RedirectUri")]
    redirect_uri: String,
    /// Default: the first confidential client.
    client_id: Option<String>,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "",
            "readIssuer",
            "Returns the URLs, client IDs and secrets of this issuer.",
            read,
        ),
        Route::new(
            Method::GET,
            "/openapi.json",
            "readDocument",
            "Returns this document.",
            document,
        ),
        Route::new(
            Method::POST,
            "/environment",
            "makeEnvironment",
            "Registers a redirect URI and returns the environment variables of an app that uses it.",
            environment,
        ),
        Route::new(
            Method::POST,
            "/reset",
            "reset",
            "Restores the initial state, including keys and secrets, and sets the clock to the system time. Keeps the sandboxes, and the faults that Rust code installed.",
            reset,
        ),
        Route::new(
            Method::GET,
            "/switches",
            "readSwitches",
            "Returns the values of all switches.",
            switches,
        ),
        Route::new(
            Method::PATCH,
            "/switches",
            "changeSwitches",
            "Changes the given switches.",
            switch,
        ),
    ]
}

pub(super) fn read(admin: &Admin, _: &str, _: Empty) -> Result<Overview, ApiError> {
    Ok(admin.overview())
}

pub(super) fn document(admin: &Admin, _: &str, _: Empty) -> Result<Value, ApiError> {
    Ok(openapi::document(admin.routes))
}

pub(super) fn environment(
    admin: &Admin,
    _: &str,
    request: EnvironmentRequest,
) -> Result<BTreeMap<String, String>, ApiError> {
    let id = request.client_id.as_ref().unwrap_or(&admin.client.id);
    let record = clients::record(admin, id)?;
    let client = Client::new(Arc::clone(&admin.core), record.clone());
    client.register_redirect_uri(&request.redirect_uri)?;
    let variables = overview::variables(&admin.core, &record, request.redirect_uri);
    let owned = variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Ok(owned.collect())
}

pub(super) fn switches(admin: &Admin, _: &str, _: Empty) -> Result<SwitchesSpec, ApiError> {
    Ok(SwitchesSpec::of(&admin.core.switches()))
}

pub(super) fn switch(admin: &Admin, _: &str, to: SwitchesSpec) -> Result<SwitchesSpec, ApiError> {
    if let Some(problem) = to.problem() {
        return Err(ApiError::invalid(problem));
    }
    admin.core.switch(|switches| to.apply(switches));
    switches(admin, "", Empty {})
}

/// A reset does not stop the sandboxes, because a sandbox is a separate issuer.
pub(super) fn reset(admin: &Admin, _: &str, _: Empty) -> Result<Overview, ApiError> {
    admin.faults.clear();
    clock::reset_to_system_time(&admin.core);
    admin.start.restore(&admin.core);
    Ok(admin.overview())
}
