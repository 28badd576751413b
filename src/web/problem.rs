//! What a person or a program is told when something does not go on: what happened, and what to do
//! next. Pages for navigations, problem JSON (RFC 9457) for everything else.

use std::time::Duration;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER},
};

use super::{headers, page, random, settings::Settings};

/// Who is asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// A person, whose browser shows what is answered.
    Page,
    /// A program: a `fetch` of the page's script, or no browser at all.
    Fetch,
}

impl Audience {
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let mode = headers.get("sec-fetch-mode").map(HeaderValue::as_bytes);
        let navigates = match mode {
            Some(mode) => mode == b"navigate",
            None => {
                matches!(*method, Method::GET | Method::HEAD | Method::POST)
                    && headers
                        .get(ACCEPT)
                        .and_then(|accept| accept.to_str().ok())
                        .is_some_and(|accept| accept.contains("text/html"))
            }
        };
        if navigates { Self::Page } else { Self::Fetch }
    }
}

/// One way in which something does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// Nobody is signed in.
    SignedOut,
    /// An unsafe request from another site.
    CrossSite,
    /// The session store does not work.
    StoreUnavailable,
    /// KYCPort cannot be asked.
    IssuerUnavailable { retry_after: Option<Duration> },
    /// The browser asked for the login ahead of the person.
    Prefetch,
    /// The callback's query is no authorization response.
    MalformedCallback,
    /// The login is not known.
    UnknownLogin,
    /// The login came back too late.
    ExpiredLogin,
    /// The login came back to another browser than it left from.
    OtherBrowser,
    /// The login has been finished before.
    FinishedLogin,
    /// The person, or KYCPort for them, declined.
    Declined,
    /// KYCPort answered the login with an error.
    IssuerRefused,
    /// What KYCPort answered is not believed.
    IssuerNotBelieved,
}

struct Text {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: &'static str,
    /// Whether signing in (again) is what to do next.
    sign_in: bool,
}

impl Problem {
    /// Answers, and says so in the log. `reference` is on both sides.
    pub(super) fn answer(self, audience: Audience, settings: &Settings) -> Response {
        let text = self.text();
        let reference = random::reference();
        if text.status.is_server_error() {
            tracing::error!(code = text.code, reference, "a request could not be served");
        } else {
            tracing::info!(code = text.code, reference, "a request was refused");
        }
        let login = settings.login_path();
        let mut response = match audience {
            Audience::Page => page::problem(
                text.status,
                text.title,
                text.detail,
                text.sign_in.then_some(login.as_str()),
                &reference,
            ),
            Audience::Fetch => {
                let mut body = serde_json::json!({
                    "type": "about:blank",
                    "title": text.title,
                    "status": text.status.as_u16(),
                    "detail": text.detail,
                    "code": text.code,
                    "reference": reference,
                });
                if text.sign_in
                    && let Some(body) = body.as_object_mut()
                {
                    body.insert("login_url".to_owned(), login.into());
                }
                let mut response = (text.status, Body::from(body.to_string())).into_response();
                response.headers_mut().insert(
                    CONTENT_TYPE,
                    HeaderValue::from_static("application/problem+json"),
                );
                response
            }
        };
        if let Some(seconds) = self.retry_after() {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        headers::keep_private(response.headers_mut());
        response
    }

    fn retry_after(self) -> Option<u64> {
        match self {
            Self::StoreUnavailable => Some(1),
            Self::IssuerUnavailable { retry_after } => {
                Some(retry_after.map_or(5, |after| after.as_secs().max(1)))
            }
            _ => None,
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table")]
    fn text(self) -> Text {
        let text = |status, code, title, detail, sign_in| Text {
            status,
            code,
            title,
            detail,
            sign_in,
        };
        match self {
            Self::SignedOut => text(
                StatusCode::UNAUTHORIZED,
                "signed_out",
                "You are not signed in",
                "Sign in and try again.",
                true,
            ),
            Self::CrossSite => text(
                StatusCode::FORBIDDEN,
                "cross_site",
                "This request came from another site",
                "Go to the page itself and try again there.",
                false,
            ),
            Self::StoreUnavailable => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "store_unavailable",
                "Sign-in is not available for the moment",
                "Nothing is lost. Try again in a moment.",
                false,
            ),
            Self::IssuerUnavailable { .. } => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "issuer_unavailable",
                "KYCPort cannot be reached for the moment",
                "Nothing is lost. Try again in a moment.",
                true,
            ),
            Self::Prefetch => text(
                StatusCode::FORBIDDEN,
                "prefetch",
                "Signing in is not fetched ahead",
                "Follow the link to sign in.",
                true,
            ),
            Self::MalformedCallback => text(
                StatusCode::BAD_REQUEST,
                "malformed_callback",
                "This is not an answer from KYCPort",
                "Sign in from the start.",
                true,
            ),
            Self::UnknownLogin => text(
                StatusCode::BAD_REQUEST,
                "unknown_login",
                "This sign-in is not known here",
                "It may have been started too long ago. Sign in from the start.",
                true,
            ),
            Self::ExpiredLogin => text(
                StatusCode::BAD_REQUEST,
                "expired_login",
                "This sign-in took too long",
                "Sign in from the start.",
                true,
            ),
            Self::OtherBrowser => text(
                StatusCode::BAD_REQUEST,
                "other_browser",
                "This sign-in was started in another browser",
                "Finish it there, or sign in from the start here. If it was here, allow this \
                 site's cookies.",
                true,
            ),
            Self::FinishedLogin => text(
                StatusCode::BAD_REQUEST,
                "finished_login",
                "This sign-in has been used already",
                "Sign in from the start if you are not signed in.",
                true,
            ),
            Self::Declined => text(
                StatusCode::FORBIDDEN,
                "declined",
                "You did not sign in",
                "KYCPort has told us nothing about you. You can sign in whenever you like.",
                true,
            ),
            Self::IssuerRefused => text(
                StatusCode::BAD_GATEWAY,
                "issuer_refused",
                "KYCPort could not sign you in",
                "Sign in from the start. If it happens again, tell us the reference below.",
                true,
            ),
            Self::IssuerNotBelieved => text(
                StatusCode::BAD_GATEWAY,
                "issuer_not_believed",
                "The answer from KYCPort could not be verified",
                "You are not signed in. Sign in from the start. If it happens again, tell us the \
                 reference below.",
                true,
            ),
        }
    }
}
