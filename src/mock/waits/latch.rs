//! Latch that holds requests at a gate.

use tokio::sync::watch;

/// State that a gate shares with the held requests.
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
        // `self` owns the sender, so this wait ends only after the latch has opened.
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

/// Counts one waiting request. The count decreases when the request continues or when the client
/// disconnects.
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
