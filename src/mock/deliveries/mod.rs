//! Deliveries, without what they are about: events as bytes, what waits, what was answered.

pub(super) mod course;
pub(super) mod delivery;
pub(super) mod draft;
pub(super) mod event;
pub(super) mod form;
pub(super) mod hold;
mod mac;
pub(super) mod outbox;
pub(super) mod sender;
mod slow;
pub(super) mod tamper;
