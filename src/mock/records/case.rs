//! Stored cases (K50, K55).

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::file::FileSnapshot;
use crate::{
    clock::Timestamp,
    wire::{
        cases::{CaseStatus, DecisionResponse, Outcome},
        kyc::KycTier,
    },
};

#[derive(Clone)]
pub(in crate::mock) struct CaseRecord {
    pub(in crate::mock) id: String,
    pub(in crate::mock) tenant: String,
    pub(in crate::mock) person_id: String,
    pub(in crate::mock) level: KycTier,
    pub(in crate::mock) status: CaseStatus,
    pub(in crate::mock) opened_at: Timestamp,
    pub(in crate::mock) uploaded: Uploads,
    pub(in crate::mock) decision: Option<DecisionResponse>,
}

/// Files and texts of a complete upload.
#[derive(Clone, Default)]
pub(in crate::mock) struct Uploads {
    pub(in crate::mock) files: BTreeMap<String, FileSnapshot>,
    pub(in crate::mock) texts: BTreeMap<String, String>,
}

/// The last 10,000 cases, in the order of their creation.
#[derive(Default)]
pub(in crate::mock) struct CaseBook {
    cases: VecDeque<CaseRecord>,
    /// The body of each request with an idempotency key, and the ID of the case that the request
    /// opened (K59). The map key is the tenant and the idempotency key.
    pub(in crate::mock) idempotent: HashMap<(String, String), (Vec<u8>, String)>,
    /// Outcomes that a test has forced for the next decisions.
    pub(in crate::mock) next: VecDeque<Outcome>,
}

impl CaseBook {
    pub(in crate::mock) fn put(&mut self, case: CaseRecord) {
        if self.cases.len() >= MAX_CASES
            && let Some(oldest) = self.cases.pop_front()
        {
            self.idempotent.retain(|_, (_, id)| *id != oldest.id);
        }
        self.cases.push_back(case);
    }

    pub(in crate::mock) fn all(&self) -> &VecDeque<CaseRecord> {
        &self.cases
    }

    pub(in crate::mock) fn find(&self, id: &str) -> Option<&CaseRecord> {
        self.cases.iter().find(|case| case.id == id)
    }

    pub(in crate::mock) fn find_mut(&mut self, id: &str) -> Option<&mut CaseRecord> {
        self.cases.iter_mut().find(|case| case.id == id)
    }
}

/// Maximum number of cases. A test opens fewer cases than the limit. The limit bounds the memory of
/// an issuer that runs for days.
const MAX_CASES: usize = 10_000;
