//! Gate that holds requests until the test releases them.

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use super::Fault;
use crate::mock::waits::{
    latch::Latch,
    limit::{WAIT_LIMIT, elapsed},
};

/// Gate that holds the requests to one endpoint. Dropping the gate releases the requests.
#[must_use = "a dropped gate releases its requests immediately: bind it to a variable"]
pub struct Gate {
    latch: Arc<Latch>,
    /// Guard of the installed rule. Dropping the gate removes the rule.
    fault: Fault,
}

impl Gate {
    pub(in crate::mock) fn new(latch: Arc<Latch>, fault: Fault) -> Self {
        Self { latch, fault }
    }

    /// Waits until the gate holds `n` requests simultaneously.
    ///
    /// # Panics Panics if the gate holds fewer than `n` requests after 30 seconds. The limit is in
    /// real time. The test therefore does not hang while its clock is stopped.
    pub async fn wait_for(&self, n: usize) {
        self.wait_within(n, WAIT_LIMIT).await;
    }

    async fn wait_within(&self, n: usize, limit: Duration) {
        let mut waiting = self.latch.waiting.subscribe();
        let come = waiting.wait_for(|waiting| *waiting >= n);
        let in_time = tokio::select! {
            biased;
            // `self` owns the sender, so the channel cannot close here.
            _ = come => true,
            () = elapsed(limit) => false,
        };
        assert!(
            in_time,
            "the gate `{}` waited {limit:?} for {n} requests; {} are held, and {} have arrived",
            self.fault.name(),
            self.waiting(),
            self.hits(),
        );
    }

    /// Returns the number of requests that the gate holds now.
    pub fn waiting(&self) -> usize {
        *self.latch.waiting.borrow()
    }

    /// Returns the number of requests that have arrived, including released requests.
    pub fn hits(&self) -> u64 {
        self.fault.hits()
    }

    /// Releases all held requests and lets future requests pass.
    pub fn release(&self) {
        self.latch.open.send_replace(true);
    }

    /// Holds future requests again.
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
    async fn a_wait_for_requests_ends() {
        let kyc = MockIssuer::start().await;
        let gate = kyc.on(Endpoint::Jwks).hold();
        gate.wait_for(0).await;
        let waiting = gate.wait_within(1, Duration::from_millis(20));
        let panic = AssertUnwindSafe(waiting).catch_unwind().await;
        let message = panic.err().and_then(|it| it.downcast::<String>().ok());
        let begin = "the gate `Jwks.hold` waited 20ms for 1 requests; 0 are held";
        assert!(
            message.as_ref().is_some_and(|text| text.starts_with(begin)),
            "{message:?}"
        );
    }
}
