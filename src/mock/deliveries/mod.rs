//! Webhook deliveries: serialized events, the outbox, signing and sending.

pub(super) mod delivery;
pub(super) mod draft;
pub(super) mod event;
pub(super) mod form;
pub(super) mod hold;
pub(super) mod job;
pub(super) mod outbox;
pub(super) mod send_plan;
pub(super) mod sender;
mod slow;
pub(super) mod tamper;
