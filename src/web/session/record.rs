//! Stored records of a session.

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    secret::{Secret, at_rest},
    state::Stored,
    store::{Family, RevocationMark},
};

/// Record of a session: the person who signed in. The record never changes until it is deleted.
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
}

impl Session {
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
