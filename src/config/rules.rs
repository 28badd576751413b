//! What each setting must be.

use url::Url;

use super::error::{ConfigError, Setting};
#[cfg(feature = "web")]
use crate::observe::LogKey;
use crate::{
    http::{Origin, Trust, is_transport_secure},
    oidc::RESERVED_PARAMETERS,
    secret::Secret,
    secrets::InvalidSecret,
};

/// The host without `www`, on which KYCPort's OAuth routes break (K3).
const BARE_HOST: &str = "kycport.com";

/// An address that may be spoken to: HTTPS, or plain HTTP to loopback; no credentials, no fragment.
pub(super) fn address(setting: Setting, text: &str) -> Result<Url, ConfigError> {
    // The parser would remove or replace these, but the text is sent and compared unchanged.
    let is_odd = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '\\';
    if text.contains(is_odd) {
        return Err(setting.refuse(
            "the URL has white space, a control character or a backslash in it",
            "Remove it; a line that ends in a newline is a frequent cause",
        ));
    }
    let url = Url::parse(text)
        .map_err(|_| setting.refuse("not an absolute URL", "Give one, like https://host/path"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(setting.refuse("the URL holds credentials", "Leave them out"));
    }
    // The parser accepts `https:host` and `https:///host`, too.
    let after_scheme = text.get(url.scheme().len()..).unwrap_or_default();
    if !after_scheme.starts_with("://") || after_scheme.starts_with(":///") {
        return Err(setting.refuse(
            "two slashes must follow the scheme, and then the host",
            "Give an absolute URL, like https://host/path",
        ));
    }
    if !is_transport_secure(&url) {
        return Err(setting.refuse(
            format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()),
            "Use https; plain http is for loopback addresses and localhost alone",
        ));
    }
    if url.fragment().is_some() {
        return Err(setting.refuse("the URL has a fragment", "Leave out what follows the #"));
    }
    if url.host_str() == Some(BARE_HOST) {
        return Err(setting.refuse(
            "the host is kycport.com",
            "Write www.kycport.com: without www, KYCPort's OAuth routes do not work",
        ));
    }
    Ok(url)
}

/// The URL below which the API lies: without `/api/v1`, which the client appends.
pub(super) fn api_base_url(setting: Setting, text: &str) -> Result<Url, ConfigError> {
    let url = address(setting, text)?;
    let path = url.path().trim_end_matches('/');
    if path.ends_with("/api") || path.ends_with("/api/v1") {
        return Err(setting.refuse(
            format!("the URL ends in {path}"),
            "Leave out /api and what follows: this crate appends /api/v1 itself",
        ));
    }
    if url.query().is_some() {
        return Err(setting.refuse("the URL has a query", "Leave it out"));
    }
    Ok(url)
}

/// An issuer identifier, kept as written: it is compared byte for byte
/// (OpenID Connect Discovery 1.0 section 3).
pub(super) fn issuer(setting: Setting, text: &str) -> Result<String, ConfigError> {
    let url = address(setting, text)?;
    if url.query().is_some() {
        return Err(setting.refuse("the URL has a query", "Leave it out"));
    }
    Ok(text.to_owned())
}

/// A redirect URI, kept as written: KYCPort compares it exactly (K12).
pub(super) fn redirect_uri(setting: Setting, text: &str) -> Result<Url, ConfigError> {
    let url = address(setting, text)?;
    if url.query().is_some() {
        return Err(setting.refuse(
            "the URL has a query",
            "Leave it out: what must come back travels by itself",
        ));
    }
    if url.path() == "/" {
        return Err(setting.refuse(
            "the URL has no path",
            "Give the callback one of its own, like https://app.example.com/auth/callback",
        ));
    }
    Ok(url)
}

/// An origin: scheme, host and port, nothing more.
pub(super) fn origin(setting: Setting, text: &str) -> Result<Origin, ConfigError> {
    let url = address(setting, text)?;
    let origin = Origin::of(&url).filter(|_| url.path() == "/" && url.query().is_none());
    origin.ok_or_else(|| {
        setting.refuse(
            "more than scheme, host and port",
            "Give an origin, like https://host",
        )
    })
}

/// The certificate authorities that are believed: certificates, each readable, and no key.
pub(super) fn roots(setting: Setting, pem: &str) -> Result<Trust, ConfigError> {
    if pem.contains("PRIVATE KEY-----") {
        return Err(setting.refuse(
            "a private key is in the text",
            "Give the authority's certificate alone",
        ));
    }
    Trust::only(pem).ok_or_else(|| {
        setting.refuse(
            "no certificate is in the text, or one that cannot be read",
            "Give PEM, from BEGIN CERTIFICATE to END CERTIFICATE",
        )
    })
}

