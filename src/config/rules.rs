//! Validation rules of the settings.

use std::collections::BTreeMap;

use url::Url;

use super::error::{ConfigError, Setting};
#[cfg(feature = "web")]
use crate::observe::LogKey;
use crate::{
    http::{Origin, Trust, is_transport_secure},
    oidc::RESERVED_PARAMETERS,
    secret::Secret,
    secrets::InvalidSecret,
    wire::{kyc::KycStatus, status_aliases::StatusAliases},
};

/// Hosts of KYCPort that do not serve its protocol, with the reason (K3).
const DEAD_HOSTS: [(&str, &str); 3] = [
    (
        "kycport.com",
        "KYCPort's OAuth routes do not work without www",
    ),
    ("id.kycport.com", "this host does not respond"),
    ("api.kycport.com", "this host does not exist"),
];

/// Validates a URL for requests: HTTPS, or plain HTTP to loopback addresses, without credentials
/// and without a fragment.
pub(super) fn address(setting: Setting, text: &str) -> Result<Url, ConfigError> {
    // The URL parser would remove or replace these characters, but the SDK sends and compares the
    // original text.
    let is_odd = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '\\';
    if text.contains(is_odd) {
        return Err(setting.refuse(
            "the URL contains white space, a control character or a backslash",
            "Remove the character; a common cause is a newline at the end",
        ));
    }
    let url = Url::parse(text).map_err(|_| {
        setting.refuse(
            "the value is not an absolute URL",
            "Set a URL like https://host/path",
        )
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(setting.refuse(
            "the URL contains credentials",
            "Remove the user and the password",
        ));
    }
    // The parser also accepts `https:host` and `https:///host`.
    let after_scheme = text.get(url.scheme().len()..).unwrap_or_default();
    if !after_scheme.starts_with("://") || after_scheme.starts_with(":///") {
        return Err(setting.refuse(
            "the scheme must be followed by two slashes and a host",
            "Set an absolute URL, like https://host/path",
        ));
    }
    if !is_transport_secure(&url) {
        return Err(setting.refuse(
            format!(
                "{}://{} is not secure",
                url.scheme(),
                url.host_str().unwrap_or_default()
            ),
            "Use https; plain http is allowed only for loopback addresses and localhost",
        ));
    }
    if url.fragment().is_some() {
        return Err(setting.refuse(
            "the URL has a fragment",
            "Remove the # and the text after it",
        ));
    }
    // The parser has converted the host to lower case. A host may end in a dot.
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host);
    if let Some((dead, why)) = DEAD_HOSTS.iter().find(|(dead, _)| *dead == host) {
        return Err(setting.refuse(
            format!("the host is {dead}"),
            format!("Use www.kycport.com: {why}"),
        ));
    }
    Ok(url)
}

/// Validates the base URL of the API. The base URL must not contain `/api/v1`, because the client
/// appends this path.
pub(super) fn api_base_url(setting: Setting, text: &str) -> Result<Url, ConfigError> {
    let url = address(setting, text)?;
    let path = url.path().trim_end_matches('/');
    if path.ends_with("/api") || path.ends_with("/api/v1") {
        return Err(setting.refuse(
            format!("the URL ends in {path}"),
            "Remove /api and the rest of the path: this crate appends /api/v1 itself",
        ));
    }
    if url.query().is_some() {
        return Err(setting.refuse("the URL has a query", "Remove the query"));
    }
    Ok(url)
}

/// Validates an issuer identifier. Keeps the text as written, because the client compares issuers
/// byte for byte (OpenID Connect Discovery 1.0 section 3).
pub(super) fn issuer(setting: Setting, text: &str) -> Result<String, ConfigError> {
    let url = address(setting, text)?;
    if url.query().is_some() {
        return Err(setting.refuse("the URL has a query", "Remove the query"));
    }
    Ok(text.to_owned())
}

