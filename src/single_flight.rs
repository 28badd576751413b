//! Single flight: concurrent callers share one run of an operation.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tracing::Instrument as _;

/// Operations that are in flight, by key. Clones share the flights.
pub(crate) struct SingleFlight<K, T, E>(Arc<Inner<K, T, E>>);

struct Inner<K, T, E> {
    /// Error for an operation that panicked, or whose runtime ended.
    interrupted: E,
    flights: Mutex<Flights<K, T, E>>,
}

struct Flights<K, T, E> {
    /// Number of the latest flight.
    last: u64,
    by_key: HashMap<K, Flight<T, E>>,
}

/// Operation that several callers wait for.
#[derive(Clone)]
pub(crate) struct Flight<T, E> {
    #[cfg_attr(
        not(feature = "web"),
        expect(
            dead_code,
            reason = "only status queries compare flights with arrivals"
        )
    )]
    number: u64,
    pub(crate) result: Shared<BoxFuture<'static, Result<T, E>>>,
}

/// Arrival of a caller, relative to the starts of flights.
#[cfg(feature = "web")]
#[derive(Clone, Copy)]
pub(crate) struct Arrival(u64);

impl<K, T, E> SingleFlight<K, T, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(interrupted: E) -> Self {
        Self(Arc::new(Inner {
            interrupted,
            flights: Mutex::new(Flights {
                last: 0,
                by_key: HashMap::new(),
            }),
        }))
    }

    /// Joins the flight of this key, or starts `operation`.
    pub(crate) fn join<F>(&self, key: &K, operation: F) -> Flight<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let Ok(flight) = self.join_or_start(key, || Ok::<_, Infallible>(operation));
        flight
    }

    /// Joins the flight of this key, or starts the operation that `start` returns. If `start`
    /// fails, there is no flight, and only this caller gets the error.
    ///
    /// `start` is called under the lock of the flights. The operation runs in a separate task, and
    /// continues when all callers stop waiting. The flight ends when the operation has returned,
    /// before any caller gets the result.
    pub(crate) fn join_or_start<F, R>(
        &self,
        key: &K,
        start: impl FnOnce() -> Result<F, R>,
    ) -> Result<Flight<T, E>, R>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let mut flights = self.0.lock();
        if let Some(flight) = flights.by_key.get(key) {
            return Ok(flight.clone());
        }
        let operation = start()?;
        let guard = EndGuard {
            flights: Arc::clone(&self.0),
            key: key.clone(),
        };
        let interrupted = self.0.interrupted.clone();
        // The task is spawned when the result is first polled, after the lock is released. A
        // runtime that has ended drops the task immediately, and the guard takes the lock.
        let result = async move {
            let task = async move {
                let _guard = guard;
                operation.await
            };
            // The span connects the log lines of the task with the request that caused it.
            let task = tokio::spawn(task.in_current_span());
            task.await.unwrap_or(Err(interrupted))
        };
        flights.last = flights.last.saturating_add(1);
        let flight = Flight {
            number: flights.last,
            result: result.boxed().shared(),
        };
        flights.by_key.insert(key.clone(), flight.clone());
        Ok(flight)
    }

    /// Returns the arrival of a caller who accepts only a flight that starts from now on.
    #[cfg(feature = "web")]
    pub(crate) fn arrive(&self) -> Arrival {
        Arrival(self.0.lock().last)
    }
}

#[cfg(feature = "web")]
impl<T, E> Flight<T, E> {
    pub(crate) fn started_after(&self, arrival: Arrival) -> bool {
        self.number > arrival.0
    }
}

impl<K, T, E> Inner<K, T, E> {
    fn lock(&self) -> MutexGuard<'_, Flights<K, T, E>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, T, E> Clone for SingleFlight<K, T, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Guard that ends a flight when its task ends in any way.
struct EndGuard<K: Eq + Hash, T, E> {
    flights: Arc<Inner<K, T, E>>,
    key: K,
}

impl<K: Eq + Hash, T, E> Drop for EndGuard<K, T, E> {
    fn drop(&mut self) {
        self.flights.lock().by_key.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::sync::oneshot;

    use super::SingleFlight;

    type Flights = SingleFlight<&'static str, u8, &'static str>;

    #[tokio::test]
    async fn callers_of_one_key_share_a_flight_that_no_caller_can_cancel() {
        let flights = Flights::new("interrupted");
        let (land, landed) = oneshot::channel();
        let first = flights.join(&"a", async move { landed.await.map_err(|_| "no value") });
        let leader = tokio::spawn(first.result);
        tokio::task::yield_now().await;
        leader.abort();
        assert!(leader.await.unwrap_err().is_cancelled());
        let second = flights.join(&"a", pending());
        assert_eq!(flights.join(&"b", ready(Ok(2))).result.await, Ok(2));
        land.send(1).unwrap();
        assert_eq!(second.result.await, Ok(1));
        assert_eq!(flights.join(&"a", ready(Ok(3))).result.await, Ok(3));
    }

    #[tokio::test]
    async fn a_panic_and_an_error_end_the_flight() {
        let flights = Flights::new("interrupted");
        let panics = flights.join(&"a", async { panic!("the operation panics") });
        assert_eq!(panics.result.await, Err("interrupted"));
        let fails = flights.join(&"a", ready(Err("failed")));
        assert_eq!(fails.result.await, Err("failed"));
        assert!(flights.0.lock().by_key.is_empty());
    }

    #[tokio::test]
    async fn a_refused_start_affects_only_its_own_caller() {
        let flights = Flights::new("interrupted");
        let refused = flights.join_or_start(&"a", || Err::<std::future::Ready<_>, _>("refused"));
        assert_eq!(refused.map(|_| ()), Err("refused"));
        let before = flights.arrive();
        let flight = flights.join(&"a", ready(Ok(1)));
        let after = flights.arrive();
        assert!(flight.started_after(before) && !flight.started_after(after));
        assert_eq!(flight.result.await, Ok(1));
    }
}
