//! Tries a session store with a record that nobody needs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    random,
    records::{Created, Found, Records, StoreUnavailable, Stored},
};
use crate::clock::Timestamp;

/// For the whole trial.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a store does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreCheck {
    Works,
    /// Two that make the same record are both told that it is new.
    MakesTwice,
    /// What was written is not there, or an earlier one is.
    Forgets,
    /// What was deleted is there.
    Keeps,
    Unavailable,
}

#[derive(Serialize, Deserialize)]
struct Trial {
    step: u8,
}

impl Stored for Trial {
    const KIND: &'static str = "trial";
}

pub(super) async fn check(records: &Records, now: Timestamp) -> StoreCheck {
    match tokio::time::timeout(DEADLINE, attempt(records, now)).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) | Err(_) => StoreCheck::Unavailable,
    }
}

/// Whether the store answers.
pub(super) async fn answers(records: &Records) -> bool {
    records.find::<Trial>(&random::token()).await.is_ok()
}

async fn attempt(records: &Records, now: Timestamp) -> Result<StoreCheck, StoreUnavailable> {
    let key = random::token();
    let ends_at = now.saturating_add(Duration::from_secs(60));
    let stands = async |step| {
        let found = records.find::<Trial>(&key).await?;
        Ok::<_, StoreUnavailable>(
            matches!(found, Found::Record(Trial { step: own }) if own == step),
        )
    };
    let first = records.create(&key, &Trial { step: 1 }, ends_at).await?;
    let is_there = first == Created::New && stands(1).await?;
    let again = records.create(&key, &Trial { step: 2 }, ends_at).await?;
    records.put(&key, &Trial { step: 3 }, ends_at).await?;
    let is_written = stands(3).await?;
    records.delete::<Trial>(&key).await?;
    let is_gone = matches!(records.find::<Trial>(&key).await?, Found::Absent);
    Ok(match (is_there && is_written, is_gone, again) {
        (false, _, _) => StoreCheck::Forgets,
        (true, false, _) => StoreCheck::Keeps,
        (true, true, Created::New) => StoreCheck::MakesTwice,
        (true, true, Created::Taken) => StoreCheck::Works,
    })
}