/// Validates a redirect URI. Keeps the text as written, because KYCPort compares redirect URIs
/// exactly (K12).
pub(super) fn redirect_uri(setting: Setting, text: &str) -> Result<Url, ConfigError> {
    let url = address(setting, text)?;
    if url.query().is_some() {
        return Err(setting.refuse(
            "the URL has a query",
            "Remove the query: the `state` parameter contains all data of a login",
        ));
    }
    if url.path() == "/" {
        return Err(setting.refuse(
            "the URL has no path",
            "Give the callback its own path, like https://app.example.com/auth/callback",
        ));
    }
    Ok(url)
}

/// Validates an origin: scheme, host and port only.
pub(super) fn origin(setting: Setting, text: &str) -> Result<Origin, ConfigError> {
    let url = address(setting, text)?;
    let origin = Origin::of(&url).filter(|_| url.path() == "/" && url.query().is_none());
    origin.ok_or_else(|| {
        setting.refuse(
            "the URL contains more than scheme, host and port",
            "Set an origin, like https://host",
        )
    })
}

/// Validates the trusted certificate authorities: valid certificates, and no private key.
pub(super) fn roots(setting: Setting, pem: &str) -> Result<Trust, ConfigError> {
    if pem.contains("PRIVATE KEY-----") {
        return Err(setting.refuse(
            "the text contains a private key",
            "Set only the certificate of the authority",
        ));
    }
    Trust::only(pem).ok_or_else(|| {
        setting.refuse(
            "the text contains no certificate, or an invalid certificate",
            "Set PEM text, from BEGIN CERTIFICATE to END CERTIFICATE",
        )
    })
}

/// Validates a client id (RFC 6749 appendix A.1).
pub(super) fn client_id(setting: Setting, text: &str) -> Result<String, ConfigError> {
    clean(setting, text)?;
    if text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        Ok(text.to_owned())
    } else {
        Err(setting.refuse(
            "the value contains characters that a client id cannot contain",
            "Copy the client id from KYCPort's console",
        ))
    }
}

/// Validates a secret. The error describes the problem, and never contains the secret.
pub(super) fn secret(setting: Setting, text: &str) -> Result<Secret, ConfigError> {
    clean(setting, text)?;
    match InvalidSecret::in_text(text) {
        Some(problem @ (InvalidSecret::Quoted | InvalidSecret::Assignment)) => {
            Err(setting.refuse(format!("the value {problem}"), "Set only the secret itself"))
        }
        Some(problem) => Err(setting.refuse(
            format!("the value {problem}"),
            "Copy the secret from KYCPort's console again",
        )),
        None => Ok(Secret::new(text)),
    }
}

/// Validates the key for pseudonyms in logs. The key must be too long to guess.
#[cfg(feature = "web")]
pub(super) fn log_key(setting: Setting, key: &Secret) -> Result<LogKey, ConfigError> {
    const MIN_BYTES: usize = 32;
    let length = secret(setting, key.expose())?.expose().len();
    if length < MIN_BYTES {
        return Err(setting.refuse(
            format!("{length} bytes are too few; at least {MIN_BYTES} are required"),
            "Create a key with: openssl rand -base64 32",
        ));
    }
    Ok(LogKey::new(key))
}

/// Validates scopes: `openid` is included (K13), each scope occurs once, and RFC 6749 section 3.3
/// allows its characters.
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
            return Err(setting.refuse(format!("{scope} occurs twice"), "Set each scope once"));
        }
    }
    if !scopes.iter().any(|scope| scope == "openid") {
        return Err(setting.refuse(
            "the scope openid is missing",
            "Add openid: KYCPort requires this scope",
        ));
    }
    Ok(scopes.to_vec())
}

/// Validates an additional parameter for the authorization endpoint. Rejects the parameters that
/// this crate sets itself.
pub(super) fn extra_parameter(setting: Setting, name: &str) -> Result<(), ConfigError> {
    clean(setting, name)?;
    if RESERVED_PARAMETERS.contains(&name) {
        return Err(setting.refuse(
            format!("{name} is set by this crate"),
            "Remove the parameter, or use the corresponding setting",
        ));
    }
    Ok(())
}

