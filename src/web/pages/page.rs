//! HTML pages: no scripts and no external resources.

use std::sync::LazyLock;

use axum::response::{Html, IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
};
use sha2::{Digest as _, Sha256};

const STYLE: &str = "\
:root{color-scheme:light dark;font:1.0625rem/1.5 system-ui,sans-serif}\
body{margin:0;min-height:100vh;display:grid;place-items:center;background:#f4f5f7;color:#1c2330}\
main{box-sizing:border-box;width:min(30rem,100% - 2rem);padding:2rem;border-radius:1rem;background:#fff;box-shadow:0 1px 3px #0003}\
h1{margin:0 0 .75rem;font-size:1.375rem;line-height:1.25}\
p{margin:0 0 1rem}\
nav{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1.5rem}\
a{padding:.625rem 1rem;border-radius:.5rem;color:#1849c6;border:1px solid currentColor;text-decoration:none}\
a.first{background:#1849c6;border-color:#1849c6;color:#fff}\
a:focus-visible{outline:3px solid #f5a524;outline-offset:2px}\
small{display:block;margin-top:1.5rem;color:#5b6472}\
@media(prefers-color-scheme:dark){body{background:#11151c;color:#e6e9ef}main{background:#1b212b}\
a{color:#9db8ff}a.first{background:#9db8ff;border-color:#9db8ff;color:#11151c}small{color:#a2abba}}";

/// Content security policy: allows only the style of the page, and forbids framing.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    ))
    .ok()
});

/// Page that explains what happened and offers the next step. The page shows only text from this
/// crate, and no external input.
pub(in crate::web) struct Problem<'a> {
    pub(in crate::web) status: StatusCode,
    pub(in crate::web) title: &'static str,
    pub(in crate::web) detail: &'static str,
    /// Label and path of the next step.
    pub(in crate::web) next: Option<(&'static str, &'a str)>,
    /// Label and path of an alternative to the next step.
    pub(in crate::web) also: Option<(&'static str, &'a str)>,
    pub(in crate::web) reference: &'a str,
}

pub(in crate::web) fn problem(problem: &Problem<'_>) -> Response {
    let Problem {
        status,
        title,
        detail,
        next,
        also,
        reference,
    } = problem;
    let (home_class, next) = match next {
        Some((label, path)) => (
            "",
            format!("<a class=\"first\" href=\"{}\">{label}</a>", escape(path)),
        ),
        None => (" class=\"first\"", String::new()),
    };
    let also = also.map_or_else(String::new, |(label, path)| {
        format!("<a href=\"{}\">{label}</a>", escape(path))
    });
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><link rel=\"icon\" href=\"data:,\"><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1><p>{detail}</p>\
         <nav>{next}{also}<a{home_class} href=\"/\">Home</a></nav>\
         <small>Reference {reference}</small></main></body></html>"
    );
    let mut response = (*status, Html(html)).into_response();
    let headers = response.headers_mut();
    if let Some(policy) = &*POLICY {
        headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
