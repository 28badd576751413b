//! Waiting for a decision.

use std::{future::Future, time::Duration};

use rand::RngExt as _;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    case::{Case, Decision},
    error::CaseError,
};

/// Channel that sends the id of each case that may have changed.
pub(super) type CaseUpdates = broadcast::Sender<String>;

/// Result of [`CaseClient::wait_until_decided`](super::CaseClient::wait_until_decided).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitOutcome {
    /// KYCPort decided the case.
    Decided(Case, Decision),
    /// The case was still open at the last read.
    StillPending(Case),
}

pub(super) async fn wait<F>(
    updates: &CaseUpdates,
    case_id: &str,
    read: impl Fn() -> F,
    max_wait: Duration,
    first_pause: Duration,
    max_pause: Duration,
) -> Result<WaitOutcome, CaseError>
where
    F: Future<Output = Result<Case, CaseError>>,
{
    // Subscribe before the first read. Otherwise the function could miss an update.
    let mut updates = updates.subscribe();
    let mut last = None;
    let polling = async {
        let mut pause = first_pause;
        loop {
            match read().await {
                Ok(case) => {
                    if let Some(decision) = case.final_decision().cloned() {
                        return Ok(WaitOutcome::Decided(case, decision));
                    }
                    last = Some(Ok(case));
                }
                Err(error) if error.is_transient() => {
                    // An earlier successful read takes precedence over the error.
                    if !matches!(last, Some(Ok(_))) {
                        last = Some(Err(error));
                    }
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = sleep_with_jitter(pause) => {}
                () = updated(&mut updates, case_id) => {}
            }
            pause = pause.saturating_mul(2).min(max_pause);
        }
    };
    if let Ok(outcome) = tokio::time::timeout(max_wait, polling).await {
        return outcome;
    }
    match last {
        Some(Ok(case)) => Ok(WaitOutcome::StillPending(case)),
        Some(Err(error)) => Err(error),
        // No read completed.
        None => Err(CaseError::Transport(crate::http::TransportError::Timeout)),
    }
}

/// Waits for an update of this case.
async fn updated(updates: &mut broadcast::Receiver<String>, case_id: &str) {
    loop {
        match updates.recv().await {
            Ok(id) if id == case_id => return,
            Ok(_) => {}
            // The channel has lost updates. A lost update may concern this case.
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Sleeps for a random time between three quarters of `pause` and `pause`. Callers that start
/// simultaneously therefore do not poll simultaneously.
#[expect(
    clippy::disallowed_methods,
    reason = "a pause between two polls of the API"
)]
async fn sleep_with_jitter(pause: Duration) {
    let share = rand::rng().random_range(0.75..=1.0);
    tokio::time::sleep(pause.mul_f64(share)).await;
}
