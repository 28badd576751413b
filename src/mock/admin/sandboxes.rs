//! Issuers of their own in the same process, for tests that run beside each other.

use std::{any::Any, collections::BTreeMap, sync::Mutex};

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin,
    no::No,
    route::{Nothing, Route},
};
use crate::mock::{core::lock, error::MockError, overview::Overview, random};

/// Those of one issuer. They end with it.
#[derive(Default)]
pub(in crate::mock) struct Sandboxes {
    /// None in a sandbox: one level is enough.
    open: Option<Open>,
    running: Mutex<BTreeMap<String, Opened>>,
}

/// Starts one.
type Open = Box<dyn Fn() -> Result<Opened, MockError> + Send + Sync>;

/// A sandbox that runs.
pub(in crate::mock) struct Opened {
    pub(in crate::mock) overview: Overview,
    /// It ends when this is dropped.
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

/// A sandbox, and all that a program must know of it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Sandbox")]
pub(super) struct SandboxView {
    id: String,
    /// It has all that the main one has, but for sandboxes.
    issuer: Overview,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/sandboxes", "listSandboxes", "Those that run.", list),
        Route::new(Method::POST, "/sandboxes", "openSandbox", "An issuer of its own: port, clock, keys and persons, with the same start. It ends when it is deleted, or with this issuer; 256 at once.", open).created(),
        Route::new(Method::DELETE, "/sandboxes/{sandbox}", "endSandbox", "Ends a sandbox.", end),
    ]
}

pub(super) fn list(admin: &Admin, _: &str, _: Nothing) -> Result<Vec<SandboxView>, No> {
    let running = lock(&admin.sandboxes.running);
    let view = |(id, opened): (&String, &Opened)| SandboxView {
        id: id.clone(),
        issuer: opened.overview.clone(),
    };
    Ok(running.iter().map(view).collect())
}

pub(super) fn open(admin: &Admin, _: &str, _: Nothing) -> Result<SandboxView, No> {
    let open = admin.sandboxes.open.as_ref();
    let open = open.ok_or_else(|| No::conflict("this is a sandbox: it has none of its own"))?;
    let mut running = lock(&admin.sandboxes.running);
    if running.len() >= MOST {
        return Err(No::conflict(format!(
            "there are {MOST} sandboxes already: end some"
        )));
    }
    let opened = open()?;
    let id = random::name("sandbox_");
    let issuer = opened.overview.clone();
    running.insert(id.clone(), opened);
    Ok(SandboxView { id, issuer })
}

pub(super) fn end(admin: &Admin, id: &str, _: Nothing) -> Result<Nothing, No> {
    let ended = lock(&admin.sandboxes.running).remove(id);
    let ended = ended.ok_or_else(|| No::not_found("sandbox"))?;
    drop(ended.issuer);
    Ok(Nothing {})
}

/// Each has a port and a thread.
const MOST: usize = 256;
