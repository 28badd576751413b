//! A cache in Redis.

use std::{
    fmt::{self, Debug},
    time::Duration,
};

use async_trait::async_trait;
use fred::interfaces::{KeysInterface, LuaInterface};

use super::{
    shared::{RETENTION, SWAPS, in_time, merged, read, written},
    store::{AssuranceCache, CacheUnavailable, PersonKey},
};
use crate::{backend::millis, kyc::assurance::Assurance};

/// What the keys begin with if nothing else is said.
const DEFAULT_PREFIX: &str = "kycport:assurance:";

/// Keeps the second argument if the first is what is kept, "" being nothing. Answers 1, or 0 and
/// what is kept.
const SWAP: &str = r"
local kept = redis.call('GET', KEYS[1]) or ''
if kept ~= ARGV[1] then return {0, kept} end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return {1, ''}
";

/// A cache in Redis 5 or newer, for any number of instances.
///
/// `client` is a client or a pool of `fred` 10, connected. An operation that takes longer than 5 s
/// is [not available](CacheUnavailable); a guard waits 1 s for it and then asks KYCPort. A key is a hash, which names nobody,
/// and goes when nothing was heard of the person for 30 days. Whatever Redis forgets earlier is
/// asked again, so a `maxmemory-policy` may evict it.
pub struct RedisAssuranceCache<C> {
    client: C,
    prefix: String,
    retention: Duration,
}

impl<C: KeysInterface + LuaInterface + Send + Sync + 'static> RedisAssuranceCache<C> {
    /// A cache whose keys begin with `kycport:assurance:`.
    pub fn new(client: C) -> Self {
        Self {
            client,
            prefix: DEFAULT_PREFIX.to_owned(),
            retention: RETENTION,
        }
    }

    /// Lets the keys begin with `prefix`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a person is kept of whom nothing more is heard: 30 days. It must be longer than
    /// [the session lives and an assurance is acted on](crate::ConfigBuilder::session_limits), or
    /// old good news outlives newer bad news.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    fn key(&self, person: &PersonKey) -> String {
        format!("{}{}", self.prefix, person.hashed())
    }
}

/// Shows nothing of the connection.
impl<C> Debug for RedisAssuranceCache<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisAssuranceCache")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<C: KeysInterface + LuaInterface + Send + Sync + 'static> AssuranceCache
    for RedisAssuranceCache<C>
{
    async fn get(&self, person: &PersonKey) -> Result<Option<Assurance>, CacheUnavailable> {
        let get = self.client.get::<Option<String>, _>(self.key(person));
        let kept = in_time(get).await?;
        Ok(kept.as_deref().and_then(read))
    }

    async fn put(&self, person: &PersonKey, assurance: Assurance) -> Result<(), CacheUnavailable> {
        let (key, keep) = (self.key(person), millis(self.retention).to_string());
        let mut kept = String::new();
        for _ in 0..SWAPS {
            let before = Some(kept.as_str()).filter(|kept| !kept.is_empty());
            let Some(believed) = merged(before, &assurance) else {
                return Ok(());
            };
            let arguments = vec![kept, written(&believed)?, keep.clone()];
            let swap = self.client.eval(SWAP, key.clone(), arguments);
            let (swapped, found): (i64, String) = in_time(swap).await?;
            if swapped == 1 {
                return Ok(());
            }
            kept = found;
        }
        Err(CacheUnavailable)
    }

    async fn forget(&self, person: &PersonKey) -> Result<(), CacheUnavailable> {
        let del = self.client.del(self.key(person));
        in_time(del).await
    }
}
