//! The cache, and who asks when it does not do: one question at a time for each person, whose
//! answer all who wait share.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tracing::Instrument as _;

use super::{
    assurance::Assurance,
    cache::{AssuranceCache, CacheUnavailable, PersonKey},
    status::StatusError,
};
use crate::{clock::Clock, observe, wire::kyc::KycStatus};

/// The cache gets so long for one operation.
const CACHE_DEADLINE: Duration = Duration::from_secs(1);

/// The answer to a question, or why there is none: then nothing is known of the person.
pub(crate) type Asked = Result<Assurance, NoAnswer>;

/// An answer that was taken up.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) assurance: Assurance,
    /// Whether it is remembered, so that all sessions go by it.
    pub(crate) kept: Result<(), CacheUnavailable>,
}

/// KYCPort gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// There is nothing to ask with: no tenant key, and no access token that still works. Signing
    /// in again brings one.
    NoSource,
    /// It was asked, and did not answer.
    Failed {
        /// When to ask again, if KYCPort said.
        retry_after: Option<Duration>,
    },
    /// It said no, and will say so again.
    Refused,
}

impl From<StatusError> for NoAnswer {
    fn from(error: StatusError) -> Self {
        match error {
            StatusError::RateLimited { retry_after } => Self::Failed {
                retry_after: Some(retry_after),
            },
            StatusError::NoTenantKey | StatusError::PersonId | StatusError::Refused { .. } => {
                Self::Refused
            }
            _ => Self::Failed { retry_after: None },
        }
    }
}

#[derive(Clone)]
pub(crate) struct Assurances(Arc<Inner>);

struct Inner {
    cache: Arc<dyn AssuranceCache>,
    clock: Arc<dyn Clock>,
    /// The number of the last flight.
    last: AtomicU64,
    flights: Mutex<HashMap<PersonKey, Flight>>,
}

#[derive(Clone)]
struct Flight {
    number: u64,
    answer: Shared<BoxFuture<'static, Result<Heard, NoAnswer>>>,
}

impl Assurances {
    pub(crate) fn new(cache: Arc<dyn AssuranceCache>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            cache,
            clock,
            last: AtomicU64::new(0),
            flights: Mutex::default(),
        }))
    }

    /// The last that was heard, good or bad. A cache that does not work has heard nothing.
    pub(crate) async fn latest(&self, person: &PersonKey) -> Option<Assurance> {
        let latest = in_time(self.0.cache.get(person))
            .await
            .unwrap_or_else(|_| {
                observe::cache_failed("read");
                None
            })?;
        if latest.checked_at > self.0.clock.now() {
            // Of a clock that was set back since. It would be the newest until its time comes, and
            // everything that is heard until then would be lost on it.
            observe::cache_ahead();
            self.forget(person).await;
            return None;
        }
        Some(latest)
    }

    async fn forget(&self, person: &PersonKey) {
        if in_time(self.0.cache.forget(person)).await.is_err() {
            observe::cache_failed("write");
        }
    }

    /// What may be acted on without asking: good news no older than `max_age`. Bad news is kept
    /// too, so that older good news cannot come back over it, but it is never an answer: whoever
    /// is not verified is asked about again, so that they do not wait for the cache.
    pub(crate) async fn known(&self, person: &PersonKey, max_age: Duration) -> Option<Assurance> {
        let latest = self.latest(person).await?;
        let is_old = latest.is_older_than(max_age, self.0.clock.now());
        (latest.kyc_status == Some(KycStatus::Verified) && !is_old).then_some(latest)
    }

    /// Remembers what was said, here or elsewhere, such as in an ID token. An error means that it is
    /// not remembered: what is acted on may still be older and better news.
    pub(crate) async fn note(
        &self,
        person: &PersonKey,
        assurance: Assurance,
    ) -> Result<(), CacheUnavailable> {
        let noting = async {
            // Whatever is ahead of the clock makes room first.
            let _ = self.latest(person).await;
            let put = self.0.cache.put(person, assurance).await;
            if put.is_err() {
                // What stands there may be better news than this. It is an error all the same:
                // without it a session's own word counts, which may be better news too.
                let _ = self.0.cache.forget(person).await;
            }
            put
        };
        in_time(noting)
            .await
            .inspect_err(|_| observe::cache_failed("write"))
    }

    /// Asks now, with `ask`: no answer to a question from before this call will do. Whoever comes
    /// while a question is under way waits for the next one, and shares it.
    pub(crate) async fn ask<F>(&self, person: &PersonKey, ask: F) -> Asked
    where
        F: FnOnce() -> BoxFuture<'static, Asked>,
    {
        self.hear(person, ask).await.map(|heard| heard.assurance)
    }

    /// The same, for whoever must know whether the answer is remembered.
    pub(crate) async fn hear<F>(&self, person: &PersonKey, ask: F) -> Result<Heard, NoAnswer>
    where
        F: FnOnce() -> BoxFuture<'static, Asked>,
    {
        let arrived_after = self.0.last.load(Ordering::SeqCst);
        let mut ask = Some(ask);
        loop {
            let flight = match self.flight(person) {
                Some(flight) => flight,
                None => match ask.take() {
                    Some(ask) => self.start(person, ask()),
                    None => return Err(NoAnswer::Failed { retry_after: None }),
                },
            };
            let answer = flight.answer.await;
            if flight.number > arrived_after {
                return answer;
            }
        }
    }

    /// Asks, or shares the answer to a question that is under way.
    pub(crate) async fn ask_or_share<F>(&self, person: &PersonKey, ask: F) -> Asked
    where
        F: FnOnce() -> BoxFuture<'static, Asked>,
    {
        let flight = self
            .flight(person)
            .unwrap_or_else(|| self.start(person, ask()));
        flight.answer.await.map(|heard| heard.assurance)
    }

    fn flight(&self, person: &PersonKey) -> Option<Flight> {
        self.lock().get(person).cloned()
    }

    /// In a task of its own: whoever asked first may give up, and the others still get their
    /// answer.
    fn start(&self, person: &PersonKey, asked: BoxFuture<'static, Asked>) -> Flight {
        let mut flights = self.lock();
        if let Some(flight) = flights.get(person) {
            return flight.clone();
        }
        let number = self.0.last.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        // Begun when it is first polled, which is after the lock is let go: on a runtime that has
        // ended a task is dropped at once, and landing takes the lock.
        let (own, person_asked_about) = (self.clone(), person.clone());
        let answer = async move {
            let landing = Landing {
                own,
                person: person_asked_about,
            };
            let flight = async move {
                // A failure changes nothing of what is known.
                let assurance = asked.await?;
                let note = landing.own.note(&landing.person, assurance.clone());
                let kept = note.await;
                Ok(Heard { assurance, kept })
            };
            let task = tokio::spawn(flight.in_current_span());
            task.await
                .unwrap_or(Err(NoAnswer::Failed { retry_after: None }))
        }
        .boxed()
        .shared();
        let flight = Flight { number, answer };
        flights.insert(person.clone(), flight.clone());
        flight
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PersonKey, Flight>> {
        self.0
            .flights
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cache that does not answer is one that does not work.
async fn in_time<T>(
    operation: impl Future<Output = Result<T, CacheUnavailable>>,
) -> Result<T, CacheUnavailable> {
    tokio::time::timeout(CACHE_DEADLINE, operation)
        .await
        .unwrap_or(Err(CacheUnavailable))
}

impl fmt::Debug for Assurances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Assurances(…)")
    }
}

/// Ends the flight however its task ends.
struct Landing {
    own: Assurances,
    person: PersonKey,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.own.lock().remove(&self.person);
    }
}
