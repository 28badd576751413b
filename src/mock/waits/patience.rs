//! How long a test waits for what does not come.

use std::{future::pending, sync::mpsc, thread, time::Duration};

use tokio::sync::oneshot;

/// Longer than any test waits for what comes.
pub(in crate::mock) const PATIENCE: Duration = Duration::from_secs(30);

/// Ends when this much real time is over, counted by a thread of its own: the runtime's clock may
/// be paused, and would jump ahead. The thread ends with this future.
pub(in crate::mock) async fn over(patience: Duration) {
    let (tell, told) = oneshot::channel();
    let (_alive, ended) = mpsc::channel::<()>();
    let counting = thread::Builder::new().spawn(move || {
        if ended.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Nobody waits any more if this fails.
            let _ = tell.send(());
        }
    });
    if counting.is_err() || told.await.is_err() {
        // Nobody counts: it waits for the requests alone.
        pending::<()>().await;
    }
}
