//! Requests and responses of the webhook routes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::mock::deliveries::{
    delivery::{Delivery, DeliveryOutcome},
    event::rfc3339,
    job::EndpointRecord,
};

/// Webhook endpoint.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebhookEndpoint")]
pub(super) struct EndpointView {
    id: u64,
    pub(super) tenant: String,
    pub(super) url: String,
    /// Event types of the endpoint, or `null` for all types.
    pub(super) types: Option<Vec<String>>,
    paused: bool,
}

impl From<&EndpointRecord> for EndpointView {
    fn from(endpoint: &EndpointRecord) -> Self {
        Self {
            id: endpoint.id,
            tenant: endpoint.tenant.clone(),
            url: endpoint.url.to_string(),
            types: endpoint.types.clone(),
            paused: endpoint.is_paused,
        }
    }
}

/// Body of a request that changes a webhook endpoint.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointChange {
    /// While a webhook endpoint is paused, the mock queues its deliveries.
    pub(super) paused: bool,
}

/// Query that selects a tenant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantQuery {
    /// Default: the tenant of the first confidential client.
    pub(super) tenant: Option<String>,
}

/// Webhook secret of a tenant.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(in crate::mock) struct WebhookSecret {
    pub(in crate::mock) secret: String,
}

/// Attempt to deliver an event to an endpoint.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Delivery")]
pub(super) struct DeliveryView {
    pub(super) event_id: String,
    pub(super) event_type: String,
    pub(super) person_id: Option<String>,
    pub(super) url: String,
    /// Number of the attempt, starting at 1.
    attempt: u32,
    pub(super) at: String,
    /// Outcome of the attempt: `answered`, `no_connection`, `timed_out`, `broken` or `lost`.
    pub(super) outcome: &'static str,
    /// HTTP status of the response, or `null` if the endpoint sent no response.
    pub(super) status: Option<u16>,
}

impl From<&Delivery> for DeliveryView {
    fn from(delivery: &Delivery) -> Self {
        Self {
            event_id: delivery.event_id().to_owned(),
            event_type: delivery.event_type().to_owned(),
            person_id: delivery.person_id().map(str::to_owned),
            url: delivery.url().to_owned(),
            attempt: delivery.attempt(),
            at: rfc3339(delivery.at()),
            outcome: match delivery.outcome() {
                DeliveryOutcome::Answered(_) => "answered",
                DeliveryOutcome::NoConnection => "no_connection",
                DeliveryOutcome::TimedOut => "timed_out",
                DeliveryOutcome::Broken => "broken",
                DeliveryOutcome::Lost => "lost",
            },
            status: delivery.status(),
        }
    }
}

/// Query of a request that waits for deliveries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SettledQuery {
    pub(super) tenant: Option<String>,
    /// Time limit in real seconds. Default: 10. Maximum: 60.
    #[schemars(with = "Option<u64>")]
    pub(super) timeout_seconds: Option<String>,
}

/// Result of waiting for deliveries.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::mock) struct Settled {
    /// `true` if no delivery is in progress or due.
    pub(in crate::mock) settled: bool,
    /// One line for each delivery that was in progress or due at the time limit.
    pub(in crate::mock) left: Vec<String>,
}

/// Body of a request that repeats a delivery.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RepeatRequest {
    pub(super) tenant: Option<String>,
    /// Default: the last delivered event.
    pub(super) event_id: Option<String>,
}

/// Body of a request that emits an event of any type.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EmitRequest {
    pub(super) tenant: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) data: Value,
}

/// Event that the mock queued for delivery.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Emitted {
    pub(super) event_id: String,
}
