//! A replay store in Redis.

use std::{
    fmt::{self, Debug},
    time::Duration,
};

use async_trait::async_trait;
use fred::{
    interfaces::{ClientLike as _, LuaInterface},
    types::{ClusterHash, CustomCommand, config::Options},
};

use super::{
    shared::{LATE, in_time, left},
    store::{Begun, LeaseToken, ReplayStore, ReplayStoreUnavailable, Settled},
};
use crate::{
    backend::{DEADLINE, millis},
    webhook::event::EventKey,
};

/// What the keys begin with if nothing else is said.
const DEFAULT_PREFIX: &str = "kycport:webhook:";

/// The client queues while Redis is away, and sends when it is back. A claim that nobody waits for
/// any more would hold the event for a whole lease, so the client is told to forget it, before the
/// deadline. A completion or a release that is late is as good as ever.
const FORGET_CLAIM: Duration = DEADLINE.saturating_sub(Duration::from_millis(500));

/// Answers 0 and nothing if it acquired, 1 and the milliseconds that are left if it is in flight,
/// 2 and nothing if it is done. One that comes twice, because the connection broke, acquires once.
const BEGIN: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'token', 'until', 'done')
if held[3] then return {2, 0} end
if held[2] and held[1] ~= ARGV[1] and tonumber(held[2]) > now then
    return {1, tonumber(held[2]) - now}
end
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'until', string.format('%.0f', now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {0, 0}
";

/// Answers 1 if the token is the event's.
const COMPLETE: &str = r"
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'done', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
";

/// Answers 1 if the token is the event's, and the event not done.
const RELEASE: &str = r"
local held = redis.call('HMGET', KEYS[1], 'token', 'done')
if held[1] ~= ARGV[1] or held[2] then return 0 end
redis.call('DEL', KEYS[1])
return 1
";

/// A replay store in Redis 5 or newer, for any number of instances. Leases and retention run on the
/// server's clock; each step is one script, which nothing comes between.
///
/// `client` is a client or a pool of `fred` 10, connected, as `tower-sessions-redis-store` takes it.
/// Give it a reconnect policy: without one `fred` does not come back. An operation that takes longer
/// than 5 s is [not available](ReplayStoreUnavailable); a claim that was given up is not made when
/// Redis is back, and a completion is.
///
/// What Redis forgets, an event can come again: give it `maxmemory-policy noeviction`, and mind
/// that a replica that takes over may lack the last writes. Where an event must take effect exactly
/// once, the effect itself has to know.
pub struct RedisReplayStore<C> {
    client: C,
    prefix: String,
}

impl<C: LuaInterface + Send + Sync + 'static> RedisReplayStore<C> {
    /// A store whose keys begin with `kycport:webhook:`.
    pub fn new(client: C) -> Self {
        Self {
            client,
            prefix: DEFAULT_PREFIX.to_owned(),
        }
    }

    /// Lets the keys begin with `prefix`: apps that share a Redis do not share their events.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    fn name(&self, key: &EventKey) -> String {
        format!("{}{}", self.prefix, key.as_str())
    }

    async fn settle(
        &self,
        script: &'static str,
        key: &EventKey,
        arguments: Vec<String>,
    ) -> Result<Settled, ReplayStoreUnavailable> {
        let answer = self.client.eval(script, self.name(key), arguments);
        in_time(answer).await.map(settled)
    }
}

/// Shows nothing of the connection.
impl<C> Debug for RedisReplayStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisReplayStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<C: LuaInterface + Send + Sync + 'static> ReplayStore for RedisReplayStore<C> {
    async fn begin(
        &self,
        key: &EventKey,
        lease: Duration,
    ) -> Result<Begun, ReplayStoreUnavailable> {
        let token = LeaseToken::random();
        let arguments = vec![
            BEGIN.to_owned(),
            "1".to_owned(),
            self.name(key),
            token.as_str().to_owned(),
            millis(lease).to_string(),
            millis(lease.saturating_add(LATE)).to_string(),
        ];
        let client = self.client.with_options(&Options {
            timeout: Some(FORGET_CLAIM),
            ..Options::default()
        });
        // `eval` does not take options.
        let eval = CustomCommand::new_static("EVAL", ClusterHash::Offset(2), false);
        let answer: (i64, i64) = in_time(client.custom(eval, arguments)).await?;
        match answer {
            (0, _) => Ok(Begun::Acquired(token)),
            (1, millis) => Ok(Begun::InFlight(left(millis))),
            (2, _) => Ok(Begun::Done),
            _ => Err(ReplayStoreUnavailable),
        }
    }

    async fn complete(
        &self,
        key: &EventKey,
        token: &LeaseToken,
        retention: Duration,
    ) -> Result<Settled, ReplayStoreUnavailable> {
        let arguments = vec![token.as_str().to_owned(), millis(retention).to_string()];
        self.settle(COMPLETE, key, arguments).await
    }

    async fn release(
        &self,
        key: &EventKey,
        token: &LeaseToken,
    ) -> Result<Settled, ReplayStoreUnavailable> {
        let arguments = vec![token.as_str().to_owned()];
        self.settle(RELEASE, key, arguments).await
    }
}

fn settled(applied: i64) -> Settled {
    if applied == 1 {
        Settled::Applied
    } else {
        Settled::Lost
    }
}
