//! What is known of the provider: its metadata and its keys, each fetched once and kept fresh.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    algorithm::AlgorithmNames,
    cached::{Cached, Fetched, Interrupted, Lifetimes},
    keys::{KeySet, KeySetError},
    metadata::{MetadataError, MetadataPolicy, VerifiedProvider},
};
use crate::{
    clock::Clock,
    http::{HttpClient, TransportError, max_age},
    observe::{self, Call},
};

/// The largest discovery document or key set that is read, in bytes.
const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// Maximum number of fetches in a row for a `kid` that is not in the set, for the tokens of each
/// [`TokenOrigin`].
const UNKNOWN_KID_BURST: u32 = 2;
/// Time after which one more fetch is allowed.
const UNKNOWN_KID_COOL_DOWN: Duration = Duration::from_secs(30);
/// Time for which a `kid` that a fetch did not find causes no other fetch.
const UNKNOWN_KID_MEMORY: Duration = Duration::from_secs(60);
/// Maximum number of such names that are remembered.
const UNKNOWN_KIDS: usize = 64;

/// Why the provider's metadata or keys are not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// KYCPort could not be asked.
    #[error("KYCPort could not be asked: {0}")]
    Transport(#[from] TransportError),
    /// KYCPort answered with another status than 200.
    #[error("KYCPort answered with status {0}")]
    Status(u16),
    /// The discovery document is not acted on.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The key set cannot be used.
    #[error("the key set cannot be used: {0}")]
    KeySet(#[from] KeySetError),
    /// The token's key is not in the key set, and the set was fetched too often to be fetched again
    /// now. The token may be valid.
    #[error("the token's key is unknown, and the key set was fetched too often to fetch it again")]
    KeyBudget,
    /// The fetch was interrupted, for instance because the runtime it ran on is gone.
    #[error("the fetch was interrupted")]
    Interrupted,
}

impl Interrupted for ProviderError {
    fn interrupted() -> Self {
        Self::Interrupted
    }
}

/// A key set for a token, or why there is none.
pub(super) enum KeysFor {
    /// The set to look in: it knows the `kid`, or no better set may be fetched.
    Set(Arc<KeySet>),
    /// It is not known which keys the provider has now.
    Unavailable(ProviderError),
}

/// Origin of a token. Each origin has a budget of its own for unknown keys, so that tokens of
/// unauthenticated clients cannot delay a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenOrigin {
    /// KYCPort's token endpoint.
    TokenEndpoint,
    /// Any client, for instance by a bearer token.
    Anybody,
}

/// Whether the keys may be fetched for a `kid` that is not in the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Fetch,
    /// A recent fetch did not find such a key.
    LatelyUnknown,
    /// The budget is spent.
    Spent,
}

