//! Waiting for a decision.

use std::{future::Future, time::Duration};

use rand::RngExt as _;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    case::{Case, Decision},
    error::CaseError,
};

/// Says of which case there is news.
pub(super) type Looks = broadcast::Sender<String>;

/// What waiting for a decision brought.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitOutcome {
    /// The case is decided.
    Decided(Case, Decision),
    /// It is not, as of the last look.
    StillPending(Case),
}

pub(super) async fn wait<F>(
    looks: &Looks,
    case_id: &str,
    look: impl Fn() -> F,
    patience: Duration,
    first_pause: Duration,
    longest_pause: Duration,
) -> Result<WaitOutcome, CaseError>
where
    F: Future<Output = Result<Case, CaseError>>,
{
    // Before the first look, so that no news falls between.
    let mut news = looks.subscribe();
    let mut last = None;
    let looking = async {
        let mut pause = first_pause;
        loop {
            match look().await {
                Ok(case) => {
                    if let Some(decision) = case.final_decision().cloned() {
                        return Ok(WaitOutcome::Decided(case, decision));
                    }
                    last = Some(Ok(case));
                }
                Err(error) if error.may_pass() => {
                    // What was seen before is still the last that was seen.
                    if !matches!(last, Some(Ok(_))) {
                        last = Some(Err(error));
                    }
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = for_a_while(pause) => {}
                () = heard_of(&mut news, case_id) => {}
            }
            pause = pause.saturating_mul(2).min(longest_pause);
        }
    };
    if let Ok(waited) = tokio::time::timeout(patience, looking).await {
        return waited;
    }
    match last {
        Some(Ok(case)) => Ok(WaitOutcome::StillPending(case)),
        Some(Err(error)) => Err(error),
        // Not one look came to its end.
        None => Err(CaseError::Transport(crate::http::TransportError::Timeout)),
    }
}

async fn heard_of(news: &mut broadcast::Receiver<String>, case_id: &str) {
    loop {
        match news.recv().await {
            Ok(id) if id == case_id => return,
            Ok(_) => {}
            // Some news was missed, perhaps this case's.
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Three quarters of it at least; the rest is left to chance, so that those who began together do
/// not look together.
#[expect(
    clippy::disallowed_methods,
    reason = "a pause between two looks is a pause and waits for nothing"
)]
async fn for_a_while(pause: Duration) {
    let share = rand::rng().random_range(0.75..=1.0);
    tokio::time::sleep(pause.mul_f64(share)).await;
}
