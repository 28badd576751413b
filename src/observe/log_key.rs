//! Names for people, sessions and events in the log, which join its lines and tell nobody who.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::Rng as _;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The key under which the log names people.
///
/// A hash without a key would be undone by trying: ids of people are known to whoever has a
/// database, and may be short. A key derived from the client secret would make each log a place to
/// try out client secrets, change names whenever that is replaced, and be none for public clients.
/// So it is a key of its own; without one each process draws its own, and nothing is joined that
/// nobody asked to have joined.
#[derive(Clone)]
pub(crate) struct LogKey(Arc<Zeroizing<[u8; 32]>>);

impl LogKey {
    pub(crate) fn new(secret: &Secret) -> Self {
        let digest = mac(secret.expose().as_bytes(), &["key"]);
        Self(Arc::new(Zeroizing::new(digest)))
    }

    /// The one that this process drew, and that ends with it.
    pub(crate) fn of_this_process() -> Self {
        static DRAWN: OnceLock<LogKey> = OnceLock::new();
        DRAWN
            .get_or_init(|| {
                let mut key = Zeroizing::new([0; 32]);
                rand::rng().fill_bytes(&mut key[..]);
                Self(Arc::new(key))
            })
            .clone()
    }

    /// A person of an issuer's.
    pub(crate) fn person<'a>(&'a self, issuer: &'a str, subject: &'a str) -> Pseudonym<'a> {
        self.name(["person", issuer, subject])
    }

    /// A session, by its public id.
    pub(crate) fn session<'a>(&'a self, id: &'a str) -> Pseudonym<'a> {
        self.name(["session", id, ""])
    }

    /// An event of a webhook, by its key.
    pub(crate) fn event<'a>(&'a self, key: &'a str) -> Pseudonym<'a> {
        self.name(["event", key, ""])
    }

    fn name<'a>(&'a self, of: [&'a str; 3]) -> Pseudonym<'a> {
        Pseudonym { key: self, of }
    }
}

/// A name that is made when it is written: where nobody listens it costs nothing. 64 bits, which
/// are enough to tell a tenant's people apart and too few for anything else.
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

/// As it is written: who it stands for is in neither.
impl fmt::Debug for Pseudonym<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Never the key.
impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogKey(…)")
    }
}

/// Each part with its length before it, so that two names never run together.
fn mac(key: &[u8], parts: &[&str]) -> [u8; 32] {
    // HMAC takes keys of any length.
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
    fn a_name_is_the_same_under_one_key_and_another_under_another() {
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
    fn a_name_is_of_one_thing() {
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
