//! Redirects.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header::LOCATION};

use super::headers;

/// Redirects the browser with 303, without caching and without a referrer.
pub(in crate::web) fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(location) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    headers::keep_private(response.headers_mut());
    response.headers_mut().insert(LOCATION, location);
    response
}
