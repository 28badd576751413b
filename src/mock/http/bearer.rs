//! The Bearer credential of a request (RFC 6750 section 2.1).

use axum::http::{HeaderMap, header::AUTHORIZATION};

/// The token of the one `Authorization` header; none if there is no such header, more than one,
/// or one of another form. The scheme comes in any case (RFC 9110 section 11.1).
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
