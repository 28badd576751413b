//! Manipulations of a signed token.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::Tamper;

/// Returns the function of this [`Tamper`], or `None` if this [`Tamper`] does not change the signed
/// token.
pub(in crate::mock) fn of(tamper: Tamper) -> Option<fn(String) -> String> {
    Some(match tamper {
        Tamper::ShortSignature => |token| with_signature(&token, Vec::pop),
        Tamper::LongSignature => |token| {
            with_signature(&token, |bytes| {
                bytes.push(0);
                None
            })
        },
        Tamper::AlteredPayload => |token| {
            let [header, payload, signature] = parts(&token);
            let payload = replaced(payload, "\"sub\":\"", "\"sub\":\"x");
            format!("{header}.{payload}.{signature}")
        },
        Tamper::AlteredHeader => |token| {
            let [header, payload, signature] = parts(&token);
            let header = replaced(header, "{", "{ ");
            format!("{header}.{payload}.{signature}")
        },
        Tamper::Jwe => |token| {
            let [_, payload, signature] = parts(&token);
            let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"dir","enc":"A256GCM"}"#);
            format!("{header}..{signature}.{payload}.{signature}")
        },
        Tamper::TwoParts => |token| {
            let [header, payload, _] = parts(&token);
            format!("{header}.{payload}")
        },
        Tamper::FourParts => |token| token + ".e30",
        Tamper::FiveParts => |token| token + ".e30.e30",
        Tamper::JsonForm => |token| {
            let [header, payload, signature] = parts(&token);
            json!({ "protected": header, "payload": payload, "signature": signature }).to_string()
        },
        Tamper::Padded => |token| token + "==",
        Tamper::TrailingSpace => |token| token + " ",
        Tamper::LineBreak => |token| token.replacen('.', ".\n", 1),
        Tamper::SpareBits => spare_bits,
        Tamper::ManyDots => |token| token + &".".repeat(1_000_000),
        _ => return None,
    })
}

fn parts(token: &str) -> [&str; 3] {
    let mut parts = token.splitn(3, '.');
    [(); 3].map(|()| parts.next().unwrap_or_default())
}

fn with_signature(token: &str, change: impl FnOnce(&mut Vec<u8>) -> Option<u8>) -> String {
    let [header, payload, signature] = parts(token);
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    change(&mut bytes);
    format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

fn replaced(part: &str, from: &str, to: &str) -> String {
    let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(text.replacen(from, to, 1))
}

/// Sets the unused bits of the signature's last character.
///
/// The 64 bytes of a signature take 86 characters. The last character has four unused bits, which
/// must be zero. If a decoder does not check these bits, it decodes the next character of the
/// alphabet to the same bytes.
fn spare_bits(mut token: String) -> String {
    let last = token.pop().unwrap_or('A');
    let next = match last {
        'A' => 'B',
        'Q' => 'R',
        'g' => 'h',
        _ => 'x',
    };
    token.push(next);
    token
}
