//! Metadata and keys of the provider, cached.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    algorithm::AlgorithmNames,
    cached::{Cached, Fetched, Lifetimes},
    keys::{KeySet, KeySetError},
    metadata::{MetadataError, MetadataPolicy, VerifiedProvider},
};
use crate::{
    clock::Clock,
    expiring_map::ExpiringMap,
    http::{HttpClient, TransportError, max_age},
    observe::{self, Call},
};

/// Maximum size of a discovery document or key set, in bytes.
const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// Maximum number of consecutive fetches because of unknown `kid` values, per [`TokenOrigin`].
const UNKNOWN_KID_BURST: u32 = 2;
/// Time after which one more fetch because of an unknown `kid` is allowed.
const UNKNOWN_KID_COOL_DOWN: Duration = Duration::from_secs(30);
/// Time for which an unknown `kid` causes no further fetch.
const UNKNOWN_KID_MEMORY: Duration = Duration::from_secs(60);
/// Maximum number of unknown `kid` values to remember.
const MAX_UNKNOWN_KIDS: usize = 64;

/// Error for metadata or keys of the provider that the SDK could not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The request failed.
    #[error("the request to KYCPort failed: {0}")]
    Transport(#[from] TransportError),
    /// KYCPort responded with a status other than 200.
    #[error("KYCPort responded with status {0}")]
    Status(u16),
    /// The discovery document is invalid.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The key set is invalid.
    #[error("KYCPort's key set is unusable: {0}")]
    KeySet(#[from] KeySetError),
    /// The token's key is not in the key set, and the limit for fetching the key set again is
    /// reached. The token itself may be valid.
    #[error(
        "the token's key is unknown, and the key set was fetched too recently to fetch it again"
    )]
    KeyBudget,
    /// The fetch was interrupted, for instance because its runtime has ended.
    #[error("the fetch of KYCPort's document was interrupted; try again")]
    Interrupted,
}

/// Key set for a token, or the reason why no key set is available.
pub(super) enum KeysFor {
    /// Key set for the lookup. Either the key set contains the `kid`, or the provider must not
    /// fetch a newer key set now.
    Set(Arc<KeySet>),
    /// The provider's current keys are unknown.
    Unavailable(ProviderError),
}

/// Source of a token. Unknown keys cause refetches of the JWKS. Each source has a separate limit on
/// these refetches. Tokens of unauthenticated clients therefore cannot delay a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenOrigin {
    /// Token from KYCPort's token endpoint.
    TokenEndpoint,
    /// Token from any client, for example a bearer token.
    AnyClient,
}

/// Decision whether to fetch the keys for a `kid` that is not in the key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Fetch,
    /// A recent fetch did not return this key.
    RecentlyUnknown,
    /// The limit on refetches of the JWKS is reached.
    BudgetExhausted,
}

#[derive(Debug, Clone)]
pub(super) struct Provider {
    metadata: Cached<VerifiedProvider, ProviderError>,
    keys: Cached<KeySet, ProviderError>,
    unknown_from_token_endpoint: Arc<Mutex<UnknownKids>>,
    unknown_from_clients: Arc<Mutex<UnknownKids>>,
    clock: Arc<dyn Clock>,
}

impl Provider {
    pub(super) fn new(
        http: HttpClient,
        policy: MetadataPolicy,
        names: AlgorithmNames,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let policy = Arc::new(policy);
        let metadata = {
            let http = http.clone();
            let fetch = move || {
                let fetch = fetch_metadata(http.clone(), Arc::clone(&policy));
                observe::call(Call::Discovery, fetch)
            };
            Cached::new(
                "discovery",
                Arc::clone(&clock),
                Lifetimes::DEFAULT,
                ProviderError::Interrupted,
                fetch,
            )
        };
        let keys = {
            let metadata = metadata.clone();
            let fetch = move || {
                let fetch = fetch_keys(http.clone(), metadata.clone(), names);
                observe::call(Call::Jwks, fetch)
            };
            Cached::new(
                "jwks",
                Arc::clone(&clock),
                Lifetimes::DEFAULT,
                ProviderError::Interrupted,
                fetch,
            )
        };
        Self {
            metadata,
            keys,
            unknown_from_token_endpoint: Arc::default(),
            unknown_from_clients: Arc::default(),
            clock,
        }
    }

