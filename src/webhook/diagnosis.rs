//! Why a signature may not match, without anything of the person.

use http::HeaderMap;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    mac::{MacKey, Tag, key_bytes},
    presented::{self, MAX_SIGNATURES, Presented},
    scheme::{SecretEncoding, SignatureEncoding, SignatureScheme},
    signature_error::SignatureError,
};

/// What can be said of a delivery whose signature does not match. No personal data, no secret and
/// no signature is in here: it can be logged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The length of the body, in bytes.
    pub body_length: usize,
    /// The first 16 hexadecimal digits of the body's SHA-256, to be held against what the sender
    /// says it sent.
    pub body_sha256: String,
    /// How many signatures of the right shape the headers hold, or why none could be read.
    pub signatures: Result<usize, SignatureError>,
    /// What the reason seems to be. None of them, if nothing fits: then it is another secret,
    /// another body, or another sender.
    pub hints: Vec<MismatchHint>,
}

/// What the reason of a mismatch seems to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MismatchHint {
    /// The signature fits the same JSON with other white space: something between the network and
    /// the verifier parsed the body and wrote it anew. Verify the bytes as they came.
    BodyReserialised,
    /// The signature fits the body without the white space around it, or with a line's end after
    /// it: something took it away or added it.
    BodyTrimmed,
    /// The body is empty: something may have read it before.
    BodyEmpty,
    /// The body is compressed, or was when it came: the signature is over the bytes on the wire.
    BodyCompressed,
    /// The sender's secret ends in a line's end, which yours lacks.
    SecretHasTrailingNewline,
    /// The sender uses the bytes that the secret writes in hexadecimal or base64, or the other way
    /// round: see [`SecretEncoding`].
    SecretEncodedOtherwise,
    /// The header is there in another shape, such as `t=…,v1=…` or base64: see
    /// [`SignatureScheme`].
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
                hints.extend(keys.filter_map(|(secret, key)| tried(presented, secret, key, body)));
            }
            Err(_) if looks_otherwise(scheme, headers) => hints.push(MismatchHint::OtherScheme),
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

/// What makes one of the signatures fit, for this secret.
fn tried(presented: &Presented, secret: &str, key: &MacKey, body: &[u8]) -> Option<MismatchHint> {
    let fits = |key: &MacKey, body: &[u8]| {
        let tag = key.sign(&presented.signed(body));
        presented.tags.iter().any(|presented| presented.is(&tag))
    };
    let other_fits = |bytes: &[u8]| MacKey::new(bytes).is_some_and(|key| fits(&key, body));
    let newline = ["\n", "\r\n"].map(|end| Zeroizing::new(format!("{secret}{end}")));
    if newline.iter().any(|secret| other_fits(secret.as_bytes())) {
        return Some(MismatchHint::SecretHasTrailingNewline);
    }
    let bare = secret.strip_prefix("whsec_").unwrap_or(secret);
    let encodings = [
        SecretEncoding::Utf8,
        SecretEncoding::Hex,
        SecretEncoding::Base64,
    ];
    let mut otherwise = encodings
        .into_iter()
        .filter_map(|encoding| key_bytes(bare, encoding));
    if otherwise.any(|bytes| other_fits(&bytes)) || other_fits(secret.as_bytes()) {
        return Some(MismatchHint::SecretEncodedOtherwise);
    }
    let trimmed = body.trim_ascii();
    if fits(key, trimmed) || fits(key, &[trimmed, b"\n"].concat()) {
        return Some(MismatchHint::BodyTrimmed);
    }
    let spaces = [("", ""), (" ", " "), (" ", "")];
    let mut written = spaces
        .iter()
        .map(|(colon, comma)| spaced(body, colon, comma));
    let rewritten = written.any(|body| fits(key, &body));
    rewritten.then_some(MismatchHint::BodyReserialised)
}

/// The same JSON with this white space after colons and commas, and no other.
fn spaced(body: &[u8], after_colon: &str, after_comma: &str) -> Vec<u8> {
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

/// Whether there is a signature in a shape that another scheme would read.
fn looks_otherwise(scheme: &SignatureScheme, headers: &HeaderMap) -> bool {
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
                .any(|encoding| Tag::read(bare, *encoding).is_some())
    })
}
