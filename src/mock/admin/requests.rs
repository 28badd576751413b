//! Admin API routes for the request log. The request log contains the names of parameters but not
//! their values.

use std::collections::BTreeMap;

use axum::http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Admin,
    api_error::ApiError,
    route::{Empty, Route},
};
use crate::mock::http::{endpoint::Endpoint, log::RecordedRequest};

/// Request to the issuer, and its response.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Request")]
pub(super) struct RequestView {
    method: String,
    path: String,
    /// Endpoint of the request, or `null` if no endpoint has this path.
    endpoint: Option<Endpoint>,
    /// Names of the query parameters.
    query: Vec<String>,
    /// Names of the form parameters.
    form: Vec<String>,
    /// HTTP status of the response, or `null` if the mock has sent no response.
    status: Option<u16>,
    refusal: Option<RefusalView>,
}

/// Reason for an error response.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Refusal")]
struct RefusalView {
    /// Error code, such as `invalid_grant`.
    error: String,
    /// Row of the contract, such as `K24`.
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

/// Query of the request log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestsQuery {
    /// Default: requests to all endpoints.
    endpoint: Option<Endpoint>,
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/requests",
            "listRequests",
            "Lists the last 10,000 requests, oldest first, with the reasons of rejections. Contains names of parameters, never their values.",
            list,
        ),
        Route::new(
            Method::DELETE,
            "/requests",
            "forgetRequests",
            "Clears the request log and sets the counts to zero.",
            forget,
        ),
        Route::new(
            Method::GET,
            "/requests/counts",
            "countRequests",
            "Returns the number of requests to each endpoint.",
            counts,
        ),
    ]
}

pub(super) fn list(
    admin: &Admin,
    _: &str,
    filter: RequestsQuery,
) -> Result<Vec<RequestView>, ApiError> {
    let log = admin.core.log();
    let all = match filter.endpoint {
        Some(endpoint) => log.requests(endpoint).iter().cloned().collect(),
        None => log.all(),
    };
    drop(log);
    Ok(all.into_iter().map(Into::into).collect())
}

/// Counts requests per endpoint, including endpoints without requests.
pub(super) fn counts(
    admin: &Admin,
    _: &str,
    _: Empty,
) -> Result<BTreeMap<String, usize>, ApiError> {
    let log = admin.core.log();
    let count = |endpoint: Endpoint| (endpoint.json_name(), log.count(endpoint));
    Ok(Endpoint::ALL.into_iter().map(count).collect())
}

pub(super) fn forget(admin: &Admin, _: &str, _: Empty) -> Result<Empty, ApiError> {
    admin.core.log().clear();
    Ok(Empty {})
}
