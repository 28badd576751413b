//! Authenticated encryption with one key.

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use zeroize::Zeroizing;

/// Length of a key, in bytes.
pub(super) const KEY_BYTES: usize = 32;

/// Key of AES-256-GCM-SIV. Many instances generate random nonces, so a nonce can repeat.
/// AES-256-GCM-SIV tolerates a repeated nonce.
pub(crate) struct SealKey(RandomizedNonceKey);

impl SealKey {
    /// Creates a key from 32 bytes.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, bytes).ok()?;
        Some(Self(key))
    }

    /// Derives a key for one purpose from this key.
    pub(super) fn derive(bytes: &[u8], purpose: &[u8]) -> Option<Self> {
        struct Length;
        impl KeyType for Length {
            fn len(&self) -> usize {
                KEY_BYTES
            }
        }
        let mut derived = Zeroizing::new([0; KEY_BYTES]);
        Salt::new(HKDF_SHA256, b"kycport")
            .extract(bytes)
            .expand(&[purpose], Length)
            .ok()?
            .fill(&mut *derived)
            .ok()?;
        Self::new(&*derived)
    }

    /// Encrypts `plain`. Encrypts a text. Returns the nonce, the ciphertext and the tag,
    /// concatenated.
    pub(crate) fn seal(&self, associated_data: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = Zeroizing::new(plain.to_vec());
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(associated_data), &mut *bytes)
            .ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend_from_slice(&bytes);
        Some(sealed)
    }

    /// Decrypts the result of [`seal`](Self::seal). `associated_data` must equal the data that was
    /// passed to `seal`.
    pub(crate) fn open(&self, associated_data: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk()?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(associated_data), &mut bytes)
            .ok()?;
        let length = opened.len();
        bytes.truncate(length);
        Some(bytes)
    }
}
