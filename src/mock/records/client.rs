//! Stored clients (K12, K20).

use std::collections::BTreeMap;

use subtle::ConstantTimeEq as _;
use url::Url;

use crate::mock::{error::MockError, loopback::is_loopback, uri};

#[derive(Clone)]
pub(in crate::mock) struct ClientRecord {
    pub(in crate::mock) id: String,
    pub(in crate::mock) secret: Option<String>,
    /// Previous secret that the mock still accepts (K97).
    pub(in crate::mock) old_secret: Option<String>,
    pub(in crate::mock) name: String,
    pub(in crate::mock) tenant: String,
    pub(in crate::mock) redirect_uris: Vec<String>,
}

impl ClientRecord {
    /// Compares the redirect URIs byte by byte (K12).
    pub(in crate::mock) fn has_redirect_uri(&self, uri: &str) -> bool {
        self.redirect_uris.iter().any(|known| known == uri)
    }

    pub(in crate::mock) fn is_public(&self) -> bool {
        self.secret.is_none()
    }

    /// Compares the client secret in constant time.
    pub(in crate::mock) fn has_secret(&self, secret: &str) -> bool {
        let is_it = |own: &String| own.as_bytes().ct_eq(secret.as_bytes()).into();
        let [own, old] = [&self.secret, &self.old_secret];
        own.as_ref().is_some_and(is_it) || old.as_ref().is_some_and(is_it)
    }
}

#[derive(Clone, Default)]
pub(in crate::mock) struct Clients(BTreeMap<String, ClientRecord>);

impl Clients {
    pub(in crate::mock) fn get(&self, id: &str) -> Option<ClientRecord> {
        self.0.get(id).cloned()
    }

    pub(in crate::mock) fn all(&self) -> Vec<ClientRecord> {
        self.0.values().cloned().collect()
    }

    pub(in crate::mock) fn insert(&mut self, record: ClientRecord) {
        self.0.insert(record.id.clone(), record);
    }

    pub(in crate::mock) fn change(&mut self, id: &str, change: impl FnOnce(&mut ClientRecord)) {
        if let Some(client) = self.0.get_mut(id) {
            change(client);
        }
    }
}

pub(in crate::mock) fn check_redirect_uri(uri: &str) -> Result<(), MockError> {
    let refuse = |reason| {
        Err(MockError::RedirectUri {
            uri: uri.to_owned(),
            reason,
        })
    };
    let Ok(parsed) = Url::parse(uri) else {
        return refuse("the URI is not absolute");
    };
    match parsed.scheme() {
        "https" => {}
        "http" if is_loopback(&parsed) => {}
        _ => return refuse("the scheme must be https; http is allowed only for loopback hosts"),
    }
    if parsed.fragment().is_some() {
        return refuse("a redirect URI must not have a fragment (RFC 6749 section 3.1.2)");
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return refuse("the URI contains a user name or a password");
    }
    if uri::parse(uri).is_none() {
        let why = "a parser would repair it: write the scheme in lower case, two slashes and the \
                   host after it, and encode what is not a character of RFC 3986";
        return refuse(why);
    }
    Ok(())
}
