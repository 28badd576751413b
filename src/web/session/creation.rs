//! Creation of sessions after a login.

use std::sync::Arc;

use super::{
    id::SessionId,
    key::SessionKey,
    record::Session,
    revocation::deletions,
    sessions::{LiveSession, SessionRecords, stored},
};
use crate::{
    kyc::{Assurance, AssuranceSource, Latest, LatestAssurances},
    observe::{self, Cause},
    oidc::Authenticated,
    store::{Change, Condition, Owner, RevocationMark, StoreError, Write, Written},
};

/// Maximum number of sessions of one person. A further login ends the oldest session.
const MAX_SESSIONS: usize = 64;

/// Maximum number of attempts to replace a positive verification result after a login, while other
/// requests change the result. After the last attempt, the recorded assurance stays, because it is
/// newer.
const MAX_REPLACEMENTS: usize = 3;

/// Session to be created.
pub(in crate::web) struct NewSession<'a> {
    pub(in crate::web) sign_in: Authenticated,
    /// Value of the revocation counter when the login acquired its lock.
    pub(in crate::web) mark: RevocationMark,
    /// Session that the new session replaces in the browser.
    pub(in crate::web) replaces: Option<&'a SessionKey>,
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
        } = new;
        let Authenticated {
            claims,
            tokens,
            requested_at,
        } = sign_in;
        let now = self.clock.now();
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
        });
        let assurance = Assurance::new(
            claims.kyc_status,
            claims.kyc_tier,
            claims.aml_clear,
            requested_at,
            AssuranceSource::IdToken,
        )
        .with_verified_at(claims.verified_at);
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
        if let Some(old) = replaces {
            self.end_replaced(old, &owner, &mut writes).await?;
        }
        // An ID token without a KYC status leaves the latest assurance unchanged.
        let is_known = assurance.kyc_status.is_some();
        let mut latest = if is_known {
            Latest::NothingRecorded
        } else {
            self.assurances.latest(&person).await?
        };
        let mut recording = assurance.clone();
        let mut attempt = writes.clone();
        let mut replacements = 0..MAX_REPLACEMENTS;
        if is_known {
            attempt.push(self.assurances.write_of(&person, &assurance, &latest)?);
        }
        loop {
            let is_recording = attempt.len() > writes.len();
            let conflict = match self.state.write(&owner, &attempt, Some(mark)).await? {
                Written::Applied if is_recording => {
                    latest = Latest::Known {
                        assurance: Arc::new(recording),
                        version: version_of(attempt.last()),
                    };
                    break;
                }
                Written::Applied => break,
                Written::Fenced => return Ok(Created::Revoked),
                Written::Conflict(found) if is_recording => found,
                // The store already has a record with the new key. Random keys do not collide, so
                // the store is damaged.
                Written::Conflict(_) => return Err(StoreError::Damaged),
            };
            let entry = conflict.entries.last().and_then(Option::as_ref);
            latest = self.assurances.open(&owner, &session.subject, entry);
            attempt.truncate(writes.len());
            // A negative or unreadable record stays. The next guard therefore queries KYCPort.
            let after_sign_in = latest
                .known()
                .and_then(|known| LatestAssurances::after_sign_in(known, &assurance));
            if let Some(next) = after_sign_in
                && replacements.next().is_some()
            {
                attempt.push(self.assurances.write_of(&person, &next, &latest)?);
                recording = next;
            }
        }
        self.end_oldest(&owner).await;
        let live = LiveSession {
            id: key.id(),
            owner,
            idle_expires_at: now.saturating_add(self.limits.idle).min(session.expires_at),
            session,
            last_used: now,
            latest,
        };
        Ok(Created::Session(key, Box::new(live)))
    }

    /// Deletes the previous session of the browser. The key of the previous session becomes
    /// invalid. If both sessions belong to one person, one store operation deletes the old session
    /// and writes the new session.
    async fn end_replaced(
        &self,
        old: &SessionKey,
        owner: &Owner,
        writes: &mut Vec<Write>,
    ) -> Result<(), StoreError> {
        let deletions = deletions(old.record_id());
        let old_owner = old.owner(self.state.namespace());
        if old_owner == *owner {
            writes.extend(deletions);
        } else {
            let _ = self.state.write(&old_owner, &deletions, None).await?;
        }
        let old = old.id().to_string();
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

fn version_of(write: Option<&Write>) -> u64 {
    match write.map(|write| &write.change) {
        Some(Change::Put { version, .. }) => *version,
        _ => 0,
    }
}
