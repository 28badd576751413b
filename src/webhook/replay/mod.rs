//! That an event takes effect once.

pub mod conformance;
mod memory;
mod store;
mod timing;

pub use memory::MemoryReplayStore;
pub use store::{Begun, LeaseToken, ReplayStore, ReplayStoreUnavailable, Settled};
pub use timing::{DeliveryTiming, TimingError};
