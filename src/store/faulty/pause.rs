//! Pause points of operations.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

/// Point at which operations wait until [`resume`](Self::resume) is called. Created by
/// [`FaultyStore::pause`](super::FaultyStore::pause) and
/// [`FaultyStore::hang`](super::FaultyStore::hang).
///
/// Dropping the point resumes the operations.
#[derive(Debug)]
#[must_use = "dropping the pause point resumes the operations"]
pub struct PausePoint {
    gate: Arc<Gate>,
}

/// State that a pause point shares with its waiting operations.
#[derive(Debug)]
pub(super) struct Gate {
    arrivals: Semaphore,
    is_open: watch::Sender<bool>,
}

impl PausePoint {
    pub(super) fn of(gate: Arc<Gate>) -> Self {
        Self { gate }
    }

    /// Waits until an operation has reached the point. Each call waits for one further operation,
    /// so that `n` calls wait for `n` operations.
    ///
    /// Cancellation safety: a dropped call consumes no arrival.
    pub async fn reached(&self) {
        // The semaphore is never closed.
        if let Ok(arrival) = self.gate.arrivals.acquire().await {
            arrival.forget();
        }
    }

    /// Resumes the waiting operations. Later operations do not wait at this point.
    pub fn resume(self) {
        self.gate.open();
    }
}

impl Drop for PausePoint {
    fn drop(&mut self) {
        self.gate.open();
    }
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            arrivals: Semaphore::new(0),
            is_open: watch::Sender::new(false),
        }
    }

    pub(super) fn open(&self) {
        self.is_open.send_replace(true);
    }

    pub(super) fn is_open(&self) -> bool {
        *self.is_open.borrow()
    }

    /// Signals the arrival, and waits until the gate is open.
    pub(super) async fn pass(&self) {
        let mut is_open = self.is_open.subscribe();
        self.arrivals.add_permits(1);
        // The sender lives at least as long as this gate.
        let _ = is_open.wait_for(|it| *it).await;
    }
}
