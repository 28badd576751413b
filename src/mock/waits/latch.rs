//! Latch that holds requests at a gate.

use tokio::sync::watch;

/// State that a gate shares with the requests it holds.
pub(in crate::mock) struct Latch {
    pub(in crate::mock) waiting: watch::Sender<usize>,
    pub(in crate::mock) open: watch::Sender<bool>,
}

impl Latch {
    pub(in crate::mock) async fn pass(&self) {
        let mut open = self.open.subscribe();
        if *open.borrow_and_update() {
            return;
        }
        let _waiting = Waiting::count(&self.waiting);
        // `self` owns the sender, so this wait can end only with an open latch.
        let _ = open.wait_for(|open| *open).await;
    }
}

impl Default for Latch {
    fn default() -> Self {
        Self {
            waiting: watch::Sender::new(0),
            open: watch::Sender::new(false),
        }
    }
}

/// Counts one request while it waits. A disconnected client is no longer counted.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn count(sender: &'a watch::Sender<usize>) -> Self {
        sender.send_modify(|n| *n = n.saturating_add(1));
        Self(sender)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n = n.saturating_sub(1));
    }
}
