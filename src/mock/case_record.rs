//! What is known of the cases (K50, K55).

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::case_file::FileFacts;
use crate::{
    clock::Timestamp,
    wire::{
        cases::{CaseStatus, DecisionResponse, Outcome},
        kyc::KycTier,
    },
};

#[derive(Clone)]
pub(super) struct CaseRecord {
    pub(super) id: String,
    pub(super) tenant: String,
    pub(super) person_id: String,
    pub(super) level: KycTier,
    pub(super) status: CaseStatus,
    pub(super) opened_at: Timestamp,
    pub(super) uploaded: Uploads,
    pub(super) decision: Option<DecisionResponse>,
}

/// What an upload brought, whole.
#[derive(Clone, Default)]
pub(super) struct Uploads {
    pub(super) files: BTreeMap<String, FileFacts>,
    pub(super) texts: BTreeMap<String, String>,
}

/// The last 10,000 cases, in the order in which they were opened.
#[derive(Default)]
pub(super) struct CaseBook {
    cases: VecDeque<CaseRecord>,
    /// Of a tenant and its key: what was opened with it, and for what (K59).
    pub(super) idempotent: HashMap<(String, String), (Vec<u8>, String)>,
    /// What the next decisions are to be.
    pub(super) next: VecDeque<Outcome>,
}

impl CaseBook {
    pub(super) fn put(&mut self, case: CaseRecord) {
        if self.cases.len() >= KEPT
            && let Some(oldest) = self.cases.pop_front()
        {
            self.idempotent.retain(|_, (_, id)| *id != oldest.id);
        }
        self.cases.push_back(case);
    }

    pub(super) fn all(&self) -> &VecDeque<CaseRecord> {
        &self.cases
    }

    pub(super) fn find(&self, id: &str) -> Option<&CaseRecord> {
        self.cases.iter().find(|case| case.id == id)
    }

    pub(super) fn find_mut(&mut self, id: &str) -> Option<&mut CaseRecord> {
        self.cases.iter_mut().find(|case| case.id == id)
    }
}

/// Enough for any test, little enough to run for days.
const KEPT: usize = 10_000;
