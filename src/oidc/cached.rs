//! Cache of one value from a remote source.
//!
//! The cache fetches the value on first use, and concurrent callers share one fetch. The cache
//! refreshes the value before it expires. While the source is unavailable, the cache serves the
//! stale value for a limited time. No task holds a lock during a fetch.

use std::{
    fmt::{self, Debug},
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};

use crate::{
    clock::Clock,
    observe,
    single_flight::{Flight, SingleFlight},
};

/// Lifetimes of a cached value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetimes {
    /// Default freshness, if the source sets no lifetime.
    pub(super) default: Duration,
    /// Minimum freshness, even if the source sets a shorter lifetime.
    pub(super) min: Duration,
    /// Maximum freshness, even if the source sets a longer lifetime.
    pub(super) max: Duration,
    /// Time before the end of freshness at which a background refresh starts. The cache limits this
    /// time to a quarter of the freshness.
    pub(super) refresh_ahead: Duration,
    /// Time after the end of freshness during which the cache serves the stale value if the source
    /// is unavailable.
    pub(super) stale: Duration,
}

impl Lifetimes {
    /// Default freshness: 10 min. If the source sets a lifetime: between 1 min and 1 h. The refresh
    /// starts 1 min before the end of freshness. The cache serves a stale value for up to 1 h.
    pub(super) const DEFAULT: Self = Self {
        default: Duration::from_secs(600),
        min: Duration::from_secs(60),
        max: Duration::from_secs(3600),
        refresh_ahead: Duration::from_secs(60),
        stale: Duration::from_secs(3600),
    };
}

/// Back-off after the first failure. The back-off doubles with each further failure.
const INITIAL_BACK_OFF: Duration = Duration::from_secs(1);
const MAX_BACK_OFF: Duration = Duration::from_secs(30);

/// Fetched value with the lifetime that the source set.
pub(super) struct Fetched<T> {
    pub(super) value: T,
    pub(super) max_age: Option<Duration>,
}

pub(super) struct Cached<T, E>(Arc<Inner<T, E>>);

struct Inner<T, E> {
    /// Name of the value in logs.
    name: &'static str,
    clock: Arc<dyn Clock>,
    lifetimes: Lifetimes,
    fetch: Fetch<T, E>,
    /// Error for a fetch that panicked, or whose runtime ended.
    interrupted: E,
    in_flight: SingleFlight<(), Arc<T>, E>,
    state: Mutex<State<T, E>>,
}

type Fetch<T, E> = Box<dyn Fn() -> BoxFuture<'static, Result<Fetched<T>, E>> + Send + Sync>;

struct State<T, E> {
    entry: Option<Entry<T>>,
    failure: Option<Failure<E>>,
}

struct Entry<T> {
    value: Arc<T>,
    refresh_from: Duration,
    fresh_until: Duration,
    stale_until: Duration,
}

struct Failure<E> {
    error: E,
    count: u32,
    retry_at: Duration,
}

impl<T, E> Cached<T, E>
where
    T: Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    pub(super) fn new<F>(
        name: &'static str,
        clock: Arc<dyn Clock>,
        lifetimes: Lifetimes,
        interrupted: E,
        fetch: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Fetched<T>, E>> + Send + 'static,
    {
        Self(Arc::new(Inner {
            name,
            clock,
            lifetimes,
            fetch: Box::new(move || fetch().boxed()),
            in_flight: SingleFlight::new(interrupted.clone()),
            interrupted,
            state: Mutex::new(State {
                entry: None,
                failure: None,
            }),
        }))
    }

    /// Returns the fresh value. If the source is unavailable, returns the stale value until its
    /// time limit.
    pub(super) async fn get(&self) -> Result<Arc<T>, E> {
        let (fresh, flight) = {
            let state = self.0.lock();
            let now = self.0.clock.monotonic();
            match (state.fresh(now), state.backing_off(now)) {
                (Some(entry), back_off) => {
                    let value = Arc::clone(&entry.value);
                    if now < entry.refresh_from || back_off.is_some() {
                        return Ok(value);
                    }
                    (Some(value), self.0.join(&state))
                }
                (None, Some(error)) => return state.stale(now).ok_or(error),
                (None, None) => (None, self.0.join(&state)),
            }
        };
        if let Some(value) = fresh {
            // Poll the fetch once to start it in the background. The fetch continues without a
            // waiting caller.
            let _ = flight.result.now_or_never();
            return Ok(value);
        }
        match flight.result.await {
            Ok(value) => Ok(value),
            Err(error) => {
                let now = self.0.clock.monotonic();
                self.0.lock().stale(now).ok_or(error)
            }
        }
    }

    /// Returns the value that was fetched last, even if it is stale.
    #[cfg(feature = "web")]
    pub(super) fn last_known(&self) -> Option<Arc<T>> {
        let state = self.0.lock();
        state.entry.as_ref().map(|entry| Arc::clone(&entry.value))
    }

    /// Returns a value that is newer than `seen`. The value is already in the cache, or is the
    /// result of a running or new fetch. A new fetch starts only if `may_fetch` returns true. If
    /// `may_fetch` returns false, the result is `None`.
    pub(super) async fn newer_than(
        &self,
        seen: &Arc<T>,
        may_fetch: impl FnOnce() -> bool,
    ) -> Option<Result<Arc<T>, E>> {
        let flight = {
            let state = self.0.lock();
            if let Some(entry) = &state.entry
                && !Arc::ptr_eq(&entry.value, seen)
            {
                return Some(Ok(Arc::clone(&entry.value)));
            }
            let start = || match state.backing_off(self.0.clock.monotonic()) {
                Some(error) => Err(Some(Err(error))),
                None if may_fetch() => Ok(Arc::clone(&self.0).run_fetch()),
                None => Err(None),
            };
            match self.0.in_flight.join_or_start(&(), start) {
                Ok(flight) => flight,
                Err(answer) => return answer,
            }
        };
        Some(flight.result.await)
    }
}

