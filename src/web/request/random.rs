//! Random text.

use rand::Rng as _;

/// What a person can read out to support, to find the log line: not secret, 64 bits.
pub(in crate::web) fn reference() -> String {
    format!("{:016x}", rand::rng().next_u64())
}
