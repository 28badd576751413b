//! Admin API: control of the mock over HTTP, for tests in any language (K95).
//!
//! Each route calls the handles that a test in Rust uses. Requests to the admin API are not in the
//! issuer's request log.

#![expect(
    clippy::unnecessary_wraps,
    clippy::needless_pass_by_value,
    reason = "every handler has the signature that `Route` requires"
)]

pub(super) mod api_error;
mod cases;
mod clients;
pub(super) mod clock;
pub(super) mod fault_spec;
pub(super) mod faults;
mod issuer;
pub(super) mod keys;
mod openapi;
mod origin_guard;
mod persons;
mod requests;
mod route;
mod routes;
pub(super) mod sandboxes;
mod shape;
mod tenants;
pub(super) mod webhook_views;
mod webhooks;

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
    },
    response::Response,
};
use serde_json::{Map, Value};
use url::form_urlencoded;

use self::{
    api_error::ApiError,
    faults::Faults,
    route::{Route, Run},
    routes::ROUTES,
};
use crate::mock::{
    core::{Core, snapshot::Snapshot},
    http::{content_type, segment},
    overview::{ADMIN_PATH, Overview},
    records::client::ClientRecord,
    tenants::Tenant,
};

pub(super) use self::sandboxes::{Opened, Sandboxes};

/// Admin API of one issuer.
pub(super) struct Admin {
    core: Arc<Core>,
    /// All routes of the admin API. The OpenAPI handler reads the routes from this field. The
    /// handler therefore does not import the table of routes.
    routes: &'static [Route],
    start: Snapshot,
    client: ClientRecord,
    public_client: ClientRecord,
    faults: Faults,
    sandboxes: Sandboxes,
}

impl Admin {
    /// Creates the admin API. A reset restores the state that `core` has now.
    pub(super) fn new(
        core: Arc<Core>,
        client: ClientRecord,
        public_client: ClientRecord,
        sandboxes: Sandboxes,
    ) -> Self {
        Self {
            routes: ROUTES.as_slice(),
            start: Snapshot::of(&core),
            core,
            client,
            public_client,
            faults: Faults::default(),
            sandboxes,
        }
    }

    /// Returns whether a path belongs to the admin API.
    pub(super) fn has(path: &str) -> bool {
        let below = path.strip_prefix(ADMIN_PATH);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Responds to a request from the IP address `peer`.
    pub(super) async fn serve(self: Arc<Self>, peer: IpAddr, request: Request) -> Response {
        match self.answer(peer, request).await {
            Ok((status, value)) => json(status, &value),
            Err((error, allowed)) => {
                let body = serde_json::to_value(&error).unwrap_or_default();
                let mut response = json(error.status, &body);
                if let Ok(allowed) = HeaderValue::from_str(&allowed)
                    && error.status == StatusCode::METHOD_NOT_ALLOWED
                {
                    response.headers_mut().insert(ALLOW, allowed);
                }
                response
            }
        }
    }

    async fn answer(
        self: Arc<Self>,
        peer: IpAddr,
        request: Request,
    ) -> Result<(StatusCode, Value), (ApiError, String)> {
        let without_allow = |error| (error, String::new());
        let (parts, body) = request.into_parts();
        origin_guard::check(&self.core, peer, &parts.headers).map_err(without_allow)?;
        let path = parts.uri.path().strip_prefix(ADMIN_PATH);
        let path = path.unwrap_or_default().trim_end_matches('/');
        let matching: Vec<_> = self
            .routes
            .iter()
            .filter_map(|route| Some((route, route.id_in(path)?)))
            .collect();
        // If the path matches a route without an ID, ignore the routes with an ID. For example,
        // `/faults/tokens` is not the fault with the ID `tokens`.
        let literal = matching.iter().any(|(_, id)| id.is_empty());
        let matching = matching
            .into_iter()
            .filter(|(_, id)| id.is_empty() == literal);
        let Some((route, id)) = matching.clone().find(|(it, _)| it.method == parts.method) else {
            let allowed: Vec<_> = matching.map(|(route, _)| route.method.as_str()).collect();
            return Err(if allowed.is_empty() {
                without_allow(ApiError::not_found("resource"))
            } else {
                let allowed = allowed.join(", ");
                let why = format!("use {allowed} for this path");
                let status = StatusCode::METHOD_NOT_ALLOWED;
                (ApiError::new(status, "method_not_allowed", why), allowed)
            });
        };
        let id =
            segment::decode(id).ok_or_else(|| without_allow(ApiError::not_found("resource")))?;
        let input = if route.reads_query() {
            query(parts.uri.query().unwrap_or_default())
        } else {
            read(&parts.method, &parts.headers, body).await
        };
        let mut input = input.map_err(without_allow)?;
        shape::check(route, &mut input).map_err(without_allow)?;
        let output = match &route.run {
            Run::Sync(run) => run(&self, &id, input),
            Run::Async(run) => run(Arc::clone(&self), input).await,
        };
        Ok((route.status, output.map_err(without_allow)?))
    }

    pub(super) fn overview(&self) -> Overview {
        // Read the current client, because a test may have rotated its secret since the start.
        let current = |record: &ClientRecord| {
            let known = self.core.clients().get(&record.id);
            known.unwrap_or_else(|| record.clone())
        };
        Overview::of(
            &self.core,
            &current(&self.client),
            &current(&self.public_client),
        )
    }

    /// Returns the named tenant. Without a name, returns the tenant of the initial confidential
    /// client.
    fn tenant(&self, named: Option<String>) -> Result<Tenant, ApiError> {
        let id = named.unwrap_or_else(|| self.client.tenant.clone());
        if self.core.tenants().get(&id).is_none() {
            return Err(ApiError::not_found("tenant"));
        }
        Ok(Tenant::ensure(Arc::clone(&self.core), &id))
    }
}

fn query(query: &str) -> Result<Value, ApiError> {
    let mut all = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if all.insert(name.to_string(), value.into()).is_some() {
            return Err(ApiError::invalid("a query parameter is repeated"));
        }
    }
    Ok(all.into())
}

/// Reads a JSON body. The admin API reads an empty body as an empty object.
async fn read(method: &Method, headers: &HeaderMap, body: Body) -> Result<Value, ApiError> {
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| {
        let why = "the body is larger than 1 MiB or incomplete";
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why)
    })?;
    let is_bare = body.is_empty() && !headers.contains_key(CONTENT_TYPE);
    if !is_bare && !content_type::is(headers, "application/json") {
        let why = format!("a {method} body must have `Content-Type: application/json`");
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(ApiError::new(status, "unsupported_media_type", why));
    }
    if body.is_empty() {
        return Ok(Map::new().into());
    }
    serde_json::from_slice(&body)
        .map_err(|error| ApiError::invalid(format!("the body is not valid JSON: {error}")))
}

fn json(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Maximum size of a request body, in bytes.
const MAX_BODY: usize = 1024 * 1024;
