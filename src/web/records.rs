//! Every record that is kept in the session store. Besides the stores themselves, this is the one
//! file that knows tower-sessions.

use std::{
    any::type_name,
    collections::{BTreeSet, HashMap},
    fmt::{self, Debug},
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cookie::time::OffsetDateTime;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store,
};

use super::memory_store::MemoryStore;
use crate::{
    clock::Timestamp,
    observe::{self, Said, Stopwatch, StoreOperation, StoreResult},
    secret::Secret,
};

/// The store gets so long for one operation.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// The one member of a record's data.
const MEMBER: &str = "kycport";

/// The form of what is stored; a record of another version reads as absent.
const VERSION: u64 = 1;

/// Stores that refuse an id that is taken, in one step.
const REFUSE: [&str; 2] = [
    "tower_sessions_redis_store::RedisStore<",
    "tower_sessions_memory_store::MemoryStore",
];

/// The crate whose stores look whether an id is taken, and then write over it, in two steps.
const LOOK_THEN_WRITE: &str = "tower_sessions_sqlx_store";

/// What stands before the name of a store that is sealed.
const SEALED: &str = concat!(
    env!("CARGO_CRATE_NAME"),
    "::web::sealed_store::SealedStore<"
);

/// A kind of record. Records of different kinds never meet: the kind is part of the id.
pub(super) trait Stored: Serialize + DeserializeOwned {
    const KIND: &'static str;
}

/// The store did not do what it was asked to: it is down, slow, or full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session store is not available")]
pub struct StoreUnavailable;

/// Whether a record was made, or stood there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Created {
    New,
    Taken,
}

/// What stands where a record is written, as far as whoever writes has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Empty,
    Filled,
}

/// Whether, of several that create one record at once, one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Creation {
    /// It is so.
    Atomic,
    /// It is not.
    Racy,
    /// This kind of store is not known.
    Unknown,
}

impl Creation {
    fn by<S: SessionStore>() -> Self {
        // Sealing changes nothing about it.
        let name = unsealed(type_name::<S>());
        let is_own = name == type_name::<MemoryStore>();
        if is_own || REFUSE.iter().any(|known| name.starts_with(known)) {
            Self::Atomic
        } else if name.contains(LOOK_THEN_WRITE) {
            Self::Racy
        } else {
            Self::Unknown
        }
    }
}

/// What stands under a key.
#[derive(Debug)]
pub(super) enum Found<T> {
    Absent,
    /// Something is there, of another version, changed, or sealed with a key that is gone.
    Unreadable,
    Record(T),
}

fn unsealed(name: &str) -> &str {
    name.strip_prefix(SEALED)
        .and_then(|inner| inner.strip_suffix('>'))
        .unwrap_or(name)
}

/// Records by kind and secret key. The store sees a hash of the key, so that whoever reads the
/// store learns no cookie and no state.
#[derive(Clone)]
pub(super) struct Records {
    store: Arc<dyn SessionStore>,
    creation: Creation,
    /// The kinds of which it was said that a record is not understood. While a new version is
    /// rolled out, that would be every request.
    not_understood: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Records {
    pub(super) fn new<S: SessionStore>(store: S) -> Self {
        Self {
            store: Arc::new(store),
            creation: Creation::by::<S>(),
            not_understood: Arc::default(),
        }
    }

    /// What is known of this kind of store beforehand.
    pub(super) fn creation(&self) -> Creation {
        self.creation
    }

    /// Writes a record, over an earlier one if there is one; over one that was seen and is gone,
    /// some stores write nothing. Two calls, because stores differ: on
    /// Redis saving changes what is there and makes nothing new. So what has ended meanwhile does
    /// not come back there.
    pub(super) async fn put<T: Stored>(
        &self,
        place: Place,
        key: &Secret,
        value: &T,
        expires_at: Timestamp,
    ) -> Result<(), StoreUnavailable> {
        if place == Place::Empty && self.create(key, value, expires_at).await? == Created::New {
            return Ok(());
        }
        let record = record(key, value, expires_at)?;
        within_deadline(StoreOperation::Save, async {
            let saved = self.store.save(&record).await;
            if place == Place::Filled && saved.is_err() {
                // Redis says so, too, when what was there has ended meanwhile: as it should.
                if let Ok(None) = self.store.load(&record.id).await {
                    return Ok(());
                }
            }
            saved
        })
        .await
    }

    /// Writes a record unless there is one. The store says that there is one by giving the new one
    /// another id, or by an error, which on Redis is all that it says.
    pub(super) async fn create<T: Stored>(
        &self,
        key: &Secret,
        value: &T,
        expires_at: Timestamp,
    ) -> Result<Created, StoreUnavailable> {
        let mut record = record(key, value, expires_at)?;
        let wanted = record.id;
        within_deadline(StoreOperation::Create, async {
            match self.store.create(&mut record).await {
                Ok(()) if record.id == wanted => Ok(Created::New),
                Ok(()) => {
                    self.store.delete(&record.id).await?;
                    Ok(Created::Taken)
                }
                Err(error) => match self.store.load(&wanted).await {
                    Ok(Some(_)) | Err(session_store::Error::Decode(_)) => Ok(Created::Taken),
                    _ => Err(error),
                },
            }
        })
        .await
    }

    /// Reads a record. One that cannot be understood reads as absent.
    pub(super) async fn get<T: Stored>(&self, key: &Secret) -> Result<Option<T>, StoreUnavailable> {
        Ok(match self.find(key).await? {
            Found::Record(value) => Some(value),
            Found::Absent | Found::Unreadable => None,
        })
    }

    /// Reads a record of which it matters whether there is one.
    pub(super) async fn find<T: Stored>(&self, key: &Secret) -> Result<Found<T>, StoreUnavailable> {
        let id = id::<T>(key);
        let load = async {
            match self.store.load(&id).await {
                Err(session_store::Error::Decode(_)) => Ok(Found::Unreadable),
                Ok(Some(record)) => Ok(Found::Record(record)),
                Ok(None) => Ok(Found::Absent),
                Err(error) => Err(error),
            }
        };
        let mut record = match within_deadline(StoreOperation::Load, load).await? {
            Found::Record(record) => record,
            Found::Absent => return Ok(Found::Absent),
            Found::Unreadable => {
                self.say_once(T::KIND);
                return Ok(Found::Unreadable);
            }
        };
        let value = record.data.remove(MEMBER).and_then(open);
        if value.is_none() {
            self.say_once(T::KIND);
        }
        Ok(value.map_or(Found::Unreadable, Found::Record))
    }

    pub(super) async fn delete<T: Stored>(&self, key: &Secret) -> Result<(), StoreUnavailable> {
        within_deadline(StoreOperation::Delete, self.store.delete(&id::<T>(key))).await
    }

    fn say_once(&self, kind: &'static str) {
        let is_first = self
            .not_understood
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(kind);
        let said = if is_first { Said::NotYet } else { Said::Before };
        observe::record_unreadable(kind, said);
    }
}

/// Never the store itself: its Debug may show every session there is.
impl Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Records(…)")
    }
}

