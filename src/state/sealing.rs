//! Sealing keys: parsing, names and the choice of the key.

use std::fmt;

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

use super::cipher::{KEY_BYTES, SealKey};

/// Maximum number of keys, including the key that seals and earlier keys.
const MAX_KEYS: usize = 16;
/// Maximum length of a key's name, in characters.
const MAX_NAME: usize = 32;
/// Environment variable with the keys.
const VARIABLE: &str = "KYCPORT_SESSION_KEYS";

/// Keys that seal records in the store, and pending logins in the browser.
///
/// With sealing keys, a dump of the store or of its backups contains no tokens and no readable
/// personal data. The first key seals new records. The other keys only open records that they
/// sealed earlier. Records are sealed with AES-256-GCM-SIV (RFC 8452) under a random nonce, and are
/// bound to their owner, family and ID. From each key, the SDK derives one key for records and one
/// key for logins (HKDF, RFC 5869).
///
/// Every instance must be able to open records that any other instance has sealed. Adding a new key
/// therefore requires two deployments. First add the key on every instance as a key that
/// [opens](Self::also_open). After that deployment, make the new key the first key. Keep the old
/// key for the longest session lifetime, and for at least 41 days. The store keeps the latest
/// assurance of a person for 41 days. If a key is missing, the crate treats sessions sealed with
/// this key as absent. The crate treats verification results sealed with this key as unknown, and
/// guards query KYCPort.
///
/// While old and new instances run in parallel, sealing can be switched on or off only if the new
/// instances temporarily [read unsealed records](Self::also_read_unsealed).
///
/// Sealing protects confidentiality. Sealing does not protect against a person who can write to the
/// store. This person can delete a record, restore an earlier version of a record, or reset leases
/// and fences. A fence is the lowest [`RevocationMark`](crate::store::RevocationMark) that is still valid.
///
/// A key is 32 random bytes as base64 or as 64 hexadecimal digits: `openssl rand -base64 32`. The
/// name identifies the key and is stored with everything that the key sealed. The name is not
/// secret. Do not reuse a name for another key. `Debug` shows only the names.
pub struct SealingKeys {
    /// The first key seals new records.
    keys: Vec<NamedKey>,
    unsealed: Unsealed,
}

/// Treatment of a record that is not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unsealed {
    Unreadable,
    Read,
}

struct NamedKey {
    name: String,
    records: SealKey,
    logins: SealKey,
}

/// Error for an invalid sealing key. The message never contains the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealingKeysError {
    /// No key is given, or `KYCPORT_SESSION_KEYS` is not set.
    #[error(
        "no sealing key is given: set {VARIABLE} to name:key, where key is the output of `openssl \
         rand -base64 32`"
    )]
    Missing,
    /// The name is missing, or does not consist of 1 to 32 of the characters `A-Z a-z 0-9 - _`.
    #[error(
        "the key at position {position} has no valid name: write name:key, with a name of 1 to 32 \
         letters, digits, - and _"
    )]
    Name {
        /// Position of the key, starting with 1.
        position: usize,
    },
    /// The key is not base64 and not 64 hexadecimal digits.
    #[error("the key {name} is not valid base64 or hexadecimal: use `openssl rand -base64 32`")]
    Encoding {
        /// Name of the key.
        name: String,
    },
    /// The key does not have 32 bytes.
    #[error("the key {name} has {bytes} bytes: use 32, the output of `openssl rand -base64 32`")]
    Length {
        /// Name of the key.
        name: String,
        /// Length of the key, in bytes.
        bytes: usize,
    },
    /// All bytes of the key are equal.
    #[error("the key {name} is not random: use the output of `openssl rand -base64 32`")]
    NotRandom {
        /// Name of the key.
        name: String,
    },
    /// A name or a key occurs twice.
    #[error("the key {name} occurs twice: list every key once, under its own name")]
    Repeated {
        /// Name of the second key.
        name: String,
    },
    /// There are more than 16 keys.
    #[error("there are more than {MAX_KEYS} keys: remove the keys that no longer seal any record")]
    TooMany,
}

impl SealingKeys {
    /// Creates the keys from the key that seals.
    ///
    /// # Errors
    /// Returns [`SealingKeysError`] if the name or the key is invalid.
    pub fn new(name: &str, key: &str) -> Result<Self, SealingKeysError> {
        Self::none().also_open(name, key)
    }

    fn none() -> Self {
        Self {
            keys: Vec::new(),
            unsealed: Unsealed::Unreadable,
        }
    }

