//! The engines of the store, on real servers.

mod memory;
