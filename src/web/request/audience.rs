//! Whether a person or a program receives a response.

use http::{HeaderMap, HeaderValue, Method, header::ACCEPT};

/// Recipient of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Audience {
    /// A person, whose browser shows the response as a page.
    Page,
    /// A program: a `fetch` of the page's script, or no browser at all.
    Fetch,
}

impl Audience {
    /// Tells the recipient by `Sec-Fetch-Mode`, or by `Accept` where that header is missing or does
    /// not decide.
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

/// Whether `Accept` names `text/html`. Extensions and proxies write into this header, so any bytes
/// may stand beside it.
fn accepts_html(headers: &HeaderMap) -> bool {
    const HTML: &[u8] = b"text/html";
    headers.get_all(ACCEPT).iter().any(|accept| {
        let mut windows = accept.as_bytes().windows(HTML.len());
        windows.any(|window| window.eq_ignore_ascii_case(HTML))
    })
}
