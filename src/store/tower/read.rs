//! Reads from both stores.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::timeout;

use super::{
    super::{Entry, Family, Owner, RecordId, RecordKey, Snapshot, StoreError},
    TowerSessionsStore,
    bodies::{CONCURRENCY, DEADLINE},
    index::BodyRef,
};

/// Maximum number of attempts to read an index that changes concurrently.
const ATTEMPTS: usize = 4;

/// Index entry whose body is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dangling {
    /// Position of the entry in the snapshot.
    pub(super) position: usize,
    pub(super) version: u64,
}

impl TowerSessionsStore {
    pub(super) async fn read_both(
        &self,
        owner: &Owner,
        keys: &[RecordKey],
    ) -> Result<Snapshot, StoreError> {
        timeout(DEADLINE, self.read_attempts(owner, keys))
            .await
            .map_err(|_| StoreError::Timeout)?
    }

    /// Reads until the index and the bodies agree. A body is missing if another caller replaced or
    /// deleted the session after the index was read. A session without its body is absent only if
    /// the index still refers to this body.
    async fn read_attempts(
        &self,
        owner: &Owner,
        keys: &[RecordKey],
    ) -> Result<Snapshot, StoreError> {
        let mut before = Vec::new();
        for _ in 0..ATTEMPTS {
            let snapshot = self.atomic.read(owner, keys).await?;
            let (snapshot, dangling) = self.with_bodies(owner, keys, snapshot).await?;
            if dangling.iter().all(|it| before.contains(it)) {
                return Ok(snapshot);
            }
            before = dangling;
        }
        Err(StoreError::Busy)
    }

    /// Replaces index entries by sessions. If the body of an index entry is missing, makes the
    /// entry absent and reports the entry.
    pub(super) async fn with_bodies(
        &self,
        owner: &Owner,
        keys: &[RecordKey],
        snapshot: Snapshot,
    ) -> Result<(Snapshot, Vec<Dangling>), StoreError> {
        let Snapshot { fence, mut entries } = snapshot;
        let named = keys.iter().zip(&entries).enumerate();
        let named = named.filter_map(|(position, (key, entry))| {
            let entry = entry.as_ref().filter(|_| key.family == Family::Session)?;
            let at = BodyRef::of_entry(owner, *key, entry);
            Some((position, entry.version, at))
        });
        // Collect the references first, because the entries change below.
        let named: Vec<_> = named.collect();
        let loads = named.into_iter().map(|(position, version, at)| async move {
            let body = match at {
                Some(at) => Some(self.bodies.load(&at).await?),
                None => None,
            };
            Ok::<_, StoreError>((position, version, body))
        });
        let loaded: Vec<_> = stream::iter(loads)
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let mut dangling = Vec::new();
        for (position, version, body) in loaded {
            if body == Some(None) {
                dangling.push(Dangling { position, version });
            }
            if let Some(entry) = entries.get_mut(position) {
                *entry = body.flatten().map(|body| Entry { version, body });
            }
        }
        Ok((Snapshot { fence, entries }, dangling))
    }

    pub(super) async fn list_sessions(
        &self,
        owner: &Owner,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Entry)>, StoreError> {
        timeout(DEADLINE, self.list_pages(owner, after, limit))
            .await
            .map_err(|_| StoreError::Timeout)?
    }

    /// Reads pages of the index until `limit` sessions with a body are found. A list with fewer
    /// sessions would mean the last page.
    async fn list_pages(
        &self,
        owner: &Owner,
        mut after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Entry)>, StoreError> {
        let mut found = Vec::new();
        loop {
            let wanted = limit.saturating_sub(found.len());
            let page = self.atomic.list(owner, Family::Session, after, wanted);
            let page = page.await?;
            let is_last = page.len() < wanted;
            let loads = page.into_iter().map(|(id, entry)| async move {
                let session = self.session_of(owner, id, entry).await?;
                Ok::<_, StoreError>((id, session))
            });
            let mut loads = stream::iter(loads).buffered(CONCURRENCY);
            while let Some((id, session)) = loads.try_next().await? {
                after = Some(id);
                found.extend(session.map(|session| (id, session)));
            }
            if is_last || found.len() >= limit {
                return Ok(found);
            }
        }
    }

    async fn session_of(
        &self,
        owner: &Owner,
        id: RecordId,
        entry: Entry,
    ) -> Result<Option<Entry>, StoreError> {
        let keys = [RecordKey::new(Family::Session, id)];
        let snapshot = Snapshot {
            fence: None,
            entries: vec![Some(entry)],
        };
        let (mut snapshot, dangling) = self.with_bodies(owner, &keys, snapshot).await?;
        if !dangling.is_empty() {
            snapshot = self.read_attempts(owner, &keys).await?;
        }
        Ok(snapshot.entries.pop().flatten())
    }
}
