//! The mock issuer against its own contract: a lax mock would hide bugs (case 136).

#[path = "mock_own/life.rs"]
mod life;