#[derive(Debug, Clone)]
pub(super) struct Provider {
    metadata: Cached<VerifiedProvider, ProviderError>,
    keys: Cached<KeySet, ProviderError>,
    unknown_of_token_endpoint: Arc<Mutex<UnknownKids>>,
    unknown_of_anybody: Arc<Mutex<UnknownKids>>,
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
            Cached::new("discovery", Arc::clone(&clock), Lifetimes::DEFAULT, fetch)
        };
        let keys = {
            let metadata = metadata.clone();
            let fetch = move || {
                let fetch = fetch_keys(http.clone(), metadata.clone(), names);
                observe::call(Call::Jwks, fetch)
            };
            Cached::new("jwks", Arc::clone(&clock), Lifetimes::DEFAULT, fetch)
        };
        Self {
            metadata,
            keys,
            unknown_of_token_endpoint: Arc::default(),
            unknown_of_anybody: Arc::default(),
            clock,
        }
    }

    pub(super) async fn metadata(&self) -> Result<Arc<VerifiedProvider>, ProviderError> {
        self.metadata.get().await
    }

    /// The keys to verify a token of this `kid` with. A `kid` that is not in the set may mean that
    /// the keys have been rotated; whoever sends tokens with made-up ones must not be able to make
    /// us ask for each.
    pub(super) async fn keys_for(&self, kid: Option<&str>, origin: TokenOrigin) -> KeysFor {
        let set = match self.keys.get().await {
            Ok(set) => set,
            Err(error) => return KeysFor::Unavailable(error),
        };
        let keys = match kid.filter(|kid| !set.knows(kid)) {
            None => KeysFor::Set(set),
            Some(kid) => self.keys_with(kid, origin, set).await,
        };
        match keys {
            KeysFor::Set(set) if set.is_empty() => {
                KeysFor::Unavailable(KeySetError::NoUsableKey.into())
            }
            other => other,
        }
    }

    /// The keys when `kid` is not in `set`. A fetch that was under way may have begun before the
    /// key was there, and says nothing: one that began later does.
    async fn keys_with(&self, kid: &str, origin: TokenOrigin, mut set: Arc<KeySet>) -> KeysFor {
        for _ in 0..2 {
            let mut admission = None;
            let may_fetch = || {
                let admitted = self.with_unknown(origin, |unknown, now| unknown.admit(kid, now));
                admission = Some(admitted);
                admitted == Admission::Fetch
            };
            set = match self.keys.newer_than(&set, may_fetch).await {
                None if admission == Some(Admission::Spent) => {
                    return KeysFor::Unavailable(ProviderError::KeyBudget);
                }
                None => return KeysFor::Set(set),
                Some(Err(error)) => return KeysFor::Unavailable(error),
                Some(Ok(newer)) => newer,
            };
            if set.knows(kid) {
                return KeysFor::Set(set);
            }
            if admission.is_some() {
                break;
            }
        }
        self.with_unknown(origin, |unknown, now| unknown.remember(kid, now));
        KeysFor::Set(set)
    }

    fn with_unknown<R>(
        &self,
        origin: TokenOrigin,
        act: impl FnOnce(&mut UnknownKids, Duration) -> R,
    ) -> R {
        let now = self.clock.monotonic();
        let unknown = match origin {
            TokenOrigin::TokenEndpoint => &self.unknown_of_token_endpoint,
            TokenOrigin::Anybody => &self.unknown_of_anybody,
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
    // Without a usable key it is an answer all the same, or withdrawn keys would live on as stale.
    let keys = KeySet::maybe_empty(&answer.body, names)?;
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

/// The budget for fetches that a token's `kid` asks for.
#[derive(Debug, Default)]
struct UnknownKids {
    /// Fetches so far that no cool-down has given back.
    spent: u32,
    /// When the last one was given back or, if none was spent then, spent.
    since: Duration,
    /// The lately unknown, with the time until which each is remembered.
    lately: VecDeque<(String, Duration)>,
}

impl UnknownKids {
    fn admit(&mut self, kid: &str, now: Duration) -> Admission {
        self.lately.retain(|(_, until)| now < *until);
        if self.lately.iter().any(|(known, _)| known == kid) {
            return Admission::LatelyUnknown;
        }
        while self.spent > 0 && now >= self.since.saturating_add(UNKNOWN_KID_COOL_DOWN) {
            self.spent = self.spent.saturating_sub(1);
            self.since = self.since.saturating_add(UNKNOWN_KID_COOL_DOWN);
        }
        if self.spent >= UNKNOWN_KID_BURST {
            return Admission::Spent;
        }
        if self.spent == 0 {
            self.since = now;
        }
        self.spent = self.spent.saturating_add(1);
        Admission::Fetch
    }

    fn remember(&mut self, kid: &str, now: Duration) {
        // A name as long as a token allows is not worth keeping: the budget alone bounds those.
        const LONGEST: usize = 256;
        if kid.len() > LONGEST || self.lately.iter().any(|(known, _)| known == kid) {
            return;
        }
        if self.lately.len() >= UNKNOWN_KIDS {
            self.lately.pop_front();
        }
        self.lately
            .push_back((kid.to_owned(), now.saturating_add(UNKNOWN_KID_MEMORY)));
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
    fn a_kid_that_a_fetch_did_not_bring_is_remembered_for_a_minute() {
        // case 11
        let mut unknown = UnknownKids::default();
        unknown.remember("ghost", Duration::from_secs(0));
        let mut admit = |at| unknown.admit("ghost", Duration::from_secs(at));
        assert_eq!(admit(59), Admission::LatelyUnknown);
        assert_eq!(admit(60), Admission::Fetch);
    }
}
