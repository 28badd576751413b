//! Bodies of sessions as records of a tower-sessions store.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use bytes::Bytes;
use cookie::time::OffsetDateTime;
use futures_util::{StreamExt as _, stream};
use rand::Rng as _;
use serde_json::Value;
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store::{self, Error},
};

use super::{super::StoreError, index::BodyRef};
use crate::{
    clock::{Clock as _, SystemClock},
    observe,
};

/// Maximum duration of one operation of the tower-sessions store.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// Maximum duration of removing unreachable bodies.
const REMOVAL_DEADLINE: Duration = Duration::from_secs(2);
/// Maximum number of concurrent operations on behalf of one call.
pub(super) const CONCURRENCY: usize = 8;
/// Additional lifetime of a body after its index entry has expired. The index entry determines the
/// end of a session. The clocks of this process and of the tower-sessions store may differ by this
/// time.
const MARGIN: Duration = Duration::from_secs(60);
/// Maximum lifetime of a body: 100 years. The dates of some stores have a limit.
const MAX_LIFETIME: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Member of a record's data that contains the body.
const MEMBER: &str = "kycport";

/// Body that the adapter will store.
#[derive(Clone)]
pub(super) struct NewBody {
    pub(super) at: BodyRef,
    pub(super) body: Bytes,
    pub(super) keep_for: Duration,
}

#[derive(Clone)]
pub(super) struct Bodies {
    sessions: Arc<dyn SessionStore>,
    clock: SystemClock,
}

impl Bodies {
    pub(super) fn new(sessions: impl SessionStore) -> Self {
        Self {
            sessions: Arc::new(sessions),
            clock: SystemClock::new(),
        }
    }

    /// Stores a body. The id of a body is derived from its content. If a record with this id
    /// exists, the record contains this body from an earlier attempt, and is overwritten.
    ///
    /// `create` precedes `save`, because `save` cannot create records on some stores. If the id
    /// exists, `create` fails on some stores, and creates the record under another id on other
    /// stores.
    pub(super) async fn store(&self, new: &NewBody) -> Result<(), StoreError> {
        let wanted = new.at.id;
        let mut record = self.record(wanted, &new.body, new.keep_for)?;
        match bounded(self.sessions.create(&mut record)).await? {
            Ok(()) if record.id == wanted => return Ok(()),
            Ok(()) => {
                self.delete(record.id).await?;
                record.id = wanted;
            }
            Err(error) => {
                let is_taken = match self.load_record(wanted).await {
                    Ok(found) => found.is_some(),
                    Err(StoreError::Damaged) => true,
                    Err(error) => return Err(error),
                };
                if !is_taken {
                    return Err(code(&error));
                }
            }
        }
        let saved = bounded(self.sessions.save(&record)).await?;
        saved.map_err(|error| code(&error))
    }

    /// Loads a body. If the record cannot be decoded, or if its content differs from the written
    /// body, returns [`StoreError::Damaged`].
    pub(super) async fn load(&self, at: &BodyRef) -> Result<Option<Bytes>, StoreError> {
        let Some(record) = self.load_record(at.id).await? else {
            return Ok(None);
        };
        let body = open(&record).filter(|body| at.is_of(body));
        if body.is_none() {
            observe::session_body_damaged();
        }
        body.map(Some).ok_or(StoreError::Damaged)
    }

    /// Removes unreachable bodies. A body that the adapter cannot remove in time expires later.
    pub(super) async fn remove(&self, bodies: impl IntoIterator<Item = BodyRef>) {
        let deletions = stream::iter(bodies).for_each_concurrent(CONCURRENCY, |at| async move {
            // Ignore a failure, because the body is unreachable and expires.
            let _ = self.delete(at.id).await;
        });
        let _ = tokio::time::timeout(REMOVAL_DEADLINE, deletions).await;
    }

    /// Writes a record, reads it back and removes it.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        let body = Bytes::copy_from_slice(&bytes);
        let mut record = self.record(Id(i128::from_le_bytes(bytes)), &body, MARGIN)?;
        let created = bounded(self.sessions.create(&mut record)).await?;
        created.map_err(|error| code(&error))?;
        let found = self.load_record(record.id).await;
        let deleted = self.delete(record.id).await;
        if found?.as_ref().and_then(open) != Some(body) {
            return Err(StoreError::Damaged);
        }
        deleted
    }

    async fn load_record(&self, id: Id) -> Result<Option<Record>, StoreError> {
        match bounded(self.sessions.load(&id)).await? {
            Ok(found) => Ok(found),
            Err(error) => {
                if matches!(error, Error::Decode(_)) {
                    observe::session_body_damaged();
                }
                Err(code(&error))
            }
        }
    }

    async fn delete(&self, id: Id) -> Result<(), StoreError> {
        let deleted = bounded(self.sessions.delete(&id)).await?;
        deleted.map_err(|error| code(&error))
    }

    fn record(&self, id: Id, body: &[u8], keep_for: Duration) -> Result<Record, StoreError> {
        let keep_for = keep_for.saturating_add(MARGIN).min(MAX_LIFETIME);
        let expires_at = self.clock.now().saturating_add(keep_for);
        // Round up to whole seconds, because some stores round down and the body must not expire
        // before its index entry.
        let seconds = expires_at.as_unix().saturating_add(1);
        let expiry_date =
            OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| StoreError::Failed)?;
        Ok(Record {
            id,
            data: HashMap::from([(MEMBER.to_owned(), Value::String(BASE64.encode(body)))]),
            expiry_date,
        })
    }
}

fn open(record: &Record) -> Option<Bytes> {
    let text = record.data.get(MEMBER)?.as_str()?;
    BASE64.decode(text).ok().map(Bytes::from)
}

/// Runs one operation of the tower-sessions store for at most 5 s.
async fn bounded<T>(
    run: impl Future<Output = session_store::Result<T>>,
) -> Result<session_store::Result<T>, StoreError> {
    tokio::time::timeout(DEADLINE, run)
        .await
        .map_err(|_| StoreError::Timeout)
}

/// Converts an error of tower-sessions to a [`StoreError`], by the kind of the error. Omits the
/// error's text, because the text can contain addresses and keys.
fn code(error: &Error) -> StoreError {
    match error {
        Error::Decode(_) => StoreError::Damaged,
        Error::Encode(_) | Error::Backend(_) => StoreError::Failed,
    }
}
