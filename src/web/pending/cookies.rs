//! Cookies of pending logins. Each login has its own sealed cookie.
//!
//! The browser sends `__Host-` cookies with every request, so the number and size of login cookies
//! are limited per browser. The name of a cookie is derived from the login's `state`. A callback
//! therefore opens one cookie and never changes the cookies of other tabs.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use super::{
    keys::{KeyRing, LoginKeys},
    login::PendingLogin,
};
use crate::{
    clock::Timestamp,
    secret::Secret,
    state::Namespace,
    store::{Owner, StoreError},
    web::{request::cookies, settings::Settings},
};

/// Maximum number of pending logins of one browser.
const MAX_LOGINS: usize = 4;
/// Maximum size of all login cookies of one browser, in bytes of names and values.
const MAX_BYTES: usize = 3 * 1024;
/// Maximum number of login cookies to open when the oldest cookie is searched. Further login
/// cookies are deleted.
const MAX_OPENED: usize = 8;
/// Length of the hash in the name of a login cookie, in characters. The cookie name contains a hash
/// of `state`.
const HASH_CHARACTERS: usize = 12;
/// Time for which a browser keeps the cookie of an expired login. In this time, the callback can
/// report that the login has expired.
const KEPT_AFTER_EXPIRY: Duration = Duration::from_secs(600);

/// Reads and writes the login cookies of one relying party.
#[derive(Debug, Clone)]
pub(in crate::web) struct LoginCookies {
    /// Prefix of each login cookie's name.
    prefix: String,
    namespace: Namespace,
    keys: LoginKeys,
}

/// Cookie to set, and cookies to delete, when a login starts.
pub(in crate::web) struct Started {
    pub(in crate::web) name: String,
    pub(in crate::web) value: Secret,
    pub(in crate::web) max_age: Duration,
    pub(in crate::web) evicted: Vec<String>,
}

impl LoginCookies {
    pub(in crate::web) fn new(prefix: &str, namespace: Namespace, keys: LoginKeys) -> Self {
        Self {
            prefix: prefix.to_owned(),
            namespace,
            keys,
        }
    }

    /// Returns the name of the login cookie for this `state`.
    fn name_of(&self, state: &Secret) -> String {
        let digest = Sha256::new()
            .chain_update(b"kycport login cookie\0")
            .chain_update(state.expose())
            .finalize();
        let mut name = URL_SAFE_NO_PAD.encode(digest);
        name.truncate(HASH_CHARACTERS);
        format!("{}{name}", self.prefix)
    }

    /// Seals a login, and selects other logins to evict.
    pub(in crate::web) async fn start(
        &self,
        login: &PendingLogin,
        lifetime: Duration,
        headers: &HeaderMap,
    ) -> Result<Started, StoreError> {
        let ring = self.keys.current().await?;
        let transaction = login.transaction(lifetime);
        let name = self.name_of(transaction.state());
        let value = self.seal(&ring, &name, login).ok_or(StoreError::Failed)?;
        let size = name.len().saturating_add(value.expose().len());
        Ok(Started {
            evicted: self.evicted(&ring, headers, size),
            name,
            value,
            max_age: lifetime.saturating_add(KEPT_AFTER_EXPIRY),
        })
    }

    /// Opens the cookie of the login with this `state`. If two cookies have the name, returns
    /// `None`: an attacker may have set one of the cookies.
    pub(in crate::web) async fn open(
        &self,
        headers: &HeaderMap,
        state: &Secret,
    ) -> Result<Option<(String, PendingLogin)>, StoreError> {
        let name = self.name_of(state);
        let Some(value) = cookies::only(headers, &name) else {
            return Ok(None);
        };
        let Some(sealed) = Sealed::parse(value) else {
            return Ok(None);
        };
        let mut ring = self.keys.current().await?;
        if ring.key(&sealed.key_name).is_none() {
            ring = self.keys.after_unknown_key().await?;
        }
        let login = self.unseal(&ring, &name, &sealed);
        Ok(login.map(|login| (name, login)))
    }

