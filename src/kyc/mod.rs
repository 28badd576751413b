//! Assurance: how well a person is known to be who they are, what an action needs, and asking
//! KYCPort. Needs no web framework.

mod assurance;
#[cfg(feature = "web")]
mod assurances;
mod cache;
mod requirement;
mod status;

pub use assurance::{Assurance, AssuranceSource};
#[cfg(feature = "postgres")]
pub use cache::PostgresAssuranceCache;
#[cfg(feature = "redis")]
pub use cache::RedisAssuranceCache;
pub use cache::{AssuranceCache, CacheUnavailable, MemoryCache, PersonKey, conformance};
pub use requirement::{Requirement, Shortfall};
pub use status::{StatusClient, StatusError};

#[cfg(feature = "web")]
pub(crate) use assurances::{Asked, Assurances, Heard, NoAnswer};
