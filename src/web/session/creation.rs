//! Creation of sessions after a login.

use std::sync::Arc;

use super::{
    id::SessionId,
    key::SessionKey,
    login_write::{LoginWrite, assurance_of, version_of},
    record::{CompletedStepUp, KeyUse, Session},
    revocation::deletions,
    sessions::{LiveSession, SessionRecords, stored},
};
use crate::{
    observe::{self, Cause},
    oidc::Authenticated,
    store::{Condition, Owner, RevocationMark, StoreError, Write},
    wire::kyc::KycTier,
};

/// Maximum number of sessions of one person. A further login ends the oldest session.
const MAX_SESSIONS: usize = 64;

/// Session to be created.
pub(in crate::web) struct NewSession<'a> {
    pub(in crate::web) sign_in: Authenticated,
    /// Value of the revocation counter when the login acquired its lock.
    pub(in crate::web) mark: RevocationMark,
    /// Session that the new session replaces in the browser.
    pub(in crate::web) replaces: Option<&'a LiveSession>,
    /// Tier of the step-up that creates the session.
    pub(in crate::web) step_up: Option<&'a KycTier>,
}

/// Result of creating a session.
pub(in crate::web) enum Created {
    Session(SessionKey, Box<LiveSession>),
    /// All sessions of the person were revoked after the login acquired its lock.
    Revoked,
}

impl SessionRecords {
    /// Creates a session with a new key. Also stores the tokens, and the verification result from
    /// the ID token.
    pub(in crate::web) async fn create(&self, new: NewSession<'_>) -> Result<Created, StoreError> {
        let NewSession {
            sign_in,
            mark,
            replaces,
            step_up,
        } = new;
        let Authenticated {
            claims,
            tokens,
            requested_at,
        } = sign_in;
        let now = self.clock.now();
        let assurance = assurance_of(&claims, requested_at);
        let session = Arc::new(Session {
            issuer: claims.issuer,
            subject: claims.subject,
            email: claims.email,
            email_verified: claims.email_verified,
            name: claims.name,
            auth_time: claims.auth_time,
            scopes: tokens.scopes.clone(),
            created_at: now,
            expires_at: now.saturating_add(self.limits.absolute),
            mark: mark.0,
            key: None,
            previous_key: None,
            rotations: 0,
            renewed_at: None,
            step_ups: step_up
                .map(|tier| CompletedStepUp {
                    tier: tier.clone(),
                    at: now,
                })
                .into_iter()
                .collect(),
        });
        let person = self.assurances.person(&session.subject);
        let owner = person.owner;
        let key = SessionKey::draw(&owner);
        let id = key.record_id();
        let keep_for = self.limits.absolute;
        let mut writes = vec![
            self.state
                .put(&owner, id, Condition::Absent, &*session, keep_for)?,
            self.state
                .put(&owner, id, Condition::Any, &stored(tokens), keep_for)?,
        ];
        let version = version_of(writes.first());
        if let Some(old) = replaces {
            self.end_replaced(old, &owner, &mut writes).await?;
        }
        let latest = match self.write_login(&person, &writes, &assurance, mark).await? {
            LoginWrite::Applied(latest) => latest,
            LoginWrite::Fenced => return Ok(Created::Revoked),
            // The store already has a record with the new key. Random keys do not collide, so the
            // store is damaged.
            LoginWrite::Conflict => return Err(StoreError::Damaged),
        };
        self.end_oldest(&owner).await;
        let live = LiveSession {
            id: key.id(),
            owner,
            idle_expires_at: now.saturating_add(self.limits.idle).min(session.expires_at),
            session,
            last_used: now,
            latest,
            version,
            key: KeyUse::Current,
        };
        Ok(Created::Session(key, Box::new(live)))
    }

    /// Deletes the previous session of the browser. All keys of the previous session become
    /// invalid. If both sessions belong to one person, one store operation deletes the old session
    /// and writes the new session.
    async fn end_replaced(
        &self,
        old: &LiveSession,
        owner: &Owner,
        writes: &mut Vec<Write>,
    ) -> Result<(), StoreError> {
        let deletions = deletions(old.id.record_id());
        if old.owner == *owner {
            writes.extend(deletions);
        } else {
            let _ = self.state.write(&old.owner, &deletions, None).await?;
        }
        let old = old.id.to_string();
        observe::session_ended(Cause::Replaced, self.log_key.session(&old));
        Ok(())
    }

    /// Ends the oldest sessions if the person has too many sessions. After a failure, the next
    /// login tries again.
    async fn end_oldest(&self, owner: &Owner) {
        let Ok(mut sessions) = self.all::<Session>(owner).await else {
            return;
        };
        let too_many = sessions.len().saturating_sub(MAX_SESSIONS);
        sessions.sort_by_key(|(_, session)| session.created_at);
        for (id, _) in sessions.into_iter().take(too_many) {
            let id = SessionId::of_record(id);
            let _ = self.end(owner, id, Cause::TooMany).await;
        }
    }
}
