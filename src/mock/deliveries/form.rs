//! JSON serialization in Python's format or in compact format.

use std::io::{self, Write};

use serde::Serialize as _;
use serde_json::{
    Serializer, Value,
    ser::{CompactFormatter, Formatter},
};

/// Serializes JSON in compact format, or in the format of Python's `json.dumps`. `json.dumps`
/// writes a space after each `:` and `,`, and escapes all characters that are not ASCII. With two
/// formats, a test can detect a receiver that serializes the JSON again before it verifies the
/// signature.
pub(in crate::mock) fn written(json: &Value, is_compact: bool) -> Vec<u8> {
    let mut out = Vec::new();
    // A write to a vector cannot fail.
    let _ = if is_compact {
        json.serialize(&mut Serializer::with_formatter(&mut out, CompactFormatter))
    } else {
        json.serialize(&mut Serializer::with_formatter(&mut out, Python))
    };
    out
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        comma(to, first)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        comma(to, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        to: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for letter in fragment.chars() {
            if (' '..='~').contains(&letter) {
                write!(to, "{letter}")?;
            } else {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    write!(to, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

fn comma<W: ?Sized + Write>(to: &mut W, first: bool) -> io::Result<()> {
    if first { Ok(()) } else { to.write_all(b", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::written;

    #[test]
    fn output_equals_the_output_of_python() {
        let json = json!({ "a": [1, "é\u{7f}\n\"", { "b": null }], "z": "𝄞", "e": {}, "f": [] });
        let python =
            r#"{"a": [1, "\u00e9\u007f\n\"", {"b": null}], "e": {}, "f": [], "z": "\ud834\udd1e"}"#;
        assert_eq!(written(&json, false), python.as_bytes());
        assert_eq!(written(&json, true), json.to_string().as_bytes());
    }
}
