//! Addresses as their text says them.

use url::Url;

/// Parses an HTTP or HTTPS address. One that the parser would have to repair is none: with white
/// space, backslashes, letters beyond ASCII or half an escape (RFC 3986 section 2), or without two
/// slashes and a host after the scheme.
pub(super) fn parse(text: &str) -> Option<Url> {
    let mut schemes = ["https://", "http://"].iter();
    let rest = schemes.find_map(|it| text.strip_prefix(it))?;
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    let mut escapes = rest.split('%').skip(1);
    let is_escape = |after: &str| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit))
    };
    if rest.starts_with('/') || !rest.bytes().all(is_allowed) || !escapes.all(is_escape) {
        return None;
    }
    Url::parse(text).ok()
}