impl<T, E> Inner<T, E>
where
    T: Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the running fetch, or starts a new one. The caller holds the lock of the state. The
    /// caller therefore finds the running fetch or its stored result, because a fetch stores its
    /// result before it ends.
    fn join(self: &Arc<Self>, _: &MutexGuard<'_, State<T, E>>) -> Flight<Arc<T>, E> {
        self.in_flight.join(&(), Arc::clone(self).run_fetch())
    }

    /// Fetches and stores the result. A panic counts as a failed fetch, and the next fetch waits
    /// for the back-off.
    async fn run_fetch(self: Arc<Self>) -> Result<Arc<T>, E> {
        let fetch = AssertUnwindSafe(async { (self.fetch)().await }).catch_unwind();
        let fetched = fetch.await;
        self.store(fetched.unwrap_or_else(|_| Err(self.interrupted.clone())))
    }

    fn store(&self, result: Result<Fetched<T>, E>) -> Result<Arc<T>, E> {
        let now = self.clock.monotonic();
        let mut state = self.lock();
        match result {
            Ok(Fetched { value, max_age }) => {
                let value = Arc::new(value);
                let Lifetimes {
                    default,
                    min,
                    max,
                    refresh_ahead,
                    stale,
                } = self.lifetimes;
                let fresh = max_age.map_or(default, |age| age.clamp(min, max));
                let fresh_until = now.saturating_add(fresh);
                // Without this limit, a value with a short freshness would need a refresh
                // immediately.
                let refresh_ahead = refresh_ahead.min(fresh.checked_div(4).unwrap_or_default());
                state.entry = Some(Entry {
                    value: Arc::clone(&value),
                    refresh_from: fresh_until.saturating_sub(refresh_ahead),
                    fresh_until,
                    stale_until: fresh_until.saturating_add(stale),
                });
                state.failure = None;
                Ok(value)
            }
            Err(error) => {
                let is_servable = state.entry.as_ref().is_some_and(|it| now < it.stale_until);
                let before = state.failure.as_ref().map_or(0, |failure| failure.count);
                let back_off = INITIAL_BACK_OFF
                    .saturating_mul(2_u32.saturating_pow(before))
                    .min(MAX_BACK_OFF);
                state.failure = Some(Failure {
                    error: error.clone(),
                    count: before.saturating_add(1),
                    retry_at: now.saturating_add(back_off),
                });
                drop(state);
                if is_servable {
                    observe::stale_document_served(self.name);
                }
                Err(error)
            }
        }
    }
}

impl<T, E: Clone> State<T, E> {
    fn fresh(&self, now: Duration) -> Option<&Entry<T>> {
        self.entry.as_ref().filter(|entry| now < entry.fresh_until)
    }

    fn stale(&self, now: Duration) -> Option<Arc<T>> {
        let entry = self
            .entry
            .as_ref()
            .filter(|entry| now < entry.stale_until)?;
        Some(Arc::clone(&entry.value))
    }

    fn backing_off(&self, now: Duration) -> Option<E> {
        let failure = self.failure.as_ref().filter(|it| now < it.retry_at)?;
        Some(failure.error.clone())
    }
}

impl<T, E> Clone for Cached<T, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, E> Debug for Cached<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cached(…)")
    }
}
