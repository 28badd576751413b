//! Named manipulations of deliveries.

use std::io::Read as _;

use axum::http::{HeaderValue, header::CONTENT_ENCODING};
use flate2::{Compression, read::GzEncoder};
use serde_json::Value;

use super::draft::{DeliveryDraft, DeliverySigning};

/// Defines the enum [`DeliveryTamper`] and the lists of its variants. Each variant is in exactly
/// one list.
macro_rules! tampers {
    (
        $($(#[$about:meta])+ $LIST:ident { $($(#[doc = $doc:literal])+ $name:ident,)+ })+
    ) => {
        /// Manipulation of a delivery. Each variant changes one property.
        ///
        /// A case number refers to a row of the page [threats](crate::guide::threats).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DeliveryTamper {
            $($($(#[doc = $doc])+ $name,)+)+
        }

        impl DeliveryTamper {
            $($(#[$about])+ pub const $LIST: &'static [Self] = &[$(Self::$name),+];)+
        }
    };
}

tampers! {
    /// Manipulations after which the signature does not match the body. A receiver must reject a
    /// delivery with an invalid signature before it parses the body.
    FORGED {
        /// Signature with a secret that no tenant has (case 126).
        WrongSecret,
        /// Delivery without a signature header (case 126).
        Unsigned,
        /// Signature header with an empty value (case 126).
        EmptySignature,
        /// Signature that consists of the prefix only (case 126).
        PrefixAlone,
        /// Signature without its last digit (case 126).
        ShortSignature,
        /// Signature without its second half (case 126).
        HalfSignature,
        /// Signature with an additional digit (case 126).
        LongSignature,
        /// Signature with a changed last digit (case 126).
        AlteredSignature,
        /// Body with one byte changed after signing (case 127).
        AlteredByte,
        /// Body serialized differently after signing (case 127).
        Reserialised,
        /// Body with a line break appended after signing (case 127).
        TrailingNewline,
        /// Body compressed with gzip after signing (case 127).
        Gzip,
    }
    /// Manipulations with a valid signature over a body that is not a valid event.
    UNREADABLE {
        /// Body compressed with gzip before signing (case 127).
        GzipSigned,
        /// Body that is not JSON.
        NotJson,
        /// Event type that is not valid UTF-8.
        NotUtf8,
        /// Body without any bytes.
        EmptyBody,
        /// Body that is an array with the event in it.
        InArray,
        /// Event with a duplicate `id`.
        DuplicateId,
        /// Event without `id`.
        MissingId,
        /// Event without `created_at` (case 129).
        MissingTime,
        /// Event whose `created_at` is not a time (case 129).
        TextTime,
    }
    /// Manipulations whose result depends on the receiver's configuration.
    DEPENDS {
        /// Signature with the previous secret, which is valid during a rotation (case 133). Without
        /// a previous secret, the mock signs as for `WrongSecret`.
        PreviousSecret,
        /// Signature with upper-case digits.
        UpperCaseSignature,
    }
}

impl DeliveryTamper {
    pub(in crate::mock) fn apply(self, draft: &mut DeliveryDraft) {
        if !self.signature(draft) {
            self.body(draft);
        }
    }

    fn signature(self, draft: &mut DeliveryDraft) -> bool {
        match self {
            Self::WrongSecret => draft.signing = DeliverySigning::Foreign,
            Self::PreviousSecret => draft.signing = DeliverySigning::Previous,
            Self::Unsigned => draft.signing = DeliverySigning::None,
            Self::EmptySignature => draft.reshape = Some(|_| String::new()),
            Self::PrefixAlone => {
                draft.reshape = Some(|mut it| {
                    it.truncate(prefix(&it).len());
                    it
                });
            }
            Self::ShortSignature => {
                draft.reshape = Some(|mut it| {
                    it.pop();
                    it
                });
            }
            Self::HalfSignature => {
                draft.reshape = Some(|mut it| {
                    it.truncate(it.len().saturating_sub(32));
                    it
                });
            }
            Self::LongSignature => draft.reshape = Some(|it| it + "0"),
            Self::AlteredSignature => {
                draft.reshape = Some(|mut it| {
                    let other = if it.pop() == Some('0') { '1' } else { '0' };
                    it.push(other);
                    it
                });
            }
            Self::UpperCaseSignature => {
                draft.reshape = Some(|it| {
                    let prefix = prefix(&it);
                    let digits = it.get(prefix.len()..).unwrap_or_default();
                    format!("{prefix}{}", digits.to_uppercase())
                });
            }
            _ => return false,
        }
        true
    }

    fn body(self, draft: &mut DeliveryDraft) {
        let signed = std::mem::take(&mut draft.body);
        let body = match self {
            Self::AlteredByte => replaced(&signed, b"evt_", b"evT_"),
            Self::Reserialised => serde_json::from_slice(&signed)
                .and_then(|json: Value| serde_json::to_vec_pretty(&json))
                .unwrap_or_default(),
            Self::TrailingNewline => [&signed, b"\n".as_slice()].concat(),
            Self::Gzip | Self::GzipSigned => {
                let gzip = HeaderValue::from_static("gzip");
                draft.headers.insert(CONTENT_ENCODING, gzip);
                let mut packed = Vec::new();
                let mut encoder = GzEncoder::new(signed.as_slice(), Compression::default());
                // Reading from memory does not fail.
                let _ = encoder.read_to_end(&mut packed);
                packed
            }
            Self::NotJson => b"id=evt_1&type=kyc.status_changed".to_vec(),
            Self::NotUtf8 => replaced(&signed, b"\"type\":", b"\"type\":\"\xff\xfe\",\"was\":"),
            Self::InArray => [b"[", signed.as_slice(), b"]"].concat(),
            Self::DuplicateId => replaced(&signed, b"\"id\":", b"\"id\":\"evt_1\",\"id\":"),
            Self::MissingId => replaced(&signed, b"\"id\":", b"\"no_id\":"),
            Self::MissingTime => replaced(&signed, b"\"created_at\":", b"\"no_time\":"),
            Self::TextTime => replaced(
                &signed,
                b"\"created_at\":",
                b"\"created_at\":\"now\",\"was\":",
            ),
            _ => Vec::new(),
        };
        draft.body = body;
        if Self::FORGED.contains(&self) {
            draft.signed_body.get_or_insert(signed);
        }
    }
}

/// Returns the prefix of a signature: `v1,` with Standard Webhooks, otherwise `sha256=` or an empty
/// text.
fn prefix(signature: &str) -> &str {
    let known = ["sha256=", "v1,"].iter();
    known
        .copied()
        .find(|it| signature.starts_with(it))
        .unwrap_or_default()
}

/// Replaces the first occurrence of `old` with `new`. Returns only `new` if `body` does not contain
/// `old`.
fn replaced(body: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let place = body.windows(old.len()).position(|it| it == old);
    let split = place.and_then(|place| body.split_at_checked(place));
    let Some((before, rest)) = split else {
        return new.to_vec();
    };
    let after = rest.get(old.len()..).unwrap_or_default();
    [before, new, after].concat()
}
