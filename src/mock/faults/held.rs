//! Deliveries that a test holds until it says in which order they are sent.

use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use super::Fault;
use crate::mock::{
    core::Core,
    deliveries::hold::Hold,
    waits::patience::{PATIENCE, over},
};

/// Holds the events that are to be sent to a tenant, until they are released, once. Dropping it
/// releases them in their order.
#[must_use = "what is held is sent as soon as this is dropped: bind it"]
pub struct Held {
    core: Arc<Core>,
    hold: Arc<Hold>,
    /// Its rule is gone when this is.
    fault: Fault,
}

impl Held {
    pub(in crate::mock) fn new(core: Arc<Core>, hold: Arc<Hold>, fault: Fault) -> Self {
        Self { core, hold, fault }
    }

    /// Waits until `n` deliveries are held.
    ///
    /// # Panics
    /// If they have not come in 30 seconds of real time.
    pub async fn wait_for(&self, n: usize) {
        let mut news = self.core.outbox().news();
        let over = over(PATIENCE);
        tokio::pin!(over);
        loop {
            news.mark_unchanged();
            let held = self.waiting();
            if held >= n {
                return;
            }
            let in_time = tokio::select! {
                biased;
                // The sender lives as long as the core.
                _ = news.changed() => true,
                () = &mut over => false,
            };
            assert!(
                in_time,
                "`{}` waited {PATIENCE:?} for {n} deliveries, and holds {held}",
                self.fault.name()
            );
        }
    }

    /// How many are held now.
    pub fn waiting(&self) -> usize {
        self.core.outbox().held(&self.hold)
    }

    /// Sends them in their order, and holds no more.
    pub fn release(&self) {
        self.core.outbox().release(&self.hold, |place| place);
    }

    /// Sends them in the reverse of their order, and holds no more.
    pub fn release_reversed(&self) {
        let mut outbox = self.core.outbox();
        let last = outbox.held(&self.hold).saturating_sub(1);
        outbox.release(&self.hold, |place| last.saturating_sub(place));
    }

    /// Sends them in this order, and holds no more: `&[2, 0, 1]` is the third first.
    ///
    /// # Panics
    /// If `order` does not name each that is held once.
    #[track_caller]
    pub fn release_in(&self, order: &[usize]) {
        let mut outbox = self.core.outbox();
        let held = outbox.held(&self.hold);
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        assert!(
            sorted.iter().copied().eq(0..held),
            "{order:?} does not name each of {held} deliveries once"
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
