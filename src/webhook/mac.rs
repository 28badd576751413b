//! HMAC-SHA256 and the encodings of its tags.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::scheme::{SecretEncoding, SignatureEncoding};

/// HMAC key whose first block is already hashed. The memory is overwritten on drop.
#[derive(Clone)]
pub(super) struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// HMAC accepts keys of any length. The caller rejects short keys.
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        Hmac::new_from_slice(key).ok().map(Self)
    }

    /// Signs the concatenation of the parts.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> Tag {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        Tag(mac.finalize().into_bytes().into())
    }
}

/// HMAC tag of 32 bytes.
#[derive(Clone, Copy)]
pub(super) struct Tag([u8; 32]);

impl Tag {
    /// Decodes a tag. Returns `None` if the text does not encode exactly 32 bytes.
    pub(super) fn decode(text: &str, encoding: SignatureEncoding) -> Option<Self> {
        let mut tag = [0; 32];
        let read = match encoding {
            SignatureEncoding::Hex => base16ct::mixed::decode(text, &mut tag).ok()?.len(),
            SignatureEncoding::Base64 => {
                let bytes = (text.len() == 44).then(|| STANDARD.decode(text).ok())??;
                tag = bytes.try_into().ok()?;
                tag.len()
            }
        };
        (read == tag.len()).then_some(Self(tag))
    }

    pub(super) fn hex(&self) -> String {
        base16ct::lower::encode_string(&self.0)
    }

    /// Compares two tags in constant time.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Decodes the text of a secret.
pub(super) fn key_bytes(text: &str, encoding: SecretEncoding) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = match encoding {
        SecretEncoding::Utf8 => text.as_bytes().to_vec(),
        SecretEncoding::Hex => base16ct::mixed::decode_vec(text).ok()?,
        SecretEncoding::Base64 => STANDARD.decode(text).ok()?,
    };
    Some(Zeroizing::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::MacKey;

    #[test]
    fn the_test_vector_of_rfc_4231_with_a_short_key_is_reproduced() {
        // A verifier rejects this short key, so this test computes the HMAC directly.
        let key = MacKey::new(b"Jefe").unwrap();
        let whole = key.sign(&[b"what do ya want for nothing?"]);
        let parts = key.sign(&[b"what do ya want", b"", b" for nothing?"]);
        let hex = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(whole.hex(), hex);
        assert!(whole.is(&parts));
    }
}
