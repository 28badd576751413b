//! Pseudonyms of people, sessions and events in logs.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::Rng as _;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Key for the pseudonyms in logs.
///
/// An attacker could reverse a hash without a key by trying all ids. Ids may be short, and everyone
/// with access to the database knows them. With a key derived from the client secret, an attacker
/// could use a log to guess the client secret. A derived key would also change with each rotation,
/// and public clients have no client secret.
///
/// The pseudonyms therefore have a separate key. Without a configured key, each process uses a
/// random key, so the logs of different processes cannot be correlated.
#[derive(Clone)]
pub(crate) struct LogKey(Arc<Zeroizing<[u8; 32]>>);

impl LogKey {
    pub(crate) fn new(secret: &Secret) -> Self {
        let digest = mac(secret.expose().as_bytes(), &["key"]);
        Self(Arc::new(Zeroizing::new(digest)))
    }

    /// Returns the random key of this process.
    pub(crate) fn of_this_process() -> Self {
        static PROCESS_KEY: OnceLock<LogKey> = OnceLock::new();
        PROCESS_KEY
            .get_or_init(|| {
                let mut key = Zeroizing::new([0; 32]);
                rand::rng().fill_bytes(&mut key[..]);
                Self(Arc::new(key))
            })
            .clone()
    }

    /// Returns the pseudonym of a person at an issuer.
    pub(crate) fn person<'a>(&'a self, issuer: &'a str, subject: &'a str) -> Pseudonym<'a> {
        self.name(["person", issuer, subject])
    }

    /// Returns the pseudonym of a session, from its public id.
    pub(crate) fn session<'a>(&'a self, id: &'a str) -> Pseudonym<'a> {
        self.name(["session", id, ""])
    }

    /// Returns the pseudonym of a webhook event, from its key.
    pub(crate) fn event<'a>(&'a self, key: &'a str) -> Pseudonym<'a> {
        self.name(["event", key, ""])
    }

    fn name<'a>(&'a self, of: [&'a str; 3]) -> Pseudonym<'a> {
        Pseudonym { key: self, of }
    }
}

/// Pseudonym that the crate computes only when it writes a log line. A disabled log line therefore
/// needs no hash. A pseudonym has 64 bits, which suffice to distinguish the people of a tenant.
#[derive(Clone, Copy)]
pub(crate) struct Pseudonym<'a> {
    key: &'a LogKey,
    of: [&'a str; 3],
}

impl fmt::Display for Pseudonym<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = mac(&self.key.0[..], &self.of);
        digest
            .iter()
            .take(8)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// `Debug` shows the pseudonym, like `Display`.
impl fmt::Debug for Pseudonym<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `Debug` never shows the key.
impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogKey(…)")
    }
}

/// Computes an HMAC over the parts. The length of each part precedes the part. Different lists
/// therefore never have equal inputs.
fn mac(key: &[u8], parts: &[&str]) -> [u8; 32] {
    // HMAC accepts keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    mac.update(b"kycport log\0");
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::LogKey;
    use crate::secret::Secret;

    #[test]
    fn a_pseudonym_depends_on_the_key() {
        let key = LogKey::new(&Secret::new("the key of two instances, 32 bytes"));
        let same = LogKey::new(&Secret::new("the key of two instances, 32 bytes"));
        let other = LogKey::new(&Secret::new("the key of two instances, 32 bytez"));
        let name = |key: &LogKey| key.person("https://a", "ada").to_string();
        assert_eq!(name(&key).len(), 16);
        assert_eq!(name(&key), name(&same));
        assert_ne!(name(&key), name(&other));
        assert_ne!(name(&key), name(&LogKey::of_this_process()));
        assert_eq!(
            name(&LogKey::of_this_process()),
            name(&LogKey::of_this_process())
        );
    }

    #[test]
    fn different_things_have_different_pseudonyms() {
        let key = LogKey::new(&Secret::new("k"));
        let names = [
            key.person("ab", "c"),
            key.person("a", "bc"),
            key.person("", "abc"),
            key.session("abc"),
            key.event("abc"),
        ]
        .map(|name| name.to_string());
        for (position, name) in names.iter().enumerate() {
            assert!(!names[..position].contains(name), "{position}");
        }
        assert_eq!(format!("{key:?}"), "LogKey(…)");
    }
}
