//! A hold, which delays deliveries until a test releases them.

use std::sync::atomic::{AtomicBool, Ordering};

/// A hold of deliveries. A hold opens once and never closes again. The caller must have locked the
/// outbox.
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
