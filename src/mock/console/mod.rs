//! The console: a page at `/` for whoever sits at a desk, with people, cases, what was asked and
//! what was delivered, and buttons for what a test does in code. Works without scripts.
//!
//! It is there only where [`MockIssuerBuilder::console`](super::MockIssuerBuilder::console) has
//! switched it on, and answers only browsers on this machine or with the admin token, which also
//! stops DNS rebinding. It acts only on forms of its own page.

mod act;
mod page;
mod table;

use std::{net::IpAddr, sync::Arc};

use axum::http::{
    HeaderMap, Method, StatusCode,
    header::{ALLOW, HOST, ORIGIN},
};
use url::Url;

use crate::mock::{
    core::Core,
    html::{self, Text},
    http::{answer::Answer, params::Params},
};

/// What the console answers, if this is an address of its own.
pub(super) fn console(
    core: &Arc<Core>,
    peer: IpAddr,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    form: &Params,
) -> Option<Answer> {
    if !core.access.has_console || path != "/" {
        return None;
    }
    if !core.access.admits(&core.origin, peer, headers) {
        let why = "From another machine or under another name, it asks for the admin token as \
                   password";
        // The user name is anything.
        let challenge = "Basic realm=\"kycport-mock\", charset=\"UTF-8\"";
        return Some(refused(StatusCode::UNAUTHORIZED, why).challenge(challenge));
    }
    let Some(own) = own_origin(core, headers) else {
        return Some(refused(StatusCode::BAD_REQUEST, "`Host` is no host"));
    };
    Some(match *method {
        Method::GET | Method::HEAD => page::page(core),
        Method::POST if is_its_own(headers, &own) => act::act(core, form),
        Method::POST => refused(StatusCode::FORBIDDEN, "This was not sent from its own page"),
        _ => refused(StatusCode::METHOD_NOT_ALLOWED, "It answers GET and POST")
            .with(ALLOW, "GET, POST"),
    })
}

/// Origin under which the console was asked for.
fn own_origin(core: &Core, headers: &HeaderMap) -> Option<String> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let public = Url::parse(&core.origin).ok()?;
    let asked = Url::parse(&format!("{}://{host}", public.scheme())).ok()?;
    Some(asked.origin().ascii_serialization())
}

/// Whether the console's own page sent the form. Browsers send the origin of the page in `Origin`,
/// or `null` if a policy hides it (Fetch, "append a request `Origin` header"). `Sec-Fetch-Site` is
/// `cross-site` for a sandboxed frame, and no page can forge it.
fn is_its_own(headers: &HeaderMap, own: &str) -> bool {
    let is_same_origin = headers.get("sec-fetch-site").map(|it| it == "same-origin");
    headers.get(ORIGIN).is_some_and(|origin| {
        (origin == own && is_same_origin != Some(false))
            || (origin == "null" && is_same_origin == Some(true))
    })
}

fn refused(status: StatusCode, why: &str) -> Answer {
    let main = format!(
        "<h1>The console does not do that</h1>\n<p>{}.</p>\n",
        Text(why)
    );
    html::page(status, "Refused", &main)
}
