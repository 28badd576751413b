//! The keys of a [`SealedStore`](super::SealedStore).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

/// A key is so long.
const KEY_BYTES: usize = 32;
/// How many keys there may be: the one that seals, and those of earlier times.
const MOST_KEYS: usize = 16;
/// How long a key's name may be.
const LONGEST_NAME: usize = 32;
/// The variable that holds the keys.
const VARIABLE: &str = "KYCPORT_SESSION_KEYS";

/// The keys of a [`SealedStore`](super::SealedStore), by name. One seals; the others only open what
/// they once sealed.
///
/// Every instance must be able to open what any other seals. So a new key is brought in with two
/// deployments: first everywhere as one that [opens](Self::also_open), then as the one that seals.
/// The old key opens for 60 days, and is removed then: that all sessions of a person were ended is
/// remembered so long, and where it cannot be read it is taken to be so, which signs them out.
///
/// The first key is no rolling change: an instance that seals and one that does not cannot read what
/// the other writes, and each takes the other's sessions for none. Nor is taking the last away.
///
/// A key is 32 random bytes, as base64 or as 64 hexadecimal digits: `openssl rand -base64 32`. The
/// name tells keys apart and stands beside everything that is sealed with it: it is not secret, and
/// never given to another key. Debug shows the names alone. The text is overwritten when it was
/// read, and the keys when the last store that has them goes.
pub struct SealingKeys {
    /// The first seals.
    keys: Vec<NamedKey>,
}

struct NamedKey {
    name: String,
    key: RandomizedNonceKey,
}

/// Why a key cannot be used. What it is is never told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealingKeysError {
    /// There is no key, or `KYCPORT_SESSION_KEYS` is not set.
    #[error(
        "there is no key to seal sessions with: give name:key, where the key is from \
         `openssl rand -base64 32`, and set {VARIABLE} to it if the environment is read"
    )]
    Missing,
    /// A name is not 1 to 32 of the characters `A-Z a-z 0-9 - _`, or is not there.
    #[error(
        "the key at position {position} has no usable name: give name:key, the name of 1 to 32 \
         letters, digits, - and _"
    )]
    Name {
        /// The first is 1.
        position: usize,
    },
    /// The text is neither base64 nor 64 hexadecimal digits.
    #[error("the key {name} is neither base64 nor hexadecimal")]
    Encoding {
        /// The key's name.
        name: String,
    },
    /// The key is not 32 bytes.
    #[error("the key {name} is {bytes} bytes: give 32, like those of `openssl rand -base64 32`")]
    Length {
        /// The key's name.
        name: String,
        /// How many bytes it is.
        bytes: usize,
    },
    /// The key is one byte again and again: it was written by hand, not drawn.
    #[error("the key {name} is not random: draw one with `openssl rand -base64 32`")]
    NotRandom {
        /// The key's name.
        name: String,
    },
    /// A name, or a key, stands twice.
    #[error("the key {name} stands there before: give every key once, under a name of its own")]
    Repeated {
        /// The name of the second.
        name: String,
    },
    /// There are more than 16.
    #[error("there are more than {MOST_KEYS} keys: leave out those that have nothing left to open")]
    TooMany,
}

impl SealingKeys {
    /// The key that seals.
    ///
    /// # Errors
    /// [`SealingKeysError`].
    pub fn new(name: &str, key: &str) -> Result<Self, SealingKeysError> {
        Self { keys: Vec::new() }.also_open(name, key)
    }

    /// A further key, which opens and does not seal.
    ///
    /// # Errors
    /// [`SealingKeysError`].
    pub fn also_open(mut self, name: &str, key: &str) -> Result<Self, SealingKeysError> {
        if self.keys.len() == MOST_KEYS {
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

    /// Reads `name:key`, with white space between several: the first seals.
    ///
    /// # Errors
    /// [`SealingKeysError`].
    pub fn parse(text: &str) -> Result<Self, SealingKeysError> {
        let mut keys = Self { keys: Vec::new() };
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

    /// Reads the variable `KYCPORT_SESSION_KEYS` by [`parse`](Self::parse).
    ///
    /// # Errors
    /// [`SealingKeysError`]; [`Missing`](SealingKeysError::Missing) if it is not set.
    pub fn from_env() -> Result<Self, SealingKeysError> {
        let text = std::env::var(VARIABLE).map(Zeroizing::new);
        Self::parse(&text.map_err(|_| SealingKeysError::Missing)?)
    }

    /// Seals with the first key. Gives its name, and nonce and sealed bytes in one.
    pub(super) fn seal(&self, about: &[u8], plain: Zeroizing<Vec<u8>>) -> Option<(&str, Vec<u8>)> {
        let NamedKey { name, key, .. } = self.keys.first()?;
        // Sealed in place: the plain bytes are gone with it.
        let mut bytes = plain;
        let nonce = key
            .seal_in_place_append_tag(Aad::from(about), &mut *bytes)
            .ok()?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend_from_slice(&bytes);
        Some((name, sealed))
    }

    /// Opens what the key of that name sealed.
    pub(super) fn open(
        &self,
        name: &str,
        about: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
        let known = self.keys.iter().find(|own| own.name == name);
        let NamedKey { key, .. } = known.ok_or(NotOpened::UnknownKey)?;
        let (nonce, sealed) = sealed.split_first_chunk().ok_or(NotOpened::NotGenuine)?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key
            .open_in_place(nonce, Aad::from(about), &mut bytes)
            .map_err(|_| NotOpened::NotGenuine)?
            .len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// Why something sealed does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotOpened {
    /// No key has the name that it was sealed under.
    UnknownKey,
    /// It is not what the key sealed.
    NotGenuine,
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
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &bytes).map_err(|_| {
            SealingKeysError::Length {
                name: name.clone(),
                bytes: bytes.len(),
            }
        })?;
        Ok(Self { name, key })
    }

    /// Keys do not show what they are, but one opens what the other sealed if they are the same.
    fn is_the_key_of(&self, other: &Self) -> bool {
        let mut sealed = Vec::new();
        let nonce = self.key.seal_in_place_append_tag(Aad::empty(), &mut sealed);
        nonce.is_ok_and(|nonce| {
            other
                .key
                .open_in_place(nonce, Aad::empty(), &mut sealed)
                .is_ok()
        })
    }
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// 64 hexadecimal digits could be base64 of 48 bytes too, which no key is.
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

/// The names alone.
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
    fn a_key_is_read_in_each_way_it_is_written() {
        let hex = base16ct::lower::encode_string(&BYTES);
        let plain = || Zeroizing::new(b"x".to_vec());
        let standard = SealingKeys::new("a", &STANDARD.encode(BYTES)).unwrap();
        for text in [URL_SAFE_NO_PAD.encode(BYTES), hex.to_uppercase(), hex] {
            let other = SealingKeys::parse(&format!("a:{text}")).unwrap();
            let (name, sealed) = other.seal(b"about", plain()).unwrap();
            assert_eq!(*standard.open(name, b"about", &sealed).unwrap(), b"x");
        }
    }

    #[test]
    fn what_is_wrong_with_a_key_is_told_and_not_what_it_is() {
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
