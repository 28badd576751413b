//! Recipient of a response: a person or a program.

use http::{HeaderMap, HeaderValue, Method, header::ACCEPT};

/// Recipient of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Audience {
    /// Person, whose browser shows the response as a page.
    Page,
    /// Program: a `fetch` from a script, or a client that is not a browser.
    Fetch,
}

impl Audience {
    /// Determines the recipient from `Sec-Fetch-Mode`. Uses `Accept` if `Sec-Fetch-Mode` is missing
    /// or ambiguous.
    pub(in crate::web) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let mode = headers.get("sec-fetch-mode").map(HeaderValue::as_bytes);
        let navigates = match mode {
            Some(b"navigate") => true,
            // A service worker that repeats a navigation with changes sends `same-origin`.
            None | Some(b"same-origin") => {
                matches!(*method, Method::GET | Method::HEAD | Method::POST)
                    && accepts_html(headers)
            }
            Some(_) => false,
        };
        if navigates { Self::Page } else { Self::Fetch }
    }
}

/// Returns whether `Accept` contains `text/html`. Ignores bytes that are not text, because
/// extensions and proxies may change this header.
fn accepts_html(headers: &HeaderMap) -> bool {
    const HTML: &[u8] = b"text/html";
    headers.get_all(ACCEPT).iter().any(|accept| {
        let mut windows = accept.as_bytes().windows(HTML.len());
        windows.any(|window| window.eq_ignore_ascii_case(HTML))
    })
}
