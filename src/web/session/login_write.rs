//! Write of a completed login: the session's records and the assurance from the ID token.

use std::sync::Arc;

use super::sessions::SessionRecords;
use crate::{
    clock::Timestamp,
    kyc::{Assurance, AssuranceSource, Latest, LatestAssurances, PersonRef},
    oidc::IdTokenClaims,
    store::{Change, Condition, Entry, RevocationMark, StoreError, Write, Written},
};

/// Maximum number of attempts to replace a positive verification result after a login, while other
/// requests change the result. After the last attempt, the recorded assurance stays, because it is
/// newer.
const MAX_REPLACEMENTS: usize = 3;

/// Result of writing a login.
pub(super) enum LoginWrite {
    /// The store contains the session's records and this latest assurance.
    Applied(Latest),
    /// All sessions of the person were revoked after the login acquired its lock.
    Fenced,
    /// A condition on the session's records did not hold.
    Conflict,
}

impl SessionRecords {
    /// Writes the session's records and the assurance from the ID token in one batch. If only the
    /// assurance has changed meanwhile, repeats the write.
    pub(super) async fn write_login(
        &self,
        person: &PersonRef,
        writes: &[Write],
        assurance: &Assurance,
        mark: RevocationMark,
    ) -> Result<LoginWrite, StoreError> {
        // An ID token without a KYC status leaves the latest assurance unchanged.
        let is_known = assurance.kyc_status.is_some();
        let mut latest = if is_known {
            Latest::NothingRecorded
        } else {
            self.assurances.latest(person).await?
        };
        let mut recording = assurance.clone();
        let mut attempt = writes.to_vec();
        let mut replacements = 0..MAX_REPLACEMENTS;
        if is_known {
            attempt.push(self.assurances.write_of(person, assurance, &latest)?);
        }
        loop {
            let is_recording = attempt.len() > writes.len();
            let conflict = match self
                .state
                .write(&person.owner, &attempt, Some(mark))
                .await?
            {
                Written::Applied if is_recording => {
                    return Ok(LoginWrite::Applied(Latest::Known {
                        assurance: Arc::new(recording),
                        version: version_of(attempt.last()),
                    }));
                }
                Written::Applied => return Ok(LoginWrite::Applied(latest)),
                Written::Fenced => return Ok(LoginWrite::Fenced),
                Written::Conflict(found) => found,
            };
            let mut found = writes.iter().zip(&conflict.entries);
            let is_own = found.any(|(write, entry)| !holds(write.condition, entry.as_ref()));
            if is_own || !is_recording {
                return Ok(LoginWrite::Conflict);
            }
            let entry = conflict.entries.last().and_then(Option::as_ref);
            latest = self.assurances.open(&person.owner, &person.subject, entry);
            attempt.truncate(writes.len());
            // A negative or unreadable record stays. The next guard therefore queries KYCPort.
            let after_sign_in = latest
                .known()
                .and_then(|known| LatestAssurances::after_sign_in(known, assurance));
            if let Some(next) = after_sign_in
                && replacements.next().is_some()
            {
                attempt.push(self.assurances.write_of(person, &next, &latest)?);
                recording = next;
            }
        }
    }
}

/// Returns the assurance from an ID token.
pub(super) fn assurance_of(claims: &IdTokenClaims, requested_at: Timestamp) -> Assurance {
    Assurance::new(
        claims.kyc_status.clone(),
        claims.kyc_tier.clone(),
        claims.aml_clear,
        requested_at,
        AssuranceSource::IdToken,
    )
    .with_verified_at(claims.verified_at)
}

/// Returns whether the condition of a write holds for this entry.
fn holds(condition: Condition, entry: Option<&Entry>) -> bool {
    match condition {
        Condition::Any => true,
        Condition::Absent => entry.is_none(),
        Condition::Present => entry.is_some(),
        Condition::Version(version) => entry.is_some_and(|entry| entry.version == version),
    }
}

/// Returns the version that a write stores.
pub(super) fn version_of(write: Option<&Write>) -> u64 {
    match write.map(|write| &write.change) {
        Some(Change::Put { version, .. }) => *version,
        _ => 0,
    }
}
