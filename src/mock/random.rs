//! Randomness: every secret of a mock is fresh at every start (case 135).

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng as _;

/// `N` random bytes.
pub(super) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// 256 random bits in base64url: codes, secrets, session ids.
pub(super) fn token() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>())
}

/// 64 random bits in hexadecimal, behind a prefix: names that need not be secret.
pub(super) fn name(prefix: &str) -> String {
    hex(prefix, &bytes::<8>())
}

/// `bytes` in hexadecimal, behind a prefix.
pub(super) fn hex(prefix: &str, bytes: &[u8]) -> String {
    let mut name = prefix.to_owned();
    for byte in bytes {
        let _ = write!(name, "{byte:02x}");
    }
    name
}
