//! Shared waits of many rules.

use std::{
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, Either, join_all, select};
use tokio::sync::{Notify, watch};

use super::Violation;

/// Check of one rule.
pub(super) type Check<'a> = BoxFuture<'a, Result<(), Violation>>;

/// Controls the time of the suite. When every rule waits or has ended, the pacer lets the longest
/// requested time pass. All rules wait together, and no time passes between two operations of a
/// rule.
pub(super) struct Pacer {
    state: Mutex<State>,
    changed: Notify,
    /// Number of completed waits.
    rounds: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    running: usize,
    waiting: usize,
    longest: Duration,
}

/// Guard: the pacer treats a rule as running while this value exists.
struct Running<'a>(&'a Pacer);

impl Pacer {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            rounds: watch::Sender::new(0),
        }
    }

    /// Runs all checks, and lets time pass with `pass` between their steps. Returns the violation
    /// of the first check that found a violation.
    pub(super) async fn run(
        &self,
        checks: Vec<Check<'_>>,
        pass: &impl AsyncFn(Duration),
    ) -> Result<(), Violation> {
        // Starts all checks before the first waits.
        let checks: Vec<_> = checks.into_iter().map(|it| self.running(it)).collect();
        let driver = std::pin::pin!(self.drive(pass));
        match select(join_all(checks), driver).await {
            Either::Left((results, _)) => results.into_iter().collect(),
            Either::Right(((), _)) => Ok(()),
        }
    }

    /// Waits until at least `by` has passed.
    pub(super) async fn pass(&self, by: Duration) {
        let mut rounds = self.rounds.subscribe();
        {
            let mut state = self.lock();
            state.waiting = state.waiting.saturating_add(1);
            state.longest = state.longest.max(by);
        }
        self.changed.notify_one();
        // The sender exists at least as long as the pacer.
        let _ = rounds.changed().await;
    }

    /// Marks a check as running until it ends.
    fn running<'a>(
        &'a self,
        check: Check<'a>,
    ) -> impl Future<Output = Result<(), Violation>> + Send + 'a {
        let running = Running::begin(self);
        async move {
            let result = check.await;
            drop(running);
            result
        }
    }

    /// Lets time pass whenever no rule is running. Never returns.
    async fn drive(&self, pass: &impl AsyncFn(Duration)) {
        loop {
            self.changed.notified().await;
            if let Some(by) = self.due() {
                pass(by).await;
                self.rounds
                    .send_modify(|rounds| *rounds = rounds.wrapping_add(1));
            }
        }
    }

    /// Returns the time that must pass if every rule waits.
    fn due(&self) -> Option<Duration> {
        let mut state = self.lock();
        if state.waiting == 0 || state.waiting < state.running {
            return None;
        }
        state.waiting = 0;
        Some(std::mem::take(&mut state.longest))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Running<'a> {
    fn begin(pacer: &'a Pacer) -> Self {
        let mut state = pacer.lock();
        state.running = state.running.saturating_add(1);
        Self(pacer)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.running = state.running.saturating_sub(1);
        self.0.changed.notify_one();
    }
}
