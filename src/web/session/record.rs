//! Stored records of a session.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::key::{KeyDigest, SessionKey};
use crate::{
    clock::Timestamp,
    secret::{Secret, at_rest},
    state::Stored,
    store::{Family, RevocationMark},
    wire::kyc::KycTier,
};

/// Time for which a session remembers a completed step-up.
const STEP_UP_PERIOD: Duration = Duration::from_secs(300);
/// Maximum number of completed step-ups that a session remembers.
const MAX_STEP_UPS: usize = 8;

/// Record of a session: the person who signed in. Only a step-up by the same person replaces the
/// record.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::web) struct Session {
    pub(in crate::web) issuer: String,
    pub(in crate::web) subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::web) email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::web) email_verified: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::web) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::web) auth_time: Option<Timestamp>,
    pub(in crate::web) scopes: Vec<String>,
    pub(in crate::web) created_at: Timestamp,
    /// Time at which the session ends, even if the person uses it.
    pub(in crate::web) expires_at: Timestamp,
    /// Value of the revocation counter when the login acquired its lock.
    pub(super) mark: u64,
    /// Digest of the current key. `None`: the session was never rotated, and its ID is the hash of
    /// its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<KeyDigest>,
    /// Key before the last rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous_key: Option<PreviousKey>,
    /// Number of rotations.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) rotations: u32,
    /// Time of the latest completed step-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) renewed_at: Option<Timestamp>,
    /// Step-ups that were completed in the last five minutes, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) step_ups: Vec<CompletedStepUp>,
}

/// Step-up whose callback arrived, with any result.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct CompletedStepUp {
    pub(super) tier: KycTier,
    pub(super) at: Timestamp,
}

impl CompletedStepUp {
    fn is_recent(&self, now: Timestamp) -> bool {
        now.since(self.at) < STEP_UP_PERIOD
    }
}

/// Key that a rotation has replaced. Requests that the browser sent before it received the new key
/// still contain the previous key.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct PreviousKey {
    pub(super) digest: KeyDigest,
    pub(super) accepted_until: Timestamp,
}

/// Key of a session that a request used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum KeyUse {
    Current,
    /// The key before the last rotation.
    Previous,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde requires this signature"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Session {
    /// Returns which key of the session this is. Returns `None` if the key is invalid.
    ///
    /// The session ID is public. So a rotated key is valid only if the record contains its digest.
    pub(super) fn key_use(&self, key: &SessionKey, now: Timestamp) -> Option<KeyUse> {
        if self.is_current(key) {
            return Some(KeyUse::Current);
        }
        let previous = self.previous_key.as_ref()?;
        let is_accepted = now < previous.accepted_until && previous.digest == key.digest();
        is_accepted.then_some(KeyUse::Previous)
    }

    /// Returns whether this is the current key of the session.
    pub(super) fn is_current(&self, key: &SessionKey) -> bool {
        match &self.key {
            None => key.is_first(),
            Some(digest) => *digest == key.digest(),
        }
    }

    /// Returns the time of the latest login or step-up.
    pub(in crate::web) fn latest_login(&self) -> Timestamp {
        self.renewed_at.unwrap_or(self.created_at)
    }

    /// Returns the number of step-ups to this tier that were completed in the last five minutes.
    pub(in crate::web) fn recent_step_ups(&self, tier: &KycTier, now: Timestamp) -> usize {
        self.step_ups
            .iter()
            .filter(|it| it.tier == *tier && it.is_recent(now))
            .count()
    }

    /// Returns the recent step-ups with a further step-up.
    pub(super) fn step_ups_with(&self, tier: &KycTier, now: Timestamp) -> Vec<CompletedStepUp> {
        let mut step_ups: Vec<_> = self
            .step_ups
            .iter()
            .filter(|it| it.is_recent(now))
            .cloned()
            .collect();
        step_ups.push(CompletedStepUp {
            tier: tier.clone(),
            at: now,
        });
        let too_many = step_ups.len().saturating_sub(MAX_STEP_UPS);
        step_ups.drain(..too_many);
        step_ups
    }

    /// Returns whether the person authenticated at KYCPort at most this long ago, except for the
    /// clock skew. Returns false if the time is missing or in the future.
    pub(in crate::web) fn is_authenticated_within(
        &self,
        age: Duration,
        skew: Duration,
        now: Timestamp,
    ) -> bool {
        self.auth_time.is_some_and(|time| {
            time <= now.saturating_add(skew) && now <= time.saturating_add(age).saturating_add(skew)
        })
    }

    /// Returns whether the session is older than the latest revocation. The fence is the lowest
    /// mark that is still valid. If the fence is missing, returns true, because the lost fence may
    /// have recorded a revocation.
    pub(super) fn is_revoked(&self, fence: Option<RevocationMark>) -> bool {
        fence.is_none_or(|fence| fence > RevocationMark(self.mark))
    }
}

impl Stored for Session {
    const FAMILY: Family = Family::Session;
}

/// Record of a session's last use.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Activity {
    pub(super) last_used: Timestamp,
}

impl Stored for Activity {
    const FAMILY: Family = Family::Activity;
}

/// Record of a session's tokens.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Tokens {
    #[serde(with = "at_rest")]
    pub(super) access_token: Secret,
    pub(super) expires_at: Timestamp,
    #[serde(default, with = "at_rest::option")]
    pub(super) refresh_token: Option<Secret>,
}

impl Stored for Tokens {
    const FAMILY: Family = Family::Tokens;
}

/// Lease record that exists while an instance refreshes the tokens of a session. The version of the
/// record identifies the lease holder.
#[derive(Serialize, Deserialize)]
pub(super) struct RefreshLease {}

impl Stored for RefreshLease {
    const FAMILY: Family = Family::RefreshLease;
}

/// Record of the latest time at which the app revoked all sessions of a person. Access tokens that
/// were issued before the revocation are rejected.
#[derive(Serialize, Deserialize)]
pub(super) struct RevokedTokens {
    pub(super) revoked_at: Timestamp,
}

impl Stored for RevokedTokens {
    const FAMILY: Family = Family::Revocation;
}
