//! The console is a page at `/`. The page shows persons, cases, requests and deliveries, and has
//! buttons that control the mock. The console works without scripts.
//!
//! [`MockIssuerBuilder::console`](super::MockIssuerBuilder::console) enables the console. The
//! console accepts only browsers on this machine and browsers that send the admin token. The check
//! of the `Host` header also prevents DNS rebinding. The console accepts only forms that its own
//! page sent.

mod actions;
mod button;
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

/// Returns the response of the console. Returns `None` if the console is disabled or `path` is
/// another path.
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
        let why = "Enter the admin token as the password. The console requires the token from other \
                   machines and under other host names";
        // The console accepts any user name.
        let challenge = "Basic realm=\"kycport-mock\", charset=\"UTF-8\"";
        return Some(refused(StatusCode::UNAUTHORIZED, why).challenge(challenge));
    }
    let Some(own) = own_origin(core, headers) else {
        return Some(refused(
            StatusCode::BAD_REQUEST,
            "The `Host` header is not a valid host",
        ));
    };
    Some(match *method {
        Method::GET | Method::HEAD => page::page(core),
        Method::POST if is_own_form(headers, &own) => actions::act(core, form),
        Method::POST => refused(
            StatusCode::FORBIDDEN,
            "The form was not sent by the console's own page",
        ),
        _ => refused(
            StatusCode::METHOD_NOT_ALLOWED,
            "The console supports GET and POST",
        )
        .with(ALLOW, "GET, POST"),
    })
}

/// Returns the origin of the request's URL.
fn own_origin(core: &Core, headers: &HeaderMap) -> Option<String> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let public = Url::parse(&core.origin).ok()?;
    let asked = Url::parse(&format!("{}://{host}", public.scheme())).ok()?;
    Some(asked.origin().ascii_serialization())
}

/// Returns whether the console's own page sent the form. Browsers send the origin of the page in
/// `Origin`. If a referrer policy hides the origin, browsers send `Origin: null` (Fetch, "append a
/// request `Origin` header"). A sandboxed frame has `Sec-Fetch-Site: cross-site`, and no page can
/// forge this header.
fn is_own_form(headers: &HeaderMap, own: &str) -> bool {
    let is_same_origin = headers.get("sec-fetch-site").map(|it| it == "same-origin");
    headers.get(ORIGIN).is_some_and(|origin| {
        (origin == own && is_same_origin != Some(false))
            || (origin == "null" && is_same_origin == Some(true))
    })
}

fn refused(status: StatusCode, why: &str) -> Answer {
    let main = format!(
        "<h1>The console rejected this request</h1>\n<p>{}.</p>\n",
        Text(why)
    );
    html::page(status, "Rejected", &main)
}
