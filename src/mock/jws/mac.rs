//! Signatures by AWS-LC. The SDK signs and verifies with other libraries.

use jsonwebtoken::{Algorithm, EncodingKey, crypto::aws_lc};

/// Signs `message`. The result is empty if the key does not fit the algorithm.
///
/// `sign` selects the crypto backend explicitly. Without an explicit backend, jsonwebtoken panics if
/// an app enables its other backend.
pub(super) fn sign(algorithm: Algorithm, key: &EncodingKey, message: &[u8]) -> Vec<u8> {
    (aws_lc::DEFAULT_PROVIDER.signer_factory)(&algorithm, key)
        .ok()
        .and_then(|signer| signer.try_sign(message).ok())
        .unwrap_or_default()
}

/// Computes HMAC-SHA256 (RFC 2104).
pub(in crate::mock) fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    sign(Algorithm::HS256, &EncodingKey::from_secret(key), message)
}

#[cfg(test)]
mod tests {
    use super::hmac_sha256;
    use crate::mock::random::hex;

    /// Test vectors of RFC 4231, sections 4.2 to 4.8. The test omits the vector of section 4.6,
    /// because its output is truncated.
    #[test]
    fn output_equals_the_vectors_of_rfc_4231() {
        let counted: Vec<u8> = (1..=25).collect();
        let cases: [(&[u8], &[u8], &str); 6] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 20],
                &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                &counted,
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &[0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size \
                  data. The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, message, expected) in cases {
            assert_eq!(hex("", &hmac_sha256(key, message)), expected);
        }
    }
}
