//! The admin API: what a test does with the handles, over HTTP, for tests that are not in Rust (K95).
//!
//! Each route calls the same handles; there is no second way to do anything. Requests here are not in
//! the issuer's log.

#![expect(
    clippy::unnecessary_wraps,
    clippy::needless_pass_by_value,
    reason = "every handler has the signature that the table of routes asks for"
)]

mod cases;
mod clients;
mod clock;
mod desk;
mod fault_spec;
mod faults;
mod keys;
mod no;
mod openapi;
mod persons;
mod requests;
mod route;
mod routes;
mod sandboxes;
mod shape;
mod tenants;
mod visitor;
mod webhook_views;
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

use self::{faults::Faults, no::No, route::Run, routes::ROUTES};
use crate::mock::{
    core::{Core, snapshot::Snapshot},
    http::segment,
    overview::{ADMIN_PATH, Overview},
    records::client::ClientRecord,
    tenants::Tenant,
};

pub(super) use self::sandboxes::{Opened, Sandboxes};

/// The admin of one issuer.
pub(super) struct Admin {
    core: Arc<Core>,
    start: Snapshot,
    client: ClientRecord,
    public_client: ClientRecord,
    faults: Faults,
    sandboxes: Sandboxes,
}

impl Admin {
    /// `core` as it is now is what a reset goes back to.
    pub(super) fn new(
        core: Arc<Core>,
        client: ClientRecord,
        public_client: ClientRecord,
        sandboxes: Sandboxes,
    ) -> Self {
        Self {
            start: Snapshot::of(&core),
            core,
            client,
            public_client,
            faults: Faults::default(),
            sandboxes,
        }
    }

    /// Whether a path is this API's.
    pub(super) fn has(path: &str) -> bool {
        let below = path.strip_prefix(ADMIN_PATH);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers a request from this address.
    pub(super) async fn serve(self: Arc<Self>, peer: IpAddr, request: Request) -> Response {
        match self.answer(peer, request).await {
            Ok((status, value)) => json(status, &value),
            Err((no, allowed)) => {
                let body = serde_json::to_value(&no).unwrap_or_default();
                let mut response = json(no.status, &body);
                if let Ok(allowed) = HeaderValue::from_str(&allowed)
                    && no.status == StatusCode::METHOD_NOT_ALLOWED
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
    ) -> Result<(StatusCode, Value), (No, String)> {
        let plainly = |no| (no, String::new());
        let (parts, body) = request.into_parts();
        visitor::check(&self.core, peer, &parts.headers).map_err(plainly)?;
        let path = parts.uri.path().strip_prefix(ADMIN_PATH);
        let path = path.unwrap_or_default().trim_end_matches('/');
        let here: Vec<_> = ROUTES
            .iter()
            .filter_map(|route| Some((route, route.id_in(path)?)))
            .collect();
        // Of two that fit, one names the segment that the other takes for an id.
        let literal = here.iter().any(|(_, id)| id.is_empty());
        let here = here.into_iter().filter(|(_, id)| id.is_empty() == literal);
        let Some((route, id)) = here.clone().find(|(it, _)| it.method == parts.method) else {
            let allowed: Vec<_> = here.map(|(route, _)| route.method.as_str()).collect();
            return Err(if allowed.is_empty() {
                plainly(No::not_found("resource"))
            } else {
                let allowed = allowed.join(", ");
                let why = format!("only {allowed} is answered here");
                let status = StatusCode::METHOD_NOT_ALLOWED;
                (No::new(status, "method_not_allowed", why), allowed)
            });
        };
        let id = segment::decode(id).ok_or_else(|| plainly(No::not_found("resource")))?;
        let input = if route.asks() {
            query(parts.uri.query().unwrap_or_default())
        } else {
            read(&parts.method, &parts.headers, body).await
        };
        let mut input = input.map_err(plainly)?;
        shape::check(route, &mut input).map_err(plainly)?;
        let output = match &route.run {
            Run::Now(run) => run(&self, &id, input),
            Run::Later(run) => run(Arc::clone(&self), input).await,
        };
        Ok((route.status, output.map_err(plainly)?))
    }

    pub(super) fn overview(&self) -> Overview {
        // Its secrets may have been replaced since.
        let now = |record: &ClientRecord| {
            let known = self.core.clients().get(&record.id);
            known.unwrap_or_else(|| record.clone())
        };
        Overview::of(&self.core, &now(&self.client), &now(&self.public_client))
    }

    /// The tenant of the confidential client, unless another one is named that is known.
    fn tenant(&self, named: Option<String>) -> Result<Tenant, No> {
        let id = named.unwrap_or_else(|| self.client.tenant.clone());
        if self.core.tenants().get(&id).is_none() {
            return Err(No::not_found("tenant"));
        }
        Ok(Tenant::ensure(Arc::clone(&self.core), &id))
    }
}

fn query(query: &str) -> Result<Value, No> {
    let mut all = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if all.insert(name.to_string(), value.into()).is_some() {
            return Err(No::invalid("a parameter came more than once"));
        }
    }
    Ok(all.into())
}

/// What was sent; nothing is an empty object.
async fn read(method: &Method, headers: &HeaderMap, body: Body) -> Result<Value, No> {
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| {
        let why = "the body is larger than 1 MiB, or broke off";
        No::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why)
    })?;
    let kind = headers
        .get(CONTENT_TYPE)
        .map(|it| it.to_str().unwrap_or_default());
    let essence = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let is_json = essence.map(|kind| kind.eq_ignore_ascii_case("application/json"));
    if is_json == Some(false) || (is_json.is_none() && !body.is_empty()) {
        let why = format!("a {method} here is sent as `application/json`");
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(No::new(status, "unsupported_media_type", why));
    }
    if body.is_empty() {
        return Ok(Map::new().into());
    }
    serde_json::from_slice(&body).map_err(|error| No::invalid(format!("no JSON: {error}")))
}

fn json(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// More than anything that is sent here.
const MAX_BODY: usize = 1024 * 1024;