fn id<T: Stored>(key: &Secret) -> Id {
    let digest = Sha256::new()
        .chain_update(T::KIND)
        .chain_update([0])
        .chain_update(key.expose())
        .finalize();
    let half = digest.first_chunk().copied().unwrap_or_default();
    Id(i128::from_le_bytes(half))
}

fn record<T: Stored>(
    key: &Secret,
    value: &T,
    expires_at: Timestamp,
) -> Result<Record, StoreUnavailable> {
    let body = serde_json::to_value(value).map_err(|_| StoreUnavailable)?;
    let sealed = serde_json::json!({ "v": VERSION, "kind": T::KIND, "body": body });
    Ok(Record {
        id: id::<T>(key),
        data: HashMap::from([(MEMBER.to_owned(), sealed)]),
        expiry_date: OffsetDateTime::from_unix_timestamp(expires_at.as_unix())
            .map_err(|_| StoreUnavailable)?,
    })
}

fn open<T: Stored>(mut sealed: Value) -> Option<T> {
    let known =
        sealed.get("v")?.as_u64() == Some(VERSION) && sealed.get("kind")?.as_str() == Some(T::KIND);
    if !known {
        return None;
    }
    serde_json::from_value(sealed.get_mut("body")?.take()).ok()
}

async fn within_deadline<R>(
    operation: StoreOperation,
    answer: impl Future<Output = session_store::Result<R>>,
) -> Result<R, StoreUnavailable> {
    let since = Stopwatch::start();
    let answer = tokio::time::timeout(DEADLINE, answer).await;
    let result = match &answer {
        Ok(Ok(_)) => StoreResult::Ok,
        Ok(Err(_)) => StoreResult::Error,
        Err(_) => StoreResult::Timeout,
    };
    observe::store_answered(operation, result, since);
    match answer {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(_)) | Err(_) => Err(StoreUnavailable),
    }
}

#[cfg(test)]
mod tests {
    use fred::clients::Pool;
    use tower_sessions_redis_store::RedisStore;
    use tower_sessions_sqlx_store::PostgresStore;

    use super::{super::sealed_store::SealedStore, Creation, MemoryStore};

    #[test]
    fn what_is_known_of_a_store_is_known_of_it_sealed() {
        assert_eq!(Creation::by::<MemoryStore>(), Creation::Atomic);
        assert_eq!(Creation::by::<RedisStore<Pool>>(), Creation::Atomic);
        assert_eq!(Creation::by::<PostgresStore>(), Creation::Racy);
        assert_eq!(Creation::by::<SealedStore<MemoryStore>>(), Creation::Atomic);
        assert_eq!(
            Creation::by::<SealedStore<RedisStore<Pool>>>(),
            Creation::Atomic
        );
        assert_eq!(Creation::by::<SealedStore<PostgresStore>>(), Creation::Racy);
    }
}