    pub(super) async fn metadata(&self) -> Result<Arc<VerifiedProvider>, ProviderError> {
        self.metadata.get().await
    }

    /// Returns the document that was fetched last, even if it is stale.
    #[cfg(feature = "web")]
    pub(super) fn last_known_metadata(&self) -> Option<Arc<VerifiedProvider>> {
        self.metadata.last_known()
    }

    /// Returns the keys for a token with this `kid`.
    ///
    /// An unknown `kid` may mean that KYCPort has rotated its keys, so the provider fetches the
    /// keys again. The number of these fetches is limited, because clients can send many tokens
    /// with invented `kid` values.
    pub(super) async fn keys_for(&self, kid: Option<&str>, origin: TokenOrigin) -> KeysFor {
        let set = match self.keys.get().await {
            Ok(set) => set,
            Err(error) => return KeysFor::Unavailable(error),
        };
        let keys = match kid.filter(|kid| !set.contains_kid(kid)) {
            None => KeysFor::Set(set),
            Some(kid) => self.keys_for_unknown_kid(kid, origin, set).await,
        };
        match keys {
            KeysFor::Set(set) if set.is_empty() => {
                KeysFor::Unavailable(KeySetError::NoUsableKey.into())
            }
            other => other,
        }
    }

    /// Returns the keys for a token whose `kid` is not in `set`. A fetch that was already running
    /// may have started before KYCPort published the key, so a second fetch may follow.
    async fn keys_for_unknown_kid(
        &self,
        kid: &str,
        origin: TokenOrigin,
        mut set: Arc<KeySet>,
    ) -> KeysFor {
        for _ in 0..2 {
            let mut admission = None;
            let may_fetch = || {
                let admitted = self.with_budget(origin, |unknown, now| unknown.admit(kid, now));
                admission = Some(admitted);
                admitted == Admission::Fetch
            };
            set = match self.keys.newer_than(&set, may_fetch).await {
                None if admission == Some(Admission::BudgetExhausted) => {
                    return KeysFor::Unavailable(ProviderError::KeyBudget);
                }
                None => return KeysFor::Set(set),
                Some(Err(error)) => return KeysFor::Unavailable(error),
                Some(Ok(newer)) => newer,
            };
            if set.contains_kid(kid) {
                return KeysFor::Set(set);
            }
            if admission.is_some() {
                break;
            }
        }
        // KYCPort may sign with a key before it publishes the key. Its own tokens therefore cause a
        // further fetch, within the limit on the number of fetches.
        if origin == TokenOrigin::AnyClient {
            self.with_budget(origin, |unknown, now| unknown.remember(kid, now));
        }
        KeysFor::Set(set)
    }

    fn with_budget<R>(
        &self,
        origin: TokenOrigin,
        act: impl FnOnce(&mut UnknownKids, Duration) -> R,
    ) -> R {
        let now = self.clock.monotonic();
        let unknown = match origin {
            TokenOrigin::TokenEndpoint => &self.unknown_from_token_endpoint,
            TokenOrigin::AnyClient => &self.unknown_from_clients,
        };
        act(
            &mut unknown.lock().unwrap_or_else(PoisonError::into_inner),
            now,
        )
    }
}

async fn fetch_metadata(
    http: HttpClient,
    policy: Arc<MetadataPolicy>,
) -> Result<Fetched<VerifiedProvider>, ProviderError> {
    let answer = http.get(&policy.discovery_url, MAX_DOCUMENT_BYTES).await?;
    if answer.status != http::StatusCode::OK {
        return Err(ProviderError::Status(answer.status.as_u16()));
    }
    Ok(Fetched {
        max_age: max_age(&answer.headers),
        value: policy.verify(&answer.body)?,
    })
}

