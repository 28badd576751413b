//! Renewal of a session by a step-up: new claims, tokens and a new key under the same ID.

use std::{sync::Arc, time::Duration};

use super::{
    key::SessionKey,
    login_write::{LoginWrite, assurance_of, version_of},
    record::{Activity, KeyUse, PreviousKey, Session, Tokens},
    sessions::{LiveSession, SessionRecords, stored},
};
use crate::{
    clock::Timestamp,
    observe,
    oidc::{Authenticated, IdTokenClaims},
    store::{Condition, RevocationMark, StoreError},
    wire::kyc::KycTier,
};

/// Maximum time for which the key before a rotation is accepted.
const GRACE: Duration = Duration::from_secs(30);

/// Maximum number of attempts to renew a session that other step-ups change concurrently.
const MAX_ATTEMPTS: usize = 3;

/// Result of a step-up for an existing session.
pub(in crate::web) enum Renewed {
    /// The session has a new key for the cookie.
    Rotated(SessionKey, Box<LiveSession>),
    /// The request came with the previous key. The session is updated, and the cookie stays.
    Updated(Box<LiveSession>),
    /// The session, or all sessions of the person, ended after the callback read it.
    Revoked,
}

/// Result of one attempt to renew a session.
enum Attempt {
    Done(Renewed),
    /// Another request has changed the session record.
    Conflict,
}

/// Data of a step-up that replaces the data of the session.
struct StepUpData {
    claims: IdTokenClaims,
    tokens: Tokens,
    scopes: Vec<String>,
    requested_at: Timestamp,
    mark: RevocationMark,
    tier: KycTier,
}

impl SessionRecords {
    /// Replaces the claims, the tokens and the key of a session after a step-up by the same person.
    /// The ID and the end of the session stay. `key` is the key of the request.
    ///
    /// If the request came with the previous key, another step-up has rotated the key, and the
    /// browser has received or will receive the key of that step-up. So the key stays: with a
    /// second new key, the last response would decide which key the browser keeps.
    pub(in crate::web) async fn renew(
        &self,
        live: &LiveSession,
        key: &SessionKey,
        sign_in: Authenticated,
        mark: RevocationMark,
        tier: &KycTier,
    ) -> Result<Renewed, StoreError> {
        let Authenticated {
            claims,
            tokens,
            requested_at,
        } = sign_in;
        let data = StepUpData {
            claims,
            scopes: tokens.scopes.clone(),
            tokens: stored(tokens),
            requested_at,
            mark,
            tier: tier.clone(),
        };
        let mut live = live.clone();
        for _ in 0..MAX_ATTEMPTS {
            match self.try_renew(&live, key, &data).await? {
                Attempt::Done(renewed) => return Ok(renewed),
                Attempt::Conflict => {}
            }
            match self.reload(&live, key).await? {
                Some(now) => live = now,
                None => return Ok(Renewed::Revoked),
            }
        }
        Err(StoreError::Busy)
    }

    async fn try_renew(
        &self,
        live: &LiveSession,
        key: &SessionKey,
        data: &StepUpData,
    ) -> Result<Attempt, StoreError> {
        let now = self.clock.now();
        let (owner, id) = (&live.owner, live.id.record_id());
        let mut session = updated(&live.session, data, now);
        let new_key = match live.key {
            KeyUse::Current => Some(SessionKey::rotated(live.id, owner)),
            KeyUse::Previous => None,
        };
        if let Some(new_key) = &new_key {
            session.previous_key = Some(PreviousKey {
                digest: key.digest(),
                accepted_until: now.saturating_add(GRACE),
            });
            session.key = Some(new_key.digest());
            session.rotations = session.rotations.saturating_add(1);
        }
        let session = Arc::new(session);
        let keep_for = session.expires_at.since(now);
        let unchanged = Condition::Version(live.version);
        let activity = Activity { last_used: now };
        // The refresh lease stays. A refresh in progress finds that the tokens have changed, and
        // returns the tokens of the step-up.
        let any = Condition::Any;
        let writes = [
            self.state.put(owner, id, unchanged, &*session, keep_for)?,
            self.state.put(owner, id, any, &activity, keep_for)?,
            self.state.put(owner, id, any, &data.tokens, keep_for)?,
        ];
        let person = self.assurances.person(&session.subject);
        let assurance = assurance_of(&data.claims, data.requested_at);
        let written = self
            .write_login(&person, &writes, &assurance, data.mark)
            .await?;
        let latest = match written {
            LoginWrite::Applied(latest) => latest,
            LoginWrite::Fenced => return Ok(Attempt::Done(Renewed::Revoked)),
            LoginWrite::Conflict => return Ok(Attempt::Conflict),
        };
        let idle_expires_at = now.saturating_add(self.limits.idle);
        let renewed = Box::new(LiveSession {
            id: live.id,
            owner: live.owner,
            idle_expires_at: idle_expires_at.min(session.expires_at),
            session,
            last_used: now,
            latest,
            version: version_of(writes.first()),
            key: live.key,
        });
        Ok(Attempt::Done(match new_key {
            Some(new_key) => {
                let id = live.id.to_string();
                observe::session_rotated(self.log_key.session(&id));
                Renewed::Rotated(new_key, renewed)
            }
            None => Renewed::Updated(renewed),
        }))
    }
}

/// Returns the session record with the data of a step-up. Keeps the person, the creation time and
/// the end of the session.
fn updated(session: &Session, data: &StepUpData, now: Timestamp) -> Session {
    let claims = &data.claims;
    Session {
        email: claims.email.clone(),
        email_verified: claims.email_verified,
        name: claims.name.clone(),
        auth_time: latest_auth_time(session.auth_time, claims.auth_time, now),
        scopes: data.scopes.clone(),
        mark: data.mark.0,
        renewed_at: Some(now),
        step_ups: session.step_ups_with(&data.tier, now),
        ..session.clone()
    }
}

/// Returns the later of two times, because both times are facts about this person in this browser.
/// An old time in the future is an error of a clock, so the new time replaces the old time.
fn latest_auth_time(
    old: Option<Timestamp>,
    new: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    match (old, new) {
        (Some(old), Some(new)) if old > now => Some(new),
        _ => old.max(new),
    }
}
