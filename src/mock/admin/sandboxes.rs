//! Sandboxes: separate issuers in the same process, for tests that run in parallel.

use std::{any::Any, collections::BTreeMap, sync::Mutex};

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin,
    api_error::ApiError,
    route::{Empty, Route},
};
use crate::mock::{core::lock, error::MockError, overview::Overview, random};

/// Sandboxes of one issuer. The sandboxes stop when the issuer stops.
#[derive(Default)]
pub(in crate::mock) struct Sandboxes {
    /// Function that starts a sandbox. `None` in a sandbox, because a sandbox cannot start another
    /// sandbox.
    open: Option<Open>,
    running: Mutex<BTreeMap<String, Opened>>,
}

/// Function that starts a sandbox.
type Open = Box<dyn Fn() -> Result<Opened, MockError> + Send + Sync>;

/// Running sandbox.
pub(in crate::mock) struct Opened {
    pub(in crate::mock) overview: Overview,
    /// Handle to the sandbox. Dropping the handle stops the sandbox.
    pub(in crate::mock) issuer: Box<dyn Any + Send + Sync>,
}

impl Sandboxes {
    pub(in crate::mock) fn new(
        open: impl Fn() -> Result<Opened, MockError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            open: Some(Box::new(open)),
            running: Mutex::default(),
        }
    }
}

/// Sandbox with its URLs, client IDs and secrets.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Sandbox")]
pub(in crate::mock) struct SandboxView {
    pub(in crate::mock) id: String,
    /// Overview of the sandbox. A sandbox has every route of the main issuer, except the routes
    /// that manage sandboxes.
    pub(in crate::mock) issuer: Overview,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/sandboxes", "listSandboxes", "Lists the running sandboxes.", list),
        Route::new(Method::POST, "/sandboxes", "openSandbox", "Starts a separate issuer with its own port, clock, keys and persons, and with the same initial settings. The sandbox stops when a client deletes it or when this issuer stops. Maximum: 256 running sandboxes.", open).created(),
        Route::new(Method::DELETE, "/sandboxes/{sandbox}", "endSandbox", "Stops a sandbox.", end),
    ]
}

pub(super) fn list(admin: &Admin, _: &str, _: Empty) -> Result<Vec<SandboxView>, ApiError> {
    let running = lock(&admin.sandboxes.running);
    let view = |(id, opened): (&String, &Opened)| SandboxView {
        id: id.clone(),
        issuer: opened.overview.clone(),
    };
    Ok(running.iter().map(view).collect())
}

pub(super) fn open(admin: &Admin, _: &str, _: Empty) -> Result<SandboxView, ApiError> {
    let open = admin.sandboxes.open.as_ref();
    let open = open.ok_or_else(|| ApiError::conflict("a sandbox cannot start another sandbox"))?;
    let mut running = lock(&admin.sandboxes.running);
    if running.len() >= MAX_SANDBOXES {
        return Err(ApiError::conflict(format!(
            "the maximum of {MAX_SANDBOXES} sandboxes is reached: delete some"
        )));
    }
    let opened = open()?;
    let id = random::name("sandbox_");
    let issuer = opened.overview.clone();
    running.insert(id.clone(), opened);
    Ok(SandboxView { id, issuer })
}

pub(super) fn end(admin: &Admin, id: &str, _: Empty) -> Result<Empty, ApiError> {
    let ended = lock(&admin.sandboxes.running).remove(id);
    let ended = ended.ok_or_else(|| ApiError::not_found("sandbox"))?;
    drop(ended.issuer);
    Ok(Empty {})
}

/// Maximum number of running sandboxes. Each sandbox uses a separate port and a separate thread.
const MAX_SANDBOXES: usize = 256;
