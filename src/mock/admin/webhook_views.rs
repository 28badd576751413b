//! Webhooks, as requests and answers say them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::mock::deliveries::{
    delivery::{Delivery, DeliveryOutcome},
    event::rfc3339,
    outbox::EndpointRecord,
};

/// An address that takes deliveries.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "WebhookEndpoint")]
pub(super) struct EndpointView {
    id: u64,
    pub(super) tenant: String,
    pub(super) url: String,
    /// `null` for all.
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

/// What is to be otherwise of an endpoint.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointChange {
    /// What there is to send waits meanwhile.
    pub(super) paused: bool,
}

/// Whose webhooks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    /// That of the confidential client of the start, if nothing is said.
    pub(super) tenant: Option<String>,
}

/// The secret that deliveries are signed with.
#[derive(Serialize, JsonSchema)]
pub(super) struct WebhookSecret {
    pub(super) secret: String,
}

/// One attempt to deliver one event to one endpoint.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Delivery")]
pub(super) struct DeliveryView {
    pub(super) event_id: String,
    pub(super) event_type: String,
    pub(super) person_id: Option<String>,
    pub(super) url: String,
    /// From 1.
    attempt: u32,
    pub(super) at: String,
    /// `answered`, `no_connection`, `timed_out`, `broken` or `lost`.
    pub(super) outcome: &'static str,
    /// The HTTP status of the answer, if there was one.
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

/// How long to wait for whose deliveries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Patience {
    pub(super) tenant: Option<String>,
    /// In real time; 10, if nothing is said, and 60 at most.
    #[schemars(with = "Option<u64>")]
    pub(super) timeout_seconds: Option<String>,
}

/// Whether nothing is under way and nothing is due.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Settled {
    pub(super) settled: bool,
    /// What was left when the time was over, a line each.
    pub(super) left: Vec<String>,
}

/// Which event comes once more.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Repeat {
    pub(super) tenant: Option<String>,
    /// The last that was delivered, if nothing is said.
    pub(super) event_id: Option<String>,
}

/// An event of any type.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Emit {
    pub(super) tenant: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) data: Value,
}

/// An event that will be delivered.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Emitted {
    pub(super) event_id: String,
}
