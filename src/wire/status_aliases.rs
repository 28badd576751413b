//! Known statuses for words that KYCPort does not document (K41).

use std::{collections::BTreeMap, sync::Arc};

use super::kyc::KycStatus;

/// Known statuses by unknown word, in lower case. An alias never changes a known status.
#[derive(Debug, Clone, Default)]
pub(crate) struct StatusAliases(Arc<BTreeMap<String, KycStatus>>);

impl StatusAliases {
    pub(crate) fn new(aliases: BTreeMap<String, KycStatus>) -> Self {
        Self(Arc::new(aliases))
    }

    /// Replaces an unknown status that has an alias.
    pub(crate) fn apply(&self, status: Option<KycStatus>) -> Option<KycStatus> {
        match status {
            Some(KycStatus::Unknown(word)) => {
                let known = self.0.get(&word.to_ascii_lowercase()).cloned();
                Some(known.unwrap_or(KycStatus::Unknown(word)))
            }
            known => known,
        }
    }

    /// Returns the words that mean "verified".
    pub(crate) fn verified_words(&self) -> Vec<&str> {
        let aliases = self.0.iter();
        aliases
            .filter(|(_, known)| **known == KycStatus::Verified)
            .map(|(word, _)| word.as_str())
            .collect()
    }
}
