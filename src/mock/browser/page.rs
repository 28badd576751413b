//! Response that a browser received.

use std::fmt::{self, Debug};

use http::{HeaderMap, header::LOCATION};
use url::Url;

/// A response and the redirects that led to it.
#[derive(Clone)]
pub struct Page {
    pub(super) status: u16,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) history: Vec<(u16, Url)>,
}

impl Page {
    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the final URL, after all redirects.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the response headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns a header, or `None` if its value is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the body as text. Replaces invalid UTF-8 with U+FFFD.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Returns the body as JSON, or `null` if the body is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Returns the redirects that led to this page, with their status, oldest first.
    pub fn history(&self) -> &[(u16, Url)] {
        &self.history
    }

    /// Returns the target of a redirect, or `None` if the response is not a redirect.
    pub fn location(&self) -> Option<Url> {
        let to = self.headers.get(LOCATION)?.to_str().ok()?;
        let redirect = matches!(self.status, 301 | 302 | 303 | 307 | 308);
        redirect.then(|| self.url.join(to).ok()).flatten()
    }

    /// Asserts that the response has this status.
    ///
    /// # Panics
    /// Panics if the status differs. The message contains the redirects and the beginning of the
    /// body.
    #[track_caller]
    pub fn assert_status(&self, expected: u16) -> &Self {
        assert!(
            self.status == expected,
            "expected {expected}, got {}",
            self.summary()
        );
        self
    }

    /// Asserts that the status is a success.
    ///
    /// # Panics
    /// Panics if the status is not 2xx. The message contains the redirects and the beginning of the
    /// body.
    #[track_caller]
    pub fn assert_ok(&self) -> &Self {
        assert!(
            (200..300).contains(&self.status),
            "expected success, got {}",
            self.summary()
        );
        self
    }

    /// Returns the status, the path, the redirects and the beginning of the body. The output omits
    /// queries, because a query may contain a code.
    pub(super) fn summary(&self) -> String {
        let way: Vec<_> = self
            .history
            .iter()
            .map(|(status, url)| format!("{status} {}", plain(url)))
            .collect();
        let body: String = self.body.chars().take(400).collect();
        format!(
            "{} at {} (redirects: {way:?}): {body}",
            self.status,
            plain(&self.url)
        )
    }
}

impl Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("status", &self.status)
            .field("url", &plain(&self.url))
            .finish_non_exhaustive()
    }
}

fn plain(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}
