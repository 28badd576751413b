//! Parser for the signature headers of a delivery.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    mac::Tag,
    scheme::{BodyScheme, SignatureEncoding, SignatureScheme},
    signature_error::SignatureError,
};
use crate::clock::Timestamp;

/// Maximum number of signatures in one delivery. The verifier rejects a delivery with more
/// signatures.
pub const MAX_SIGNATURES: usize = 8;

pub(super) const ID: HeaderName = HeaderName::from_static("webhook-id");
pub(super) const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Signatures of a delivery, and the signed text that precedes the body.
#[derive(Default)]
pub(super) struct Presented {
    pub(super) tags: Vec<Tag>,
    /// Signed parts that precede the body, each followed by a dot.
    pub(super) before: Vec<String>,
    pub(super) id: Option<String>,
    pub(super) at: Option<Timestamp>,
}

impl Presented {
    /// Returns the signed bytes: each part before the body, followed by a dot, and then the body.
    pub(super) fn signed<'a>(&'a self, body: &'a [u8]) -> Vec<&'a [u8]> {
        let dotted = self.before.iter().flat_map(|part| [part.as_bytes(), b"."]);
        dotted.chain([body]).collect()
    }
}

pub(super) fn read(
    scheme: &SignatureScheme,
    headers: &HeaderMap,
) -> Result<Presented, SignatureError> {
    match scheme {
        SignatureScheme::Body(scheme) => body(scheme, headers),
        SignatureScheme::Timestamped(header) => timestamped(header, headers),
        SignatureScheme::StandardWebhooks => standard(headers),
    }
}

/// Reads all headers with one of the names. Each header contains signatures, separated by commas.
fn body(scheme: &BodyScheme, headers: &HeaderMap) -> Result<Presented, SignatureError> {
    let values = scheme
        .headers
        .iter()
        .flat_map(|name| headers.get_all(name))
        // Treat a value that is not text as an unreadable signature.
        .map(|value| value.to_str().unwrap_or_default());
    let pieces = values.flat_map(|value| value.split(',')).map(str::trim);
    let tags = tags(pieces, |piece| {
        let digits = piece.strip_prefix(scheme.prefix.as_str()).unwrap_or(piece);
        Tag::decode(digits, scheme.encoding)
    })?;
    Ok(Presented {
        tags,
        ..Presented::default()
    })
}

/// Reads `t=1700000000,v1=…,v1=…`. Ignores signatures with another version.
fn timestamped(header: &HeaderName, headers: &HeaderMap) -> Result<Presented, SignatureError> {
    let value = only(headers, header)?.ok_or(SignatureError::NoSignature)?;
    let parts = || {
        value
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
    };
    let mut times = parts().filter(|(name, _)| *name == "t").map(|(_, t)| t);
    let (Some(time), None) = (times.next(), times.next()) else {
        return Err(SignatureError::UnreadableSignedPart);
    };
    let at = seconds(time).ok_or(SignatureError::UnreadableSignedPart)?;
    let signatures = parts().filter(|(name, _)| *name == "v1");
    let tags = tags(signatures, |(_, hex)| {
        Tag::decode(hex, SignatureEncoding::Hex)
    })?;
    Ok(Presented {
        tags,
        before: vec![time.to_owned()],
        id: None,
        at: Some(at),
    })
}

/// Reads the three headers of Standard Webhooks. Signatures are separated by spaces. Ignores
/// signatures of other versions than `v1`.
fn standard(headers: &HeaderMap) -> Result<Presented, SignatureError> {
    let signatures = only(headers, &SIGNATURE)?.ok_or(SignatureError::NoSignature)?;
    let id = only(headers, &ID)?
        .filter(|id| !id.is_empty())
        .ok_or(SignatureError::UnreadableSignedPart)?;
    let time = only(headers, &TIMESTAMP)?.ok_or(SignatureError::UnreadableSignedPart)?;
    let at = seconds(time).ok_or(SignatureError::UnreadableSignedPart)?;
    let tags = tags(signatures.split_ascii_whitespace(), |piece| {
        let (version, text) = piece.split_once(',')?;
        let known = version == "v1";
        known.then(|| Tag::decode(text, SignatureEncoding::Base64))?
    })?;
    Ok(Presented {
        tags,
        before: vec![id.to_owned(), time.to_owned()],
        id: Some(id.to_owned()),
        at: Some(at),
    })
}

/// Decodes the signatures. Counts an unreadable signature, but does not reject the delivery because
/// of it. During a migration, a sender may add signatures of a new version.
fn tags<P>(
    pieces: impl Iterator<Item = P>,
    read: impl Fn(P) -> Option<Tag>,
) -> Result<Vec<Tag>, SignatureError> {
    let mut tags = Vec::new();
    let mut count = 0_usize;
    for piece in pieces {
        count = count.saturating_add(1);
        if count > MAX_SIGNATURES {
            return Err(SignatureError::TooManySignatures);
        }
        tags.extend(read(piece));
    }
    match (count, tags.is_empty()) {
        (0, _) => Err(SignatureError::NoSignature),
        (_, true) => Err(SignatureError::UnreadableSignature),
        _ => Ok(tags),
    }
}

/// Returns the text of a header that must not occur twice. With two values, the sender could sign
/// one value while this crate reads the other value.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, SignatureError> {
    let mut values = headers.get_all(name).iter();
    let (value, second): (Option<&HeaderValue>, _) = (values.next(), values.next());
    if second.is_some() {
        return Err(SignatureError::UnreadableSignedPart);
    }
    let text = value.map(HeaderValue::to_str).transpose();
    text.map_err(|_| SignatureError::UnreadableSignedPart)
}

/// Parses whole seconds since the epoch.
fn seconds(text: &str) -> Option<Timestamp> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok().map(Timestamp::from_unix))?
}
