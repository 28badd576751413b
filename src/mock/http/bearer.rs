//! Credentials of a request (RFC 9110 section 11.4).

use axum::http::{HeaderMap, header::AUTHORIZATION};

/// Returns the scheme and the rest of the `Authorization` header. Returns `None` if the request has
/// no `Authorization` header, several `Authorization` headers, or an invalid `Authorization`
/// header.
pub(in crate::mock) fn credentials(headers: &HeaderMap) -> Option<(&str, &str)> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    value.split_once(' ').filter(|_| values.next().is_none())
}

/// Returns the Bearer token of the request (RFC 6750 section 2.1). The scheme is case-insensitive
/// (RFC 9110 section 11.1).
pub(in crate::mock) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = credentials(headers)?;
    let good =
        scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains([' ', ',']);
    good.then_some(token)
}