/// A client id: what RFC 6749 appendix A.1 allows.
pub(super) fn client_id(setting: Setting, text: &str) -> Result<String, ConfigError> {
    clean(setting, text)?;
    if text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        Ok(text.to_owned())
    } else {
        Err(setting.refuse(
            "characters that a client id cannot have",
            "Copy it from KYCPort's console",
        ))
    }
}

/// A secret. What is wrong with it is told, never what it is.
pub(super) fn secret(setting: Setting, text: &str) -> Result<Secret, ConfigError> {
    clean(setting, text)?;
    match InvalidSecret::in_text(text) {
        Some(flaw @ (InvalidSecret::Quoted | InvalidSecret::Assignment)) => {
            Err(setting.refuse(flaw.to_string(), "Give the value alone"))
        }
        Some(_) => Err(setting.refuse("a control character", "Copy it from KYCPort's console")),
        None => Ok(Secret::new(text)),
    }
}

/// A key for names in the log: too long to be tried.
#[cfg(feature = "web")]
pub(super) fn log_key(setting: Setting, key: &Secret) -> Result<LogKey, ConfigError> {
    const LEAST: usize = 32;
    let length = secret(setting, key.expose())?.expose().len();
    if length < LEAST {
        return Err(setting.refuse(
            format!("{length} bytes"),
            "Make one with: openssl rand -base64 32",
        ));
    }
    Ok(LogKey::new(key))
}

/// Scopes: `openid` among them (K13), each once, each what RFC 6749 section 3.3 allows.
pub(super) fn scopes(setting: Setting, scopes: &[String]) -> Result<Vec<String>, ConfigError> {
    for (position, scope) in scopes.iter().enumerate() {
        let is_token = !scope.is_empty()
            && scope
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        if !is_token {
            return Err(setting.refuse(
                format!("{scope:?} is not a scope"),
                "Separate scopes by spaces, like: openid email kyc",
            ));
        }
        if scopes.iter().take(position).any(|earlier| earlier == scope) {
            return Err(setting.refuse(format!("{scope} stands twice"), "Name each scope once"));
        }
    }
    if !scopes.iter().any(|scope| scope == "openid") {
        return Err(setting.refuse("openid is missing", "Add it: KYCPort requires it"));
    }
    Ok(scopes.to_vec())
}

/// A parameter to send along to the authorization endpoint: none of those this crate sets.
pub(super) fn extra_parameter(setting: Setting, name: &str) -> Result<(), ConfigError> {
    clean(setting, name)?;
    if RESERVED_PARAMETERS.contains(&name) {
        return Err(setting.refuse(
            format!("{name} is set by this crate"),
            "Leave it out, or use the option that is meant for it",
        ));
    }
    Ok(())
}

/// A path below which the routes lie.
#[cfg(feature = "web")]
pub(super) fn prefix(setting: Setting, text: &str) -> Result<String, ConfigError> {
    let is_path = text.len() > 1
        && text.starts_with('/')
        && !text.ends_with('/')
        && !text.contains("//")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte));
    if is_path {
        Ok(text.to_owned())
    } else {
        Err(setting.refuse(format!("{text:?}"), "Give a path, like /auth"))
    }
}

/// The name of a cookie, less the prefix that browsers watch over.
#[cfg(feature = "web")]
pub(super) fn cookie_name(setting: Setting, text: &str) -> Result<String, ConfigError> {
    let is_name = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_name && text.contains("-login-") {
        // Cookies of pending logins are named like this: an app called `x` would delete the session
        // of one called `x-login-` and twelve characters.
        Err(setting.refuse(
            format!("{text:?}"),
            "Choose a name without -login-, which marks the cookies of pending logins",
        ))
    } else if is_name && !text.starts_with("__") {
        Ok(text.to_owned())
    } else {
        Err(setting.refuse(
            format!("{text:?}"),
            "Give letters, digits, - _ and . only; the prefix __Host- is added",
        ))
    }
}

/// Text that is there, without white space around it: a blank or a trailing newline is a mistake in
/// a secret's file that costs an afternoon to find.
pub(super) fn clean(setting: Setting, text: &str) -> Result<(), ConfigError> {
    match InvalidSecret::in_text(text) {
        Some(flaw @ InvalidSecret::Blank) => {
            Err(setting.refuse(flaw.to_string(), "Set it, or do not define it at all"))
        }
        Some(flaw @ InvalidSecret::WhiteSpace) => Err(setting.refuse(
            flaw.to_string(),
            "Remove it; a file that ends in a newline is a frequent cause",
        )),
        _ => Ok(()),
    }
}
