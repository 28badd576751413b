//! Tries a session store with a record that nobody needs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    claims::Claims,
    random,
    records::{Created, Found, Place, Records, StoreUnavailable, Stored},
};
use crate::clock::Timestamp;

/// For the whole trial.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a store does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreCheck {
    Works,
    /// Nothing is known to take a login once.
    TakesTwice,
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
    const KIND: &'static str = "check";
}

pub(super) async fn check(records: &Records, claims: &Claims, now: Timestamp) -> StoreCheck {
    match tokio::time::timeout(DEADLINE, attempt(records, claims, now)).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) | Err(_) => StoreCheck::Unavailable,
    }
}

/// Whether the store answers.
pub(super) async fn answers(records: &Records) -> bool {
    records.find::<Trial>(&random::token()).await.is_ok()
}

async fn attempt(
    records: &Records,
    claims: &Claims,
    now: Timestamp,
) -> Result<StoreCheck, StoreUnavailable> {
    let key = random::token();
    let ends_at = now.saturating_add(Duration::from_secs(60));
    let stands = async |step| {
        let found = records.find::<Trial>(&key).await?;
        Ok::<_, StoreUnavailable>(
            matches!(found, Found::Record(Trial { step: own }) if own == step),
        )
    };
    let is_made = records.create(&key, &Trial { step: 1 }, ends_at).await? == Created::New;
    let is_there = is_made && stands(1).await?;
    records
        .put(Place::Filled, &key, &Trial { step: 2 }, ends_at)
        .await?;
    let is_written = stands(2).await?;
    records.delete::<Trial>(&key).await?;
    let is_gone = matches!(records.find::<Trial>(&key).await?, Found::Absent);
    if !(is_there && is_written) {
        return Ok(StoreCheck::Forgets);
    }
    if !is_gone {
        return Ok(StoreCheck::Keeps);
    }
    Ok(if claims.rehearse(ends_at).await? {
        StoreCheck::Works
    } else {
        StoreCheck::TakesTwice
    })
}
