//! Webhook receiver for axum: body limits, signature, age, lease, handler and response.

mod answer;
mod assurance_update;
mod bodies;
mod builder;
mod delivery;
mod intake;
mod names;
mod processing;
mod receiver;

pub use builder::{ReceiverError, WebhookReceiverBuilder};
pub use delivery::{Delivery, UnknownEventPolicy};
pub use receiver::WebhookReceiver;

pub(super) use {
    assurance_update::AssuranceUpdater, names::ReceiverNames, processing::EventUpdates,
};
