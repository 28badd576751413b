//! A gate that holds requests until a test lets them through.

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use super::Fault;
use crate::mock::waits::{
    latch::Latch,
    patience::{PATIENCE, over},
};

/// Holds the requests of one endpoint. Dropping it lets them through.
#[must_use = "a gate opens as soon as it is dropped: bind it"]
pub struct Gate {
    latch: Arc<Latch>,
    /// Its rule is gone when the gate is.
    fault: Fault,
}

impl Gate {
    pub(in crate::mock) fn new(latch: Arc<Latch>, fault: Fault) -> Self {
        Self { latch, fault }
    }

    /// Waits until `n` requests wait here at the same time.
    ///
    /// # Panics
    /// If they have not come in 30 seconds. That is real time, whatever clock the test runs on, so
    /// that a test whose requests never come does not hang.
    pub async fn wait_for(&self, n: usize) {
        self.wait_within(n, PATIENCE).await;
    }

    async fn wait_within(&self, n: usize, patience: Duration) {
        let mut waiting = self.latch.waiting.subscribe();
        let come = waiting.wait_for(|waiting| *waiting >= n);
        let in_time = tokio::select! {
            biased;
            // The sender lives as long as `self`, so there is no other end of this.
            _ = come => true,
            () = over(patience) => false,
        };
        assert!(
            in_time,
            "the gate `{}` waited {patience:?} for {n} requests at once; {} are here, and {} have \
             come",
            self.fault.name(),
            self.waiting(),
            self.hits(),
        );
    }

    /// How many requests wait here now.
    pub fn waiting(&self) -> usize {
        *self.latch.waiting.borrow()
    }

    /// How many requests have come here, those that were let through too.
    pub fn hits(&self) -> u64 {
        self.fault.hits()
    }

    /// Lets all requests through, those that wait and those to come.
    pub fn release(&self) {
        self.latch.open.send_replace(true);
    }

    /// Holds requests again, those to come.
    pub fn close(&self) {
        self.latch.open.send_replace(false);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.release();
    }
}

impl Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{panic::AssertUnwindSafe, time::Duration};

    use futures_util::FutureExt as _;

    use crate::mock::{Endpoint, MockIssuer};

    #[tokio::test]
    async fn it_does_not_wait_for_ever() {
        let kyc = MockIssuer::start().await;
        let gate = kyc.on(Endpoint::Jwks).hold();
        gate.wait_for(0).await;
        let waiting = gate.wait_within(1, Duration::from_millis(20));
        let panic = AssertUnwindSafe(waiting).catch_unwind().await;
        let message = panic.err().and_then(|it| it.downcast::<String>().ok());
        let begin = "the gate `Jwks.hold` waited 20ms for 1 requests at once; 0 are here";
        assert!(
            message.as_ref().is_some_and(|text| text.starts_with(begin)),
            "{message:?}"
        );
    }
}
