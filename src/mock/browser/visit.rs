//! A single request of a browser, and the redirects after the request.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::{Url, form_urlencoded};

use super::{
    Browser, BrowserError, Page,
    jar::{CrossSite, site},
};
use crate::mock::core::lock;

/// Builder for a request. Call [`send`](Self::send) to send the request.
#[derive(Debug)]
#[must_use = "call `send` to send the request"]
pub struct Visit<'a> {
    browser: &'a Browser,
    method: Method,
    url: String,
    mode: Mode,
    from: Initiator,
    headers: HeaderMap,
    body: Option<(&'static str, String)>,
    follow: bool,
    history: Vec<(u16, Url)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Navigate,
    Fetch,
}

/// Initiator of a request.
#[derive(Debug, Clone)]
enum Initiator {
    /// The person who typed the URL, or a form or script of the current page.
    CurrentPage,
    /// A page with the given origin.
    Origin(String),
    /// A page with an opaque origin, such as a sandboxed frame.
    Opaque,
}

impl<'a> Visit<'a> {
    pub(super) fn new(browser: &'a Browser, method: Method, url: &str) -> Self {
        Self {
            browser,
            method,
            url: url.to_owned(),
            mode: Mode::Navigate,
            from: Initiator::CurrentPage,
            headers: HeaderMap::new(),
            body: None,
            follow: true,
            history: Vec::new(),
        }
    }

    /// Sends the request as a script does. The request asks for JSON and has `Sec-Fetch-Mode:
    /// cors`.
    pub fn fetch(mut self) -> Self {
        self.mode = Mode::Fetch;
        self
    }

    /// Sends the request from a page of another origin, such as an attacker's page.
    pub fn from(mut self, page: &Url) -> Self {
        self.from = Initiator::Origin(site(page));
        self
    }

    /// Sends the request from a page with an opaque origin: `Origin: null`.
    pub fn from_opaque(mut self) -> Self {
        self.from = Initiator::Opaque;
        self
    }

    /// Adds a header to the request. If the browser also sends a header with this name, the added
    /// header replaces the browser's header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            self.headers.append(name, value);
        }
        self
    }

    /// Sends a form as the body.
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.body = Some(("application/x-www-form-urlencoded", body));
        self
    }

    /// Sends JSON as the body.
    pub fn json(mut self, value: &serde_json::Value) -> Self {
        self.body = Some(("application/json", value.to_string()));
        self
    }

    /// Makes `send` return the first response and follow no redirect.
    pub fn stay(mut self) -> Self {
        self.follow = false;
        self
    }

    pub(super) fn with_history(mut self, page: &Page) -> Self {
        self.history.clone_from(&page.history);
        self.history.push((page.status, page.url.clone()));
        self
    }

    /// Sends the request. Follows redirects if the test did not call [`stay`](Self::stay).
    ///
    /// # Errors
    /// [`BrowserError`] if there is no final response.
    pub async fn send(mut self) -> Result<Page, BrowserError> {
        let mut url = self.browser.resolve(&self.url)?;
        let initiator = self.initiator(&url);
        let mut is_cross_site = false;
        for _ in 0..MAX_REDIRECTS {
            // A request stays cross-site after a redirect through another origin.
            is_cross_site |= initiator.as_ref().is_some_and(|by| *by != site(&url));
            let mut page = self
                .exchange(&url, initiator.as_deref(), is_cross_site)
                .await?;
            let to = page.location().filter(|_| self.follow);
            page.history.clone_from(&self.history);
            let Some(to) = to else {
                if self.mode == Mode::Navigate {
                    lock(&self.browser.state).current = Some(page.url.clone());
                }
                return Ok(page);
            };
            self.history.push((page.status, url.clone()));
            if !matches!(page.status, 307 | 308) {
                self.method = Method::GET;
                self.body = None;
            }
            url = to;
        }
        let way = self.history.iter().map(|(_, url)| url.path().to_owned());
        Err(BrowserError::TooManyRedirects(way.collect()))
    }

    /// Returns the origin that initiates the request, or `None` if the person typed the URL.
    fn initiator(&self, url: &Url) -> Option<String> {
        match &self.from {
            Initiator::Origin(origin) => Some(origin.clone()),
            Initiator::Opaque => Some("null".to_owned()),
            Initiator::CurrentPage if self.method == Method::GET && self.mode == Mode::Navigate => {
                None
            }
            Initiator::CurrentPage => {
                let current = self.browser.current_url();
                Some(site(current.as_ref().unwrap_or(url)))
            }
        }
    }

    async fn exchange(
        &self,
        url: &Url,
        initiator: Option<&str>,
        is_cross_site: bool,
    ) -> Result<Page, BrowserError> {
        let browser = self.browser;
        let safe_navigation = self.mode == Mode::Navigate && self.method == Method::GET;
        let cross_site = is_cross_site.then_some(if safe_navigation {
            CrossSite::Navigation
        } else {
            CrossSite::Other
        });
        let mut headers = self.headers.clone();
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.entry(name).or_insert(value);
            }
        };
        let (mode, dest, accept) = match self.mode {
            Mode::Navigate => ("navigate", "document", "text/html,*/*;q=0.8"),
            Mode::Fetch => ("cors", "empty", "application/json"),
        };
        set("sec-fetch-mode", mode);
        set("sec-fetch-dest", dest);
        set("accept", accept);
        if self.mode == Mode::Navigate {
            set("sec-fetch-user", "?1");
        }
        set(
            "sec-fetch-site",
            match (initiator, cross_site) {
                (None, _) => "none",
                (Some(_), None) => "same-origin",
                (Some(_), Some(_)) => "cross-site",
            },
        );
        if let Some(by) = initiator.filter(|_| self.method != Method::GET) {
            set("origin", by);
        }
        let cookies = lock(&browser.state)
            .jar
            .cookies(url, browser.clock.now(), cross_site);
        if !cookies.is_empty() {
            let pairs: Vec<_> = cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
            set("cookie", &pairs.join("; "));
        }
        let mut request = browser
            .client(url)
            .request(self.method.clone(), url.as_str());
        if let Some((content_type, body)) = &self.body {
            set("content-type", content_type);
            request = request.body(body.clone());
        }
        let answer = request.headers(headers).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        for value in headers.get_all("set-cookie") {
            if let Ok(value) = value.to_str() {
                let mut state = lock(&browser.state);
                state.jar.store(url, value, browser.clock.now());
            }
        }
        Ok(Page {
            status,
            url: url.clone(),
            headers,
            body: String::from_utf8_lossy(&answer.bytes().await?).into_owned(),
            history: Vec::new(),
        })
    }
}

/// Maximum redirects in a row, as in Chromium.
const MAX_REDIRECTS: usize = 20;
