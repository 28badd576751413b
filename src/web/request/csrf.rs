//! Protection against cross-site requests (OWASP ASVS 5.0 3.5; "OAuth 2.0 for Browser-Based
//! Applications").

use http::{
    HeaderMap, HeaderValue, Method,
    header::{ORIGIN, UPGRADE},
};

use crate::http::Origin;

/// Header for clients that send no `Sec-Fetch-Site` and no `Origin`. A form cannot send this
/// header.
pub(in crate::web) const CUSTOM_HEADER: &str = "x-kycport-csrf";

/// Returns whether this app's own pages made a request.
///
/// Safe methods are always allowed. Other requests must be same-origin. `SameSite=Lax` alone would
/// allow POST requests from a sibling host.
pub(in crate::web) fn is_same_origin(method: &Method, headers: &HeaderMap, own: &[Origin]) -> bool {
    // A WebSocket starts with a GET request, but its messages can change state.
    let upgrades = headers.contains_key(UPGRADE);
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) && !upgrades {
        return true;
    }
    let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes);
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let is_own = |origin: &[u8]| own.iter().any(|own| own.as_str().as_bytes() == origin);
    match (site, origin) {
        // A page with the referrer policy `no-referrer` sends `null` with its own forms (Fetch,
        // "append a request `Origin` header"). Pages cannot set `Sec-Fetch-Site`, and for a
        // sandboxed frame the browser sends `cross-site`.
        (Some(b"same-origin"), Some(b"null")) => true,
        (Some(b"same-origin" | b"none") | None, Some(origin)) => is_own(origin),
        (Some(site), None) => matches!(site, b"same-origin" | b"none"),
        (Some(_), Some(_)) => false,
        (None, None) => headers.contains_key(CUSTOM_HEADER),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::is_same_origin;
    use crate::http::Origin;

    #[test]
    fn only_this_apps_own_pages_change_anything() {
        // This test covers cases 101 and 102 of `guide::threats`.
        let own = [Origin::of(&"https://app.example.com/x".parse().unwrap()).unwrap()];
        for (headers, allowed) in [
            (&[][..], false),
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "Same-Origin")], false),
            (&[("origin", "https://app.example.com")], true),
            (&[("origin", "https://app.example.com.evil.example")], false),
            (&[("origin", "https://evil.example.com")], false),
            (&[("origin", "http://app.example.com")], false),
            (&[("origin", "https://app.example.com:8443")], false),
            (&[("origin", "null")], false),
            (
                &[("sec-fetch-site", "same-origin"), ("origin", "null")],
                true,
            ),
            (
                &[("sec-fetch-site", "same-site"), ("origin", "null")],
                false,
            ),
            (
                &[("sec-fetch-site", "cross-site"), ("origin", "null")],
                false,
            ),
            (&[("sec-fetch-site", "none"), ("origin", "null")], false),
            (&[("x-kycport-csrf", "1"), ("origin", "null")], false),
            (
                &[
                    ("sec-fetch-site", "same-site"),
                    ("origin", "https://app.example.com"),
                ],
                false,
            ),
            (
                &[
                    ("sec-fetch-site", "same-origin"),
                    ("origin", "https://app.example.com"),
                ],
                true,
            ),
            (&[("x-kycport-csrf", "1")], true),
            (
                &[("x-kycport-csrf", "1"), ("origin", "https://evil.example")],
                false,
            ),
        ] {
            let map: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            assert_eq!(
                is_same_origin(&Method::POST, &map, &own),
                allowed,
                "{headers:?}"
            );
            assert!(is_same_origin(&Method::GET, &map, &own));
            let mut upgrade = map;
            upgrade.insert("upgrade", HeaderValue::from_static("websocket"));
            assert_eq!(
                is_same_origin(&Method::GET, &upgrade, &own),
                allowed,
                "{headers:?}"
            );
        }
    }
}
