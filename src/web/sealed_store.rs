//! Session records that whoever reads the store cannot read.

use std::{
    collections::HashMap,
    fmt::{self, Debug},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store::{Error, Result},
};
use zeroize::Zeroizing;

use super::sealing_keys::{NotOpened, SealingKeys};
use crate::observe;

/// The one member of a sealed record's data.
const MEMBER: &str = "sealed";
/// The form of what is sealed.
const VERSION: &str = "1";

/// A session store that seals what it gives to another: a dump of that store, or of its backups,
/// holds no token and nothing about a person. Clones share the keys.
///
/// ```no_run
/// # fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use kycport::{MemoryStore, web::{SealedStore, SealingKeys}};
///
/// // KYCPORT_SESSION_KEYS="2026-11:<openssl rand -base64 32>"
/// let store = SealedStore::new(MemoryStore::default(), SealingKeys::from_env()?);
/// # let _ = store; Ok(())
/// # }
/// ```
///
/// Records are sealed with AES-256-GCM-SIV (RFC 8452) under a random nonce, and bound to their id:
/// what was changed, moved to another id, sealed with a key that is not here, or never sealed, is
/// no session. That is said once in the log for each of these. What stays visible is how many
/// records there are, how long each is, when it expires, the name of its key, and a hash for an id.
///
/// Whoever can write to the store can still delete a record, or put back an earlier one of the same
/// id: sealing keeps secrets, it does not make the store trustworthy.
#[derive(Clone)]
pub struct SealedStore<S> {
    store: S,
    sealing: Arc<Sealing>,
}

struct Sealing {
    keys: SealingKeys,
    said: [AtomicBool; 3],
}

/// Why a record does not open.
#[derive(Clone, Copy)]
enum Unreadable {
    NotSealed,
    UnknownKey,
    NotGenuine,
}

impl<S: SessionStore> SealedStore<S> {
    /// Seals what goes to `store`, and opens what comes from it.
    pub fn new(store: S, keys: SealingKeys) -> Self {
        Self {
            store,
            sealing: Arc::new(Sealing {
                keys,
                said: Default::default(),
            }),
        }
    }
}

#[async_trait]
impl<S: SessionStore> SessionStore for SealedStore<S> {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let mut sealed = self.sealing.seal(record)?;
        self.store.create(&mut sealed).await?;
        if sealed.id != record.id {
            // The id was taken, and the store chose another: what is sealed must name that one.
            record.id = sealed.id;
            self.store.save(&self.sealing.seal(record)?).await?;
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.store.save(&self.sealing.seal(record)?).await
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let Some(record) = self.store.load(id).await? else {
            return Ok(None);
        };
        match self.sealing.open(id, &record) {
            Ok(record) => Ok(Some(record)),
            Err(why) => Err(self.sealing.refuse(why)),
        }
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.store.delete(id).await
    }
}

impl Sealing {
    fn seal(&self, record: &Record) -> Result<Record> {
        let plain = serde_json::to_vec(&record.data)
            .map(Zeroizing::new)
            .map_err(|_| Error::Encode("a record is no JSON".to_owned()))?;
        let (name, sealed) = self
            .keys
            .seal(&about(&record.id), plain)
            .ok_or_else(|| Error::Encode("a record could not be sealed".to_owned()))?;
        let text = format!("{VERSION}.{name}.{}", STANDARD_NO_PAD.encode(sealed));
        Ok(Record {
            id: record.id,
            data: HashMap::from([(MEMBER.to_owned(), text.into())]),
            expiry_date: record.expiry_date,
        })
    }

    fn open(&self, id: &Id, record: &Record) -> std::result::Result<Record, Unreadable> {
        let (name, sealed) = record
            .data
            .get(MEMBER)
            .and_then(|text| parts(text.as_str()?))
            .ok_or(Unreadable::NotSealed)?;
        let plain = self
            .keys
            .open(name, &about(id), &sealed)
            .map_err(|why| match why {
                NotOpened::UnknownKey => Unreadable::UnknownKey,
                NotOpened::NotGenuine => Unreadable::NotGenuine,
            })?;
        let data = serde_json::from_slice(&plain).map_err(|_| Unreadable::NotGenuine)?;
        Ok(Record {
            id: *id,
            data,
            expiry_date: record.expiry_date,
        })
    }

    /// Not as absent: for some records it matters that there is one. Whoever reads a session through
    /// this crate's layer has none.
    fn refuse(&self, why: Unreadable) -> Error {
        let text = why.text();
        let said = self.said.get(why as usize);
        // Once: with a key that was removed too early it is every request.
        if said.is_some_and(|said| !said.swap(true, Ordering::Relaxed)) {
            observe::record_not_opened(text);
        }
        Error::Decode(text.to_owned())
    }
}

impl Unreadable {
    fn text(self) -> &'static str {
        match self {
            Self::NotSealed => "is not sealed",
            Self::UnknownKey => "is sealed with a key that is not here",
            Self::NotGenuine => "was changed or moved since it was sealed",
        }
    }
}

/// The name of the key, and nonce and sealed bytes in one.
fn parts(text: &str) -> Option<(&str, Vec<u8>)> {
    let (name, sealed) = text
        .strip_prefix(VERSION)?
        .strip_prefix('.')?
        .split_once('.')?;
    Some((name, STANDARD_NO_PAD.decode(sealed).ok()?))
}

/// What a record is bound to besides its key: the form it has, and its id. Not when it expires:
/// stores round that, and a session knows its own end.
fn about(id: &Id) -> Vec<u8> {
    [
        b"kycport session record ",
        VERSION.as_bytes(),
        &[0],
        &id.0.to_le_bytes(),
    ]
    .concat()
}

/// Never the store itself: its Debug may show every record there is.
impl<S> Debug for SealedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedStore")
            .field("keys", &self.sealing.keys)
            .finish_non_exhaustive()
    }
}
