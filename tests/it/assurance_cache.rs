//! The caches of assurances, in memory and on real servers.

use std::time::Duration;

use async_trait::async_trait;
use kycport::{
    Assurance, KycStatus, KycTier, Timestamp,
    kyc::{
        AssuranceCache, AssuranceSource, CacheUnavailable, MemoryCache, PersonKey,
        PostgresAssuranceCache, RedisAssuranceCache,
        conformance::{self, Breach},
    },
};
use sqlx::PgPool;

use crate::{
    replay_servers::rows_read,
    servers::{self, Server},
};

fn person(subject: &str) -> PersonKey {
    PersonKey {
        issuer: "https://issuer.example".to_owned(),
        client_id: "client".to_owned(),
        subject: subject.to_owned(),
    }
}

fn said(seconds: i64) -> Assurance {
    Assurance::new(
        Some(KycStatus::Verified),
        Some(KycTier::T2),
        Some(true),
        Timestamp::from_unix(seconds),
        AssuranceSource::Status,
    )
}

async fn postgres() -> Option<(PostgresAssuranceCache, PgPool)> {
    let pool = servers::postgres()?.postgres_pool().await;
    let cache = PostgresAssuranceCache::new(pool.clone());
    cache.migrate().await.unwrap();
    Some((cache, pool))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cache_does_what_a_cache_must() {
    conformance::check(&MemoryCache::default()).await.unwrap();
    if let Some(server) = servers::redis() {
        let cache = RedisAssuranceCache::new(server.redis_pool().await);
        conformance::check(&cache).await.unwrap();
    }
    if let Some((cache, _)) = postgres().await {
        conformance::check(&cache).await.unwrap();
    }
}

/// A cache that keeps whatever comes last.
#[derive(Debug)]
struct LastWins(MemoryCache);

#[async_trait]
impl AssuranceCache for LastWins {
    async fn get(&self, person: &PersonKey) -> Result<Option<Assurance>, CacheUnavailable> {
        self.0.get(person).await
    }

    async fn put(&self, person: &PersonKey, assurance: Assurance) -> Result<(), CacheUnavailable> {
        self.0.forget(person).await?;
        self.0.put(person, assurance).await
    }

    async fn forget(&self, person: &PersonKey) -> Result<(), CacheUnavailable> {
        self.0.forget(person).await
    }
}

#[tokio::test]
async fn the_suite_finds_who_keeps_what_comes_last() {
    let found = conformance::check(&LastWins(MemoryCache::default())).await;
    assert!(matches!(found, Err(Breach::Rule { rule, .. }) if rule.contains("newer")));
}

#[tokio::test]
async fn a_key_names_nobody_and_a_value_neither() {
    // case 137
    let ada = person("the-canary");
    if let Some(server) = servers::redis() {
        let client = server.redis_pool().await;
        let cache = RedisAssuranceCache::new(client.clone()).prefix("names:");
        cache.put(&ada, said(1)).await.unwrap();
        let script = "local found = {} \
            for _, key in ipairs(redis.call('KEYS', 'names:*')) do \
            table.insert(found, key) table.insert(found, redis.call('GET', key)) end \
            return found";
        let all: Vec<String> = fred::interfaces::LuaInterface::eval(
            &client,
            script,
            Vec::<String>::new(),
            Vec::<String>::new(),
        )
        .await
        .unwrap();
        assert_eq!(all.len(), 2);
        assert_names_nobody(&all.concat());
        // And another app's are apart.
        let other = RedisAssuranceCache::new(client).prefix("other:");
        assert_eq!(other.get(&ada).await, Ok(None));
    }
    if let Some((cache, pool)) = postgres().await {
        cache.put(&ada, said(1)).await.unwrap();
        let rows = sqlx::query_scalar("SELECT person || assurance FROM kycport_assurances");
        let rows: Vec<String> = rows.fetch_all(&pool).await.unwrap();
        assert_names_nobody(&rows.concat());
    }
}

fn assert_names_nobody(all: &str) {
    for part in ["canary", "issuer", "client"] {
        assert!(!all.contains(part), "{part} in {all}");
    }
}

/// The servers have clocks of their own.
#[expect(clippy::disallowed_methods, reason = "no test moves a server's clock")]
async fn pass(by: Duration) {
    tokio::time::sleep(by).await;
}

#[tokio::test]
async fn who_is_not_heard_of_any_more_is_not_kept() {
    let soon = Duration::from_millis(300);
    let (ada, bob) = (person("ada-who-goes"), person("bob-who-comes"));
    if let Some(server) = servers::redis() {
        let cache = RedisAssuranceCache::new(server.redis_pool().await).retention(soon);
        cache.put(&ada, said(2)).await.unwrap();
        assert_eq!(cache.get(&ada).await, Ok(Some(said(2))));
        pass(2 * soon).await;
        assert_eq!(cache.get(&ada).await, Ok(None));
        cache.put(&ada, said(1)).await.unwrap();
        assert_eq!(cache.get(&ada).await, Ok(Some(said(1))));
    }
    if let Some((long, pool)) = postgres().await {
        let cache = long.clone().retention(soon);
        cache.put(&ada, said(2)).await.unwrap();
        cache.put(&bob, said(2)).await.unwrap();
        assert_eq!(cache.get(&ada).await, Ok(Some(said(2))));
        pass(2 * soon).await;
        assert_eq!(cache.get(&ada).await, Ok(None));
        // Whether or not the row is there still.
        long.put(&ada, said(1)).await.unwrap();
        assert_eq!(cache.get(&ada).await, Ok(Some(said(1))));
        // A new person sweeps, here or in another test.
        for n in 0..100 {
            long.put(&person(&format!("new-{n}")), said(1))
                .await
                .unwrap();
            let late = "SELECT count(*) FROM kycport_assurances \
                WHERE keep_until <= clock_timestamp()";
            let left: i64 = sqlx::query_scalar(late).fetch_one(&pool).await.unwrap();
            if left == 0 {
                return;
            }
            pass(Duration::from_millis(20)).await;
        }
        panic!("nothing is swept");
    }
}

#[tokio::test]
async fn what_another_version_kept_is_read_if_it_can_be_and_makes_room_if_not() {
    let Some(server) = servers::redis() else {
        return;
    };
    let client = server.redis_pool().await;
    let cache = RedisAssuranceCache::new(client.clone()).prefix("versions:");
    let ada = person("ada");
    // Puts other text in the place of the only one there is.
    let rewrite = async |to: &str| {
        let script = "return redis.call('SET', redis.call('KEYS', 'versions:*')[1], ARGV[1])";
        let arguments = vec![to.to_owned()];
        let done: String =
            fred::interfaces::LuaInterface::eval(&client, script, Vec::<String>::new(), arguments)
                .await
                .unwrap();
        assert_eq!(done, "OK");
    };
    cache.put(&ada, said(5)).await.unwrap();
    let own = serde_json::to_string(&said(5)).unwrap();
    rewrite(&own.replacen('{', "{\"more\":[1],", 1)).await;
    assert_eq!(cache.get(&ada).await, Ok(Some(said(5))));
    cache.put(&ada, said(4)).await.unwrap();
    assert_eq!(cache.get(&ada).await, Ok(Some(said(5))));
    for foreign in ["[]", "not JSON", "{\"v\":2}"] {
        rewrite(foreign).await;
        assert_eq!(cache.get(&ada).await, Ok(None));
        cache.put(&ada, said(4)).await.unwrap();
        assert_eq!(cache.get(&ada).await, Ok(Some(said(4))));
    }
}

/// Every new person sweeps: it must not get slower with all that is kept.
#[tokio::test]
async fn what_is_kept_is_not_read_when_sweeping() {
    let Some(server) = Server::postgres() else {
        return;
    };
    let pool = server.postgres_pool().await;
    let cache = PostgresAssuranceCache::new(pool.clone());
    cache.migrate().await.unwrap();
    let many = "INSERT INTO kycport_assurances
        SELECT n::text, '', now() + interval '1 day' FROM generate_series(1, 10000) AS n";
    sqlx::query(many).execute(&pool).await.unwrap();
    assert_eq!(cache.sweep().await, Ok(0));
    let rows = rows_read(&server, pool, "kycport_assurances_keep_until").await;
    assert!(rows < 100, "{rows}");
}

#[tokio::test]
async fn a_server_that_is_down_is_not_available() {
    let ada = person("ada");
    let down = Err(CacheUnavailable);
    if let Some(mut server) = Server::redis() {
        let cache = RedisAssuranceCache::new(server.redis_pool().await);
        cache.put(&ada, said(1)).await.unwrap();
        server.stop();
        let (got, put, forgotten) = tokio::join!(
            cache.get(&ada),
            cache.put(&ada, said(2)),
            cache.forget(&ada)
        );
        assert_eq!((got, put, forgotten), (Err(CacheUnavailable), down, down));
    }
    if let Some(mut server) = Server::postgres() {
        let cache = PostgresAssuranceCache::new(server.postgres_pool().await);
        assert_eq!(cache.put(&ada, said(1)).await, down); // no table
        cache.migrate().await.unwrap();
        cache.put(&ada, said(1)).await.unwrap();
        server.stop();
        let (got, put, forgotten) = tokio::join!(
            cache.get(&ada),
            cache.put(&ada, said(2)),
            cache.forget(&ada)
        );
        assert_eq!((got, put, forgotten), (Err(CacheUnavailable), down, down));
    }
}

#[tokio::test]
async fn debug_shows_nothing_of_the_connection() {
    // case 137
    if let Some(server) = servers::redis() {
        let cache = RedisAssuranceCache::new(server.redis_pool().await);
        assert_eq!(
            format!("{cache:?}"),
            "RedisAssuranceCache { prefix: \"kycport:assurance:\", .. }"
        );
    }
    if let Some((cache, _)) = postgres().await {
        assert_eq!(format!("{cache:?}"), "PostgresAssuranceCache");
    }
}
