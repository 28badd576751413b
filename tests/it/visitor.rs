//! HTTP client that exposes each request, its cookies and its response, for tests that act as a
//! browser.

use axum::http::{HeaderMap, header};
use kycport::mock::Page;
use url::{Position, Url, form_urlencoded};

/// Name of the session cookie.
pub(crate) const SESSION_COOKIE: &str = "__Host-kycport";

/// Prefix of each login cookie's name.
pub(crate) const LOGIN_COOKIES: &str = "__Host-kycport-login-";

/// Client for an app and its issuer.
#[derive(Clone)]
pub(crate) struct Visitor {
    http: reqwest::Client,
    app: String,
}

/// Response of the app.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the value that this response sets for a cookie. The value is empty if the response
    /// deletes the cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let all = self.headers.get_all(header::SET_COOKIE).iter();
        all.filter_map(|line| {
            let (own, rest) = line.to_str().ok()?.split_once('=')?;
            (own == name).then(|| rest.split(';').next().unwrap_or_default())
        })
        .next_back()
    }

    /// Returns the login cookie that this response sets, in the form that a browser sends:
    /// `name=value`.
    pub(crate) fn login_cookie(&self) -> Option<String> {
        let all = self.headers.get_all(header::SET_COOKIE).iter();
        all.filter_map(|line| {
            let pair = line.to_str().ok()?.split(';').next()?;
            let is_login = pair.starts_with(LOGIN_COOKIES) && !pair.ends_with('=');
            is_login.then(|| pair.to_owned())
        })
        .next_back()
    }

    /// Returns the names of the cookies that this response sets and of the cookies that this
    /// response deletes.
    pub(crate) fn set_and_deleted(&self) -> (Vec<String>, Vec<String>) {
        by_headers(&self.headers)
    }

    /// Returns the error code in the body of the response.
    pub(crate) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Visitor {
    /// Creates a client for the app at this origin.
    pub(crate) fn new(app: impl Into<String>) -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([])
            .no_proxy()
            .build();
        Self {
            http: client.unwrap(),
            app: app.into(),
        }
    }

    /// Sends a GET request like a script on the app's page.
    pub(crate) async fn get(&self, path: &str, cookies: &str) -> reqwest::Result<Answer> {
        let url = format!("{}{path}", self.app);
        answer(self.same_origin(self.http.get(url), cookies)).await
    }

    /// Sends a POST request like a form on the app's page.
    pub(crate) async fn post(
        &self,
        path: &str,
        cookies: &str,
        form: &[(&str, &str)],
    ) -> reqwest::Result<Answer> {
        let url = format!("{}{path}", self.app);
        let request = self.same_origin(self.http.post(url), cookies);
        answer(with_form(request, form)).await
    }

    /// Sends these bytes as a request from another site.
    pub(crate) async fn deliver(
        &self,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> reqwest::Result<Answer> {
        let url = format!("{}{path}", self.app);
        answer(self.http.post(url).headers(headers).body(body)).await
    }

    /// Consents on the authorization page, and returns the path and query of the callback. Returns
    /// `None` if the issuer does not respond or rejects the request.
    pub(crate) async fn allow(
        &self,
        authorize: &str,
        person: &str,
        verification: &str,
    ) -> Option<String> {
        let form = [
            ("person", person),
            ("decision", "allow"),
            ("verification", verification),
        ];
        let request = with_form(self.http.post(authorize), &form);
        let back = answer(request).await.ok()?;
        let to = Url::parse(back.header("location")?).ok()?;
        Some(to[Position::BeforePath..].to_owned())
    }

    fn same_origin(
        &self,
        request: reqwest::RequestBuilder,
        cookies: &str,
    ) -> reqwest::RequestBuilder {
        let request = request
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-site", "same-origin")
            .header("origin", &self.app);
        if cookies.is_empty() {
            return request;
        }
        request.header(header::COOKIE, cookies)
    }
}

/// Returns the names of the cookies that a page sets and of the cookies that the page deletes.
pub(crate) fn set_and_deleted(page: &Page) -> (Vec<String>, Vec<String>) {
    by_headers(page.headers())
}

fn by_headers(headers: &HeaderMap) -> (Vec<String>, Vec<String>) {
    let lines = headers.get_all(header::SET_COOKIE).iter();
    let (set, deleted): (Vec<_>, Vec<_>) = lines
        .map(|line| line.to_str().unwrap())
        .partition(|line| !line.contains("Max-Age=0"));
    let names = |lines: Vec<&str>| {
        let names = lines.iter().map(|line| line.split_once('=').unwrap().0);
        names.map(str::to_owned).collect()
    };
    (names(set), names(deleted))
}

/// Returns the session cookie in the form that a browser sends.
pub(crate) fn session_cookie(key: &str) -> String {
    format!("{SESSION_COOKIE}={key}")
}

fn with_form(request: reqwest::RequestBuilder, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    request
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body)
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    Ok(Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.text().await?,
    })
}
