//! A small browser for tests, which supports redirects and cookies but no scripts.

mod jar;
mod page;
mod sign_in;
mod visit;

use std::{
    fmt::{self, Debug},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use http::Method;
use reqwest::{Certificate, ClientBuilder};
use url::Url;

use self::jar::Jar;
use crate::{
    clock::{Clock, SystemClock},
    mock::core::lock,
};

pub use page::Page;
pub use visit::Visit;

/// A browser for tests.
///
/// The browser follows redirects itself and keeps a cookie jar for each host and port. Like
/// Chromium, the browser sends `Sec-Fetch-*` headers with every request and `Origin` with POST
/// requests. The browser treats another host or port as another site, because the tenant and
/// KYCPort are two sites in production.
///
/// Cookies follow Chromium's rules:
/// - The browser stores and sends `Secure` cookies for loopback hosts over plain HTTP.
/// - `__Host-` and `__Secure-` cookies need the attributes that their prefix requires.
/// - The browser enforces `SameSite`.
///
/// The browser resolves a relative URL against the URL of the current page. A clone is a separate
/// browser with a copy of the cookies.
pub struct Browser {
    plain: reqwest::Client,
    /// HTTP client. The browser creates the client on first use, because it reads the system's
    /// certificates slowly.
    tls: OnceLock<reqwest::Client>,
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Default)]
struct State {
    jar: Jar,
    /// The URL of the current page.
    current: Option<Url>,
}

/// Error for a failed request of the browser.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrowserError {
    /// The URL is invalid, or the URL is relative and no page is open.
    #[error("{0:?} is not a URL that this browser can open")]
    InvalidUrl(String),
    /// The browser could not connect to the server, or the connection ended early.
    #[error("no response: {0}")]
    Network(#[from] reqwest::Error),
    /// The server sent more than 20 redirects in a row.
    #[error("too many redirects: {0:?}")]
    TooManyRedirects(Vec<String>),
    /// The test followed a redirect, but the response is not a redirect.
    #[error("not a redirect: {0}")]
    NotARedirect(String),
    /// The login did not redirect to the sign-in page of the mock.
    #[error("the login led to {0} and not to the sign-in page of the mock")]
    NoAuthorizePage(String),
}

impl Browser {
    /// Creates a browser with an empty cookie jar and the system clock.
    pub fn new() -> Self {
        Self::with_clock(SystemClock::new())
    }

    /// Creates a browser with an empty cookie jar. `clock` decides when cookies expire.
    pub fn with_clock(clock: impl Clock) -> Self {
        Self {
            plain: client(|builder| builder.tls_certs_only([])),
            tls: OnceLock::new(),
            state: Mutex::default(),
            clock: Arc::new(clock),
        }
    }

    /// Trusts only the certificate authorities in this PEM text. The browser then ignores the
    /// certificate authorities of the system. If the text is invalid, the browser trusts no
    /// certificate authority.
    #[must_use]
    pub fn trust_only(mut self, roots_pem: &str) -> Self {
        let roots = Certificate::from_pem_bundle(roots_pem.as_bytes()).unwrap_or_default();
        self.tls = client(|builder| builder.tls_certs_only(roots)).into();
        self
    }

    /// Opens a URL as if a person typed the URL, and follows every redirect.
    ///
    /// # Errors
    /// [`BrowserError`] if there is no final response. A response with an error status is not an
    /// error.
    pub async fn get(&self, url: impl AsRef<str>) -> Result<Page, BrowserError> {
        self.request(Method::GET, url).send().await
    }

    /// Opens a URL as if a person typed the URL, and returns the first response. The browser
    /// follows no redirect.
    ///
    /// # Errors
    /// [`BrowserError`] if there is no response.
    pub async fn open(&self, url: impl AsRef<str>) -> Result<Page, BrowserError> {
        self.request(Method::GET, url).stay().send().await
    }

