//! Deliveries, without what they are about: events as bytes, what waits, what was answered.

pub(super) mod delivery;
pub(super) mod draft;
pub(super) mod event;
mod mac;
pub(super) mod outbox;
pub(super) mod sender;
pub(super) mod signatures;
