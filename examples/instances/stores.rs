//! What the instances share: memory, Redis or Postgres, by what the environment names.

use std::{error::Error, time::Duration};

use fred::{
    clients::Pool,
    interfaces::ClientLike,
    types::{
        Builder,
        config::{Config as RedisConfig, ReconnectPolicy},
    },
};
use kycport::{
    ConfigBuilder, MemoryStore, RelyingParty,
    kyc::{MemoryCache, PostgresAssuranceCache, RedisAssuranceCache},
    web::WebhookReceiverBuilder,
    web::{SealedStore, SealingKeys, SealingKeysError, SessionLayer, SessionStore},
    webhook::{MemoryReplayStore, PostgresReplayStore, RedisReplayStore},
};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_sqlx_store::PostgresStore;

/// Sessions and pending logins, what is known of people, and which events were handled.
#[derive(Clone)]
pub(crate) enum Stores {
    Memory(MemoryStore, MemoryCache, MemoryReplayStore),
    Redis(Pool),
    Postgres(PgPool),
}

impl Stores {
    /// `REDIS_URL` or `DATABASE_URL`; without either it is memory, which only instances in one
    /// process share.
    pub(crate) async fn from_env() -> Result<Self, Box<dyn Error>> {
        if let Ok(url) = std::env::var("REDIS_URL") {
            return Ok(Self::Redis(redis(&url).await?));
        }
        if let Ok(url) = std::env::var("DATABASE_URL") {
            return Ok(Self::Postgres(postgres(&url).await?));
        }
        Ok(Self::Memory(
            MemoryStore::default(),
            MemoryCache::default(),
            MemoryReplayStore::default(),
        ))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Memory(..) => "the memory of this process",
            Self::Redis(_) => "Redis",
            Self::Postgres(_) => "Postgres",
        }
    }

    pub(crate) fn cache(&self, config: ConfigBuilder) -> ConfigBuilder {
        match self {
            Self::Memory(_, cache, _) => config.assurance_cache(cache.clone()),
            Self::Redis(pool) => config.assurance_cache(RedisAssuranceCache::new(pool.clone())),
            Self::Postgres(pool) => {
                config.assurance_cache(PostgresAssuranceCache::new(pool.clone()))
            }
        }
    }

    pub(crate) fn layer(&self, kycport: &RelyingParty) -> Result<SessionLayer, SealingKeysError> {
        Ok(match self {
            Self::Memory(store, ..) => sealed(kycport, store.clone())?,
            Self::Redis(pool) => sealed(kycport, RedisStore::new(pool.clone()))?,
            // This store looks whether an id is taken and then writes: logins are claimed elsewhere.
            Self::Postgres(pool) => sealed(kycport, PostgresStore::new(pool.clone()))?
                .claims(PostgresReplayStore::new(pool.clone())),
        })
    }

    pub(crate) fn replay(&self, receiver: WebhookReceiverBuilder) -> WebhookReceiverBuilder {
        match self {
            Self::Memory(_, _, store) => receiver.replay_store(store.clone()),
            Self::Redis(pool) => receiver.replay_store(RedisReplayStore::new(pool.clone())),
            Self::Postgres(pool) => receiver.replay_store(PostgresReplayStore::new(pool.clone())),
        }
    }
}

/// With `KYCPORT_SESSION_KEYS` a dump of the session store holds no token and nobody's claims. Set
/// and unusable it stops the start: what is to be sealed is never written open.
fn sealed<S: SessionStore + Clone>(
    kycport: &RelyingParty,
    store: S,
) -> Result<SessionLayer, SealingKeysError> {
    if std::env::var_os("KYCPORT_SESSION_KEYS").is_none() {
        return Ok(kycport.session_layer(store));
    }
    let keys = SealingKeys::from_env()?;
    Ok(kycport.session_layer(SealedStore::new(store, keys)))
}

async fn redis(url: &str) -> Result<Pool, Box<dyn Error>> {
    let pool = Builder::from_config(RedisConfig::from_url(url)?)
        // Without a policy it never connects again, and without a timeout a command waits for that.
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 2_000, 2))
        .with_performance_config(|config| config.default_command_timeout = Duration::from_secs(2))
        .build_pool(8)?;
    pool.init().await?;
    Ok(pool)
}

async fn postgres(url: &str) -> Result<PgPool, Box<dyn Error>> {
    let options = PgPoolOptions::new()
        .max_connections(16)
        .acquire_timeout(Duration::from_secs(2));
    let pool = options.connect(url).await?;
    // Here for the sake of the example. Where several instances start at once, deploying does it.
    PostgresStore::new(pool.clone()).migrate().await?;
    PostgresAssuranceCache::new(pool.clone()).migrate().await?;
    PostgresReplayStore::new(pool.clone()).migrate().await?;
    Ok(pool)
}
