//! Admin API routes for webhook endpoints and deliveries.

use std::{sync::Arc, time::Duration};

use axum::http::{Method, StatusCode};
use serde_json::Value;

use super::{
    Admin,
    api_error::ApiError,
    route::{self, Empty, ResponseFuture, Route, Run},
    webhook_views::{
        DeliveryView, EmitRequest, Emitted, EndpointChange, EndpointView, RepeatRequest, Settled,
        SettledQuery, TenantQuery, WebhookSecret,
    },
};
use crate::mock::{
    start::WebhookSpec,
    webhooks::{Webhooks, endpoint::WebhookEndpoint},
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            Method::GET,
            "/webhooks/endpoints",
            "listWebhookEndpoints",
            "Lists the webhook endpoints of all tenants.",
            list,
        ),
        Route::new(
            Method::POST,
            "/webhooks/endpoints",
            "subscribe",
            "Subscribes a webhook endpoint to all later events.",
            subscribe,
        )
        .created(),
        Route::new(
            Method::PATCH,
            "/webhooks/endpoints/{endpoint}",
            "changeWebhookEndpoint",
            "Pauses or resumes a webhook endpoint.",
            change,
        ),
        Route::new(
            Method::DELETE,
            "/webhooks/endpoints/{endpoint}",
            "unsubscribe",
            "Removes a webhook endpoint.",
            unsubscribe,
        ),
        Route::new(
            Method::GET,
            "/webhooks/secret",
            "readWebhookSecret",
            "Returns the webhook secret of a tenant.",
            secret,
        ),
        Route::new(
            Method::POST,
            "/webhooks/secret/rotate",
            "rotateWebhookSecret",
            "Rotates the webhook secret of a tenant.",
            rotate,
        ),
        Route::new(
            Method::GET,
            "/webhooks/deliveries",
            "listDeliveries",
            "Lists the deliveries to a tenant, oldest first. The mock keeps the last 10,000 of all tenants.",
            deliveries,
        ),
        Route::new(
            Method::DELETE,
            "/webhooks/deliveries",
            "forgetDeliveries",
            "Clears the deliveries to a tenant.",
            forget,
        ),
        Route::with_run::<SettledQuery, Settled>(
            Method::GET,
            "/webhooks/settled",
            "waitForDeliveries",
            "Waits until no delivery is in progress or due.",
            Run::Async(settled),
        ),
        Route::new(
            Method::POST,
            "/webhooks/repeat",
            "repeatDelivery",
            "Delivers an earlier event again, unchanged.",
            repeat,
        ),
        Route::new(
            Method::POST,
            "/webhooks/emit",
            "emitEvent",
            "Emits an event of any type.",
            emit,
        ),
    ]
}

pub(super) fn list(admin: &Admin, _: &str, _: Empty) -> Result<Vec<EndpointView>, ApiError> {
    let outbox = admin.core.outbox();
    Ok(outbox.endpoints().iter().map(Into::into).collect())
}

pub(super) fn subscribe(
    admin: &Admin,
    _: &str,
    spec: WebhookSpec,
) -> Result<EndpointView, ApiError> {
    if admin.core.outbox().endpoints().len() >= MAX_ENDPOINTS {
        let why =
            format!("the maximum of {MAX_ENDPOINTS} webhook endpoints is reached: delete some");
        return Err(ApiError::conflict(why));
    }
    if !admin.core.access.webhooks_anywhere && spec.is_on_another_machine() {
        let why = "`url` is not on this machine: use a loopback address or `localhost`, or start \
                   the mock with --danger-webhooks-anywhere";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "foreign_webhook", why));
    }
    let tenant = admin.tenant(spec.tenant.clone())?;
    let endpoint = spec.subscribe(&admin.core, tenant.id())?;
    view(admin, endpoint.number())
}

pub(super) fn change(
    admin: &Admin,
    id: &str,
    to: EndpointChange,
) -> Result<EndpointView, ApiError> {
    let endpoint = find(admin, id)?;
    if to.paused {
        endpoint.pause();
    } else {
        endpoint.resume();
    }
    view(admin, endpoint.number())
}

