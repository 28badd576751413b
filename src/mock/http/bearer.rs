//! Bearer token of a request (RFC 6750 section 2.1).

use axum::http::{HeaderMap, header::AUTHORIZATION};

/// Returns the Bearer token of the `Authorization` header. Returns `None` if the request has no
/// `Authorization` header, more than one, or an invalid one. The scheme is case-insensitive (RFC
/// 9110 section 11.1).
pub(in crate::mock) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let good = values.next().is_none()
        && scheme.eq_ignore_ascii_case("bearer")
        && !token.is_empty()
        && !token.contains([' ', ',']);
    good.then_some(token)
}
