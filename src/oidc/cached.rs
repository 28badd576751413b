//! A value that is fetched when first needed, shared by all who wait, refreshed ahead, and served
//! stale for a while when the source is down. No lock is held across a fetch.

use std::{
    fmt::{self, Debug},
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tracing::Instrument as _;

use crate::{clock::Clock, observe};

/// How long a value may be used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetimes {
    /// Fresh for so long if the source does not say.
    pub(super) default: Duration,
    /// Fresh at least so long, whatever the source says.
    pub(super) least: Duration,
    /// Fresh at most so long, whatever the source says.
    pub(super) most: Duration,
    /// In the last stretch of freshness the next fetch is begun in the background: so long before
    /// its end, or its last quarter if that is shorter.
    pub(super) ahead: Duration,
    /// Used so long past its freshness while the source cannot be had.
    pub(super) stale: Duration,
}

impl Lifetimes {
    /// 10 min, the source's word honoured between 1 min and 1 h, refreshed in the last minute, and
    /// 1 h more while the source is down.
    pub(super) const DEFAULT: Self = Self {
        default: Duration::from_secs(600),
        least: Duration::from_secs(60),
        most: Duration::from_secs(3600),
        ahead: Duration::from_secs(60),
        stale: Duration::from_secs(3600),
    };
}

/// After the first failure nobody asks again for so long; each further one doubles it.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);

/// What a fetch brought, and for how long it is fresh by the source's word.
pub(super) struct Fetched<T> {
    pub(super) value: T,
    pub(super) max_age: Option<Duration>,
}

pub(super) struct Cached<T, E>(Arc<Inner<T, E>>);

struct Inner<T, E> {
    /// What it is called in the log.
    name: &'static str,
    clock: Arc<dyn Clock>,
    lifetimes: Lifetimes,
    fetch: Fetch<T, E>,
    state: Mutex<State<T, E>>,
}

type Fetch<T, E> = Box<dyn Fn() -> BoxFuture<'static, Result<Fetched<T>, E>> + Send + Sync>;
type Flight<T, E> = Shared<BoxFuture<'static, Result<Arc<T>, E>>>;

struct State<T, E> {
    held: Option<Held<T>>,
    flight: Option<Flight<T, E>>,
    failure: Option<Failure<E>>,
}

struct Held<T> {
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

/// The fetch was ended from outside: its task panicked or its runtime is gone.
pub(super) trait Interrupted {
    fn interrupted() -> Self;
}

impl<T, E> Cached<T, E>
where
    T: Send + Sync + 'static,
    E: Interrupted + Clone + Send + Sync + 'static,
{
    pub(super) fn new<F>(
        name: &'static str,
        clock: Arc<dyn Clock>,
        lifetimes: Lifetimes,
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
            state: Mutex::new(State {
                held: None,
                flight: None,
                failure: None,
            }),
        }))
    }

    /// The value: fresh if it can be had, stale within its limit if not.
    pub(super) async fn get(&self) -> Result<Arc<T>, E> {
        let (fresh, flight) = {
            let mut state = self.0.lock();
            let now = self.0.clock.monotonic();
            match (state.fresh(now), state.backing_off(now)) {
                (Some(held), back_off) => {
                    let value = Arc::clone(&held.value);
                    if now < held.refresh_from || back_off.is_some() {
                        return Ok(value);
                    }
                    (Some(value), self.0.join(&mut state))
                }
                (None, Some(error)) => return state.stale(now).ok_or(error),
                (None, None) => (None, self.0.join(&mut state)),
            }
        };
        if let Some(value) = fresh {
            // In the background: once begun, it goes on whether or not anybody waits for it.
            let _ = flight.now_or_never();
            return Ok(value);
        }
        match flight.await {
            Ok(value) => Ok(value),
            Err(error) => {
                let now = self.0.clock.monotonic();
                self.0.lock().stale(now).ok_or(error)
            }
        }
    }

    /// A value newer than `seen`: one that somebody else has brought meanwhile, or is bringing,
    /// or, if `may_fetch` allows it when it comes to that, one that is fetched now. `None` if not
    /// allowed.
    pub(super) async fn newer_than(
        &self,
        seen: &Arc<T>,
        may_fetch: impl FnOnce() -> bool,
    ) -> Option<Result<Arc<T>, E>> {
        let flight = {
            let mut state = self.0.lock();
            if let Some(held) = &state.held
                && !Arc::ptr_eq(&held.value, seen)
            {
                return Some(Ok(Arc::clone(&held.value)));
            }
            if state.flight.is_none() {
                if let Some(error) = state.backing_off(self.0.clock.monotonic()) {
                    return Some(Err(error));
                }
                if !may_fetch() {
                    return None;
                }
            }
            self.0.join(&mut state)
        };
        Some(flight.await)
    }
}

