//! Media type of a request's body.

use axum::http::{HeaderMap, header::CONTENT_TYPE};

/// Whether the body has this media type. Parameters such as `charset` are ignored.
pub(in crate::mock) fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let sent = value.and_then(|value| value.split(';').next());
    sent.is_some_and(|sent| sent.trim().eq_ignore_ascii_case(media_type))
}
