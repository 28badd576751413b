//! Store operations as Redis commands and scripts.

use std::time::Duration;

use bytes::Bytes;
use rand::Rng as _;
use redis::{Cmd, Pipeline, Value};

use super::{
    RedisStore,
    failure::{Failure, Fate},
    key::{self, Key, millis},
    reply,
    script::{self, Script},
};
use crate::store::{
    Acquired, Change, Condition, Entry, Family, LeaseKey, LeaseToken, Owner, RecordId, RecordKey,
    RevocationMark, Settlement, Snapshot, Write, Written,
};

/// Time limit for the acknowledgement of a revocation by replicas.
const REPLICATED_WITHIN: Duration = Duration::from_secs(1);
/// Grace period after the expiry of a lease, in which the holder can still complete the work.
const LATE_SETTLEMENT: Duration = Duration::from_secs(3600);
/// Lifetime of the record that a check writes.
const CHECK: Duration = Duration::from_secs(60);

impl RedisStore {
    pub(super) async fn read_now(
        &self,
        owner: &Owner,
        keys: &[RecordKey],
    ) -> Result<Snapshot, Failure> {
        let command = key::read(Key::owner(&self.prefix, owner), keys);
        let (values, now) = self.fetch(command).await?;
        reply::snapshot(values, keys.len(), now)
    }

