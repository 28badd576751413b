//! Tests that the storage engines work on real servers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests and their helpers may panic"
)]

mod faulty;
mod memory;
mod model;
mod postgres;
mod redis;
mod samples;
#[path = "../it/servers.rs"]
#[expect(dead_code, reason = "these tests use only some of the items")]
mod servers;
mod sqlite;
mod tower;
mod wrong;
