//! Operations of [`Store`] in Postgres.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use sqlx::Row as _;
use tokio::time::timeout;

use super::{
    Inner, NAME, PostgresStore,
    own_result::is_own_result,
    record,
    statements::{Answer, Values},
};
use crate::store::{
    Acquired, Change, Condition, Entry, Family, LeaseKey, LeaseToken, Owner, Properties, RecordId,
    RecordKey, RevocationMark, Settlement, Snapshot, Store, StoreError, StoreFuture, Write,
    Written,
    sql::{
        DEADLINE, Failure, Key, LATE_SETTLEMENT, Records, family_bounds, fence_key, in_time,
        lease_key, left, list_start, millis, owner_number, read, record_key, row_keys,
        write_and_read_back,
    },
};

impl Answer {
    /// Returns the number from a result with one row and one column.
    pub(super) fn number(&self) -> Result<i64, Failure> {
        let row = self.rows.first().ok_or_else(Failure::damaged)?;
        Ok(row.try_get(0)?)
    }
}

impl Inner {
    async fn write(
        &self,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written, Failure> {
        let values = || write_values(owner, writes, admitted_at);
        let answer = self.sender.send(&self.statements.write, values).await?;
        let (first, found) = answer.rows.split_first().ok_or_else(Failure::damaged)?;
        let snapshot = match first.try_get::<i64, _>(0)? {
            0 => return Ok(Written::Applied),
            1 => return Ok(Written::Fenced),
            2 => {
                let keys = row_keys(owner, writes.iter().map(|write| write.key));
                let found = found.iter().map(|row| record(row, [1, 2, 3]));
                Records::collect(found)?.snapshot(&keys)
            }
            _ => return Err(Failure::damaged()),
        };
        if answer.is_repeated && is_own_result(writes, &snapshot) {
            return Ok(Written::Applied);
        }
        Ok(Written::Conflict(snapshot))
    }

    async fn revoke(
        &self,
        owner: &Owner,
        families: &[Family],
        keep_fence_for: Duration,
    ) -> Result<RevocationMark, Failure> {
        let bounds = families.iter().map(|family| family_bounds(owner, *family));
        let bounds: Vec<_> = bounds.collect();
        let values = || {
            let lower: Vec<&[u8]> = bounds.iter().map(|[lower, _]| &lower[..]).collect();
            let upper: Vec<&[u8]> = bounds.iter().map(|[_, upper]| &upper[..]).collect();
            Values::default()
                .with(owner_number(owner))
                .with(&fence_key(owner)[..])
                .with(lower)
                .with(upper)
                .with(millis(keep_fence_for))
        };
        let answer = self.sender.send(&self.statements.revoke, values).await?;
        let mark = u64::try_from(answer.number()?).map_err(|_| Failure::damaged())?;
        Ok(RevocationMark(mark))
    }

    async fn list(
        &self,
        owner: &Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Entry)>, Failure> {
        let start = list_start(owner, family, after);
        let [_, end] = family_bounds(owner, family);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = || {
            let values = Values::default().with(&start[..]);
            values.with(&end[..]).with(limit)
        };
        let answer = self.sender.send(&self.statements.list, values).await?;
        let rows = answer.rows.iter().map(|row| {
            let (key, entry) = record(row, [0, 1, 2])?;
            let id = key.last_chunk().copied().ok_or_else(Failure::damaged)?;
            Ok((RecordId(id), entry))
        });
        rows.collect()
    }

    async fn acquire(
        &self,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired, Failure> {
        let values = || {
            Values::default()
                .with(&lease_key(key)[..])
                .with(&token.0[..])
                .with(millis(length))
                .with(millis(LATE_SETTLEMENT))
        };
        let answer = self.sender.send(&self.statements.acquire, values).await?;
        let row = answer.rows.first().ok_or_else(Failure::damaged)?;
        let number: i64 = row.try_get(1)?;
        match row.try_get::<i64, _>(0)? {
            0 => {
                let mark = u64::try_from(number).map_err(|_| Failure::damaged())?;
                Ok(Acquired::Granted {
                    mark: RevocationMark(mark),
                })
            }
            1 => Ok(Acquired::Held(left(number))),
            2 => Ok(Acquired::Done(Bytes::copy_from_slice(row.try_get(2)?))),
            _ => Err(Failure::damaged()),
        }
    }

    async fn settle(
        &self,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: &Settlement,
    ) -> Result<bool, Failure> {
        let values = || settle_values(key, token, settlement);
        let answer = self.sender.send(&self.statements.settle, values).await?;
        // The sender repeats a release whose response was lost. The first release may already have
        // removed the lease.
        let is_released = answer.is_repeated && *settlement == Settlement::Release;
        Ok(answer.number()? == 1 || is_released)
    }
}

fn write_values(owner: &Owner, writes: &[Write], admitted_at: Option<RevocationMark>) -> Values {
    let keys: Vec<_> = writes.iter().map(|it| record_key(owner, it.key)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(Key::as_slice).collect();
    let conditions = writes.iter().map(|it| match it.condition {
        Condition::Any => (0, 0),
        Condition::Absent => (1, 0),
        Condition::Present => (2, 0),
        Condition::Version(version) => (3, version.cast_signed()),
    });
    let (conditions, expected): (Vec<i64>, Vec<i64>) = conditions.unzip();
    let mut changes: Vec<i64> = Vec::with_capacity(writes.len());
    let mut versions: Vec<i64> = Vec::with_capacity(writes.len());
    let mut bodies: Vec<&[u8]> = Vec::with_capacity(writes.len());
    let mut lifetimes: Vec<i64> = Vec::with_capacity(writes.len());
    for write in writes {
        let (change, version, body, lifetime): (_, _, &[u8], _) = match &write.change {
            Change::Keep => (0, 0, &[], 0),
            Change::Put {
                version,
                body,
                keep_for,
            } => (1, version.cast_signed(), body, millis(*keep_for)),
            Change::Delete => (2, 0, &[], 0),
        };
        changes.push(change);
        versions.push(version);
        bodies.push(body);
        lifetimes.push(lifetime);
    }
    let admitted_at = admitted_at.map(|mark| i64::try_from(mark.0).unwrap_or(i64::MAX));
    Values::default()
        .with(owner_number(owner))
        .with(&fence_key(owner)[..])
        .with(admitted_at)
        .with(keys)
        .with(conditions)
        .with(expected)
        .with(changes)
        .with(versions)
        .with(bodies)
        .with(lifetimes)
}

pub(super) fn settle_values(key: &LeaseKey, token: LeaseToken, settlement: &Settlement) -> Values {
    let (number, result, lifetime): (i64, &[u8], _) = match settlement {
        Settlement::Done { result, keep_for } => (0, result, millis(*keep_for)),
        Settlement::Release => (1, &[], 0),
        Settlement::Extend(length) => (2, &[], millis(*length)),
    };
    Values::default()
        .with(&lease_key(key)[..])
        .with(&token.0[..])
        .with(number)
        .with(result)
        .with(lifetime)
        .with(millis(LATE_SETTLEMENT))
}

impl Store for PostgresStore {
    fn read<'a>(&'a self, owner: &'a Owner, keys: &'a [RecordKey]) -> StoreFuture<'a, Snapshot> {
        in_time(NAME, async {
            self.inner.ready().await?;
            read(&self.inner, owner, keys).await
        })
        .boxed()
    }

    fn write<'a>(
        &'a self,
        owner: &'a Owner,
        writes: &'a [Write],
        admitted_at: Option<RevocationMark>,
    ) -> StoreFuture<'a, Written> {
        in_time(NAME, async move {
            self.inner.ready().await?;
            let written = self.inner.write(owner, writes, admitted_at).await;
            self.inner.upkeep.wrote(&self.inner);
            written
        })
        .boxed()
    }

    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, RevocationMark> {
        in_time(NAME, async move {
            self.inner.ready().await?;
            self.inner.revoke(owner, families, keep_fence_for).await
        })
        .boxed()
    }

    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<(RecordId, Entry)>> {
        in_time(NAME, async move {
            self.inner.ready().await?;
            self.inner.list(owner, family, after, limit).await
        })
        .boxed()
    }

    fn acquire<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> StoreFuture<'a, Acquired> {
        in_time(NAME, async move {
            self.inner.ready().await?;
            let acquired = self.inner.acquire(key, token, length).await;
            self.inner.upkeep.wrote(&self.inner);
            acquired
        })
        .boxed()
    }

    fn settle<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool> {
        in_time(NAME, async move {
            self.inner.ready().await?;
            self.inner.settle(key, token, &settlement).await
        })
        .boxed()
    }

    fn sweep(&self, limit: usize) -> StoreFuture<'_, usize> {
        in_time(NAME, async move {
            self.inner.ready().await?;
            self.inner.sweep(limit).await
        })
        .boxed()
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        let check = async {
            in_time(NAME, async {
                self.inner.ready().await?;
                self.inner.prepare(false).await
            })
            .await?;
            write_and_read_back(self).await
        };
        // The operations of the check already log their failures.
        let check = timeout(DEADLINE, check);
        check
            .map(|it| it.unwrap_or(Err(StoreError::Timeout)))
            .boxed()
    }

    fn properties(&self) -> Properties {
        Properties::new("postgres", true, true)
    }
}