async fn fetch_keys(
    http: HttpClient,
    metadata: Cached<VerifiedProvider, ProviderError>,
    names: AlgorithmNames,
) -> Result<Fetched<KeySet>, ProviderError> {
    let provider = metadata.get().await?;
    let answer = http.get(&provider.jwks_uri, MAX_DOCUMENT_BYTES).await?;
    if answer.status != http::StatusCode::OK {
        return Err(ProviderError::Status(answer.status.as_u16()));
    }
    // A set without usable keys is also valid. If it were an error, withdrawn keys would stay in
    // use as a stale value.
    let keys = KeySet::from_json_allow_empty(&answer.body, names)?;
    let max_age = if keys.is_empty() {
        Some(Duration::ZERO)
    } else {
        max_age(&answer.headers)
    };
    Ok(Fetched {
        value: keys,
        max_age,
    })
}

/// Limit on fetches of the JWKS because of unknown `kid` values.
#[derive(Debug, Default)]
struct UnknownKids {
    /// Number of fetches that no cool-down has restored yet.
    spent: u32,
    /// Start of the current cool-down. The last cool-down ended at this time, or the first fetch
    /// happened at this time.
    since: Duration,
    /// Recent unknown `kid` values.
    recent: ExpiringMap<String, (), MAX_UNKNOWN_KIDS>,
}

impl UnknownKids {
    fn admit(&mut self, kid: &str, now: Duration) -> Admission {
        if self.recent.get(now, kid).is_some() {
            return Admission::RecentlyUnknown;
        }
        while self.spent > 0 && now >= self.since.saturating_add(UNKNOWN_KID_COOL_DOWN) {
            self.spent = self.spent.saturating_sub(1);
            self.since = self.since.saturating_add(UNKNOWN_KID_COOL_DOWN);
        }
        if self.spent >= UNKNOWN_KID_BURST {
            return Admission::BudgetExhausted;
        }
        if self.spent == 0 {
            self.since = now;
        }
        self.spent = self.spent.saturating_add(1);
        Admission::Fetch
    }

    fn remember(&mut self, kid: &str, now: Duration) {
        // The provider does not remember a very long `kid`. For this `kid`, only the limit on the
        // number of fetches applies.
        const MAX_KID_BYTES: usize = 256;
        if kid.len() > MAX_KID_BYTES || self.recent.get(now, kid).is_some() {
            return;
        }
        let expires_at = now.saturating_add(UNKNOWN_KID_MEMORY);
        self.recent.insert(now, kid.to_owned(), (), expires_at);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Admission, UnknownKids};

    #[test]
    fn unknown_kids_cost_two_fetches_and_then_one_in_thirty_seconds() {
        // case 11
        let mut unknown = UnknownKids::default();
        let admitted = |unknown: &mut UnknownKids, at: u64, n: usize| {
            let at = Duration::from_secs(at);
            (0..n)
                .filter(|i| {
                    let kid = format!("kid-{}-{i}", at.as_secs());
                    unknown.admit(&kid, at) == Admission::Fetch
                })
                .count()
        };
        assert_eq!(admitted(&mut unknown, 100, 1000), 2);
        assert_eq!(admitted(&mut unknown, 129, 1000), 0);
        assert_eq!(admitted(&mut unknown, 130, 1000), 1);
        assert_eq!(admitted(&mut unknown, 159, 1000), 0);
        assert_eq!(admitted(&mut unknown, 160, 1000), 1);
        assert_eq!(admitted(&mut unknown, 10_000, 1000), 2);
    }

    #[test]
    fn an_unknown_kid_is_remembered_for_a_minute() {
        // case 11
        let mut unknown = UnknownKids::default();
        unknown.remember("ghost", Duration::from_secs(0));
        let mut admit = |at| unknown.admit("ghost", Duration::from_secs(at));
        assert_eq!(admit(59), Admission::RecentlyUnknown);
        assert_eq!(admit(60), Admission::Fetch);
    }
}
