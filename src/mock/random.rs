//! Random values. All secrets of a mock differ at every start (case 135).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng as _;

/// Returns `N` random bytes.
pub(super) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// Returns 256 random bits in base64url, for codes, secrets and session IDs.
pub(super) fn token() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<32>())
}

/// Returns `prefix` followed by 64 random bits in hexadecimal, for names that are not secret.
pub(super) fn name(prefix: &str) -> String {
    hex(prefix, &bytes::<8>())
}

/// Returns `prefix` followed by `bytes` in hexadecimal.
pub(super) fn hex(prefix: &str, bytes: &[u8]) -> String {
    format!("{prefix}{}", base16ct::lower::encode_string(bytes))
}
