//! Headers of every answer that is about somebody.

use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, REFERRER_POLICY, VARY},
};

/// No cache keeps it, and no other site learns the address it was at.
pub(super) fn keep_private(headers: &mut HeaderMap) {
    names_a_person(headers);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

/// No cache keeps it. What the handler said of caching is overruled: it would be one mistake away
/// from showing one person to another.
pub(super) fn names_a_person(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let cookie = HeaderValue::from_static("cookie");
    if !headers.get_all(VARY).iter().any(|value| *value == cookie) {
        headers.append(VARY, cookie);
    }
}
