//! The sessions of a person, for whoever must end them.

use std::{fmt, sync::Arc};

use super::{
    epochs::Person,
    records::StoreUnavailable,
    session_id::SessionId,
    sessions::{Ended, KeptSessions, LiveSession},
};
use crate::{clock::Timestamp, observe::Cause};

/// Ends the sessions of people, and lists them: for a webhook's handler, for support, for a page
/// where people see their devices. From [`SessionLayer::sessions`](super::SessionLayer::sessions);
/// cheap to clone.
///
/// What is ended is ended for every instance on the same store, from the next request on. A request
/// that is under way finishes as who it was, and brings nothing back, whatever it writes. A sign-in
/// whose tokens are judged, and that has no session yet, ends with the others; one that is judged
/// later is a new one. To end sessions is not to bar the person: that is for
/// [`require`](crate::RelyingParty::require).
///
/// ```no_run
/// # use kycport::{MemoryStore, RelyingParty, web::Delivery};
/// # fn app(kycport: RelyingParty) -> Result<(), Box<dyn std::error::Error>> {
/// let layer = kycport.session_layer(MemoryStore::default());
/// let sessions = layer.sessions();
/// let webhooks = kycport.webhooks(move |delivery: Delivery| {
///     let sessions = sessions.clone();
///     async move {
///         if let (true, Some(person)) = (delivery.is_rejection(), delivery.event().person_id()) {
///             sessions.end_all(person).await?; // an error: KYCPort delivers it again
///         }
///         Ok::<(), kycport::web::StoreUnavailable>(())
///     }
/// });
/// # let _ = (layer, webhooks.build()?); Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Sessions {
    kept: KeptSessions,
    issuer: Arc<str>,
}

/// One of a person's sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionSummary {
    /// Its name.
    pub id: SessionId,
    /// When it began.
    pub began_at: Timestamp,
    /// When it was last used, within a minute.
    pub last_used: Timestamp,
    /// When it ends, however much it is used.
    pub ends_at: Timestamp,
}

impl Sessions {
    pub(super) fn new(kept: KeptSessions, issuer: &str) -> Self {
        Self {
            kept,
            issuer: issuer.into(),
        }
    }

    /// Ends all sessions of a person, by their subject: the `person_id` of KYCPort's API. It is one
    /// write, however many there are.
    ///
    /// # Errors
    /// [`StoreUnavailable`]: they are not known to be ended.
    pub async fn end_all(&self, subject: &str) -> Result<(), StoreUnavailable> {
        self.kept.end_all(self.person(subject), Cause::AppAll).await
    }

    /// Ends one session of a person. An id that came from a browser cannot end anybody else's.
    ///
    /// # Errors
    /// [`StoreUnavailable`]: it is not known to be ended.
    pub async fn end(&self, subject: &str, id: &SessionId) -> Result<Ended, StoreUnavailable> {
        self.kept.end_of(self.person(subject), id).await
    }

    /// The live sessions of a person, the newest first, of their 32 latest sign-ins. It is for people
    /// to look at: two sign-ins in the same instant may hide one of them, and so may a store that
    /// fails just then. [`end_all`](Self::end_all) does not go by it, and misses none.
    ///
    /// # Errors
    /// [`StoreUnavailable`].
    pub async fn list(&self, subject: &str) -> Result<Vec<SessionSummary>, StoreUnavailable> {
        let found = self.kept.list(self.person(subject)).await?;
        Ok(found.into_iter().map(summary).collect())
    }

    fn person<'a>(&'a self, subject: &'a str) -> Person<'a> {
        Person {
            issuer: &self.issuer,
            subject,
        }
    }
}

fn summary(live: LiveSession) -> SessionSummary {
    SessionSummary {
        began_at: live.session.began_at,
        last_used: live.last_used,
        ends_at: live.session.ends_at,
        id: live.id,
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions(…)")
    }
}
