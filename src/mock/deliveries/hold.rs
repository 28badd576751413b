//! Hold that stops deliveries from being sent.

use std::sync::atomic::{AtomicBool, Ordering};

/// Hold of deliveries. It opens once, while the outbox is locked.
#[derive(Default)]
pub(in crate::mock) struct Hold(AtomicBool);

impl Hold {
    pub(in crate::mock) fn is_open(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) fn open(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
