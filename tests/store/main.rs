//! The engines of the store, on real servers.

mod memory;
mod postgres;
#[path = "../it/servers.rs"]
#[expect(dead_code, reason = "these tests use a part of it")]
mod servers;
