//! Freshness of responses (RFC 9111 section 5.2.2).

use std::time::Duration;

use http::{
    HeaderMap,
    header::{AGE, CACHE_CONTROL, DATE},
};

use crate::clock::Timestamp;

/// Returns the `max-age` of `Cache-Control`. Returns zero for `no-store` and `no-cache`, and `None`
/// if the header sets no lifetime.
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

/// Returns the server's time when the response arrived: the header `Date` plus the header `Age`,
/// which a cache may add (RFC 9111 section 5.1).
pub(crate) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = |name| headers.get(name)?.to_str().ok();
    let date = httpdate::parse_http_date(text(DATE)?).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let age = text(AGE).and_then(|age| age.trim().parse().ok());
    let seconds = since.as_secs().saturating_add(age.unwrap_or(0));
    Some(Timestamp::from_unix(i64::try_from(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{
        HeaderMap, HeaderValue,
        header::{AGE, CACHE_CONTROL},
    };

    use super::{date, max_age};
    use crate::clock::Timestamp;

    #[test]
    fn max_age_is_parsed() {
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

    #[test]
    fn date_includes_the_age() {
        let day = "Thu, 01 Jan 1970 00:01:00 GMT";
        for (value, age, seconds) in [
            (day, None, Some(60)),
            (day, Some("30"), Some(90)),
            (day, Some("x"), Some(60)),
            ("yesterday", None, None),
            ("Thu, 01 Jan 1969 00:01:00 GMT", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("date", HeaderValue::from_static(value));
            headers.extend(age.map(|age| (AGE, HeaderValue::from_static(age))));
            assert_eq!(date(&headers), seconds.map(Timestamp::from_unix), "{value}");
        }
        assert_eq!(date(&HeaderMap::new()), None);
    }
}
