//! A gate that holds requests until a test lets them through.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use super::{fault::Fault, latch::Latch};

/// Holds the requests of one endpoint. Dropping it lets them through.
#[must_use = "a gate opens as soon as it is dropped: bind it"]
pub struct Gate {
    latch: Arc<Latch>,
    /// Its rule is gone when the gate is.
    fault: Fault,
}

impl Gate {
    pub(super) fn new(latch: Arc<Latch>, fault: Fault) -> Self {
        Self { latch, fault }
    }

    /// Waits until `n` requests wait here at the same time. It waits for ever if they never come.
    pub async fn wait_for(&self, n: usize) {
        let mut waiting = self.latch.waiting.subscribe();
        // The sender lives as long as `self`, so there is no other end of this.
        let _ = waiting.wait_for(|waiting| *waiting >= n).await;
    }

    /// How many requests wait here now.
    pub fn waiting(&self) -> usize {
        *self.latch.waiting.borrow()
    }

    /// How many requests have come here, those that were let through too.
    pub fn hits(&self) -> u64 {
        self.fault.hits()
    }

    /// Lets all requests through, those that wait and those to come.
    pub fn release(&self) {
        self.latch.open.send_replace(true);
    }

    /// Holds requests again, those to come.
    pub fn close(&self) {
        self.latch.open.send_replace(false);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.release();
    }
}

impl Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