    /// Returns whether this browser has a pending step-up of this person. Ignores unreadable and
    /// expired cookies.
    pub(in crate::web) async fn has_step_up_of(
        &self,
        headers: &HeaderMap,
        owner: &Owner,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let names = self.names(headers);
        if names.is_empty() {
            return Ok(false);
        }
        let ring = self.keys.current().await?;
        let is_of_owner = |login: &PendingLogin| {
            let step_up = login.step_up.as_ref();
            step_up.is_some_and(|step_up| step_up.owner_id == owner.id)
                && now < login.started_at.saturating_add(login.lifetime(settings))
        };
        Ok(names.iter().take(MAX_OPENED).any(|name| {
            cookies::only(headers, name)
                .and_then(Sealed::parse)
                .and_then(|sealed| self.unseal(&ring, name, &sealed))
                .is_some_and(|login| is_of_owner(&login))
        }))
    }

    /// Returns the names of all login cookies in a request.
    pub(in crate::web) fn names(&self, headers: &HeaderMap) -> Vec<String> {
        let mut names: Vec<_> = cookies::all(headers)
            .filter_map(|(name, _)| self.own_name(name))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn own_name(&self, name: &[u8]) -> Option<String> {
        let rest = name.strip_prefix(self.prefix.as_bytes())?;
        let is_own = rest.len() == HASH_CHARACTERS
            && rest
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
        is_own.then(|| String::from_utf8_lossy(name).into_owned())
    }

    /// Selects the logins to evict for a login of `size` bytes: unreadable logins first, then the
    /// oldest.
    fn evicted(&self, ring: &KeyRing, headers: &HeaderMap, size: usize) -> Vec<String> {
        let mut logins: Vec<(Option<Timestamp>, String, usize)> = Vec::new();
        for (index, name) in self.names(headers).into_iter().enumerate() {
            let value = cookies::only(headers, &name);
            let bytes = name.len().saturating_add(value.map_or(0, <[u8]>::len));
            let login = (index < MAX_OPENED)
                .then(|| self.unseal(ring, &name, &Sealed::parse(value?)?))
                .flatten();
            logins.push((login.map(|login| login.started_at), name, bytes));
        }
        logins.sort_unstable();
        let mut count = logins.len().saturating_add(1);
        let mut total = logins
            .iter()
            .fold(size, |total, (_, _, bytes)| total.saturating_add(*bytes));
        let mut evicted = Vec::new();
        for (_, name, bytes) in logins {
            if count <= MAX_LOGINS && total <= MAX_BYTES {
                break;
            }
            count = count.saturating_sub(1);
            total = total.saturating_sub(bytes);
            evicted.push(name);
        }
        evicted
    }

    fn seal(&self, ring: &KeyRing, name: &str, login: &PendingLogin) -> Option<Secret> {
        let (key_name, sealed) = ring.seal(&self.associated_data(name), &login.encode())?;
        let mut bytes = vec![u8::try_from(key_name.len()).ok()?];
        bytes.extend_from_slice(key_name.as_bytes());
        bytes.extend_from_slice(&sealed);
        Some(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
    }

    fn unseal(&self, ring: &KeyRing, name: &str, sealed: &Sealed) -> Option<PendingLogin> {
        let key = ring.key(&sealed.key_name)?;
        let plain = key.open(&self.associated_data(name), &sealed.bytes)?;
        PendingLogin::decode(&plain)
    }

    /// Binds a cookie to its name and to this relying party.
    fn associated_data(&self, name: &str) -> Vec<u8> {
        let namespace = self.namespace.bytes();
        [b"kycport login 1\0", &namespace[..], name.as_bytes()].concat()
    }
}

/// Encodes the value of a login cookie: the name of the key, then the sealed bytes.
struct Sealed {
    key_name: String,
    bytes: Vec<u8>,
}

impl Sealed {
    fn parse(value: &[u8]) -> Option<Self> {
        if value.len() > MAX_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (length, rest) = bytes.split_first()?;
        let (name, sealed) = rest.split_at_checked(usize::from(*length))?;
        Some(Self {
            key_name: std::str::from_utf8(name).ok()?.to_owned(),
            bytes: sealed.to_vec(),
        })
    }
}
