//! Pause points of operations.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Semaphore;

/// Point at which operations wait until [`resume`](Self::resume) is called. The
/// methods [`FaultyStore::pause`](super::FaultyStore::pause)
/// and [`FaultyStore::hang`](super::FaultyStore::hang) create a point.
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
    /// One permit for each operation that may pass. If the semaphore is closed, all operations may
    /// pass.
    passes: Semaphore,
    arrived: AtomicUsize,
    /// The gate opens when this number of operations has arrived.
    opens_at: Option<usize>,
}

impl PausePoint {
    pub(super) fn of(gate: Arc<Gate>) -> Self {
        Self { gate }
    }

    /// Waits until an operation has reached the point. Each call waits for one more operation.
    /// Therefore `n` calls wait for `n` operations. Operations that arrive after
    /// [`resume`](Self::resume) also count.
    ///
    /// Cancellation safety: if a call is dropped, the next call still sees the arrival.
    pub async fn reached(&self) {
        // The semaphore is never closed.
        if let Ok(arrival) = self.gate.arrivals.acquire().await {
            arrival.forget();
        }
    }

    /// Resumes the operation that has waited longest. If no operation waits, the next operation
    /// that arrives does not wait.
    pub fn resume_one(&self) {
        self.gate.passes.add_permits(1);
    }

    /// Resumes all waiting operations. Later operations do not wait at this point.
    pub fn resume(&self) {
        self.gate.open();
    }
}

impl Drop for PausePoint {
    fn drop(&mut self) {
        self.gate.open();
    }
}

impl Gate {
    /// Creates a gate that a call opens.
    pub(super) fn new() -> Self {
        Self::opening_at(None)
    }

    /// Creates a gate that opens when `count` operations have arrived.
    pub(super) fn for_meeting(count: usize) -> Self {
        Self::opening_at(Some(count))
    }

    fn opening_at(opens_at: Option<usize>) -> Self {
        Self {
            arrivals: Semaphore::new(0),
            passes: Semaphore::new(0),
            arrived: AtomicUsize::new(0),
            opens_at,
        }
    }

    pub(super) fn open(&self) {
        self.passes.close();
    }

    /// Signals the arrival of an operation. Then waits until the gate is open, or until the gate
    /// lets one operation pass.
    pub(super) async fn pass(&self) {
        self.arrivals.add_permits(1);
        let before = self.arrived.fetch_add(1, Ordering::SeqCst);
        if self
            .opens_at
            .is_some_and(|count| before >= count.saturating_sub(1))
        {
            self.open();
        }
        if let Ok(pass) = self.passes.acquire().await {
            pass.forget();
        }
    }
}
