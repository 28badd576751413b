#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// The manual contains links to items of all features. Without some features these links are broken.
#![cfg_attr(
    not(all(feature = "web", feature = "mock")),
    allow(rustdoc::broken_intra_doc_links)
)]

mod api;
pub mod cases;
pub mod clock;
mod config;
pub mod doctor;
mod expiring_map;
pub mod guide;
mod http;
pub mod kyc;
#[cfg(feature = "mock")]
pub mod mock;
mod observe;
pub mod oidc;
mod reload;
mod relying_party;
mod secret;
pub mod secrets;
mod single_flight;
#[cfg(feature = "web")]
mod state;
pub mod store;
mod strict_json;
#[cfg(feature = "mock")]
mod testing;
#[cfg(feature = "web")]
pub mod web;
pub mod webhook;
mod wire;

#[cfg(all(feature = "mock", feature = "web"))]
pub use crate::testing::RunningApp;
#[cfg(feature = "web")]
pub use crate::web::{BearerToken, SignedIn};
pub use crate::{
    clock::{Clock, SystemClock, TestClock, Timestamp},
    config::{Config, ConfigBuilder, ConfigError},
    http::TransportError,
    kyc::Assurance,
    reload::{PendingReason, RotationError, RotationOutcome, RotationReport},
    relying_party::{RelyingParty, SetupError},
    secret::Secret,
    store::MemoryStore,
    wire::kyc::{ErrorMessage, KycStatus, KycTier},
};
