//! Layout of all pages, and the error pages.

use std::fmt::{self, Display, Write as _};

use axum::http::{
    HeaderName, StatusCode,
    header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use crate::mock::{
    http::answer::{Answer, Refusal},
    records::person::PersonRecord,
};

/// Text whose `Display` output is escaped for an HTML element or a quoted attribute.
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// Creates a page without scripts and without external resources. Response headers forbid browsers
/// to frame the page or to cache it.
pub(super) fn page(status: StatusCode, title: &str, main: &str) -> Answer {
    framed(status, title, "", main)
}

/// Creates a page like [`page`], but as wide as the browser window.
pub(super) fn wide_page(status: StatusCode, title: &str, main: &str) -> Answer {
    framed(status, title, " class=\"wide\"", main)
}

fn framed(status: StatusCode, title: &str, class: &str, main: &str) -> Answer {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} · mock KYCPort</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <style>{CSS}</style>\n</head>\n<body>\n\
         <header class=\"mock\"><strong>Mock KYCPort.</strong> \
         This is a test system. All persons and verifications are fictitious.</header>\n\
         <main{class}>\n{main}</main>\n</body>\n</html>\n",
        title = Text(title),
    );
    // The policy has no `form-action`, because Chromium also applies `form-action` to the redirect
    // to the client.
    let style = STANDARD.encode(Sha256::digest(CSS.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    Answer::new(status, "text/html; charset=utf-8", html)
        .no_store()
        .with(CONTENT_SECURITY_POLICY, &policy)
        // With `no-referrer`, browsers would send `Origin: null` when they submit the page's own
        // forms.
        .with(REFERRER_POLICY, "same-origin")
        .with(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .with(X_FRAME_OPTIONS, "DENY")
        .with(
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        )
}

/// Renders a person's name, email address, status and tier.
pub(super) fn card(person: &PersonRecord) -> String {
    let status = person.status.as_str();
    let class = match status {
        "verified" | "rejected" => status,
        _ => "",
    };
    format!(
        "<span class=\"who\"><span class=\"name\">{name}</span>\
         <span class=\"mail\">{email}</span></span><span class=\"badges\">\
         <span class=\"badge {class}\">{status}</span><span class=\"badge tier\">{tier}</span>\
         </span>",
        name = Text(&person.name),
        email = Text(&person.email),
        status = Text(status),
        tier = Text(person.tier.as_str()),
    )
}

/// Renders the address to which the browser returns.
pub(super) fn way_back(uri: &str) -> String {
    format!(
        "<p class=\"hint back\">You will return to <code>{}</code>.</p>\n",
        Text(uri)
    )
}

/// Creates the 400 page with the error, its reason and the row of the contract (K14).
pub(super) fn refusal(refusal: Refusal) -> Answer {
    let main = format!(
        "<h1>This request is invalid</h1>\n<p>{reason}.</p>\n\
         <dl><dt>Error</dt><dd><code>{error}</code></dd>\
         <dt>Contract</dt><dd><code>{row}</code></dd></dl>\n\
         <p class=\"hint\">The app that sent you here must correct its request. You were not sent \
         back, because the return address may not belong to the app.</p>\n",
        reason = prose(&refusal.reason),
        error = Text(refusal.error),
        row = Text(refusal.row),
    );
    let mut answer = page(StatusCode::BAD_REQUEST, "Invalid request", &main);
    answer.refusal = Some(refusal);
    answer
}

/// Creates the 404 page. The issuer accepts only exact paths (K4).
pub(super) fn not_found(path: &str) -> Answer {
    let main = format!(
        "<h1>Page not found</h1>\n<p>This issuer has no path <code>{}</code>. \
         The discovery document lists its endpoints. Paths under <code>/api/</code> end with a \
         slash.</p>\n",
        Text(path)
    );
    let mut answer = page(StatusCode::NOT_FOUND, "Not found", &main);
    let why = "unknown path; API paths end with a slash";
    answer.refusal = Some(Refusal::new("not_found", "K4", why));
    answer
}

/// Renders a sentence as HTML. The text between two backticks becomes a `code` element.
fn prose(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    let text = first.unwrap_or_default() + letters.as_str();
    let mut html = String::new();
    for (place, piece) in text.split('`').enumerate() {
        let is_code = place & 1 == 1;
        let (open, close) = if is_code {
            ("<code>", "</code>")
        } else {
            ("", "")
        };
        let _ = write!(html, "{open}{}{close}", Text(piece));
    }
    html
}

const CSS: &str = include_str!("page.css");
