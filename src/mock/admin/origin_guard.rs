//! Access control of the admin API. The admin API accepts requests from programs on this machine
//! and from clients with the admin token. The admin API rejects requests from web pages of other
//! origins.
//!
//! A web page in a browser on this machine can also send requests to a loopback address. The guard
//! detects DNS rebinding by the `Host` header. The guard detects cross-site requests (CSRF) by the
//! `Origin` and `Sec-Fetch-Site` headers.

use std::net::IpAddr;

use axum::http::{
    HeaderMap, HeaderName, StatusCode,
    header::{HOST, ORIGIN},
};

use super::api_error::ApiError;
use crate::mock::core::Core;

pub(super) fn check(core: &Core, peer: IpAddr, headers: &HeaderMap) -> Result<(), ApiError> {
    let forbid = |error, message| Err(ApiError::new(StatusCode::FORBIDDEN, error, message));
    if !core.access.admits(&core.origin, peer, headers) {
        let why = "the admin token is missing or wrong. It is required unless the request comes from \
                   this machine and both `Host` and the mock's origin are loopback. Send \
                   `Authorization: Bearer` with the token that the mock printed at its start";
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
        let why = "the admin API rejects requests from web pages of other origins";
        return forbid("foreign_origin", why);
    }
    Ok(())
}
