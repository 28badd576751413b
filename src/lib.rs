#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod clock;
mod http;
pub mod oidc;
mod secret;
pub mod wire;

pub use crate::http::TransportError;
pub use clock::{Clock, SystemClock, TestClock, Timestamp};
pub use secret::Secret;
pub use wire::kyc::{KycStatus, KycTier};

pub mod guide;
#[cfg(feature = "mock")]
pub mod mock;
