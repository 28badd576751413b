//! Cookie jar (RFC 6265bis section 5), with the rules that a login needs.

use std::time::Duration;

use url::Url;

use crate::{clock::Timestamp, mock::loopback::is_loopback};

/// Cookies of all hosts. Each cookie is host-only, because the jar ignores `Domain` when it selects
/// cookies.
#[derive(Clone, Default)]
pub(super) struct Jar(Vec<Cookie>);

#[derive(Clone)]
struct Cookie {
    site: String,
    name: String,
    value: String,
    path: String,
    secure: bool,
    same_site: SameSite,
    expires: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SameSite {
    None,
    Lax,
    Strict,
}

/// Kind of request that a page of another site sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CrossSite {
    /// A top-level GET by a link or a redirect. The browser sends `Lax` cookies with this request.
    Navigation,
    /// A POST request from a form, or a request from a script.
    Other,
}

impl Jar {
    /// Returns the cookies that the browser sends, longer paths first (RFC 6265bis section 5.8.3).
    pub(super) fn cookies(
        &self,
        url: &Url,
        now: Timestamp,
        cross_site: Option<CrossSite>,
    ) -> Vec<(String, String)> {
        let site = site(url);
        let mut sent: Vec<&Cookie> = self
            .0
            .iter()
            .filter(|c| c.site == site && path_matches(&c.path, url.path()))
            .filter(|c| !c.secure || is_trustworthy(url))
            .filter(|c| c.expires.is_none_or(|at| at > now))
            .filter(|c| match (cross_site, c.same_site) {
                (None, _) | (_, SameSite::None) => true,
                (Some(CrossSite::Navigation), same_site) => same_site == SameSite::Lax,
                (Some(CrossSite::Other), _) => false,
            })
            .collect();
        sent.sort_by_key(|c| std::cmp::Reverse(c.path.len()));
        sent.into_iter()
            .map(|c| (c.name.clone(), c.value.clone()))
            .collect()
    }

    /// Stores a `Set-Cookie` header if a browser would accept it.
    pub(super) fn store(&mut self, url: &Url, header: &str, now: Timestamp) {
        if !violates_cookie_rules(url, header) {
            self.store_unchecked(url, header, now);
        }
    }

    /// Stores a `Set-Cookie` header without any check.
    pub(super) fn store_unchecked(&mut self, url: &Url, header: &str, now: Timestamp) {
        let Some((name, value)) = header
            .split(';')
            .next()
            .and_then(|pair| pair.split_once('='))
        else {
            return;
        };
        let same_site = match attribute(header, "samesite") {
            Some(value) if value.eq_ignore_ascii_case("strict") => SameSite::Strict,
            Some(value) if value.eq_ignore_ascii_case("none") => SameSite::None,
            _ => SameSite::Lax,
        };
        let cookie = Cookie {
            site: site(url),
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            path: attribute(header, "path")
                .filter(|path| path.starts_with('/'))
                .map_or_else(|| default_path(url), str::to_owned),
            secure: attribute(header, "secure").is_some(),
            same_site,
            expires: expiry(header, now),
        };
        self.0
            .retain(|c| (&c.site, &c.name, &c.path) != (&cookie.site, &cookie.name, &cookie.path));
        if cookie.expires.is_none_or(|at| at > now) {
            self.0.push(cookie);
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|cookie| cookie.name != name);
    }
}

/// Returns the site of a URL: its scheme, host and port.
///
/// A real browser ignores the port. In production, the tenant and KYCPort are two sites. In a test,
/// the tenant and the mock often differ only in their ports.
pub(super) fn site(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Chromium stores and sends `Secure` cookies on loopback hosts over plain HTTP.
fn is_trustworthy(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

/// Returns whether a browser rejects this `Set-Cookie` header. A browser rejects `Secure` on an
/// insecure URL, and a cookie that violates the rules of its name prefix (RFC 6265bis section
/// 4.1.3).
///
/// A browser checks a header that deletes a cookie in the same way (case 108).
fn violates_cookie_rules(url: &Url, header: &str) -> bool {
    let secure = attribute(header, "secure").is_some();
    let name = header.trim_start().to_ascii_lowercase();
    let host_only = attribute(header, "domain").is_none_or(str::is_empty)
        && attribute(header, "path") == Some("/");
    (secure && !is_trustworthy(url))
        || (name.starts_with("__secure-") && !secure)
        || (name.starts_with("__host-") && !(secure && host_only))
}

/// Returns the value of the last attribute with this name. Returns an empty string for an attribute
/// without a value.
fn attribute<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    header
        .split(';')
        .skip(1)
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .filter(|(n, _)| n.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .last()
}

/// Returns the expiry time of the cookie. `Max-Age` takes precedence over `Expires` (RFC 6265bis
/// section 5.6).
fn expiry(header: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(age) = attribute(header, "max-age").and_then(|age| age.parse::<i64>().ok()) {
        let age = u64::try_from(age).unwrap_or(0);
        return Some(now.saturating_add(Duration::from_secs(age)));
    }
    let at = httpdate::parse_http_date(attribute(header, "expires")?).ok()?;
    let seconds = at
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Some(Timestamp::from_unix(
        i64::try_from(seconds).unwrap_or(i64::MAX),
    ))
}

fn default_path(url: &Url) -> String {
    match url.path().rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder.to_owned(),
        _ => "/".to_owned(),
    }
}

fn path_matches(own: &str, requested: &str) -> bool {
    requested
        .strip_prefix(own)
        .is_some_and(|rest| rest.is_empty() || own.ends_with('/') || rest.starts_with('/'))
}
