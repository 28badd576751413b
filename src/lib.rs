#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod clock;
pub mod wire;

pub use clock::{Clock, SystemClock, TestClock, Timestamp};
pub use wire::kyc::{KycStatus, KycTier};

pub mod guide;
#[cfg(feature = "mock")]
pub mod mock;
