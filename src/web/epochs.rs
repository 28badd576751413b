//! How all sessions of a person end at once, on any store, though none can list them.
//!
//! A person has an epoch: a random word, which every session carries from its begin. Ending all of
//! them is writing another. A session of another epoch than the person's is dead, whoever writes
//! into its records meanwhile. No clock decides anything here.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    random,
    records::{Found, Place, Records, StoreUnavailable, Stored},
};
use crate::{clock::Clock, secret::Secret};

/// No setting lets a session live longer.
pub(crate) const LONGEST_SESSION: Duration = Duration::from_secs(30 * 24 * 3600);

/// Whose sessions they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Person<'a> {
    pub(super) issuer: &'a str,
    pub(super) subject: &'a str,
}

impl Person<'_> {
    /// What a person's records are found by. The length tells where the issuer ends.
    pub(super) fn record_key(self) -> Secret {
        let Self { issuer, subject } = self;
        Secret::new(format!("{} {issuer} {subject}", issuer.len()))
    }
}

/// The word that a person's sessions begin with. There is none until all were ended once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Epoch(String);

impl Stored for Epoch {
    const KIND: &'static str = "epoch";
}

#[derive(Debug, Clone)]
pub(super) struct Epochs {
    records: Records,
    clock: Arc<dyn Clock>,
}

impl Epochs {
    pub(super) fn new(records: Records, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock }
    }

    /// The epoch of a session that begins now.
    pub(super) async fn current(
        &self,
        person: Person<'_>,
    ) -> Result<Option<Epoch>, StoreUnavailable> {
        match self.records.find::<Epoch>(&person.record_key()).await? {
            Found::Absent => Ok(None),
            Found::Record(epoch) => Ok(Some(epoch)),
            // No session of whatever it was is alive, and without another none ever would be.
            Found::Unreadable => self.begin(person).await.map(Some),
        }
    }

    /// Ends whatever has begun. What begins while this is under way has ended with it, or carries
    /// the new epoch.
    pub(super) async fn begin(&self, person: Person<'_>) -> Result<Epoch, StoreUnavailable> {
        let epoch = Epoch(random::token().expose().to_owned());
        // Kept longer than any session that it ends could live, by whatever settings it began: when
        // it is forgotten there is nothing left to keep dead. In a bounded store that drops first
        // what ends first it outlives them too.
        let forgotten_at = self
            .clock
            .now()
            .saturating_add(LONGEST_SESSION)
            .saturating_add(LONGEST_SESSION);
        self.records
            .put(Place::Empty, &person.record_key(), &epoch, forgotten_at)
            .await?;
        Ok(epoch)
    }

    /// Whether a session that began in `epoch` was ended with all others of its person.
    pub(super) async fn is_over(
        &self,
        person: Person<'_>,
        epoch: Option<&Epoch>,
    ) -> Result<bool, StoreUnavailable> {
        match self.records.find::<Epoch>(&person.record_key()).await? {
            // Nothing was ended for as long as any session lives.
            Found::Absent => Ok(false),
            Found::Record(current) => Ok(epoch != Some(&current)),
            // All were ended once, and it cannot be told which have begun since.
            Found::Unreadable => Ok(true),
        }
    }
}
