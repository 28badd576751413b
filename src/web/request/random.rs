//! Random text.

use rand::Rng as _;

/// Generates a reference of 64 random bits, which a person can give to support. The reference is
/// not secret.
pub(in crate::web) fn reference() -> String {
    format!("{:016x}", rand::rng().next_u64())
}
