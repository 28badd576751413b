//! Bearer authentication (RFC 6750 section 2.1).

use http::HeaderValue;

/// Returns the value of the `Authorization` header for a token, marked as sensitive. Returns
/// `None` if the token has characters that a header cannot contain.
pub(crate) fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
