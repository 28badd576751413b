//! Removal of expired records in the background.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use rand::RngExt as _;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at},
};

/// Time between two removals of expired records.
const PERIOD: Duration = Duration::from_secs(60);
/// Number of writes after which the store also removes expired records. In a busy store, one
/// removal per minute is not enough.
const WRITES_PER_REMOVAL: u32 = 64;

/// Store whose expired records and idle connections need removal.
pub(crate) trait Tidy: Send + Sync + 'static {
    /// Removes expired records in bounded steps, and closes idle connections.
    fn tidy(&self) -> BoxFuture<'_, ()>;
}

/// Background task of one store. The task ends when the store is dropped.
#[derive(Default)]
pub(crate) struct Upkeep {
    writes: AtomicU32,
    task: Mutex<Option<JoinHandle<()>>>,
    /// Removal that a write started.
    removal: Mutex<Option<JoinHandle<()>>>,
}

impl Upkeep {
    /// Starts the task if the task is not running. The task ends when the runtime that started the
    /// task ends.
    pub(crate) fn ensure<T: Tidy>(&self, store: &Arc<T>) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(run(Arc::downgrade(store))));
        }
    }

    /// Counts a write, and starts a removal after every [`WRITES_PER_REMOVAL`] writes. At most one
    /// removal runs at a time. Otherwise many writes could occupy all connections.
    pub(crate) fn wrote<T: Tidy>(&self, store: &Arc<T>) {
        self.ensure(store);
        let count = self.writes.fetch_add(1, Ordering::Relaxed);
        if count % WRITES_PER_REMOVAL == WRITES_PER_REMOVAL - 1 {
            let mut removal = self.removal.lock().unwrap_or_else(PoisonError::into_inner);
            if removal.as_ref().is_none_or(JoinHandle::is_finished) {
                let store = Arc::clone(store);
                *removal = Some(tokio::spawn(async move { store.tidy().await }));
            }
        }
    }
}

/// Runs the task. Instances that start together would remove records at the same moment. A random
/// delay prevents simultaneous removals.
async fn run<T: Tidy>(store: Weak<T>) {
    let share = rand::rng().random_range(0.0..1.0);
    let now = Instant::now();
    let start = now.checked_add(PERIOD.mul_f64(share)).unwrap_or(now);
    let mut ticks = interval_at(start, PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(store) = store.upgrade() else {
            return;
        };
        store.tidy().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use futures_util::{FutureExt as _, future::BoxFuture};

    use super::{PERIOD, Tidy, Upkeep, WRITES_PER_REMOVAL};

    #[derive(Default)]
    struct Counting {
        tidied: AtomicU32,
        upkeep: Upkeep,
    }

    impl Counting {
        fn tidied(&self) -> u32 {
            self.tidied.load(Ordering::SeqCst)
        }
    }

    impl Tidy for Counting {
        fn tidy(&self) -> BoxFuture<'_, ()> {
            self.tidied.fetch_add(1, Ordering::SeqCst);
            std::future::ready(()).boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    #[expect(
        clippy::disallowed_methods,
        reason = "the clock of the runtime is paused"
    )]
    async fn expired_records_are_removed_every_minute_until_the_store_is_dropped() {
        let store = Arc::new(Counting::default());
        store.upkeep.ensure(&store);
        store.upkeep.ensure(&store);
        tokio::time::sleep(PERIOD * 3).await;
        assert_eq!(store.tidied(), 3);

        let task = store.upkeep.task.lock().unwrap().take().unwrap();
        drop(store);
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn some_writes_remove_expired_records() {
        let store = Arc::new(Counting::default());
        let write_until_removal = || {
            for _ in 0..WRITES_PER_REMOVAL {
                store.upkeep.wrote(&store);
            }
        };
        // The second removal does not start, because the first removal has not ended.
        write_until_removal();
        write_until_removal();
        settle().await;
        assert_eq!(store.tidied(), 1);
        write_until_removal();
        settle().await;
        assert_eq!(store.tidied(), 2);
    }

    async fn settle() {
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }
}