    pub(super) async fn list_now(
        &self,
        owner: &Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> Result<Vec<(RecordId, Entry)>, Failure> {
        let mut command = redis::cmd("HGETALL");
        command.arg(Key::owner(&self.prefix, owner));
        let (values, now) = self.fetch(command).await?;
        let mut list = reply::list(values, family, after, now)?;
        list.truncate(limit);
        Ok(list)
    }

    /// Executes a read, and returns the reply and the server's time. If the connection breaks,
    /// repeats the read once. A read has no side effects.
    async fn fetch(&self, command: Cmd) -> Result<(Value, u64), Failure> {
        let mut pipeline = Pipeline::with_capacity(2);
        // Send the command with a key first. After a redirection, a cluster node that imports a
        // slot accepts only the first command.
        pipeline.add_command(command).cmd("TIME");
        let replies = match self.fetch_once(&pipeline).await {
            Err(failure) if failure.connection == Fate::Broken => self.fetch_once(&pipeline).await,
            replies => replies,
        };
        let mut replies = replies?.into_iter();
        let values = replies.next().ok_or_else(Failure::damaged)?;
        Ok((values, reply::time(replies.next())?))
    }

    async fn fetch_once(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Failure> {
        let link = self.connector.link().await?;
        let replies = link.pipeline(pipeline).await;
        replies.inspect_err(|failure| self.connector.note(&link, failure))
    }

    async fn run(
        &self,
        script: &Script,
        key: Key<'_>,
        fill: &(dyn Fn(&mut Cmd) + Sync),
    ) -> Result<Value, Failure> {
        let link = self.connector.link().await?;
        let reply = script.run(&link, key, fill).await;
        reply.inspect_err(|failure| self.connector.note(&link, failure))
    }

    /// Runs a script, and waits for the configured number of replicas.
    async fn run_on_replicas(
        &self,
        script: &Script,
        key: Key<'_>,
        fill: &(dyn Fn(&mut Cmd) + Sync),
    ) -> Result<Value, Failure> {
        let Some(replicas) = &self.replicas else {
            return self.run(script, key, fill).await;
        };
        let link = replicas.connector.link().await?;
        let reply = script.run_on_replicas(&link, key, fill, replicas.count, REPLICATED_WITHIN);
        let reply = reply.await;
        reply.inspect_err(|failure| replicas.connector.note(&link, failure))
    }

    pub(super) async fn write_now(
        &self,
        owner: &Owner,
        writes: &[Write],
        admitted_at: Option<RevocationMark>,
    ) -> Result<Written, Failure> {
        let key = Key::owner(&self.prefix, owner);
        let fill = |command: &mut Cmd| {
            match admitted_at {
                Some(RevocationMark(mark)) => command.arg(mark),
                None => command.arg(""),
            };
            for write in writes {
                append(command, write);
            }
        };
        // A write that only deletes ends a session. A failover must not restore an ended session.
        let only_deletes = writes.iter().all(|it| it.change == Change::Delete);
        let reply = if only_deletes {
            self.run_on_replicas(&script::WRITE, key, &fill).await?
        } else {
            self.run(&script::WRITE, key, &fill).await?
        };
        let (tag, mut rest) = reply::tagged(reply)?;
        match tag {
            0 => Ok(Written::Applied),
            1 => {
                // The script has already removed expired records.
                let values = Value::Array(rest.collect());
                let snapshot = reply::snapshot(values, writes.len(), 0)?;
                Ok(Written::Conflict(snapshot))
            }
            2 => {
                let fence = reply::number(&rest.next().unwrap_or(Value::Nil))?;
                self.raise_counter(&owner.namespace, fence).await?;
                Ok(Written::Fenced)
            }
            _ => Err(Failure::damaged()),
        }
    }

    /// Raises a counter that is below a fence (the lowest mark that is still valid). A server can
    /// lose the last counter values in a failover. Without this step, a person whose fence is above
    /// the counter could not sign in.
    async fn raise_counter(&self, namespace: &[u8; 16], fence: u64) -> Result<(), Failure> {
        let key = Key::counter(&self.prefix, namespace);
        let fill = |command: &mut Cmd| {
            command.arg(0).arg(fence);
        };
        self.run(&script::COUNTER, key, &fill).await?;
        Ok(())
    }

    pub(super) async fn revoke_now(
        &self,
        owner: &Owner,
        families: &[Family],
        keep_fence_for: Duration,
    ) -> Result<RevocationMark, Failure> {
        let counter = Key::counter(&self.prefix, &owner.namespace);
        let fill = |command: &mut Cmd| {
            command.arg(1).arg(0);
        };
        let mark = reply::number(&self.run(&script::COUNTER, counter, &fill).await?)?;

        let key = Key::owner(&self.prefix, owner);
        let numbers: Vec<u8> = families.iter().map(|it| it.number()).collect();
        let fill = |command: &mut Cmd| {
            command.arg(mark).arg(millis(keep_fence_for)).arg(&numbers);
        };
        let fence = reply::number(&self.run_on_replicas(&script::REVOKE, key, &fill).await?)?;
        if fence > mark {
            self.raise_counter(&owner.namespace, fence).await?;
        }
        Ok(RevocationMark(mark))
    }

    pub(super) async fn acquire_now(
        &self,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired, Failure> {
        // The store reads the counter before it acquires the lease. A later revocation therefore
        // has a higher mark.
        let counter = Key::counter(&self.prefix, &key.namespace);
        let fill = |command: &mut Cmd| {
            command.arg(0).arg(0);
        };
        let mark = RevocationMark(reply::number(
            &self.run(&script::COUNTER, counter, &fill).await?,
        )?);

        let family = [key.family.number()];
        let lease = Key::lease(&self.prefix, key, &family);
        let fill = |command: &mut Cmd| {
            command
                .arg(&token.0)
                .arg(millis(length))
                .arg(millis(LATE_SETTLEMENT));
        };
        let (tag, mut rest) = reply::tagged(self.run(&script::ACQUIRE, lease, &fill).await?)?;
        match (tag, rest.next()) {
            (0, None) => Ok(Acquired::Granted { mark }),
            (1, Some(left)) => Ok(Acquired::Held(Duration::from_millis(reply::number(&left)?))),
            (2, Some(Value::BulkString(result))) => Ok(Acquired::Done(Bytes::from(result))),
            _ => Err(Failure::damaged()),
        }
    }

    pub(super) async fn settle_now(
        &self,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> Result<bool, Failure> {
        let (how, length, result) = match &settlement {
            Settlement::Done { result, keep_for } => ("d", *keep_for, &result[..]),
            Settlement::Release => ("r", Duration::ZERO, &[][..]),
            Settlement::Extend(length) => ("e", *length, &[][..]),
        };
        let family = [key.family.number()];
        let lease = Key::lease(&self.prefix, key, &family);
        let fill = |command: &mut Cmd| {
            command
                .arg(&token.0)
                .arg(how)
                .arg(millis(length))
                .arg(millis(LATE_SETTLEMENT))
                .arg(result);
        };
        match reply::number(&self.run(&script::SETTLE, lease, &fill).await?)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Failure::damaged()),
        }
    }

    /// Reads a record that does not exist, as a test of the connection.
    pub(super) async fn try_to_read(&self) -> Result<(), Failure> {
        let owner = random_owner();
        self.read_now(&owner, &[]).await?;
        Ok(())
    }

    pub(super) async fn check_now(&self) -> Result<(), Failure> {
        let owner = random_owner();
        let key = RecordKey::new(Family::Check, RecordId(random()));
        let (version, body) = (rand::rng().next_u64(), random::<16>().to_vec());
        let body = Bytes::from(body);
        let with = |change| Write {
            key,
            condition: Condition::Any,
            change,
        };
        let put = with(Change::Put {
            version,
            body: body.clone(),
            keep_for: CHECK,
        });
        let written = self.write_now(&owner, &[put], None).await?;
        let found = self.read_now(&owner, &[key]).await?;
        let expected = [Some(Entry { version, body })];
        if written != Written::Applied || found.entries != expected {
            return Err(Failure::damaged());
        }
        let removed = self
            .write_now(&owner, &[with(Change::Delete)], None)
            .await?;
        match removed {
            Written::Applied => Ok(()),
            Written::Conflict(_) | Written::Fenced => Err(Failure::damaged()),
        }
    }
}

fn random_owner() -> Owner {
    Owner {
        namespace: random(),
        id: random(),
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// Appends the five arguments of a write to the command.
fn append(command: &mut Cmd, write: &Write) {
    command.arg(&key::field(&write.key)[..]);
    match write.condition {
        Condition::Any => command.arg("*"),
        Condition::Absent => command.arg("a"),
        Condition::Present => command.arg("p"),
        Condition::Version(version) => {
            let mut condition = [b'v'; 9];
            let (_, number) = condition.split_at_mut(1);
            number.copy_from_slice(&version.to_be_bytes());
            command.arg(&condition[..])
        }
    };
    match &write.change {
        Change::Keep => command.arg("k").arg("").arg(""),
        Change::Delete => command.arg("d").arg("").arg(""),
        Change::Put {
            version,
            body,
            keep_for,
        } => command
            .arg(millis(*keep_for))
            .arg(&version.to_be_bytes()[..])
            .arg(&body[..]),
    };
}
