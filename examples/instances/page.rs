//! The pages of the example.

use kycport::{Clock as _, SignedIn, SystemClock, Timestamp, web::SessionSummary};

use crate::Number;

pub(crate) fn signed_out(number: Number) -> String {
    page(
        number,
        "<h1>Acme Bank</h1><p><a id=\"sign-in\" href=\"/auth/login\">Sign in with KYCPort</a></p>",
    )
}

pub(crate) fn devices(number: Number, person: &SignedIn, sessions: &[SessionSummary]) -> String {
    let rows: String = sessions.iter().map(|it| row(person, it)).collect();
    page(
        number,
        &format!(
            "<h1>Your devices</h1><table>{rows}</table>\
             <form method=\"post\" action=\"/auth/logout\"><button>Sign out here</button>\
             <button id=\"everywhere\" name=\"everywhere\" value=\"1\">Sign out everywhere</button></form>"
        ),
    )
}

/// An id consists of letters, digits, `-` and `_`: it needs no escaping.
fn row(person: &SignedIn, session: &SessionSummary) -> String {
    let id = session.id;
    let is_this = id == person.session_id();
    let what = if is_this {
        "this one".to_owned()
    } else {
        format!(
            "<form method=\"post\" action=\"/end\">\
             <button class=\"end\" name=\"id\" value=\"{id}\">End it</button></form>"
        )
    };
    let (created, used) = (ago(session.created_at), ago(session.last_used));
    format!("<tr><td>signed in {created}</td><td>last used {used}</td><td>{what}</td></tr>")
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
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Acme Bank</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <body style=\"font: 1rem/1.5 system-ui; max-width: 42rem; margin: 3rem auto; padding: 0 1rem\">\
         {body}<p><small>Answered by instance {number}.</small></p></body></html>"
    )
}
