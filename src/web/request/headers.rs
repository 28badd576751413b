//! Headers of every answer that is about somebody.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS},
};

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// No cache keeps it, and no other site learns the address it was at.
pub(in crate::web) fn keep_private(headers: &mut HeaderMap) {
    no_store(headers);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    same_origin_only(headers);
}

/// The browser takes the response for nothing but what `Content-Type` says, and loads it into no
/// page of another origin as an image, a script or a style.
pub(in crate::web) fn same_origin_only(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
}

/// No cache keeps it. What the handler said of caching is overruled: it would be one mistake away
/// from showing one person to another.
pub(in crate::web) fn no_store(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let cookie = HeaderValue::from_static("cookie");
    if !headers.get_all(VARY).iter().any(|value| *value == cookie) {
        headers.append(VARY, cookie);
    }
}
