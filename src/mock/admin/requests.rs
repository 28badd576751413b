//! What the issuer was asked, and why it refused. Names of parameters, never values.

use std::collections::BTreeMap;

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin,
    no::No,
    route::{Nothing, Route},
};
use crate::mock::http::{endpoint::Endpoint, log::RecordedRequest};

/// A request and its answer.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Request")]
pub(super) struct RequestView {
    method: String,
    path: String,
    /// `null` if it went to none.
    endpoint: Option<Endpoint>,
    /// The names of the query's parameters.
    query: Vec<String>,
    /// The names of the form's.
    form: Vec<String>,
    /// `null` while it waits, or if it got no answer.
    status: Option<u16>,
    refusal: Option<RefusalView>,
}

/// Why it was refused.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Refusal")]
struct RefusalView {
    /// The code, such as `invalid_grant`.
    error: String,
    /// The row of the contract, such as `K24`.
    row: String,
    reason: String,
}

impl From<RecordedRequest> for RequestView {
    fn from(request: RecordedRequest) -> Self {
        let [query, form] = request.names();
        let refusal = request.refusal().map(|why| RefusalView {
            error: why.error.to_owned(),
            row: why.row.to_owned(),
            reason: why.reason.clone(),
        });
        Self {
            method: request.method().to_owned(),
            path: request.path().to_owned(),
            endpoint: request.endpoint(),
            query,
            form,
            status: request.status(),
            refusal,
        }
    }
}

/// Which requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// All, if nothing is said.
    endpoint: Option<Endpoint>,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/requests",
            "listRequests",
            "What the issuer was asked, oldest first, and why it refused: names of parameters, never values.",
            list,
        ),
        Route::new(
            Method::DELETE,
            "/requests",
            "forgetRequests",
            "Empties that list, and sets the counts to zero.",
            forget,
        ),
        Route::new(
            Method::GET,
            "/requests/counts",
            "countRequests",
            "How many requests each endpoint got.",
            counts,
        ),
    ]
}

/// The last 10,000 are kept.
pub(super) fn list(admin: &Admin, _: &str, which: Which) -> Result<Vec<RequestView>, No> {
    let log = admin.core.log();
    let all = match which.endpoint {
        Some(endpoint) => log.requests(endpoint).iter().cloned().collect(),
        None => log.all(),
    };
    drop(log);
    Ok(all.into_iter().map(Into::into).collect())
}

/// Every endpoint, those that got none too.
pub(super) fn counts(admin: &Admin, _: &str, _: Nothing) -> Result<BTreeMap<String, usize>, No> {
    let log = admin.core.log();
    let count = |endpoint: Endpoint| (endpoint.json_name(), log.count(endpoint));
    Ok(Endpoint::ALL.into_iter().map(count).collect())
}

pub(super) fn forget(admin: &Admin, _: &str, _: Nothing) -> Result<Nothing, No> {
    admin.core.log().clear();
    Ok(Nothing {})
}
