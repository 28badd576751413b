//! Who may ask: programs on this machine and pages of the mock itself, no page of another site.
//!
//! The admin API has no password, so what protects it is where it listens. A web page that somebody
//! has open beside it reaches loopback too: under a name of its own that it points there (DNS
//! rebinding), which shows in `Host`, or across sites (CSRF), which browsers say in `Origin` and
//! `Sec-Fetch-Site`.

use axum::http::{
    HeaderMap, HeaderName, StatusCode,
    header::{HOST, ORIGIN},
};
use url::Url;

use super::no::No;
use crate::mock::{core::Core, here::is_here};

pub(super) fn check(core: &Core, headers: &HeaderMap) -> Result<(), No> {
    let forbid = |error, message| Err(No::new(StatusCode::FORBIDDEN, error, message));
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next().map(|host| host.to_str()), hosts.next()) {
        (Some(Ok(host)), None) if is_own(core, host) => host,
        _ => {
            let why = "the admin API is reached by a loopback address, `localhost` or the host of \
                       the public URL alone";
            return forbid("foreign_host", why);
        }
    };
    let origins = headers.get_all(ORIGIN).iter();
    let is_foreign = |origin: &str| {
        ["http://", "https://"]
            .iter()
            .all(|scheme| origin.strip_prefix(scheme) != Some(host))
    };
    let mut origins = origins.map(|origin| origin.to_str().unwrap_or_default());
    let site = headers.get(HeaderName::from_static("sec-fetch-site"));
    let is_cross = site.is_some_and(|site| !["same-origin", "none"].iter().any(|it| site == it));
    if origins.any(is_foreign) || is_cross {
        let why = "no page of another site drives the admin API";
        return forbid("foreign_origin", why);
    }
    Ok(())
}

/// Whatever the port: it may be another one in front.
fn is_own(core: &Core, host: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{host}/")) else {
        return false;
    };
    if url.path() != "/" || !url.username().is_empty() || url.password().is_some() {
        return false;
    }
    let public = Url::parse(&core.origin).ok();
    let is_public = || public.is_some_and(|public| public.host() == url.host());
    is_here(&url) || (url.has_host() && is_public())
}
