//! Held deliveries. The test releases the deliveries in an order of its choice.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use super::Fault;
use crate::mock::{
    core::Core,
    deliveries::hold::Hold,
    waits::limit::{WAIT_LIMIT, elapsed},
};

/// Handle to the held deliveries of a tenant. A test can release the deliveries once. Dropping the
/// handle releases the deliveries in their original order.
#[must_use = "a dropped handle sends the held deliveries immediately: bind it to a variable"]
pub struct Held {
    core: Arc<Core>,
    hold: Arc<Hold>,
    /// Guard of the installed rule. Dropping the handle removes the rule.
    fault: Fault,
}

impl Held {
    pub(in crate::mock) fn new(core: Arc<Core>, hold: Arc<Hold>, fault: Fault) -> Self {
        Self { core, hold, fault }
    }

    /// Waits until the mock holds `n` deliveries.
    ///
    /// # Panics
    /// Panics if the mock holds fewer than `n` deliveries after 30 seconds of real time.
    pub async fn wait_for(&self, n: usize) {
        let mut changes = self.core.outbox().changes();
        let limit_elapsed = elapsed(WAIT_LIMIT);
        tokio::pin!(limit_elapsed);
        loop {
            changes.mark_unchanged();
            let held = self.waiting();
            if held >= n {
                return;
            }
            let in_time = tokio::select! {
                biased;
                // The core owns the sender, so the channel cannot close here.
                _ = changes.changed() => true,
                () = &mut limit_elapsed => false,
            };
            assert!(
                in_time,
                "`{}` waited {WAIT_LIMIT:?} for {n} deliveries; {held} are held",
                self.fault.name()
            );
        }
    }

    /// Returns the number of deliveries that the mock holds now.
    pub fn waiting(&self) -> usize {
        self.core.outbox().held(&self.hold)
    }

    /// Sends the held deliveries in their original order. The mock no longer holds later
    /// deliveries.
    pub fn release(&self) {
        self.core.outbox().release(&self.hold, |place| place);
    }

    /// Sends the held deliveries in reverse order. The mock no longer holds later deliveries.
    pub fn release_reversed(&self) {
        let mut outbox = self.core.outbox();
        let last = outbox.held(&self.hold).saturating_sub(1);
        outbox.release(&self.hold, |place| last.saturating_sub(place));
    }

    /// Sends the held deliveries in this order. For example, `&[2, 0, 1]` sends the third delivery
    /// first. The mock no longer holds later deliveries.
    ///
    /// # Panics
    /// Panics if `order` does not contain the index of each held delivery exactly once.
    #[track_caller]
    pub fn release_in(&self, order: &[usize]) {
        let mut outbox = self.core.outbox();
        let held = outbox.held(&self.hold);
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        assert!(
            sorted.iter().copied().eq(0..held),
            "{order:?} does not contain each of the {held} deliveries exactly once"
        );
        let rank = |place| order.iter().position(|it| *it == place);
        outbox.release(&self.hold, |place| rank(place).unwrap_or(place));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

impl Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
