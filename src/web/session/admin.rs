//! Administration of the sessions of a person.

use std::{fmt, sync::Arc};

use super::{
    id::SessionId,
    revocation::Revocation,
    sessions::{Listed, SessionRecords},
};
use crate::{clock::Timestamp, observe::Cause, store::StoreError};

/// Administration of sessions. Use it in a webhook handler, for support, or for a page that lists a
/// person's devices. The method [`RelyingParty::sessions`](crate::RelyingParty::sessions) returns
/// this type. Cheap to clone.
///
/// Revoking a session deletes the session and its tokens. From the next request on, every instance
/// that uses the store rejects the session. A request that is already running completes as that
/// person, and cannot restore the session. Revoking all sessions of a person also stops a login of
/// the person whose callback has already arrived. The person can sign in again afterwards. To block
/// a person, use [`require`](crate::RelyingParty::require).
///
/// ```no_run
/// # use kycport::{RelyingParty, store::StoreError, web::Delivery};
/// # fn app(kycport: RelyingParty) -> Result<(), Box<dyn std::error::Error>> {
/// let sessions = kycport.sessions();
/// let webhooks = kycport.webhooks(move |delivery: Delivery| {
///     let sessions = sessions.clone();
///     async move {
///         if let (true, Some(person)) = (delivery.is_rejection(), delivery.event().person_id()) {
///             sessions.revoke_all(person).await?; // on an error KYCPort redelivers the event
///         }
///         Ok::<(), StoreError>(())
///     }
/// });
/// # let _ = webhooks.build()?; Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Sessions {
    records: SessionRecords,
    issuer: Arc<str>,
}

/// Summary of one session of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionSummary {
    /// Public ID of the session.
    pub id: SessionId,
    /// Time at which the person signed in.
    pub created_at: Timestamp,
    /// Time of the last use, accurate to one minute.
    pub last_used: Timestamp,
    /// Time at which the session ends, even if the person uses it.
    pub expires_at: Timestamp,
}

impl Sessions {
    pub(in crate::web) fn new(records: SessionRecords, issuer: &str) -> Self {
        Self {
            records,
            issuer: issuer.into(),
        }
    }

    /// Revokes all sessions of a person. `subject` is the person's subject: the `person_id` of
    /// KYCPort's API.
    ///
    /// Not cancel safe: after a cancellation, call this function again.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails. After an error, sessions may still be active:
    /// call this function again.
    pub async fn revoke_all(&self, subject: &str) -> Result<(), StoreError> {
        self.records
            .revoke_all(&self.issuer, subject, Cause::AppAll)
            .await
    }

    /// Revokes one session of a person. The ID may come from a browser, because an ID of another
    /// person's session has no effect.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails. After an error, the session may still be active:
    /// call this function again.
    pub async fn revoke(&self, subject: &str, id: &SessionId) -> Result<Revocation, StoreError> {
        self.records.revoke_one(subject, *id).await
    }

    /// Lists the active sessions of a person, the newest first. The list is complete, because a
    /// person has at most 64 sessions. A further login ends the oldest session.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the store fails.
    pub async fn list(&self, subject: &str) -> Result<Vec<SessionSummary>, StoreError> {
        let found = self.records.list(subject).await?;
        Ok(found.iter().map(summary).collect())
    }
}

fn summary(listed: &Listed) -> SessionSummary {
    SessionSummary {
        id: listed.id,
        created_at: listed.session.created_at,
        last_used: listed.last_used,
        expires_at: listed.session.expires_at,
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions(…)")
    }
}
