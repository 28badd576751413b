//! A replay store in Redis.

use std::{
    fmt::{self, Debug},
    time::Duration,
};

use async_trait::async_trait;
use fred::interfaces::LuaInterface;

use super::{
    shared::{LATE, in_time, left, millis},
    store::{Begun, LeaseToken, ReplayStore, ReplayStoreUnavailable, Settled},
};
use crate::webhook::event::EventKey;

/// What the keys begin with if nothing else is said.
const DEFAULT_PREFIX: &str = "kycport:webhook:";

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
/// An operation that takes longer than 5 s is [not available](ReplayStoreUnavailable).
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

    async fn eval<R>(
        &self,
        script: &'static str,
        key: &EventKey,
        arguments: Vec<String>,
    ) -> Result<R, ReplayStoreUnavailable>
    where
        R: fred::types::FromValue + Send,
    {
        let key = format!("{}{}", self.prefix, key.as_str());
        let answer = self.client.eval(script, key, arguments);
        in_time(answer, |error: fred::error::Error| {
            format!("{:?}", error.kind())
        })
        .await
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
            token.as_str().to_owned(),
            millis(lease).to_string(),
            millis(lease.saturating_add(LATE)).to_string(),
        ];
        let answer: (i64, i64) = self.eval(BEGIN, key, arguments).await?;
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
        self.eval(COMPLETE, key, arguments).await.map(settled)
    }

    async fn release(
        &self,
        key: &EventKey,
        token: &LeaseToken,
    ) -> Result<Settled, ReplayStoreUnavailable> {
        let arguments = vec![token.as_str().to_owned()];
        self.eval(RELEASE, key, arguments).await.map(settled)
    }
}

fn settled(applied: i64) -> Settled {
    if applied == 1 {
        Settled::Applied
    } else {
        Settled::Lost
    }
}
