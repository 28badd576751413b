//! How long an answer stays fresh (RFC 9111 section 5.2.2).

use std::time::Duration;

use http::{HeaderMap, header::CACHE_CONTROL};

/// What `Cache-Control` says; zero for `no-store` and `no-cache`, `None` if it is silent.
pub(crate) fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut age = None;
    for directive in headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
    {
        if directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache")
        {
            return Some(Duration::ZERO);
        }
        if let Some((name, seconds)) = directive.split_once('=')
            && name.trim().eq_ignore_ascii_case("max-age")
        {
            age = seconds.trim().trim_matches('"').parse().ok().or(age);
        }
    }
    age.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue, header::CACHE_CONTROL};

    use super::max_age;

    #[test]
    fn cache_control_is_read_as_written() {
        for (value, seconds) in [
            ("max-age=600", Some(600)),
            ("public, MAX-AGE=60, must-revalidate", Some(60)),
            ("max-age=\"5\"", Some(5)),
            ("no-store, max-age=600", Some(0)),
            ("max-age=600, no-cache", Some(0)),
            ("max-age=-1", None),
            ("max-age=99999999999999999999", None),
            ("s-maxage=10", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
            assert_eq!(
                max_age(&headers),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        }
        assert_eq!(max_age(&HeaderMap::new()), None);
    }
}
