//! Access to the admin API: programs on this machine and holders of the token, but no page of another
//! site.
//!
//! A web page in a browser on this machine reaches loopback, too: under a host name that points there
//! (DNS rebinding), which `Host` shows, or across sites (CSRF), which browsers state in `Origin` and
//! `Sec-Fetch-Site`.

use std::net::IpAddr;

use axum::http::{
    HeaderMap, HeaderName, StatusCode,
    header::{HOST, ORIGIN},
};

use super::no::No;
use crate::mock::core::Core;

pub(super) fn check(core: &Core, peer: IpAddr, headers: &HeaderMap) -> Result<(), No> {
    let forbid = |error, message| Err(No::new(StatusCode::FORBIDDEN, error, message));
    if !core.access.admits(&core.origin, peer, headers) {
        let why = "without the admin token, the admin API answers only programs on this machine, \
                   under a loopback host, of a mock whose origin is one: send `Authorization: \
                   Bearer` and the token that the mock printed at its start";
        return forbid("foreign_host", why);
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let is_foreign = |origin: &str| {
        ["http://", "https://"]
            .iter()
            .all(|scheme| origin.strip_prefix(scheme) != host)
    };
    let origins = headers.get_all(ORIGIN).iter();
    let mut origins = origins.map(|origin| origin.to_str().unwrap_or_default());
    let site = headers.get(HeaderName::from_static("sec-fetch-site"));
    let is_cross = site.is_some_and(|site| !["same-origin", "none"].iter().any(|it| site == it));
    if origins.any(is_foreign) || is_cross {
        let why = "no page of another site drives the admin API";
        return forbid("foreign_origin", why);
    }
    Ok(())
}
