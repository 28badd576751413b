//! Administration of a person's sessions.

use std::{fmt, sync::Arc};

use super::{
    id::SessionId,
    sessions::{Listed, Revocation, SessionRecords},
};
use crate::{clock::Timestamp, observe::Cause, store::StoreError};

/// Ends and lists the sessions of people: for a webhook's handler, for support, for a page where
/// people see their devices. Made by [`RelyingParty::sessions`](crate::RelyingParty::sessions);
/// cheap to clone.
///
/// An ended session is deleted with its tokens, for every instance on the same store, from the next
/// request on. A request that is under way finishes as the person it began with, and cannot bring
/// the session back. A sign-in whose callback has arrived ends with the others; the person can sign
/// in again afterwards. To keep a person out, use
/// [`require`](crate::RelyingParty::require).
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

/// One of a person's sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionSummary {
    /// Public id of the session.
    pub id: SessionId,
    /// Time at which the person signed in.
    pub created_at: Timestamp,
    /// Time of the last use, accurate to one minute.
    pub last_used: Timestamp,
    /// End of the session, however much it is used.
    pub expires_at: Timestamp,
}

impl Sessions {
    pub(in crate::web) fn new(records: SessionRecords, issuer: &str) -> Self {
        Self {
            records,
            issuer: issuer.into(),
        }
    }

    /// Ends all sessions of a person, named by their subject: the `person_id` of KYCPort's API.
    ///
    /// # Errors
    /// [`StoreError`]: the sessions may not be ended. Call it again.
    pub async fn revoke_all(&self, subject: &str) -> Result<(), StoreError> {
        self.records
            .revoke_all(&self.issuer, subject, Cause::AppAll)
            .await
    }

    /// Ends one session of a person. An id that came from a browser cannot end another person's
    /// session.
    ///
    /// # Errors
    /// [`StoreError`]: the session may not be ended. Call it again.
    pub async fn revoke(&self, subject: &str, id: &SessionId) -> Result<Revocation, StoreError> {
        self.records.revoke_one(subject, *id).await
    }

    /// Lists the live sessions of a person, the newest first. The list is complete. A person has 64
    /// sessions at most: a further sign-in ends the oldest.
    ///
    /// # Errors
    /// [`StoreError`].
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