/// Validates the name of a JSON member.
pub(super) fn member(setting: Setting, name: &str) -> Result<(), ConfigError> {
    const MAX_BYTES: usize = 64;
    clean(setting, name)?;
    if name.len() > MAX_BYTES {
        return Err(setting.refuse(
            format!("the name has {} bytes", name.len()),
            format!("Set a name of at most {MAX_BYTES} bytes"),
        ));
    }
    Ok(())
}

/// Validates the aliases of verification statuses. An alias maps an unknown word to a known status.
pub(super) fn status_aliases(
    setting: Setting,
    aliases: &[(String, KycStatus)],
) -> Result<StatusAliases, ConfigError> {
    const MAX_ALIASES: usize = 16;
    let mut by_word = BTreeMap::new();
    for (word, status) in aliases {
        clean(setting, word)?;
        if word.chars().any(char::is_uppercase) {
            return Err(setting.refuse(
                format!("{word:?} contains upper case"),
                "Write the word in lower case: the comparison ignores case",
            ));
        }
        let Ok(known) = word.parse::<KycStatus>();
        if !matches!(known, KycStatus::Unknown(_)) {
            return Err(setting.refuse(
                format!("{word} is a status that KYCPort documents"),
                "Remove the alias: an alias can only map an unknown status",
            ));
        }
        if matches!(status, KycStatus::Unknown(_)) {
            return Err(setting.refuse(
                format!("{word} is mapped to an unknown status"),
                "Map the word to one of the statuses that KYCPort documents",
            ));
        }
        if by_word.insert(word.clone(), status.clone()).is_some() {
            return Err(setting.refuse(format!("{word} occurs twice"), "Set each word once"));
        }
    }
    if by_word.len() > MAX_ALIASES {
        return Err(setting.refuse(
            format!("{} aliases are too many", by_word.len()),
            format!("Set at most {MAX_ALIASES} aliases"),
        ));
    }
    Ok(StatusAliases::new(by_word))
}

/// Validates a path prefix for the routes.
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
        Err(setting.refuse(
            format!("{text:?} is not a valid path"),
            "Set a path like /auth",
        ))
    }
}

/// Validates the name of a cookie, without the prefix `__Host-`.
#[cfg(feature = "web")]
pub(super) fn cookie_name(setting: Setting, text: &str) -> Result<String, ConfigError> {
    let is_name = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_name && text.contains("-login-") {
        // Names of login cookies contain `-login-`. Without this rule, an app called `x` would
        // delete the session cookie of an app whose name is `x-login-` and twelve characters.
        Err(setting.refuse(
            format!("the name {text:?} contains -login-"),
            "Choose a name without -login-, which marks the cookies of pending logins",
        ))
    } else if is_name && !text.starts_with("__") {
        Ok(text.to_owned())
    } else {
        Err(setting.refuse(
            format!("{text:?} is not a valid cookie name"),
            "Use up to 64 letters, digits, hyphens, underscores and dots. The prefix __Host- is added",
        ))
    }
}

/// Rejects a text that is blank or surrounded by white space. A trailing newline in the file of a
/// secret is a common mistake, which is hard to find later.
pub(super) fn clean(setting: Setting, text: &str) -> Result<(), ConfigError> {
    match InvalidSecret::in_text(text) {
        Some(problem @ InvalidSecret::Blank) => Err(setting.refuse(
            format!("the value {problem}"),
            "Set a value, or leave the variable undefined",
        )),
        Some(problem @ InvalidSecret::WhiteSpace) => Err(setting.refuse(
            format!("the value {problem}"),
            "Remove the white space; a common cause is a newline at the end of a file",
        )),
        _ => Ok(()),
    }
}
