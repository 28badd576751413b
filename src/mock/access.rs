//! Access control of the admin API and the console.
//!
//! A client on this machine needs no token if its IP address, the host in its `Host` header and the
//! mock's origin are all loopback. Every other client must send the admin token.

use std::net::IpAddr;

use axum::http::{HeaderMap, header::HOST};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::{http::bearer::credentials, loopback::is_loopback};

/// Settings of the admin API and the console, including the admin token.
pub(super) struct Access {
    /// Whether the mock serves the console at `/`.
    pub(super) has_console: bool,
    /// Whether the admin API may subscribe webhook endpoints on other machines.
    pub(super) webhooks_anywhere: bool,
    pub(super) token: String,
}

impl Access {
    /// Returns whether the request may use the admin API and the console. `origin` is the origin of
    /// the mock.
    pub(super) fn admits(&self, origin: &str, peer: IpAddr, headers: &HeaderMap) -> bool {
        is_local(origin, peer, headers) || self.has_token(headers)
    }

    /// Returns whether the request carries the admin token, as a Bearer token or as the password of
    /// Basic authentication.
    fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some((scheme, sent)) = credentials(headers) else {
            return false;
        };
        let sent = if scheme.eq_ignore_ascii_case("bearer") {
            sent.as_bytes().to_vec()
        } else if scheme.eq_ignore_ascii_case("basic") {
            let pair = STANDARD.decode(sent).unwrap_or_default();
            let colon = pair.iter().position(|byte| *byte == b':');
            let password = colon.and_then(|at| pair.get(at.saturating_add(1)..));
            password.unwrap_or_default().to_vec()
        } else {
            return false;
        };
        sent.ct_eq(self.token.as_bytes()).into()
    }
}

/// Returns whether the request comes from a loopback address, with a loopback host in the `Host`
/// header.
fn is_local(origin: &str, peer: IpAddr, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let is_loopback_origin =
        |url: &str| Url::parse(url).is_ok_and(|url| is_loopback(&url) && is_bare(&url));
    let names_this_machine = match (hosts.next().map(|host| host.to_str()), hosts.next()) {
        (Some(Ok(host)), None) => is_loopback_origin(&format!("http://{host}/")),
        _ => false,
    };
    // Behind a proxy on this machine, every peer address is loopback. Therefore `is_local` also
    // checks the mock's origin.
    peer.to_canonical().is_loopback() && names_this_machine && is_loopback_origin(origin)
}

fn is_bare(url: &Url) -> bool {
    url.path() == "/" && url.username().is_empty() && url.password().is_none()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::http::{HeaderMap, HeaderValue, header::HOST};

    use super::is_local;

    #[test]
    fn a_loopback_host_from_another_address_is_rejected() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost:9710"));
        let own = "http://127.0.0.1:9710";
        let is_admitted = |peer: &str| is_local(own, peer.parse::<IpAddr>().unwrap(), &headers);
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_admitted(own), "{own}");
        }
        for other in ["192.0.2.7", "10.0.0.1", "::ffff:192.0.2.7", "fe80::1"] {
            assert!(!is_admitted(other), "{other}");
        }
    }
}
