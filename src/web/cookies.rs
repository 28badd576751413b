//! The two cookies: what the browser may hold, and how (K70).

use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header::COOKIE};

use super::random;
use crate::secret::Secret;

/// The names of the cookies. The prefix `__Host-` makes the browser refuse them without `Secure`,
/// with a `Domain`, or from a sibling host.
#[derive(Debug, Clone)]
pub(crate) struct CookieNames {
    /// Holds the key of the session, and nothing else.
    pub(super) session: String,
    /// Ties pending logins to the browser that began them.
    pub(super) browser: String,
}

impl CookieNames {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            session: format!("__Host-{name}"),
            browser: format!("__Host-{name}-login"),
        }
    }
}

/// The key that a request bears under `name`: it must be there once and look like a key. Two of
/// one name are a sign of somebody planting one, and neither is believed.
pub(super) fn read(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(found, _)| *found == name)
        .map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) if random::is_token(value) => Some(Secret::new(value)),
        _ => None,
    }
}

/// Whether a request bears a cookie of that name at all, however odd.
pub(super) fn is_present(headers: &HeaderMap, name: &str) -> bool {
    headers.get_all(COOKIE).iter().any(|header| {
        header
            .as_bytes()
            .split(|byte| *byte == b';')
            .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes()))
            .any(|rest| rest.starts_with(b"="))
    })
}

/// A cookie that lasts as long as the browser runs, or for `max_age`.
pub(super) fn set(name: &str, value: &Secret, max_age: Option<Duration>) -> Option<HeaderValue> {
    let mut cookie = strict(name, value.expose());
    if let Some(max_age) = max_age {
        cookie.set_max_age(cookie::time::Duration::try_from(max_age).ok());
    }
    header(&cookie)
}

/// The deletion of a cookie, with the attributes it was set with: a browser ignores any other for
/// `__Host-` names.
pub(super) fn delete(name: &str) -> Option<HeaderValue> {
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

    use super::{is_present, read};

    #[test]
    fn only_one_well_formed_key_is_read() {
        // case 93
        let good = "A".repeat(43);
        for (headers, accepted) in [
            (vec![format!("k={good}")], true),
            (vec![format!("a=1; k={good}; b=2")], true),
            (vec!["a=1".to_owned(), format!("k={good}")], true),
            (vec![format!("k={good}; k={good}")], false),
            (vec![format!("k={good}"), format!("k={good}")], false),
            (vec![format!("K={good}")], false),
            (vec![format!("k={}", "A".repeat(42))], false),
            (vec![format!("k={}", "A".repeat(44))], false),
            (vec![format!("k={}B", "A".repeat(42))], false), // spare bits set
            (vec![format!("k={}", "A".repeat(100_000))], false),
            (vec![format!("k=\"{good}\"")], false),
            (vec!["k=".to_owned()], false),
            (vec!["k".to_owned()], false),
            (vec![";;;=;=".to_owned()], false),
        ] {
            let mut map = HeaderMap::new();
            for header in &headers {
                map.append(COOKIE, HeaderValue::from_str(header).unwrap());
            }
            assert_eq!(read(&map, "k").is_some(), accepted, "{headers:.80?}");
        }
    }

    #[test]
    fn another_cookie_with_a_longer_name_is_not_it() {
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
