//! Headers of responses that contain personal data.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS},
};

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Prevents caching, and hides the URL from other sites.
pub(in crate::web) fn keep_private(headers: &mut HeaderMap) {
    no_store(headers);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    same_origin_only(headers);
}

/// Prevents browsers from sniffing the content type. Also prevents pages of other origins from
/// loading the response as an image, a script or a style.
pub(in crate::web) fn same_origin_only(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
}

/// Prevents caching. Overrides the handler's caching headers, because a cached response could show
/// one person's data to another person.
pub(in crate::web) fn no_store(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let cookie = HeaderValue::from_static("cookie");
    if !headers.get_all(VARY).iter().any(|value| *value == cookie) {
        headers.append(VARY, cookie);
    }
}