    /// Also reads records that are not sealed. Use this setting while you switch sealing on. Remove
    /// this call after the longest session lifetime, and not before 41 days have passed. With this
    /// setting, a person who can write to the store can add records.
    ///
    /// This setting does not affect pending logins. Cookies of pending logins were sealed with a
    /// key from the store. A person with a pending login must therefore start the login again.
    #[must_use]
    pub fn also_read_unsealed(mut self) -> Self {
        self.unsealed = Unsealed::Read;
        self
    }

    /// Adds a key that opens records but does not seal.
    ///
    /// # Errors
    /// Returns [`SealingKeysError`] if the name or the key is invalid.
    pub fn also_open(mut self, name: &str, key: &str) -> Result<Self, SealingKeysError> {
        if self.keys.len() == MAX_KEYS {
            return Err(SealingKeysError::TooMany);
        }
        let further = NamedKey::parse(name, key, self.keys.len().saturating_add(1))?;
        let is_there = |own: &NamedKey| own.name == further.name || own.is_the_key_of(&further);
        if self.keys.iter().any(is_there) {
            return Err(SealingKeysError::Repeated { name: further.name });
        }
        self.keys.push(further);
        Ok(self)
    }

    /// Parses `name:key` pairs separated by white space. The first key seals new records.
    ///
    /// # Errors
    /// Returns [`SealingKeysError`] if the name or the key is invalid.
    pub fn parse(text: &str) -> Result<Self, SealingKeysError> {
        let mut keys = Self::none();
        for (index, pair) in text.split_whitespace().enumerate() {
            let (name, key) = pair.split_once(':').ok_or(SealingKeysError::Name {
                position: index.saturating_add(1),
            })?;
            keys = keys.also_open(name, key)?;
        }
        if keys.keys.is_empty() {
            return Err(SealingKeysError::Missing);
        }
        Ok(keys)
    }

    /// Reads the environment variable `KYCPORT_SESSION_KEYS` with [`parse`](Self::parse).
    ///
    /// # Errors
    /// Returns [`SealingKeysError`]; [`Missing`](SealingKeysError::Missing) if the variable is not
    /// set.
    pub fn from_env() -> Result<Self, SealingKeysError> {
        let text = std::env::var(VARIABLE).map(Zeroizing::new);
        Self::parse(&text.map_err(|_| SealingKeysError::Missing)?)
    }

    pub(super) fn reads_unsealed(&self) -> bool {
        self.unsealed == Unsealed::Read
    }

    /// Seals a record with the first key. Returns the key's name and the sealed bytes.
    pub(super) fn seal_record(
        &self,
        associated_data: &[u8],
        plain: &[u8],
    ) -> Option<(&str, Vec<u8>)> {
        let key = self.keys.first()?;
        Some((&key.name, key.records.seal(associated_data, plain)?))
    }

    /// Opens a record that the key of this name sealed.
    pub(super) fn open_record(
        &self,
        name: &str,
        associated_data: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let key = self.keys.iter().find(|own| own.name == name);
        let key = key.ok_or(OpenError::UnknownKey)?;
        let plain = key.records.open(associated_data, sealed);
        plain.ok_or(OpenError::AuthenticationFailed)
    }

    /// Returns the keys for pending logins, with their names. The first key seals new records.
    pub(crate) fn login_keys(&self) -> impl Iterator<Item = (&str, &SealKey)> {
        self.keys.iter().map(|key| (key.name.as_str(), &key.logins))
    }
}

/// Reason why sealed bytes cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenError {
    /// The record was sealed with a key that is not configured.
    UnknownKey,
    /// The bytes were changed, or were sealed for another record or with another key.
    AuthenticationFailed,
}

impl NamedKey {
    fn parse(name: &str, text: &str, position: usize) -> Result<Self, SealingKeysError> {
        if !is_name(name) {
            return Err(SealingKeysError::Name { position });
        }
        let name = name.to_owned();
        let Some(bytes) = decode(text) else {
            return Err(SealingKeysError::Encoding { name });
        };
        if bytes.len() != KEY_BYTES {
            let bytes = bytes.len();
            return Err(SealingKeysError::Length { name, bytes });
        }
        if bytes.windows(2).all(|pair| pair.first() == pair.last()) {
            return Err(SealingKeysError::NotRandom { name });
        }
        let derived = (
            SealKey::derive(&bytes, b"records 1"),
            SealKey::derive(&bytes, b"logins 1"),
        );
        let (Some(records), Some(logins)) = derived else {
            let bytes = bytes.len();
            return Err(SealingKeysError::Length { name, bytes });
        };
        Ok(Self {
            name,
            records,
            logins,
        })
    }

