//! Writes to both stores.

use std::time::Duration;

use futures_util::future;
use tokio::time::timeout;

use super::{
    super::{
        Change, Condition, Family, Owner, RecordKey, RevocationMark, StoreError, Write, Written,
    },
    TowerSessionsStore,
    bodies::{DEADLINE, NewBody},
    index::BodyRef,
    read::Dangling,
};

/// Maximum number of attempts while other callers replace the sessions of a write.
const ATTEMPTS: usize = 3;
/// Maximum number of bodies that one revocation deletes. Further bodies expire later.
const REVOKED_BODIES: usize = 256;
/// Maximum time that a revocation waits for the identifiers of the bodies to delete.
const NAMING_DEADLINE: Duration = Duration::from_secs(1);

/// Writes for the second store, and bodies for the tower-sessions store.
struct Plan {
    writes: Vec<Write>,
    bodies: Vec<NewBody>,
    /// Sessions whose previous body may have to be deleted.
    replaced: Vec<RecordKey>,
}

impl Plan {
    fn new(owner: &Owner, writes: &[Write]) -> Self {
        let mut plan = Self {
            writes: writes.to_vec(),
            bodies: Vec::new(),
            replaced: Vec::new(),
        };
        for write in &mut plan.writes {
            if write.key.family != Family::Session || write.change == Change::Keep {
                continue;
            }
            if write.condition != Condition::Absent {
                plan.replaced.push(write.key);
            }
            if let Change::Put {
                version,
                body,
                keep_for,
            } = &mut write.change
            {
                let at = BodyRef::of_body(owner, write.key, *version, body);
                plan.bodies.push(NewBody {
                    at,
                    body: std::mem::replace(body, at.to_bytes()),
                    keep_for: *keep_for,
                });
            }
        }
        plan
    }

    /// Returns the writes of an attempt. A session without a body is absent, although its index
    /// entry exists. To create a session at this key, the attempt replaces exactly this index
    /// entry.
    fn attempt(&self, dangling: &[Dangling]) -> Vec<Write> {
        let mut writes = self.writes.clone();
        for it in dangling {
            if let Some(write) = writes.get_mut(it.position)
                && write.condition == Condition::Absent
            {
                write.condition = Condition::Version(it.version);
            }
        }
        writes
    }

    /// Returns the new bodies to which no index entry refers.
    fn bodies_except(&self, named: &[BodyRef]) -> Vec<BodyRef> {
        let bodies = self.bodies.iter().map(|new| new.at);
        bodies.filter(|at| !named.contains(at)).collect()
    }
}

impl TowerSessionsStore {
    pub(super) async fn write_both(
        &self,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written, StoreError> {
        let plan = Plan::new(owner, writes);
        // After an error, the index entry may exist although its body was removed. A session
        // without its body reads as absent. If the caller repeats the write, the write stores the
        // body again under the same id.
        let mut garbage = plan.bodies_except(&[]);
        let write = self.write_plan(owner, &plan, admitted_at, &mut garbage);
        let result = timeout(DEADLINE, write).await;
        self.bodies.remove(garbage).await;
        result.map_err(|_| StoreError::Timeout)?
    }

    /// Performs the write. Keeps `garbage` up to date: the bodies to delete if the write is aborted
    /// at any point.
    async fn write_plan(
        &self,
        owner: &Owner,
        plan: &Plan,
        admitted_at: Option<RevocationMark>,
        garbage: &mut Vec<BodyRef>,
    ) -> Result<Written, StoreError> {
        // Store all bodies concurrently, because a batch changes only one or two sessions.
        let bodies = plan.bodies.iter().map(|new| self.bodies.store(new));
        let replaced = self.named(owner, &plan.replaced);
        let (_, replaced) = future::try_join(future::try_join_all(bodies), replaced).await?;

        let keys: Vec<_> = plan.writes.iter().map(|write| write.key).collect();
        let mut dangling = Vec::new();
        let mut attempt = 1_usize;
        loop {
            let writes = plan.attempt(&dangling);
            let conflict = match self.atomic.write(owner, &writes, admitted_at).await? {
                Written::Applied => {
                    let new = plan.bodies_except(&[]);
                    *garbage = replaced;
                    garbage.retain(|at| !new.contains(at));
                    return Ok(Written::Applied);
                }
                Written::Fenced => return Ok(Written::Fenced),
                Written::Conflict(snapshot) => snapshot,
            };
            // A repeated write conflicts with its own index entry, so the adapter must keep the
            // body to which this entry refers.
            let entries = keys.iter().zip(&conflict.entries);
            let named: Vec<_> = entries
                .filter_map(|(key, entry)| BodyRef::of_entry(owner, *key, entry.as_ref()?))
                .collect();
            *garbage = plan.bodies_except(&named);
            let (conflict, missing) = self.with_bodies(owner, &keys, conflict).await?;
            if missing.is_empty() || attempt >= ATTEMPTS {
                return Ok(Written::Conflict(conflict));
            }
            dangling = missing;
            attempt = attempt.saturating_add(1);
        }
    }

    /// Returns the bodies to which the index refers for some sessions.
    async fn named(&self, owner: &Owner, keys: &[RecordKey]) -> Result<Vec<BodyRef>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let entries = self.atomic.read(owner, keys).await?.entries;
        let entries = keys.iter().zip(&entries);
        let named = entries.filter_map(|(key, entry)| {
            let entry = entry.as_ref()?;
            BodyRef::of_entry(owner, *key, entry)
        });
        Ok(named.collect())
    }

    /// Reads the identifiers of the bodies, revokes the sessions in the second store, and deletes
    /// the bodies. The revocation deletes the index, so the store reads the identifiers first. If
    /// the read of the identifiers fails, the store still revokes the sessions.
    pub(super) async fn revoke_both(
        &self,
        owner: &Owner,
        families: &[Family],
        keep_fence_for: Duration,
    ) -> Result<RevocationMark, StoreError> {
        let bodies = if families.contains(&Family::Session) {
            let list = self
                .atomic
                .list(owner, Family::Session, None, REVOKED_BODIES);
            match timeout(NAMING_DEADLINE, list).await {
                Ok(Ok(entries)) => entries,
                Ok(Err(_)) | Err(_) => Vec::new(),
            }
        } else {
            Vec::new()
        };
        let mark = self.atomic.revoke(owner, families, keep_fence_for).await?;
        let bodies = bodies.into_iter().filter_map(|(id, entry)| {
            BodyRef::of_entry(owner, RecordKey::new(Family::Session, id), &entry)
        });
        let bodies: Vec<_> = bodies.collect();
        self.bodies.remove(bodies).await;
        Ok(mark)
    }
}
