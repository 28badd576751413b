//! Webhooks: who sent these bytes, what they say, and whether they were here before. Needs no web
//! framework, and the three are apart.
//!
//! 1. [`WebhookVerifier::verify`] judges the raw bytes and the headers (K60, K61).
//! 2. [`EventReader::read`] reads what was verified (K63), and [`AgeLimit::check`] its time (K64).
//! 3. A [`ReplayStore`] sees to it that an event takes effect once (K62).
//!
//! Between 1 and 2 a delivery can be queued, as a [`QueuedDelivery`].

mod age;
mod diagnosis;
mod event;
mod keys;
mod mac;
mod presented;
mod reader;
mod refused;
mod replay;
mod scheme;
mod time;
mod verified;
mod verifier;

pub use age::{AgeLimit, Untimely};
pub use diagnosis::{Diagnosis, Hint};
pub use event::{Event, EventKey, EventKind};
pub use keys::SecretProblem;
pub use presented::MAX_SIGNATURES;
pub use reader::{EventReader, InvalidPointer, MAX_ID_BYTES, Pointers, Unreadable};
pub use refused::Refused;
#[cfg(feature = "postgres")]
pub use replay::PostgresReplayStore;
#[cfg(feature = "redis")]
pub use replay::RedisReplayStore;
pub use replay::{
    Begun, Claim, DeliveryTiming, LeaseToken, MemoryReplayStore, ReplayStore,
    ReplayStoreUnavailable, Settled, TimingError, conformance,
};
pub use scheme::{BodyScheme, SecretEncoding, SignatureEncoding, SignatureScheme};
pub use verified::{QueuedDelivery, Verified};
pub use verifier::{
    MAX_BODY_BYTES, MAX_SECRETS, MIN_SECRET_BYTES, VerifierError, WebhookVerifier,
    WebhookVerifierBuilder, sign_test_delivery,
};
