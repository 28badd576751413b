//! The classic ways to bend a delivery, by name.

use axum::http::{HeaderValue, header::CONTENT_ENCODING};
use serde_json::Value;

use super::draft::{DeliveryDraft, DeliverySigning};
use crate::mock::http::gzip;

/// Defines the enum and its lists, so that none lacks what another has.
macro_rules! tampers {
    (
        $($(#[$about:meta])+ $LIST:ident { $($(#[doc = $doc:literal])+ $name:ident,)+ })+
    ) => {
        /// A way to bend a delivery. Each does one thing: all else stays as it should be.
        ///
        /// The numbers of cases are those of the [threats](crate::guide::threats).
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
    /// Those whose signature is not the body's: to be refused unread.
    FORGED {
        /// Signed with a secret that is nobody's (case 126).
        WrongSecret,
        /// No signature (case 126).
        Unsigned,
        /// An empty one (case 126).
        EmptySignature,
        /// The prefix alone (case 126).
        PrefixAlone,
        /// A digit short (case 126).
        ShortSignature,
        /// Half of it (case 126).
        HalfSignature,
        /// A digit long (case 126).
        LongSignature,
        /// Its last digit is another (case 126).
        AlteredSignature,
        /// A byte of the body was changed after signing (case 127).
        AlteredByte,
        /// The same JSON in another form, after signing (case 127).
        Reserialised,
        /// A line break after the body, after signing (case 127).
        TrailingNewline,
        /// Packed with gzip, after signing (case 127).
        Gzip,
    }
    /// Those with a good signature over a body that is no event.
    UNREADABLE {
        /// Packed with gzip, before signing (case 127).
        GzipSigned,
        /// No JSON.
        NotJson,
        /// Bytes that are not UTF-8 in the type.
        NotUtf8,
        /// Nothing at all.
        EmptyBody,
        /// An array with the event in it.
        InArray,
        /// `id` twice.
        DuplicateId,
        /// No `id`.
        MissingId,
        /// No `created_at` (case 129).
        MissingTime,
        /// A `created_at` that is no moment (case 129).
        TextTime,
    }
    /// Those whose verdict hangs on the receiver's settings.
    DEPENDS {
        /// Signed with the secret before the present one; if there was none, as `WrongSecret`: well
        /// while both are known (case 133).
        PreviousSecret,
        /// The digits in capitals.
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
            Self::Unsigned => draft.signing = DeliverySigning::Nobody,
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
                gzip::pack(&signed)
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

/// What stands before the digits: `sha256=`, the `v1,` of Standard Webhooks, or nothing.
fn prefix(signature: &str) -> &str {
    let known = ["sha256=", "v1,"].iter();
    known
        .copied()
        .find(|it| signature.starts_with(it))
        .unwrap_or_default()
}

/// The first of `old` replaced; the whole body, if it is not in there.
fn replaced(body: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let place = body.windows(old.len()).position(|it| it == old);
    let split = place.and_then(|place| body.split_at_checked(place));
    let Some((before, rest)) = split else {
        return new.to_vec();
    };
    let after = rest.get(old.len()..).unwrap_or_default();
    [before, new, after].concat()
}
