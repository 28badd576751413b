//! HTML pages of the example.

use kycport::{Clock as _, SignedIn, SystemClock, Timestamp, web::SessionSummary};

use crate::Number;

pub(crate) const STYLE: &str = include_str!("style.css");
pub(crate) const SESSION_SCRIPT: &str = include_str!("../session.js");

pub(crate) fn signed_out(number: Number) -> String {
    page(
        number,
        "<h1>Acme Bank</h1>\
         <p>Sign in with two browsers, and end one session from the other.</p>\
         <p><a class=\"button\" id=\"sign-in\" href=\"/auth/login\">Sign in with KYCPort</a></p>",
    )
}

pub(crate) fn devices(number: Number, person: &SignedIn, sessions: &[SessionSummary]) -> String {
    let rows: String = sessions.iter().map(|it| row(person, it)).collect();
    page(
        number,
        &format!(
            "<h1>Your devices</h1><ul>{rows}</ul>\
             <form class=\"buttons\" method=\"post\" action=\"/auth/logout\">\
             <button id=\"sign-out\">Sign out here</button>\
             <button class=\"quiet\" id=\"everywhere\" name=\"everywhere\" value=\"1\">\
             Sign out everywhere</button></form><script src=\"/session.js\"></script>"
        ),
    )
}

/// Returns the HTML of one session in the list. The id of a session needs no escaping, because the
/// id contains only letters, digits, `-` and `_`.
fn row(person: &SignedIn, session: &SessionSummary) -> String {
    let id = session.id;
    let is_this = id == person.session_id();
    let what = if is_this {
        "<strong>this one</strong>".to_owned()
    } else {
        format!(
            "<form method=\"post\" action=\"/end\">\
             <button class=\"end quiet\" name=\"id\" value=\"{id}\">End it</button></form>"
        )
    };
    let (created, used) = (ago(session.created_at), ago(session.last_used));
    format!("<li><span>signed in {created}<small>last used {used}</small></span>{what}</li>")
}

fn ago(at: Timestamp) -> String {
    match SystemClock::default().now().since(at).as_secs() / 60 {
        0 => "just now".to_owned(),
        minutes => format!("{minutes} min ago"),
    }
}

fn page(number: Number, body: &str) -> String {
    let Number(number) = number;
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Acme Bank</title><link rel=\"stylesheet\" href=\"/style.css\">\
         <link rel=\"icon\" href=\"data:,\"></head>\
         <body><main>{body}<p><small>Answered by instance {number}.</small></p></main></body></html>"
    )
}
