//! Operations of [`Store`] in SQLite.

use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::{Inner, NAME, SqliteStore, statements};
use crate::store::{
    Acquired, Entry, Family, LeaseKey, LeaseToken, Owner, Properties, RecordId, RecordKey,
    RevocationMark, Settlement, Snapshot, Store, StoreError, StoreFuture, Write, Written,
    sql::{DEADLINE, Failure, in_time, millis, read, row_keys, write_and_read_back},
};

impl Inner {
    async fn write(
        &self,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written, Failure> {
        let mut writer = self.link.writer().await?;
        let connection = &mut writer.connection;
        let now = statements::now();
        let keys = row_keys(owner, writes.iter().map(|write| write.key));
        let found = statements::fetch(connection, &self.fetches, &keys, now).await?;
        let found = found.snapshot(&keys);
        if admitted_at.is_some_and(|mark| found.fence.is_some_and(|fence| fence > mark)) {
            writer.roll_back().await?;
            return Ok(Written::Fenced);
        }
        if !statements::holds(writes, &found) {
            writer.roll_back().await?;
            return Ok(Written::Conflict(found));
        }
        let last_end = statements::change(connection, owner, writes, now).await?;
        if admitted_at.is_some() {
            let fence = found.fence.unwrap_or(RevocationMark(0));
            statements::put_fence(connection, owner, fence, last_end).await?;
        }
        writer.commit().await?;
        Ok(Written::Applied)
    }

    async fn revoke(
        &self,
        owner: &Owner,
        families: &[Family],
        keep_fence_for: Duration,
    ) -> Result<RevocationMark, Failure> {
        let mut writer = self.link.writer().await?;
        let connection = &mut writer.connection;
        let mark = statements::raise_counter(connection).await?;
        let expires_at = statements::now().saturating_add(millis(keep_fence_for));
        statements::put_fence(connection, owner, mark, expires_at).await?;
        statements::delete_families(connection, owner, families).await?;
        writer.commit().await?;
        Ok(mark)
    }

    async fn list(
        &self,
        owner: &Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Entry)>, Failure> {
        let mut reader = self.link.reader().await?;
        let connection = &mut reader.connection;
        let listed = statements::list(connection, owner, family, after, limit).await?;
        reader.give_back();
        Ok(listed)
    }

    /// Reads the lease before it waits for the write lock. A handler that completes the lease in a
    /// transaction of the app may hold the write lock.
    async fn acquire(
        &self,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired, Failure> {
        let mut reader = self.link.reader().await?;
        let now = statements::now();
        let found = statements::lease(&mut reader.connection, key, token, now).await?;
        reader.give_back();
        if let Some(found) = found {
            return Ok(found);
        }
        let mut writer = self.link.writer().await?;
        let connection = &mut writer.connection;
        let mark = statements::counter(connection).await?;
        let now = statements::now();
        if let Some(found) = statements::lease(connection, key, token, now).await? {
            writer.roll_back().await?;
            return Ok(found);
        }
        let until = now.saturating_add(millis(length));
        statements::put_lease(connection, key, token, until).await?;
        writer.commit().await?;
        Ok(Acquired::Granted { mark })
    }

    async fn settle(
        &self,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: &Settlement,
    ) -> Result<bool, Failure> {
        let mut writer = self.link.writer().await?;
        let connection = &mut writer.connection;
        let settled = statements::settle(connection, key, token, settlement).await?;
        writer.commit().await?;
        Ok(settled)
    }
}

impl Store for SqliteStore {
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
                self.inner.require_version().await
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
        Properties::new("sqlite", true, true)
    }
}
