//! What a browser got.

use std::fmt::{self, Debug};

use http::{HeaderMap, header::LOCATION};
use url::Url;

/// An answer, and the way to it.
#[derive(Clone)]
pub struct Page {
    pub(super) status: u16,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) history: Vec<(u16, Url)>,
}

impl Page {
    /// The status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Where it was got, after all redirects.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body; what is not UTF-8 in it is replaced.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The redirects on the way, each with its status, oldest first.
    pub fn history(&self) -> &[(u16, Url)] {
        &self.history
    }

    /// Where it sends the browser, if it is a redirect.
    pub fn location(&self) -> Option<Url> {
        let to = self.headers.get(LOCATION)?.to_str().ok()?;
        let redirect = matches!(self.status, 301 | 302 | 303 | 307 | 308);
        redirect.then(|| self.url.join(to).ok()).flatten()
    }

    /// Asserts a status.
    ///
    /// # Panics
    /// If it is another, with the way to it and what it says.
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
    /// If it is not, with the way to it and what it says.
    #[track_caller]
    pub fn assert_ok(&self) -> &Self {
        assert!(
            (200..300).contains(&self.status),
            "expected success, got {}",
            self.summary()
        );
        self
    }

    /// Status, path, way and the beginning of the body, without queries, for those hold codes.
    pub(super) fn summary(&self) -> String {
        let way: Vec<_> = self
            .history
            .iter()
            .map(|(status, url)| format!("{status} {}", plain(url)))
            .collect();
        let body: String = self.body.chars().take(400).collect();
        format!(
            "{} at {} (by way of {way:?}): {body}",
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
