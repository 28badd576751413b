//! Waiting in real time: a pause, a latch and the time limit of a wait.

pub(super) mod latch;
pub(super) mod limit;
pub(super) mod pause;
