//! A small browser for tests: real redirects, real cookies, no scripts.

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
/// It follows redirects itself, keeps a cookie jar for each host and port, and sends the headers
/// that Chromium sends: `Sec-Fetch-*` always, `Origin` on posts. Another host or port counts as
/// another site, as the tenant and KYCPort are in production. Cookies follow Chromium's rules as
/// far as a login meets them: `Secure` ones are kept and sent on plain-http loopback, `__Host-`
/// and `__Secure-` names must keep their promises, `SameSite` is honoured.
///
/// A relative address is taken from the page it shows. A clone is another browser, with a copy of
/// the cookies.
pub struct Browser {
    plain: reqwest::Client,
    /// Made when it is needed: reading the system's certificates takes its time.
    tls: OnceLock<reqwest::Client>,
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Default)]
struct State {
    jar: Jar,
    /// The page it shows.
    current: Option<Url>,
}

/// Why a browser did not get where it was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrowserError {
    /// Not an address, or a relative one before any page was shown.
    #[error("{0:?} is not an address that this browser can go to")]
    Address(String),
    /// The server could not be reached, or broke off.
    #[error("no answer: {0}")]
    Network(#[from] reqwest::Error),
    /// More than 20 redirects in a row.
    #[error("redirected in circles: {0:?}")]
    Circles(Vec<String>),
    /// An answer that was to be a redirect is none.
    #[error("{0} is no redirect")]
    NoRedirect(String),
    /// The login did not lead to the authorize page.
    #[error("the login did not lead to the authorize page, but to {0}")]
    NoAuthorizePage(String),
}

impl Browser {
    /// A browser with an empty jar, on the system's clock.
    pub fn new() -> Self {
        Self::with_clock(SystemClock::new())
    }

    /// A browser with an empty jar whose cookies age by this clock.
    pub fn with_clock(clock: impl Clock) -> Self {
        Self {
            plain: client(|builder| builder.tls_certs_only([])),
            tls: OnceLock::new(),
            state: Mutex::default(),
            clock: Arc::new(clock),
        }
    }

    /// Believes the certificate authorities of this PEM text, and none of the machine's. A text
    /// that cannot be read leaves none to believe.
    #[must_use]
    pub fn trust_only(mut self, roots_pem: &str) -> Self {
        let roots = Certificate::from_pem_bundle(roots_pem.as_bytes()).unwrap_or_default();
        self.tls = client(|builder| builder.tls_certs_only(roots)).into();
        self
    }

    /// Types an address and follows every redirect.
    ///
    /// # Errors
    /// [`BrowserError`] if there is no answer in the end; an error status is an answer.
    pub async fn get(&self, url: impl AsRef<str>) -> Result<Page, BrowserError> {
        self.request(Method::GET, url).send().await
    }

    /// Types an address and stops at the first answer, redirect or not.
    ///
    /// # Errors
    /// [`BrowserError`] if there is no answer.
    pub async fn open(&self, url: impl AsRef<str>) -> Result<Page, BrowserError> {
        self.request(Method::GET, url).stay().send().await
    }

    /// Follows the redirect that `page` is, one step.
    ///
    /// # Errors
    /// [`BrowserError::NoRedirect`] if it is none.
    pub async fn follow(&self, page: &Page) -> Result<Page, BrowserError> {
        let to = page
            .location()
            .ok_or_else(|| BrowserError::NoRedirect(page.summary()))?;
        self.request(Method::GET, to)
            .from(page.url())
            .stay()
            .send()
            .await
    }

    /// Asks as a script of the page does: for JSON, from the page's own origin.
    ///
    /// # Errors
    /// [`BrowserError`] if there is no answer.
    pub async fn fetch(&self, url: impl AsRef<str>) -> Result<Page, BrowserError> {
        self.request(Method::GET, url).fetch().send().await
    }

    /// Posts a form of the page it shows, and follows.
    ///
    /// # Errors
    /// [`BrowserError`] if there is no answer.
    pub async fn post_form(
        &self,
        url: impl AsRef<str>,
        fields: &[(&str, &str)],
    ) -> Result<Page, BrowserError> {
        self.request(Method::POST, url).form(fields).send().await
    }

    /// Any other request, in detail.
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> Visit<'_> {
        Visit::new(self, method, url.as_ref())
    }

    /// The page it shows.
    pub fn current_url(&self) -> Option<Url> {
        lock(&self.state).current.clone()
    }

    /// The cookies it would send to this address, as name and value.
    pub fn cookies(&self, url: impl AsRef<str>) -> Vec<(String, String)> {
        let Ok(url) = self.resolve(url.as_ref()) else {
            return Vec::new();
        };
        lock(&self.state).jar.cookies(&url, self.clock.now(), None)
    }

    /// One cookie's value, for this address.
    pub fn cookie(&self, url: impl AsRef<str>, name: &str) -> Option<String> {
        let mut cookies = self.cookies(url).into_iter();
        cookies.find_map(|(n, value)| (n == name).then_some(value))
    }

    /// Puts a cookie into the jar as if this address had set it, with any attributes:
    /// `set_cookie(url, "name=value; Path=/")`. It obeys no rule.
    pub fn set_cookie(&self, url: impl AsRef<str>, cookie: &str) {
        if let Ok(url) = self.resolve(url.as_ref()) {
            lock(&self.state).jar.plant(&url, cookie, self.clock.now());
        }
    }

    /// Forgets one cookie everywhere.
    pub fn remove_cookie(&self, name: &str) {
        lock(&self.state).jar.remove(name);
    }

    /// Forgets every cookie.
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
        .map_err(|_| BrowserError::Address(url.to_owned()))
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

/// Shows no cookie.
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
        // A fresh connection each time: nothing is left of a server that was stopped.
        .pool_max_idle_per_host(0)
        .timeout(PATIENCE);
    // It fails only for options that are not set here.
    trust(builder).build().unwrap_or_default()
}

/// Longer than any deadline of the SDK, so that its own is the one that a test sees.
const PATIENCE: Duration = Duration::from_secs(60);
