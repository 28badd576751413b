//! What waiting takes: a pause, a latch, and how long anyone waits at most.

pub(super) mod latch;
pub(super) mod patience;
pub(super) mod pause;
