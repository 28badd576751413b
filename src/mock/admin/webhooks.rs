//! Webhooks: where they go, what was delivered, and waiting for it.

use std::{sync::Arc, time::Duration};

use axum::http::{Method, StatusCode};
use serde_json::Value;

use super::{
    Admin,
    no::No,
    route::{self, Nothing, Route, Waiting},
    webhook_views::{
        DeliveryView, Emit, Emitted, EndpointChange, EndpointView, Patience, Repeat, Settled,
        WebhookSecret, Whose,
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
            "The endpoints of every tenant.",
            list,
        ),
        Route::new(
            Method::POST,
            "/webhooks/endpoints",
            "subscribe",
            "Delivers every event from here to this address.",
            subscribe,
        )
        .created(),
        Route::new(
            Method::PATCH,
            "/webhooks/endpoints/{endpoint}",
            "changeWebhookEndpoint",
            "Pauses an endpoint, or lets it go on.",
            change,
        ),
        Route::new(
            Method::DELETE,
            "/webhooks/endpoints/{endpoint}",
            "unsubscribe",
            "Delivers nothing there any more.",
            unsubscribe,
        ),
        Route::new(
            Method::GET,
            "/webhooks/secret",
            "readWebhookSecret",
            "What deliveries to a tenant are signed with.",
            secret,
        ),
        Route::new(
            Method::POST,
            "/webhooks/secret/rotate",
            "rotateWebhookSecret",
            "Replaces it.",
            rotate,
        ),
        Route::new(
            Method::GET,
            "/webhooks/deliveries",
            "listDeliveries",
            "What was delivered to a tenant, oldest first; of the last 10,000.",
            deliveries,
        ),
        Route::new(
            Method::DELETE,
            "/webhooks/deliveries",
            "forgetDeliveries",
            "Empties that list.",
            forget,
        ),
        Route::later::<Patience, Settled>(
            Method::GET,
            "/webhooks/settled",
            "waitForDeliveries",
            "Waits until nothing is under way and nothing is due.",
            settled,
        ),
        Route::new(
            Method::POST,
            "/webhooks/repeat",
            "repeatDelivery",
            "An event once more, as it was then.",
            repeat,
        ),
        Route::new(
            Method::POST,
            "/webhooks/emit",
            "emitEvent",
            "An event of any type.",
            emit,
        ),
    ]
}

/// The endpoints of every tenant.
pub(super) fn list(admin: &Admin, _: &str, _: Nothing) -> Result<Vec<EndpointView>, No> {
    let outbox = admin.core.outbox();
    Ok(outbox.endpoints().iter().map(Into::into).collect())
}

pub(super) fn subscribe(admin: &Admin, _: &str, spec: WebhookSpec) -> Result<EndpointView, No> {
    if admin.core.outbox().endpoints().len() >= MOST_ENDPOINTS {
        let why = format!("there are {MOST_ENDPOINTS} endpoints already");
        return Err(No::conflict(why));
    }
    if !admin.core.access.webhooks_anywhere && spec.is_elsewhere() {
        let why = "`url` is not on this machine: name a loopback address or `localhost`, or start \
                   the mock with --danger-webhooks-anywhere";
        return Err(No::new(StatusCode::FORBIDDEN, "foreign_webhook", why));
    }
    let tenant = admin.tenant(spec.tenant.clone())?;
    let endpoint = spec.subscribe(&admin.core, tenant.id())?;
    view(admin, endpoint.number())
}

pub(super) fn change(admin: &Admin, id: &str, to: EndpointChange) -> Result<EndpointView, No> {
    let endpoint = find(admin, id)?;
    if to.paused {
        endpoint.pause();
    } else {
        endpoint.resume();
    }
    view(admin, endpoint.number())
}

pub(super) fn unsubscribe(admin: &Admin, id: &str, _: Nothing) -> Result<Nothing, No> {
    find(admin, id)?.unsubscribe();
    Ok(Nothing {})
}

pub(super) fn secret(admin: &Admin, _: &str, whose: Whose) -> Result<WebhookSecret, No> {
    let secret = hooks(admin, whose.tenant)?.secret();
    Ok(WebhookSecret { secret })
}

pub(super) fn rotate(admin: &Admin, _: &str, whose: Whose) -> Result<WebhookSecret, No> {
    let secret = hooks(admin, whose.tenant)?.rotate_secret();
    Ok(WebhookSecret { secret })
}

pub(super) fn deliveries(admin: &Admin, _: &str, whose: Whose) -> Result<Vec<DeliveryView>, No> {
    let all = hooks(admin, whose.tenant)?.deliveries();
    Ok(all.iter().map(Into::into).collect())
}

pub(super) fn forget(admin: &Admin, _: &str, whose: Whose) -> Result<Nothing, No> {
    hooks(admin, whose.tenant)?.forget_deliveries();
    Ok(Nothing {})
}

pub(super) fn repeat(admin: &Admin, _: &str, which: Repeat) -> Result<Emitted, No> {
    let hooks = hooks(admin, which.tenant)?;
    let all = hooks.deliveries();
    let delivery = match &which.event_id {
        Some(id) => all.iter().find(|it| it.event_id() == id),
        None => all.last(),
    };
    let delivery = delivery.ok_or_else(|| No::not_found("delivery"))?;
    hooks.repeat(delivery);
    let event_id = delivery.event_id().to_owned();
    Ok(Emitted { event_id })
}

pub(super) fn emit(admin: &Admin, _: &str, event: Emit) -> Result<Emitted, No> {
    let hooks = hooks(admin, event.tenant)?;
    let event_id = hooks.emit(&event.kind, event.data);
    Ok(Emitted { event_id })
}

pub(super) fn settled(admin: Arc<Admin>, input: Value) -> Waiting {
    Box::pin(async move {
        let patience: Patience = route::read(input)?;
        let seconds = match patience.timeout_seconds.as_deref() {
            None => USUAL_PATIENCE,
            Some(text) => text
                .parse()
                .map_err(|_| No::invalid("`timeout_seconds` is no whole number"))?,
        };
        let hooks = hooks(&admin, patience.tenant)?;
        let longest = Duration::from_secs(seconds.min(LONGEST_PATIENCE));
        let left = hooks.try_settled(longest).await.err().unwrap_or_default();
        let settled = Settled {
            settled: left.is_empty(),
            left,
        };
        Ok(serde_json::to_value(settled).unwrap_or_default())
    })
}

fn hooks(admin: &Admin, tenant: Option<String>) -> Result<Webhooks, No> {
    Ok(admin.tenant(tenant)?.webhooks())
}

fn find(admin: &Admin, id: &str) -> Result<WebhookEndpoint, No> {
    let outbox = admin.core.outbox();
    let known = outbox.endpoints().iter().find(|it| it.id.to_string() == id);
    let (id, url) = known
        .map(|it| (it.id, it.url.clone()))
        .ok_or_else(|| No::not_found("webhook endpoint"))?;
    Ok(WebhookEndpoint::new(Arc::clone(&admin.core), id, url))
}

fn view(admin: &Admin, id: u64) -> Result<EndpointView, No> {
    let outbox = admin.core.outbox();
    let known = outbox.endpoints().iter().find(|it| it.id == id);
    Ok(known
        .ok_or_else(|| No::not_found("webhook endpoint"))?
        .into())
}

/// In seconds.
const USUAL_PATIENCE: u64 = 10;
const LONGEST_PATIENCE: u64 = 60;

/// More than any test needs: each event is kept for each of them.
const MOST_ENDPOINTS: usize = 1000;
