//! The console: a page at `/` for whoever sits at a desk, with people, cases, what was asked and
//! what was delivered, and buttons for what a test does in code. Works without scripts.
//!
//! It is there only where [`MockIssuerBuilder::console`](super::MockIssuerBuilder::console) has
//! switched it on, only under a name of this machine or the public origin (whoever rebinds a name of
//! theirs sees nothing), and it acts only on what its own page sends.

mod act;
mod page;
mod table;

use std::sync::Arc;

use axum::http::{
    HeaderMap, Method, StatusCode,
    header::{ALLOW, HOST, ORIGIN},
};
use url::Url;

use crate::mock::{
    core::Core,
    here::is_here,
    html::{self, Text},
    http::{answer::Answer, params::Params},
};

/// What the console answers, if this is an address of its own.
pub(super) fn console(
    core: &Arc<Core>,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    form: &Params,
) -> Option<Answer> {
    if !core.has_console || path != "/" {
        return None;
    }
    let Some(own) = own_origin(core, headers) else {
        let why = "It is open under a name of this machine alone";
        return Some(refused(StatusCode::FORBIDDEN, why));
    };
    Some(match *method {
        Method::GET | Method::HEAD => page::page(core),
        Method::POST if is_its_own(headers, &own) => act::act(core, form),
        Method::POST => refused(StatusCode::FORBIDDEN, "This was not sent from its own page"),
        _ => refused(StatusCode::METHOD_NOT_ALLOWED, "It answers GET and POST")
            .with(ALLOW, "GET, POST"),
    })
}

/// Under which origin the console was asked for, if that is one of its own.
fn own_origin(core: &Core, headers: &HeaderMap) -> Option<String> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let public = Url::parse(&core.origin).ok()?;
    let asked = Url::parse(&format!("{}://{host}", public.scheme())).ok()?;
    (is_here(&asked) || asked.origin() == public.origin())
        .then(|| asked.origin().ascii_serialization())
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