    /// Compares two keys without access to their bytes: checks that one key opens a text that the
    /// other key sealed.
    fn is_the_key_of(&self, other: &Self) -> bool {
        self.records
            .seal(b"", b"")
            .is_some_and(|sealed| other.records.open(b"", &sealed).is_some())
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Decodes a key. 64 hexadecimal digits could also be base64 of 48 bytes, which is not a valid
/// length.
fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    if text.len() == KEY_BYTES.saturating_mul(2)
        && let Ok(bytes) = base16ct::mixed::decode_vec(text)
    {
        return Some(Zeroizing::new(bytes));
    }
    [STANDARD, URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, LENIENT).decode(text).ok())
        .map(Zeroizing::new)
}

/// `Debug` shows only the names.
impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| &key.name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    const BYTES: [u8; 32] = *b"\xfb\xff0123456789abcdefghijklmnopqr\xfe\xff";

    fn refused(text: &str) -> SealingKeysError {
        SealingKeys::parse(text).unwrap_err()
    }

    #[test]
    fn base64_and_hexadecimal_keys_are_read() {
        let hex = base16ct::lower::encode_string(&BYTES);
        let standard = SealingKeys::new("a", &STANDARD.encode(BYTES)).unwrap();
        for text in [URL_SAFE_NO_PAD.encode(BYTES), hex.to_uppercase(), hex] {
            let other = SealingKeys::parse(&format!("a:{text}")).unwrap();
            let (name, sealed) = other.seal_record(b"about", b"x").unwrap();
            assert_eq!(
                *standard.open_record(name, b"about", &sealed).unwrap(),
                b"x"
            );
        }
    }

    #[test]
    fn errors_name_the_fault_and_not_the_key() {
        // case 137
        let name = "a".to_owned();
        let good = STANDARD.encode(BYTES);
        let long = STANDARD.encode([&BYTES[..], b"x"].concat());
        let many: Vec<_> = (0..=16_u8)
            .map(|n| format!("k{n}:{}", STANDARD.encode([&[n], &BYTES[1..]].concat())))
            .collect();
        let many = many.join(" ");
        for (text, error) in [
            (String::new(), SealingKeysError::Missing),
            (" \n".to_owned(), SealingKeysError::Missing),
            (good.clone(), SealingKeysError::Name { position: 1 }),
            (
                format!("a:{good} :x"),
                SealingKeysError::Name { position: 2 },
            ),
            (
                format!("a.b:{good}"),
                SealingKeysError::Name { position: 1 },
            ),
            (
                format!("{}:{good}", "a".repeat(33)),
                SealingKeysError::Name { position: 1 },
            ),
            (
                "a:canary!".to_owned(),
                SealingKeysError::Encoding { name: name.clone() },
            ),
            (
                "a:".to_owned(),
                SealingKeysError::Length {
                    name: name.clone(),
                    bytes: 0,
                },
            ),
            (
                format!("a:{}", STANDARD.encode(&BYTES[1..])),
                SealingKeysError::Length {
                    name: name.clone(),
                    bytes: 31,
                },
            ),
            (
                format!("a:{long}"),
                SealingKeysError::Length {
                    name: name.clone(),
                    bytes: 33,
                },
            ),
            (
                format!("a:{}", "0".repeat(64)),
                SealingKeysError::NotRandom { name: name.clone() },
            ),
            (
                format!("b:{good} a:{good}"),
                SealingKeysError::Repeated { name: name.clone() },
            ),
            (
                format!(
                    "a:{good} a:{}",
                    base16ct::lower::encode_string(&[&BYTES[1..], b"x"].concat())
                ),
                SealingKeysError::Repeated { name },
            ),
            (many, SealingKeysError::TooMany),
        ] {
            let found = refused(&text);
            assert_eq!(found, error, "{text}");
            assert!(!format!("{found} {found:?}").contains("canary"));
            assert!(!format!("{found} {found:?}").contains(&good));
        }
    }

    #[test]
    fn debug_shows_the_names_alone() {
        // case 137
        let keys = SealingKeys::new("2026-11", &STANDARD.encode(BYTES)).unwrap();
        assert_eq!(format!("{keys:?}"), "[\"2026-11\"]");
    }
}
