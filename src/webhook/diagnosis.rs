//! Possible reasons for a signature mismatch, without personal data.

use http::HeaderMap;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    mac::{MacKey, Tag, key_bytes},
    presented::{self, MAX_SIGNATURES, Presented},
    scheme::{SecretEncoding, SignatureEncoding, SignatureScheme},
    signature_error::SignatureError,
};

/// Diagnosis of a delivery whose signature does not match. The diagnosis contains no personal data,
/// no secret and no signature, so it can be logged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// Length of the body, in bytes.
    pub body_length: usize,
    /// First 16 hexadecimal digits of the SHA-256 of the body. Compare these digits with the
    /// SHA-256 of the body that the sender sent.
    pub body_sha256: String,
    /// Number of well-formed signatures in the headers, or the error if no signature is
    /// well-formed.
    pub signatures: Result<usize, SignatureError>,
    /// Possible reasons. If the list is empty, the sender has another secret, the body was changed,
    /// or KYCPort did not send the body.
    pub hints: Vec<MismatchHint>,
}

/// Possible reason for a signature mismatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MismatchHint {
    /// The signature matches the JSON of the body with other white space. A component in front of
    /// the verifier has parsed and serialised the body. The verifier must get the bytes as the app
    /// received them.
    BodyReserialised,
    /// The signature matches the body without surrounding white space, or with a newline at its
    /// end. A component in front of the verifier has changed the body.
    BodyTrimmed,
    /// The body is empty. Another component may have read the body before the verifier.
    BodyEmpty,
    /// The body is compressed, or was decompressed before the check. The signature covers the bytes
    /// on the wire.
    BodyCompressed,
    /// The sender's secret ends with a newline, and the configured secret does not.
    SecretHasTrailingNewline,
    /// The sender uses another encoding of the secret, such as hexadecimal instead of UTF-8.
    /// See [`SecretEncoding`].
    SecretEncodedOtherwise,
    /// The header has the format of another scheme, such as `t=…,v1=…` or base64.
    /// See [`SignatureScheme`].
    OtherScheme,
}

impl Diagnosis {
    pub(super) fn of<'a>(
        scheme: &SignatureScheme,
        keys: impl Iterator<Item = (&'a str, &'a MacKey)>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Self {
        let digest: [u8; 32] = Sha256::digest(body).into();
        let mut body_sha256 = base16ct::lower::encode_string(&digest);
        body_sha256.truncate(16);
        let presented = presented::read(scheme, headers);
        let mut hints = body_hints(headers, body);
        match &presented {
            Ok(presented) => {
                hints.extend(
                    keys.filter_map(|(secret, key)| mismatch_hint(presented, secret, key, body)),
                );
            }
            Err(_) if has_other_format(scheme, headers) => hints.push(MismatchHint::OtherScheme),
            Err(_) => {}
        }
        Self {
            body_length: body.len(),
            body_sha256,
            signatures: presented.map(|presented| presented.tags.len()),
            hints,
        }
    }
}

fn body_hints(headers: &HeaderMap, body: &[u8]) -> Vec<MismatchHint> {
    let mut hints = Vec::new();
    if body.is_empty() {
        hints.push(MismatchHint::BodyEmpty);
    }
    if headers.contains_key(http::header::CONTENT_ENCODING) || body.starts_with(&[0x1f, 0x8b]) {
        hints.push(MismatchHint::BodyCompressed);
    }
    hints
}

/// Tries changes to the secret and the body. Returns the hint for the first change with which a
/// signature matches.
fn mismatch_hint(
    presented: &Presented,
    secret: &str,
    key: &MacKey,
    body: &[u8],
) -> Option<MismatchHint> {
    let matches = |key: &MacKey, body: &[u8]| {
        let tag = key.sign(&presented.signed(body));
        presented.tags.iter().any(|presented| presented.is(&tag))
    };
    let matches_with_key = |bytes: &[u8]| MacKey::new(bytes).is_some_and(|key| matches(&key, body));
    let newline = ["\n", "\r\n"].map(|end| Zeroizing::new(format!("{secret}{end}")));
    if newline
        .iter()
        .any(|secret| matches_with_key(secret.as_bytes()))
    {
        return Some(MismatchHint::SecretHasTrailingNewline);
    }
    let bare = secret.strip_prefix("whsec_").unwrap_or(secret);
    let encodings = [
        SecretEncoding::Utf8,
        SecretEncoding::Hex,
        SecretEncoding::Base64,
    ];
    let mut other_keys = encodings
        .into_iter()
        .filter_map(|encoding| key_bytes(bare, encoding));
    if other_keys.any(|bytes| matches_with_key(&bytes)) || matches_with_key(secret.as_bytes()) {
        return Some(MismatchHint::SecretEncodedOtherwise);
    }
    let trimmed = body.trim_ascii();
    if matches(key, trimmed) || matches(key, &[trimmed, b"\n"].concat()) {
        return Some(MismatchHint::BodyTrimmed);
    }
    let spaces = [("", ""), (" ", " "), (" ", "")];
    let mut reserialised = spaces
        .iter()
        .map(|(colon, comma)| respaced(body, colon, comma));
    let is_reserialised = reserialised.any(|body| matches(key, &body));
    is_reserialised.then_some(MismatchHint::BodyReserialised)
}

/// Returns the JSON with this white space after colons and commas, and without other white space.
fn respaced(body: &[u8], after_colon: &str, after_comma: &str) -> Vec<u8> {
    let mut written = Vec::with_capacity(body.len());
    let (mut quoted, mut escaped) = (false, false);
    for &byte in body {
        if quoted {
            written.push(byte);
            quoted = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        if byte.is_ascii_whitespace() {
            continue;
        }
        written.push(byte);
        match byte {
            b'"' => quoted = true,
            b':' => written.extend(after_colon.as_bytes()),
            b',' => written.extend(after_comma.as_bytes()),
            _ => {}
        }
    }
    written
}

/// Returns whether a header contains a signature in the format of another scheme.
fn has_other_format(scheme: &SignatureScheme, headers: &HeaderMap) -> bool {
    if headers.contains_key(presented::SIGNATURE) {
        return !matches!(scheme, SignatureScheme::StandardWebhooks);
    }
    let names = match scheme {
        SignatureScheme::Body(scheme) => scheme.headers.clone(),
        SignatureScheme::Timestamped(header) => vec![header.clone()],
        SignatureScheme::StandardWebhooks => return false,
    };
    let values = names.iter().flat_map(|name| headers.get_all(name));
    let mut pieces = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .take(MAX_SIGNATURES);
    pieces.any(|piece| {
        let piece = piece.trim();
        let bare = piece.strip_prefix("sha256=").unwrap_or(piece);
        piece.starts_with("t=")
            || piece.starts_with("v1=")
            || [SignatureEncoding::Hex, SignatureEncoding::Base64]
                .iter()
                .any(|encoding| Tag::decode(bare, *encoding).is_some())
    })
}
