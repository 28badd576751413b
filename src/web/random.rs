//! The one place of the web floor that draws random text.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng as _;

use crate::secret::Secret;

/// 256 bits as 43 characters.
pub(super) fn token() -> Secret {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether `text` can be one that [`token`] made: anything else is not even looked up.
pub(super) fn is_token(text: &str) -> bool {
    text.len() == 43
        && URL_SAFE_NO_PAD
            .decode(text)
            .is_ok_and(|bytes| bytes.len() == 32)
}

/// What a person can read out to support, to find the log line: not secret, 64 bits.
pub(super) fn reference() -> String {
    format!("{:016x}", rand::rng().next_u64())
}
