//! The handle to the cases: what a test may see and force.

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
        records::case::CaseRecord,
    },
    wire::{
        cases::{CaseStatus, Outcome, RiskLevel},
        kyc::KycTier,
    },
};

/// The verification cases of a mock.
///
/// What the engine decides can be forced in four ways, in this order: by the test
/// ([`next_outcome`](Self::next_outcome)); by the words `KYCPORT-MOCK:rejected` (or `approved`,
/// `review`) in the first 64 KiB or the last 1 KiB of the document, see
/// [`samples`](crate::mock::samples); by a word `Reject`, `Review` or `Approve` in the person's name; and afterwards, when a case is in review,
/// by the reviewer ([`review`](Self::review)) (K78).
#[derive(Clone)]
pub struct Cases {
    core: Arc<Core>,
}

/// A case as it was when it was looked at.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CaseSnapshot {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub person_id: String,
    /// The tier that the person is to reach.
    pub level: KycTier,
    /// How far it is.
    pub status: CaseStatus,
    /// What was decided, once it is.
    pub outcome: Option<Outcome>,
    /// How much risk was seen, once it is decided.
    pub risk_level: Option<RiskLevel>,
    /// Whether a reviewer decided, once it is.
    pub human_verified: Option<bool>,
    /// When it was opened, by the issuer's clock.
    pub opened_at: Timestamp,
    /// The files of the last complete upload, by the part's name.
    pub files: BTreeMap<String, FileSnapshot>,
    /// Its texts.
    pub texts: BTreeMap<String, String>,
}

/// What the engine kept of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSnapshot {
    /// In bytes.
    pub size: u64,
    /// As it was sent.
    pub content_type: Option<String>,
    /// As it was sent, and read by a multipart parser.
    pub file_name: Option<String>,
    /// SHA-256 of the content, in hexadecimal.
    pub sha256: String,
}

impl Cases {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The next decision has this outcome, whatever was uploaded. Called again, the one after it.
    pub fn next_outcome(&self, outcome: Outcome) {
        self.core.cases().next.push_back(outcome);
    }

    /// The reviewer's word on a case that is in review.
    ///
    /// # Errors
    /// [`MockError::NotUnderReview`] if it is not, or if the outcome is another review.
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

    /// One case.
    pub fn find(&self, case_id: &str) -> Option<CaseSnapshot> {
        self.core.cases().find(case_id).map(snapshot)
    }

    /// A person's cases, in the order in which they were opened.
    pub fn of(&self, person: &Person) -> Vec<CaseSnapshot> {
        let all = self.all();
        all.into_iter()
            .filter(|case| case.person_id == person.id())
            .collect()
    }

    /// All cases, in the order in which they were opened.
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
    let files = case.uploaded.files.iter().map(|(part, facts)| {
        let file = FileSnapshot {
            size: facts.size,
            content_type: facts.content_type.clone(),
            file_name: facts.file_name.clone(),
            sha256: facts.sha256.clone(),
        };
        (part.clone(), file)
    });
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
        files: files.collect(),
        texts: case.uploaded.texts.clone(),
    }
}
