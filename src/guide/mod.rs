//! The manual: in the crate, so that a name that moves breaks its link and the build.

/// How the crate is built, and why.
#[doc = include_str!("architecture.md")]
pub mod architecture {}

/// What the crate promises, and what it leaves to you.
#[doc = include_str!("promises.md")]
pub mod promises {}

/// Every fact of KYCPort's wire that is relied on, with where it comes from.
#[doc = include_str!("contract.md")]
pub mod contract {}

/// The bad inputs and faults to survive, and which of them do not apply.
#[doc = include_str!("cases.md")]
pub mod cases {}

/// What the crate logs and counts, and what to do about it.
#[doc = include_str!("operations.md")]
pub mod operations {}

/// How ten instances are one app: in Redis, or in Postgres.
#[doc = include_str!("instances.md")]
pub mod instances {}

/// How secrets are replaced while the app runs.
#[doc = include_str!("secrets.md")]
pub mod secrets {}

/// What was measured: what dies and what comes of it, requests, and what sessions weigh.
#[doc = include_str!("figures.md")]
pub mod figures {}
