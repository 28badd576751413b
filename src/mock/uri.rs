//! Strict parsing of HTTP URLs.

use std::net::Ipv4Addr;

use url::Url;

/// Parses an HTTP or HTTPS URL. Returns `None` for a URL that the parser of the `url` crate would
/// repair. For example, the `url` crate repairs white space, backslashes, non-ASCII characters and
/// incomplete escapes (RFC 3986 section 2). The `url` crate also repairs a URL that has no `//` and
/// no host after the scheme.
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
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !is_plain(authority) {
        return None;
    }
    Url::parse(text).ok()
}

/// Returns whether the text is an ASCII host name or an IP address, with or without a port.
fn is_plain(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port = |port: &str| {
        (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_label = |label: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_bare = !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
        is_bare
            && label.bytes().all(is_letter)
            && (!label.contains("--") || label.starts_with("xn--"))
    };
    let ends_in_letters = || {
        let last = host.rsplit('.').next().unwrap_or_default();
        last.starts_with(|letter: char| letter.is_ascii_alphabetic())
    };
    let is_name = host.split('.').all(is_label) && ends_in_letters();
    let is_address = host.parse::<Ipv4Addr>().is_ok() || host.starts_with('[');
    port.is_none_or(is_port) && (is_name || is_address)
}
