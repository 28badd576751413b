//! Cookies: names, attributes and parsing (K70).

use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header::COOKIE};

use crate::{secret::Secret, web::session::SessionKey};

/// Names of the cookies. With the prefix `__Host-`, the browser rejects a cookie that lacks
/// `Secure`, has a `Domain`, or comes from a sibling host.
#[derive(Debug, Clone)]
pub(crate) struct CookieNames {
    /// Name of the cookie that contains the session key.
    pub(in crate::web) session: String,
    /// Prefix of each login cookie's name.
    pub(in crate::web) login_prefix: String,
}

impl CookieNames {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            session: format!("__Host-{name}"),
            login_prefix: format!("__Host-{name}-login-"),
        }
    }
}

/// Returns all cookies of a request. Values are bytes, because cookies of other apps may not be
/// text.
pub(in crate::web) fn all(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let pair = pair.trim_ascii();
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let (name, value) = pair.split_at_checked(equals)?;
            Some((name, value.get(1..)?))
        })
}

/// Returns the value of the cookie with this name. Returns `None` if two cookies have the name,
/// because an attacker may have set one of the cookies.
pub(in crate::web) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = all(headers).filter(|(found, _)| *found == name.as_bytes());
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

/// Returns the session key of a request.
pub(in crate::web) fn session_key(headers: &HeaderMap, names: &CookieNames) -> Option<SessionKey> {
    SessionKey::parse(only(headers, &names.session)?)
}

/// Returns whether a request has a cookie with this name, with any value.
pub(in crate::web) fn is_present(headers: &HeaderMap, name: &str) -> bool {
    all(headers).any(|(found, _)| found == name.as_bytes())
}

/// Builds the header that sets a cookie. Without `max_age`, the cookie lasts until the browser is
/// closed.
pub(in crate::web) fn set(
    name: &str,
    value: &Secret,
    max_age: Option<Duration>,
) -> Option<HeaderValue> {
    let mut cookie = strict(name, value.expose());
    if let Some(max_age) = max_age {
        cookie.set_max_age(cookie::time::Duration::try_from(max_age).ok());
    }
    header(&cookie)
}

/// Builds the header that deletes a cookie. The attributes equal the attributes of the header that
/// set the cookie. With other attributes, browsers would not delete a `__Host-` cookie.
pub(in crate::web) fn delete(name: &str) -> Option<HeaderValue> {
    let mut cookie = strict(name, "");
    cookie.make_removal();
    header(&cookie)
}

fn strict<'a>(name: &'a str, value: &'a str) -> Cookie<'a> {
    Cookie::build((name, value))
        .http_only(true)
        .secure(true)
        .same_site(SameSite::Lax)
        .path("/")
        .build()
}

fn header(cookie: &Cookie<'_>) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(cookie.to_string()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::COOKIE};

    use super::{CookieNames, is_present, only, session_key};

    #[test]
    fn only_one_well_formed_key_is_read() {
        // case 93
        let good = "A".repeat(64);
        for (headers, accepted) in [
            (vec![format!("__Host-k={good}")], true),
            (vec![format!("a=1; __Host-k={good}; b=2")], true),
            (vec!["a=1".to_owned(), format!("__Host-k={good}")], true),
            (vec![format!("__Host-k={good}; __Host-k={good}")], false),
            (
                vec![format!("__Host-k={good}"), format!("__Host-k={good}")],
                false,
            ),
            (vec![format!("__Host-K={good}")], false),
            (vec![format!("__Host-k={}", "A".repeat(63))], false),
            (vec![format!("__Host-k={}", "A".repeat(65))], false),
            (vec![format!("__Host-k={}", "A".repeat(100_000))], false),
            (vec![format!("__Host-k=\"{good}\"")], false),
            (vec!["__Host-k=".to_owned()], false),
            (vec!["__Host-k".to_owned()], false),
            (vec![";;;=;=".to_owned()], false),
        ] {
            let mut map = HeaderMap::new();
            for header in &headers {
                map.append(COOKIE, HeaderValue::from_str(header).unwrap());
            }
            let names = CookieNames::new("k");
            assert_eq!(
                session_key(&map, &names).is_some(),
                accepted,
                "{headers:.80?}"
            );
        }
    }

    #[test]
    fn cookies_of_others_may_be_any_bytes() {
        let mut map = HeaderMap::new();
        let header = HeaderValue::from_bytes(b"odd=\xff\xfe; k=v").unwrap();
        map.append(COOKIE, header);
        assert_eq!(only(&map, "k"), Some(&b"v"[..]));
    }

    #[test]
    fn a_cookie_with_a_longer_name_is_another() {
        for (header, present) in [
            ("k=x", true),
            ("a=1;k=x", true),
            ("a=1; k=", true),
            ("k-login=x", false),
            ("a=k=x", false),
            ("k", false),
        ] {
            let map = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(header))]);
            assert_eq!(is_present(&map, "k"), present, "{header}");
        }
    }
}