impl<T, E> Inner<T, E>
where
    T: Send + Sync + 'static,
    E: Interrupted + Clone + Send + Sync + 'static,
{
    fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fetch under way, or a new one, which begins when it is first polled. Not here: a runtime
    /// that has ended drops the task at once, and that locks the state.
    fn join(self: &Arc<Self>, state: &mut State<T, E>) -> Flight<T, E> {
        state
            .flight
            .get_or_insert_with(|| Arc::clone(self).fly().boxed().shared())
            .clone()
    }

    /// Fetches in a task of its own: whoever asked first may give up, and the others still get
    /// their answer.
    async fn fly(self: Arc<Self>) -> Result<Arc<T>, E> {
        let landing = Landing {
            inner: self,
            landed: false,
        };
        let flight = async move {
            let result = AssertUnwindSafe(async { (landing.inner.fetch)().await })
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(E::interrupted()));
            landing.land(result)
        };
        // The lines of a fetch are found with those of the request that needed it.
        let task = tokio::spawn(flight.in_current_span());
        task.await.unwrap_or_else(|_| Err(E::interrupted()))
    }

    /// Keeps what came and ends the flight, both at once: whoever asks next sees neither a fetch
    /// that is over nor the value from before it.
    fn land(&self, result: Result<Fetched<T>, E>) -> Result<Arc<T>, E> {
        let now = self.clock.monotonic();
        let mut state = self.lock();
        state.flight = None;
        match result {
            Ok(Fetched { value, max_age }) => {
                let value = Arc::new(value);
                let Lifetimes {
                    default,
                    least,
                    most,
                    ahead,
                    stale,
                } = self.lifetimes;
                let fresh = max_age.map_or(default, |age| age.clamp(least, most));
                let fresh_until = now.saturating_add(fresh);
                // A short freshness would otherwise be its last stretch from the first moment on.
                let ahead = ahead.min(fresh.checked_div(4).unwrap_or_default());
                state.held = Some(Held {
                    value: Arc::clone(&value),
                    refresh_from: fresh_until.saturating_sub(ahead),
                    fresh_until,
                    stale_until: fresh_until.saturating_add(stale),
                });
                state.failure = None;
                Ok(value)
            }
            Err(error) => {
                let is_kept = state.held.as_ref().is_some_and(|it| now < it.stale_until);
                let before = state.failure.as_ref().map_or(0, |failure| failure.count);
                let back_off = FIRST_BACK_OFF
                    .saturating_mul(2_u32.saturating_pow(before))
                    .min(LONGEST_BACK_OFF);
                state.failure = Some(Failure {
                    error: error.clone(),
                    count: before.saturating_add(1),
                    retry_at: now.saturating_add(back_off),
                });
                drop(state);
                if is_kept {
                    observe::document_kept(self.name);
                }
                Err(error)
            }
        }
    }
}

/// Ends the flight of a task that ends without landing, so that a dead one never blocks the next.
struct Landing<T, E> {
    inner: Arc<Inner<T, E>>,
    landed: bool,
}

impl<T, E> Landing<T, E>
where
    T: Send + Sync + 'static,
    E: Interrupted + Clone + Send + Sync + 'static,
{
    fn land(mut self, result: Result<Fetched<T>, E>) -> Result<Arc<T>, E> {
        let result = self.inner.land(result);
        self.landed = true;
        result
    }
}

impl<T, E> Drop for Landing<T, E> {
    fn drop(&mut self) {
        if !self.landed {
            let state = self.inner.state.lock();
            state.unwrap_or_else(PoisonError::into_inner).flight = None;
        }
    }
}

impl<T, E: Clone> State<T, E> {
    fn fresh(&self, now: Duration) -> Option<&Held<T>> {
        self.held.as_ref().filter(|held| now < held.fresh_until)
    }

    fn stale(&self, now: Duration) -> Option<Arc<T>> {
        let held = self.held.as_ref().filter(|held| now < held.stale_until)?;
        Some(Arc::clone(&held.value))
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