    /// Follows one redirect, from `page` to its `Location`.
    ///
    /// # Errors
    /// [`BrowserError::NotARedirect`] if `page` is not a redirect.
    pub async fn follow(&self, page: &Page) -> Result<Page, BrowserError> {
        let to = page
            .location()
            .ok_or_else(|| BrowserError::NotARedirect(page.summary()))?;
        self.request(Method::GET, to)
            .from(page.url())
            .stay()
            .send()
            .await
    }

    /// Sends a request as a script of the current page does. The request asks for JSON and has the
    /// page's own origin.
    ///
    /// # Errors
    /// [`BrowserError`] if there is no response.
    pub async fn fetch(&self, url: impl AsRef<str>) -> Result<Page, BrowserError> {
        self.request(Method::GET, url).fetch().send().await
    }

    /// Posts a form of the current page and follows redirects.
    ///
    /// # Errors
    /// [`BrowserError`] if there is no response.
    pub async fn post_form(
        &self,
        url: impl AsRef<str>,
        fields: &[(&str, &str)],
    ) -> Result<Page, BrowserError> {
        self.request(Method::POST, url).form(fields).send().await
    }

    /// Starts a request with any method, headers and body.
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> Visit<'_> {
        Visit::new(self, method, url.as_ref())
    }

    /// Returns the URL of the current page.
    pub fn current_url(&self) -> Option<Url> {
        lock(&self.state).current.clone()
    }

    /// Returns the names and values of the cookies that the browser would send to this URL.
    pub fn cookies(&self, url: impl AsRef<str>) -> Vec<(String, String)> {
        let Ok(url) = self.resolve(url.as_ref()) else {
            return Vec::new();
        };
        lock(&self.state).jar.cookies(&url, self.clock.now(), None)
    }

    /// Returns the value of a cookie that the browser would send to this URL.
    pub fn cookie(&self, url: impl AsRef<str>, name: &str) -> Option<String> {
        let mut cookies = self.cookies(url).into_iter();
        cookies.find_map(|(n, value)| (n == name).then_some(value))
    }

    /// Stores a cookie for this URL, like a `Set-Cookie` header in a response of this URL. For
    /// example: `set_cookie(url, "name=value; Path=/")`. The browser accepts any attributes and
    /// checks no cookie rules.
    pub fn set_cookie(&self, url: impl AsRef<str>, cookie: &str) {
        if let Ok(url) = self.resolve(url.as_ref()) {
            lock(&self.state)
                .jar
                .store_unchecked(&url, cookie, self.clock.now());
        }
    }

    /// Removes the cookies with this name for all hosts.
    pub fn remove_cookie(&self, name: &str) {
        lock(&self.state).jar.remove(name);
    }

    /// Removes every cookie from the jar.
    pub fn clear_cookies(&self) {
        lock(&self.state).jar = Jar::default();
    }

    fn client(&self, url: &Url) -> &reqwest::Client {
        if url.scheme() == "https" {
            self.tls.get_or_init(|| client(|builder| builder))
        } else {
            &self.plain
        }
    }

    fn resolve(&self, url: &str) -> Result<Url, BrowserError> {
        match self.current_url() {
            Some(base) => base.join(url),
            None => Url::parse(url),
        }
        .map_err(|_| BrowserError::InvalidUrl(url.to_owned()))
    }
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Browser {
    fn clone(&self) -> Self {
        Self {
            plain: self.plain.clone(),
            tls: self.tls.clone(),
            state: Mutex::new(lock(&self.state).clone()),
            clock: Arc::clone(&self.clock),
        }
    }
}

/// The `Debug` output contains no cookie.
impl Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.current_url();
        f.debug_struct("Browser")
            .field("at", &current.as_ref().map(Url::path))
            .finish_non_exhaustive()
    }
}

fn client(trust: impl FnOnce(ClientBuilder) -> ClientBuilder) -> reqwest::Client {
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        // The client opens a new connection for each request. The client therefore does not reuse a
        // connection to a stopped server.
        .pool_max_idle_per_host(0)
        .timeout(REQUEST_TIMEOUT);
    // `build` returns an error only for options that this function does not set.
    trust(builder).build().unwrap_or_default()
}

/// Maximum time for a request. The maximum is longer than every timeout of the SDK. A test
/// therefore observes the timeout of the SDK.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
