//! Path to return to after a login: always a path of this app.

use std::fmt::Write as _;

use url::Url;

/// Maximum length of the path, in bytes.
const MAX_BYTES: usize = 2048;

/// Path of this app, with its query. The parser rejects a text that a browser or a proxy could
/// interpret as another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReturnTo(String);

impl ReturnTo {
    /// Parses `text`. Returns the home page if `text` is not a path of this app.
    pub(in crate::web) fn parse_or_home(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(Self::home)
    }

    pub(in crate::web) fn home() -> Self {
        Self("/".to_owned())
    }

    pub(in crate::web) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns this path if it has at most `limit` bytes. Returns a longer path without its query,
    /// or the home page.
    pub(in crate::web) fn shortened(&self, limit: usize) -> Self {
        let without_query = self.0.split('?').next().unwrap_or_default();
        [self.0.as_str(), without_query]
            .into_iter()
            .find(|text| text.len() <= limit)
            .map_or_else(Self::home, |text| Self(text.to_owned()))
    }

    fn parse(text: &str) -> Option<Self> {
        // U+FFFD replaces bytes that are not valid UTF-8, so the original target is unknown.
        if text.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
            return None;
        }
        // Encode the text first, because the checks below must check the text that the browser
        // receives.
        let text = &encode(text);
        let after_slash = text.strip_prefix('/')?;
        let lowered = after_slash.to_ascii_lowercase();
        let looks_like_a_host = ["/", "\\", "%2f", "%5c"]
            .iter()
            .any(|second| lowered.starts_with(second));
        let is_clean = text.len() <= MAX_BYTES
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        if looks_like_a_host || !is_clean {
            return None;
        }
        // Finally, parse the URL as browsers do.
        let base = Url::parse("https://app.invalid/").ok()?;
        let joined = base.join(text).ok()?;
        let path_is_plain = !joined.path().starts_with("//");
        (joined.origin() == base.origin() && path_is_plain).then(|| {
            let mut path = joined.path().to_owned();
            if let Some(query) = joined.query() {
                path.push('?');
                path.push_str(query);
            }
            Self(path)
        })
    }
}

/// Percent-encodes spaces and everything that is not ASCII, as a browser does.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte == b' ' || !byte.is_ascii() {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        } else {
            encoded.push(char::from(byte));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::ReturnTo;

    #[test]
    fn only_paths_of_this_app() {
        // This test covers cases 105 and 107 of `guide::threats`.
        for (text, path) in [
            ("/", "/"),
            ("/vault", "/vault"),
            ("/vault?a=1&b=%2F%2Fx", "/vault?a=1&b=%2F%2Fx"),
            ("/a//b", "/a//b"),
            ("/vault#fragment", "/vault"),
            (
                "/login?next=https://evil.example/",
                "/login?next=https://evil.example/",
            ),
            ("", "/"),
            ("vault", "/"),
            ("//evil.example", "/"),
            ("///evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/a\\..\\b", "/"),
            ("\\\\evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("/\n/evil.example", "/"),
            ("\t//evil.example", "/"),
            (" //evil.example", "/"),
            ("/%2f%2fevil.example", "/"),
            ("/%2Fevil.example", "/"),
            ("/%5cevil.example", "/"),
            ("%2f%2fevil.example", "/"),
            ("/.//evil.example", "/"),
            ("/..//evil.example", "/"),
            ("/a/..//evil.example", "/"),
            ("/%2e%2e//evil.example", "/"),
            ("https://evil.example/", "/"),
            ("https:evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("data:text/html,x", "/"),
            ("//user@evil.example", "/"),
            ("/ok\r\nSet-Cookie: x=1", "/"),
            ("/ünïcode?ä=ö", "/%C3%BCn%C3%AFcode?%C3%A4=%C3%B6"),
            ("/with space?a=b c", "/with%20space?a=b%20c"),
            ("/a%20b%C3%BC", "/a%20b%C3%BC"),
            ("/ ", "/%20"),
            ("/ /evil.example", "/%20/evil.example"),
            // A full-width solidus, which some parsers treat as a slash.
            ("/\u{ff0f}evil.example", "/%EF%BC%8Fevil.example"),
            ("/\u{85}/evil.example", "/"),
            ("/a\u{fffd}", "/"),
        ] {
            assert_eq!(ReturnTo::parse_or_home(text).as_str(), path, "{text:?}");
        }
        assert_eq!(
            ReturnTo::parse_or_home(&format!("/{}", "a".repeat(4096))).as_str(),
            "/"
        );
    }
}
