//! Handle to the cases. A test can read cases and force their outcomes.

pub(super) mod api;
mod engine;
pub(super) mod file;
pub(super) mod stream;
pub(super) mod upload;

use std::{
    collections::BTreeMap,
    fmt::{self, Debug},
    sync::Arc,
};

use crate::{
    clock::Timestamp,
    mock::{
        core::{Core, transition},
        error::MockError,
        persons::Person,
        records::{case::CaseRecord, file::FileSnapshot},
    },
    wire::{
        cases::{CaseStatus, Outcome, RiskLevel},
        kyc::KycTier,
    },
};

/// Handle to the verification cases of a mock.
///
/// A test can force the engine's decision. The mock applies the first of these rules that matches
/// ([K78](crate::guide::contract)):
/// - The test sets the outcome with [`next_outcome`](Self::next_outcome).
/// - The document contains `KYCPORT-MOCK:rejected` (or `approved`, `review`) in its first 64 KiB or
///   its last 1 KiB. See [`samples`](crate::mock::samples).
/// - The person's name contains the word `Reject`, `Review` or `Approve`.
///
/// If the outcome is a review, the test decides the case later as the reviewer, with
/// [`review`](Self::review).
#[derive(Clone)]
pub struct Cases {
    core: Arc<Core>,
}

/// Snapshot of a case.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CaseSnapshot {
    /// The ID of the case.
    pub id: String,
    /// The ID of the person whom the case verifies.
    pub person_id: String,
    /// The KYC tier that the client requested for the case.
    pub level: KycTier,
    /// The status of the case.
    pub status: CaseStatus,
    /// The outcome of the decision. `None` until the case is decided.
    pub outcome: Option<Outcome>,
    /// The risk level of the decision. `None` until the case is decided.
    pub risk_level: Option<RiskLevel>,
    /// Whether a human reviewer decided the case. `None` until the case is decided.
    pub human_verified: Option<bool>,
    /// The time at which the client opened the case, by the issuer's clock.
    pub opened_at: Timestamp,
    /// The files of the last complete upload, by part name.
    pub files: BTreeMap<String, FileSnapshot>,
    /// The text parts of the last complete upload, by part name.
    pub texts: BTreeMap<String, String>,
}

impl Cases {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Forces the outcome of the next decision, for any upload. Each further call forces the
    /// outcome of one more decision.
    pub fn next_outcome(&self, outcome: Outcome) {
        self.core.cases().next.push_back(outcome);
    }

    /// Decides a case that is under review, as the reviewer.
    ///
    /// # Errors
    /// [`MockError::NotUnderReview`] if the case is not in review, or if `outcome` is another
    /// review.
    pub fn review(&self, case_id: &str, outcome: &Outcome) -> Result<(), MockError> {
        let not_now = || MockError::NotUnderReview(case_id.to_owned());
        if *outcome == Outcome::Review {
            return Err(not_now());
        }
        let mut book = self.core.cases();
        let case = book.find_mut(case_id).ok_or_else(not_now)?;
        if case.status != CaseStatus::Deciding {
            return Err(not_now());
        }
        api::settle(case, &engine::reviewed(outcome.clone()));
        transition::decided(&self.core, case, outcome);
        Ok(())
    }

    /// Returns the case with this ID.
    pub fn find(&self, case_id: &str) -> Option<CaseSnapshot> {
        self.core.cases().find(case_id).map(snapshot)
    }

    /// Returns the cases of a person, oldest first.
    pub fn of(&self, person: &Person) -> Vec<CaseSnapshot> {
        let all = self.all();
        all.into_iter()
            .filter(|case| case.person_id == person.id())
            .collect()
    }

    /// Returns all cases, oldest first.
    pub fn all(&self) -> Vec<CaseSnapshot> {
        self.core.cases().all().iter().map(snapshot).collect()
    }
}

impl Debug for Cases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cases").finish_non_exhaustive()
    }
}

fn snapshot(case: &CaseRecord) -> CaseSnapshot {
    let decision = case.decision.as_ref();
    CaseSnapshot {
        id: case.id.clone(),
        person_id: case.person_id.clone(),
        level: case.level.clone(),
        status: case.status.clone(),
        outcome: decision.map(|it| it.outcome.clone()),
        risk_level: decision.and_then(|it| it.risk_level.clone()),
        human_verified: decision.and_then(|it| it.human_verified),
        opened_at: case.opened_at,
        files: case.uploaded.files.clone(),
        texts: case.uploaded.texts.clone(),
    }
}
