//! Real-time limit for waits in tests.

use std::{future::pending, sync::mpsc, thread, time::Duration};

use tokio::sync::oneshot;

/// Maximum time that a test waits for an expected event.
pub(in crate::mock) const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// Completes after this real time. A separate thread measures the time, because a paused runtime
/// clock would advance automatically. Dropping this future ends the thread.
pub(in crate::mock) async fn elapsed(limit: Duration) {
    let (sender, receiver) = oneshot::channel();
    let (_alive, ended) = mpsc::channel::<()>();
    let counting = thread::Builder::new().spawn(move || {
        if ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            // `send` returns an error only if no test waits any longer.
            let _ = sender.send(());
        }
    });
    if counting.is_err() || receiver.await.is_err() {
        // Without a thread that measures the time, the wait has no limit.
        pending::<()>().await;
    }
}
