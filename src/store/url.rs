//! Store selection by URL, as in `KYCPORT_STORE`.

use std::{borrow::Cow, sync::Arc};

use super::{MemoryStore, Store};
use crate::clock::Clock;

/// Maximum number of sessions in an in-memory store that a URL selects.
const MEMORY_SESSIONS: usize = 100_000;

/// Schemes, each with the cargo feature that it needs.
const SCHEMES: [(&str, Option<&str>); 8] = [
    ("memory", None),
    ("sqlite", Some("sqlite")),
    ("redis", Some("redis")),
    ("rediss", Some("redis")),
    ("redis+cluster", Some("redis")),
    ("rediss+cluster", Some("redis")),
    ("postgres", Some("postgres")),
    ("postgresql", Some("postgres")),
];

/// Invalid store URL. The message never contains the URL, which can contain a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}. {remedy}")]
pub struct InvalidStoreUrl {
    problem: Cow<'static, str>,
    remedy: Cow<'static, str>,
}

impl InvalidStoreUrl {
    fn new(problem: impl Into<Cow<'static, str>>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self {
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// Returns the problem with the URL.
    pub fn problem(&self) -> Cow<'static, str> {
        self.problem.clone()
    }

    /// Returns the suggested remedy.
    pub fn remedy(&self) -> Cow<'static, str> {
        self.remedy.clone()
    }
}

/// Creates the store that a URL names. Opens no connection, because engines connect on first use.
pub(crate) fn from_url(
    text: &str,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, InvalidStoreUrl> {
    let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
    match scheme {
        "memory" if rest.is_empty() => Ok(Arc::new(MemoryStore::new(MEMORY_SESSIONS, clock))),
        "memory" => Err(InvalidStoreUrl::new(
            "memory: allows nothing after the colon",
            "Use memory:",
        )),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+cluster" | "rediss+cluster" => {
            opened(super::RedisStore::open(text))
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => opened(super::PostgresStore::open(text)),
        #[cfg(feature = "sqlite")]
        "sqlite" => opened(super::SqliteStore::open(text)),
        _ => Err(unknown(scheme)),
    }
}

#[cfg(any(feature = "redis", feature = "postgres", feature = "sqlite"))]
fn opened<S: Store, E: std::fmt::Display>(
    store: Result<S, E>,
) -> Result<Arc<dyn Store>, InvalidStoreUrl> {
    match store {
        Ok(store) => Ok(Arc::new(store)),
        Err(error) => Err(InvalidStoreUrl::new(
            error.to_string(),
            "Correct the URL. Encode @ and / in a password as %40 and %2F",
        )),
    }
}

/// Distinguishes a scheme whose feature is disabled from an unknown scheme.
fn unknown(scheme: &str) -> InvalidStoreUrl {
    let known = SCHEMES.iter().find(|(known, _)| *known == scheme);
    match known.and_then(|(_, feature)| *feature) {
        Some(feature) => InvalidStoreUrl::new(
            format!("this build does not include the engine for {scheme}:"),
            format!("Enable the cargo feature {feature} of kycport"),
        ),
        None => InvalidStoreUrl::new(
            "this is not a store URL",
            "Use memory:, sqlite:///path, redis://host, rediss://host or postgres://host/database",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::from_url;
    use crate::clock::SystemClock;

    #[test]
    fn an_invalid_store_url_gives_a_remedy() {
        for (text, name) in [
            ("memory:", Ok("memory")),
            ("memory://x", Err("nothing after the colon")),
            ("", Err("not a store URL")),
            ("canary", Err("not a store URL")),
            ("mysql://canary@host", Err("not a store URL")),
            ("http://canary@host", Err("not a store URL")),
            #[cfg(feature = "redis")]
            ("redis://:canary@127.0.0.1:6379", Ok("redis")),
            #[cfg(feature = "redis")]
            ("redis://:canary@127.0.0.1:99999", Err("malformed")),
            #[cfg(not(feature = "redis"))]
            ("redis://:canary@host", Err("cargo feature redis")),
            #[cfg(feature = "sqlite")]
            ("sqlite:///tmp/canary.db", Ok("sqlite")),
            #[cfg(not(feature = "sqlite"))]
            ("sqlite:///tmp/canary.db", Err("cargo feature sqlite")),
            #[cfg(feature = "postgres")]
            ("postgres://canary@127.0.0.1/app", Ok("postgres")),
            #[cfg(feature = "postgres")]
            (
                "postgres://canary@127.0.0.1/app?canary=1",
                Err("unknown parameter"),
            ),
            #[cfg(not(feature = "postgres"))]
            ("postgres://canary@host/app", Err("cargo feature postgres")),
        ] {
            let found = from_url(text, Arc::new(SystemClock::new()));
            match (found, name) {
                (Ok(store), Ok(name)) => assert_eq!(store.properties().name, name),
                (Err(error), Err(part)) => {
                    let message = error.to_string();
                    assert!(message.contains(part), "{message}");
                    assert!(!message.contains("canary"), "{message}");
                }
                (found, expected) => panic!("{text}: {found:?} and not {expected:?}"),
            }
        }
    }
}
