//! Checks of URLs for requests.

use std::fmt::{self, Display};

use url::{Host, Url};

/// Scheme, host and port of a URL (RFC 6454 section 4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin(String);

impl Origin {
    /// Returns the origin of an `http` or `https` URL.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        matches!(url.scheme(), "http" | "https").then(|| Self(url.origin().ascii_serialization()))
    }

    #[cfg(feature = "web")]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns whether the URL is HTTPS (K70), or plain HTTP to this machine for development and tests.
pub(crate) fn is_transport_secure(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(url),
        _ => false,
    }
}

/// Returns whether the host is `localhost` or a literal loopback address.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_transport_secure;

    #[test]
    fn plain_http_is_allowed_for_loopback_only() {
        for (url, secure) in [
            ("https://www.kycport.com/", true),
            ("https://10.0.0.1/", true),
            ("http://127.0.0.1:3000/", true),
            ("http://127.8.9.1/", true),
            ("http://[::1]:3000/", true),
            ("http://localhost:3000/", true),
            ("http://www.kycport.com/", false),
            ("http://10.0.0.1/", false),
            ("http://localhost.evil.example/", false),
            ("http://127.0.0.1.evil.example/", false),
            ("http://[::ffff:127.0.0.1]/", false),
            ("ftp://127.0.0.1/", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(is_transport_secure(&url.parse().unwrap()), secure, "{url}");
        }
    }
}
