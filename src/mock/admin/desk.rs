//! The issuer as a whole: what it is, what an app must know of it, how it is switched, and how it
//! begins anew.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Admin, clients, clock,
    no::No,
    openapi,
    route::{Nothing, Route},
};
use crate::mock::{
    oidc::client::Client,
    overview::{self, Overview},
    start::{switches::SwitchesSpec, texts::RedirectUri},
};

/// For whom an environment is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvironmentFor {
    /// It is registered.
    #[schemars(with = "RedirectUri")]
    redirect_uri: String,
    /// The confidential client of the start, if nothing is said.
    client_id: Option<String>,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "",
            "readIssuer",
            "All that a program must know of this issuer.",
            read,
        ),
        Route::new(
            Method::GET,
            "/openapi.json",
            "readDocument",
            "This document.",
            document,
        ),
        Route::new(
            Method::POST,
            "/environment",
            "makeEnvironment",
            "The environment of an app with this redirect URI, which is registered.",
            environment,
        ),
        Route::new(
            Method::POST,
            "/reset",
            "reset",
            "Everything as it was at the start, but for what guards in Rust hold. Keys and secrets are those of the start; the clock shows the machine's time; sandboxes stay.",
            reset,
        ),
        Route::new(
            Method::GET,
            "/switches",
            "readSwitches",
            "All switches, as they stand.",
            switches,
        ),
        Route::new(
            Method::PATCH,
            "/switches",
            "changeSwitches",
            "Changes those that are named.",
            switch,
        ),
    ]
}

pub(super) fn read(admin: &Admin, _: &str, _: Nothing) -> Result<Overview, No> {
    Ok(admin.overview())
}

pub(super) fn document(_: &Admin, _: &str, _: Nothing) -> Result<Value, No> {
    Ok(openapi::document())
}

pub(super) fn environment(
    admin: &Admin,
    _: &str,
    whose: EnvironmentFor,
) -> Result<BTreeMap<String, String>, No> {
    let id = whose.client_id.as_ref().unwrap_or(&admin.client.id);
    let record = clients::record(admin, id)?;
    let client = Client::new(Arc::clone(&admin.core), record.clone());
    client.register_redirect_uri(&whose.redirect_uri)?;
    let variables = overview::variables(&admin.core, &record, whose.redirect_uri);
    let owned = variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Ok(owned.collect())
}

pub(super) fn switches(admin: &Admin, _: &str, _: Nothing) -> Result<SwitchesSpec, No> {
    Ok(SwitchesSpec::of(&admin.core.switches()))
}

pub(super) fn switch(admin: &Admin, _: &str, to: SwitchesSpec) -> Result<SwitchesSpec, No> {
    if let Some(flaw) = to.flaw() {
        return Err(No::invalid(flaw));
    }
    admin.core.switch(|switches| to.apply(switches));
    switches(admin, "", Nothing {})
}

/// Sandboxes are issuers of their own, and stay.
pub(super) fn reset(admin: &Admin, _: &str, _: Nothing) -> Result<Overview, No> {
    admin.faults.clear();
    clock::set_right(&admin.core);
    admin.start.restore(&admin.core);
    Ok(admin.overview())
}