pub(super) fn unsubscribe(admin: &Admin, id: &str, _: Empty) -> Result<Empty, ApiError> {
    find(admin, id)?.unsubscribe();
    Ok(Empty {})
}

pub(super) fn secret(
    admin: &Admin,
    _: &str,
    query: TenantQuery,
) -> Result<WebhookSecret, ApiError> {
    let secret = hooks(admin, query.tenant)?.secret();
    Ok(WebhookSecret { secret })
}

pub(super) fn rotate(
    admin: &Admin,
    _: &str,
    query: TenantQuery,
) -> Result<WebhookSecret, ApiError> {
    let secret = hooks(admin, query.tenant)?.rotate_secret();
    Ok(WebhookSecret { secret })
}

pub(super) fn deliveries(
    admin: &Admin,
    _: &str,
    query: TenantQuery,
) -> Result<Vec<DeliveryView>, ApiError> {
    let all = hooks(admin, query.tenant)?.deliveries();
    Ok(all.iter().map(Into::into).collect())
}

pub(super) fn forget(admin: &Admin, _: &str, query: TenantQuery) -> Result<Empty, ApiError> {
    hooks(admin, query.tenant)?.forget_deliveries();
    Ok(Empty {})
}

pub(super) fn repeat(admin: &Admin, _: &str, request: RepeatRequest) -> Result<Emitted, ApiError> {
    let hooks = hooks(admin, request.tenant)?;
    let all = hooks.deliveries();
    let delivery = match &request.event_id {
        Some(id) => all.iter().find(|it| it.event_id() == id),
        None => all.last(),
    };
    let delivery = delivery.ok_or_else(|| ApiError::not_found("delivery"))?;
    hooks.repeat(delivery);
    let event_id = delivery.event_id().to_owned();
    Ok(Emitted { event_id })
}

pub(super) fn emit(admin: &Admin, _: &str, event: EmitRequest) -> Result<Emitted, ApiError> {
    let hooks = hooks(admin, event.tenant)?;
    let event_id = hooks.emit(&event.kind, event.data);
    Ok(Emitted { event_id })
}

pub(super) fn settled(admin: Arc<Admin>, input: Value) -> ResponseFuture {
    Box::pin(async move {
        let query: SettledQuery = route::read(input)?;
        let seconds = match query.timeout_seconds.as_deref() {
            None => DEFAULT_WAIT_SECONDS,
            Some(text) => text
                .parse()
                .map_err(|_| ApiError::invalid("`timeout_seconds` is not a whole number"))?,
        };
        let hooks = hooks(&admin, query.tenant)?;
        let limit = Duration::from_secs(seconds.min(MAX_WAIT_SECONDS));
        let left = hooks.try_settled(limit).await.err().unwrap_or_default();
        let settled = Settled {
            settled: left.is_empty(),
            left,
        };
        Ok(serde_json::to_value(settled).unwrap_or_default())
    })
}

fn hooks(admin: &Admin, tenant: Option<String>) -> Result<Webhooks, ApiError> {
    Ok(admin.tenant(tenant)?.webhooks())
}

fn find(admin: &Admin, id: &str) -> Result<WebhookEndpoint, ApiError> {
    let outbox = admin.core.outbox();
    let known = outbox.endpoints().iter().find(|it| it.id.to_string() == id);
    let (id, url) = known
        .map(|it| (it.id, it.url.clone()))
        .ok_or_else(|| ApiError::not_found("webhook endpoint"))?;
    Ok(WebhookEndpoint::new(Arc::clone(&admin.core), id, url))
}

fn view(admin: &Admin, id: u64) -> Result<EndpointView, ApiError> {
    let outbox = admin.core.outbox();
    let known = outbox.endpoints().iter().find(|it| it.id == id);
    Ok(known
        .ok_or_else(|| ApiError::not_found("webhook endpoint"))?
        .into())
}

/// Default time limit of `/webhooks/settled`, in seconds.
const DEFAULT_WAIT_SECONDS: u64 = 10;
/// Maximum time limit of `/webhooks/settled`, in seconds.
const MAX_WAIT_SECONDS: u64 = 60;

/// Maximum number of webhook endpoints. The mock queues each event once for each endpoint.
const MAX_ENDPOINTS: usize = 1000;
