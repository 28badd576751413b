//! What of a session lies in the store.

use serde::{Deserialize, Serialize};

use super::{
    epochs::{Epoch, Person},
    records::Stored,
    session_id::SessionId,
};
use crate::{
    clock::Timestamp,
    kyc::Assurance,
    secret::{Secret, at_rest},
};

/// What is kept of who signed in.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) email: Option<String>,
    pub(super) email_verified: Option<bool>,
    pub(super) name: Option<String>,
    pub(super) assurance: Assurance,
    pub(super) auth_time: Option<Timestamp>,
    pub(super) scopes: Vec<String>,
    pub(super) began_at: Timestamp,
    /// The absolute limit.
    pub(super) ends_at: Timestamp,
    /// The person's when it began.
    pub(super) epoch: Option<Epoch>,
}

impl Session {
    pub(super) fn person(&self) -> Person<'_> {
        Person {
            issuer: &self.issuer,
            subject: &self.subject,
        }
    }
}

impl Stored for Session {
    const KIND: &'static str = "session";
}

/// When a session was last used.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Activity {
    pub(super) last_used: Timestamp,
}

impl Stored for Activity {
    const KIND: &'static str = "activity";
}

/// The tokens of a session.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Tokens {
    #[serde(with = "at_rest")]
    pub(super) access_token: Secret,
    pub(super) expires_at: Timestamp,
    #[serde(with = "at_rest::option")]
    pub(super) refresh_token: Option<Secret>,
}

impl Stored for Tokens {
    const KIND: &'static str = "tokens";
}

/// The sessions of a person's latest sign-ins, oldest first, dead ones included.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct SignIns {
    pub(super) sessions: Vec<SessionId>,
}

impl Stored for SignIns {
    const KIND: &'static str = "sign-ins";
}
