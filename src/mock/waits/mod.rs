//! Waits in real time: a pause, a latch and a time limit.

pub(super) mod latch;
pub(super) mod limit;
pub(super) mod pause;
