//! That an event takes effect once.

mod claim;
pub mod conformance;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod shared;
mod store;
mod timing;

pub use claim::Claim;
pub use memory::MemoryReplayStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresReplayStore;
#[cfg(feature = "redis")]
pub use redis::RedisReplayStore;
pub use store::{Begun, LeaseToken, ReplayStore, ReplayStoreUnavailable, Settled};
pub use timing::{DeliveryTiming, TimingError};
