//! Limits on the request bodies that the receiver is reading: their number, total size and rate.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// Minimum rate of a body, in bytes per second.
pub(super) const MIN_BYTES_PER_SECOND: u32 = 1024;
/// Time for which a body may stay below the minimum rate, for example after two lost packets.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Bodies that share one limit. If the limit is reached, the receiver drops the slowest body. Slow
/// clients therefore cannot block a new body.
#[derive(Debug)]
pub(super) struct Bodies {
    max_count: usize,
    max_bytes: usize,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    bytes: usize,
    reading: BTreeMap<u64, Reading>,
}

/// Request body that the receiver is reading.
#[derive(Debug)]
struct Reading {
    bytes: usize,
    /// Time at which the next bytes are due. Each received byte postpones this time according to
    /// the minimum rate, up to [`GRACE`] from now. A burst therefore does not allow a long pause.
    /// The slowest body has the earliest due time.
    due: Duration,
    dropped: Arc<Notify>,
}

/// Reason why the receiver drops a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// The body was below the minimum rate, or was the slowest body when a new body needed a place.
    Slow,
    /// This body alone exceeds the total limit of all bodies.
    Full,
}

/// Place of one body in the set. Dropping this value frees the place.
#[derive(Debug)]
pub(super) struct Place<'a> {
    bodies: &'a Bodies,
    id: u64,
    dropped: Arc<Notify>,
}

impl Bodies {
    pub(super) fn new(max_count: usize, max_bytes: usize) -> Self {
        Self {
            max_count,
            max_bytes,
            start: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// Assigns a place to a new body. If all places are taken, drops the slowest body.
    pub(super) fn enter(&self) -> Place<'_> {
        let mut state = self.lock();
        while state.reading.len() >= self.max_count && state.drop_slowest(None) {}
        let (id, dropped) = (state.next_id, Arc::new(Notify::new()));
        state.next_id = id.wrapping_add(1);
        let reading = Reading {
            bytes: 0,
            due: self.latest_due(),
            dropped: Arc::clone(&dropped),
        };
        state.reading.insert(id, reading);
        Place {
            bodies: self,
            id,
            dropped,
        }
    }

    fn latest_due(&self) -> Duration {
        self.start.elapsed().saturating_add(GRACE)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Drops the slowest body other than `kept`. Returns false if there is no other body.
    fn drop_slowest(&mut self, kept: Option<u64>) -> bool {
        let others = self.reading.iter().filter(|(id, _)| Some(**id) != kept);
        let slowest = others.min_by_key(|(_, reading)| reading.due);
        let Some(id) = slowest.map(|(id, _)| *id) else {
            return false;
        };
        if let Some(reading) = self.remove(id) {
            reading.dropped.notify_one();
        }
        true
    }

    fn remove(&mut self, id: u64) -> Option<Reading> {
        let reading = self.reading.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(reading.bytes);
        Some(reading)
    }
}

impl Place<'_> {
    /// Waits for the next piece of the body, while the body meets the minimum rate.
    pub(super) async fn wait<T>(&self, piece: impl Future<Output = T>) -> Result<T, Dropped> {
        let left = {
            let state = self.bodies.lock();
            let reading = state.reading.get(&self.id).ok_or(Dropped::Slow)?;
            reading.due.saturating_sub(self.bodies.start.elapsed())
        };
        tokio::select! {
            biased;
            () = self.dropped.notified() => Err(Dropped::Slow),
            piece = tokio::time::timeout(left, piece) => piece.map_err(|_| Dropped::Slow),
        }
    }

    /// Counts received bytes. Drops slower bodies if all bodies together are too large.
    pub(super) fn received(&self, bytes: usize) -> Result<(), Dropped> {
        let latest = self.bodies.latest_due();
        let mut state = self.bodies.lock();
        let reading = state.reading.get_mut(&self.id).ok_or(Dropped::Slow)?;
        reading.bytes = reading.bytes.saturating_add(bytes);
        let bought = Duration::from_secs(bytes as u64).checked_div(MIN_BYTES_PER_SECOND);
        let due = reading.due.saturating_add(bought.unwrap_or_default());
        reading.due = due.min(latest);
        state.bytes = state.bytes.saturating_add(bytes);
        while state.bytes > self.bodies.max_bytes {
            if !state.drop_slowest(Some(self.id)) {
                return Err(Dropped::Full);
            }
        }
        Ok(())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.bodies.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    async fn is_dropped(place: &Place<'_>) -> bool {
        let short = Duration::from_nanos(1);
        tokio::time::timeout(short, place.wait(pending::<()>()))
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_body_takes_the_place_of_the_slowest() {
        let bodies = Bodies::new(3, 100);
        let (idle, trickle) = (bodies.enter(), bodies.enter());
        tokio::time::advance(Duration::from_secs(1)).await;
        let steady = bodies.enter();
        idle.received(0).unwrap();
        trickle.received(1).unwrap();
        let mut entered = Vec::new();
        for (slowest, others) in [(&idle, [&trickle, &steady]), (&trickle, [&steady, &steady])] {
            let new = bodies.enter();
            assert!(is_dropped(slowest).await);
            assert_eq!(slowest.received(1), Err(Dropped::Slow));
            for other in others {
                assert!(!is_dropped(other).await);
            }
            assert_eq!(new.wait(ready(1)).await, Ok(1));
            entered.push(new);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_taken_from_the_slowest_and_given_back() {
        let bodies = Bodies::new(10, 100);
        let slow = bodies.enter();
        slow.received(60).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let new = bodies.enter();
        new.received(40).unwrap();
        assert!(!is_dropped(&slow).await);
        new.received(60).unwrap();
        assert!(is_dropped(&slow).await);
        assert_eq!(new.received(1), Err(Dropped::Full));
        drop(new);
        assert_eq!(bodies.lock().bytes, 0);
        bodies.enter().received(100).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_below_the_minimum_rate_is_dropped() {
        let bodies = Bodies::new(10, usize::MAX);
        // One client sends a byte each second. The other client sends one burst and then stops.
        let (trickle, burst, steady) = (bodies.enter(), bodies.enter(), bodies.enter());
        burst.received(1024 * 1024).unwrap();
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let trickling = async {
            while trickle
                .wait(tokio::time::timeout(second, pending::<()>()))
                .await
                .is_ok()
            {
                trickle.received(1).unwrap();
            }
            start.elapsed()
        };
        let bursting = async {
            assert_eq!(burst.wait(pending::<()>()).await, Err(Dropped::Slow));
            start.elapsed()
        };
        let staying = async {
            for _ in 0..60 {
                let piece = tokio::time::timeout(second, pending::<()>());
                steady.wait(piece).await.unwrap().unwrap_err();
                steady.received(1024).unwrap();
            }
        };
        let (trickled, burst, ()) = tokio::join!(trickling, bursting, staying);
        let expected = GRACE..GRACE.saturating_add(second);
        assert!(expected.contains(&trickled), "{trickled:?}");
        assert!(expected.contains(&burst), "{burst:?}");
    }
}
