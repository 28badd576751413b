//! Where assurances are kept between two questions.

pub mod conformance;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod shared;
mod store;

pub use memory::MemoryCache;
#[cfg(feature = "postgres")]
pub use postgres::PostgresAssuranceCache;
#[cfg(feature = "redis")]
pub use redis::RedisAssuranceCache;
pub use store::{AssuranceCache, CacheUnavailable, PersonKey};
