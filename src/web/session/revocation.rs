//! Ends of sessions: sign-outs and revocations, and the tokens that they revoke.

use std::time::Duration;

use super::{
    id::SessionId,
    key::SessionKey,
    record::{RevokedTokens, Tokens},
    sessions::SessionRecords,
};
use crate::{
    clock::Timestamp,
    kyc::{ASSURANCE_RECORD, Latest},
    observe::{self, Cause},
    state::Found,
    store::{Change, Condition, Family, Owner, RecordId, RecordKey, StoreError, Write, Written},
    wire::kyc::KycStatus,
};

/// Time for which the store keeps a revocation. After this time, the crate would accept a revoked
/// access token again. KYCPort's documentation mentions no access token with a longer lifetime.
const REVOCATION_RETENTION: Duration = Duration::from_secs(41 * 24 * 3600);

/// Maximum number of attempts to record a revocation while other instances record theirs.
const MAX_ATTEMPTS: usize = 8;

/// Families of records that belong to a session.
const FAMILIES: [Family; 4] = [
    Family::Session,
    Family::Activity,
    Family::Tokens,
    Family::RefreshLease,
];

/// Result of revoking one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// The session is revoked.
    Revoked,
    /// The person has no session with this ID.
    NotFound,
}

/// Status of an access token, as recorded in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum TokenStatus {
    Accepted,
    /// The token may have been issued before all sessions of the person were revoked.
    Revoked,
    /// The latest recorded status of the person is "rejected".
    PersonRejected,
}

impl SessionRecords {
    /// Deletes a session and its tokens. From then on, the session's cookie is invalid.
    pub(in crate::web) async fn end(
        &self,
        owner: &Owner,
        id: SessionId,
        cause: Cause,
    ) -> Result<(), StoreError> {
        let tokens = match cause {
            Cause::Logout => self.tokens_to_revoke(owner, id).await,
            _ => Vec::new(),
        };
        let mut deletions = deletions(id.record_id());
        // If the cookie has no session, the store deletes no record, and the crate logs no event.
        if let Some(session) = deletions.first_mut() {
            session.condition = Condition::Present;
        }
        if self.state.write(owner, &deletions, None).await? == Written::Applied {
            self.revoker.revoke(tokens);
            let id = id.to_string();
            observe::session_ended(cause, self.log_key.session(&id));
        }
        Ok(())
    }

    /// Revokes tokens of a refresh that finished after the session ended.
    pub(super) fn revoke_dropped(&self, tokens: Tokens) {
        if self.revoker.is_available() {
            self.revoker.revoke(vec![tokens]);
        }
    }

    /// Returns the tokens of a session, if KYCPort can revoke tokens. Skips unreadable tokens,
    /// which cannot be revoked.
    async fn tokens_to_revoke(&self, owner: &Owner, id: SessionId) -> Vec<Tokens> {
        if !self.revoker.is_available() {
            return Vec::new();
        }
        let id = id.record_id();
        let keys = [RecordKey::new(Family::Tokens, id)];
        let Ok(snapshot) = self.state.read(owner, &keys).await else {
            return Vec::new();
        };
        let entry = snapshot.entries.first().and_then(Option::as_ref);
        Vec::from_iter(self.state.open::<Tokens>(owner, id, entry).value())
    }

    /// Deletes the records of a session that this instance cannot use: the session has expired, or
    /// its record is unreadable.
    ///
    /// A rotated key contains the public ID of its session and proves nothing without a readable
    /// record, so it deletes nothing. The hash of a first key is the session ID. A first key that a
    /// rotation has replaced deletes nothing either.
    pub(in crate::web) async fn end_unusable(
        &self,
        key: &SessionKey,
        cause: Cause,
    ) -> Result<(), StoreError> {
        if !key.is_first() {
            return Ok(());
        }
        let owner = key.owner(self.state.namespace());
        let id = key.record_id();
        let keys = [RecordKey::new(Family::Session, id)];
        let snapshot = self.state.read(&owner, &keys).await?;
        let Some(Some(entry)) = snapshot.entries.first() else {
            return Ok(());
        };
        let session = self.open(&owner, id, entry);
        if session.is_some_and(|session| !session.is_current(key)) {
            return Ok(());
        }
        self.end(&owner, key.id(), cause).await
    }

    /// Deletes the session with this ID, if it belongs to this person.
    pub(super) async fn revoke_one(
        &self,
        subject: &str,
        id: SessionId,
    ) -> Result<Revocation, StoreError> {
        let owner = self.state.namespace().owner_of(subject);
        let mut writes = deletions(id.record_id());
        if let Some(session) = writes.first_mut() {
            session.condition = Condition::Present;
        }
        let tokens = self.tokens_to_revoke(&owner, id).await;
        match self.state.write(&owner, &writes, None).await? {
            Written::Applied => {
                self.revoker.revoke(tokens);
                let id = id.to_string();
                observe::session_ended(Cause::App, self.log_key.session(&id));
                Ok(Revocation::Revoked)
            }
            Written::Conflict(_) => Ok(Revocation::NotFound),
            Written::Fenced => Err(StoreError::Damaged),
        }
    }

    /// Revokes all sessions of a person. Deletes the sessions and their tokens, raises the fence
    /// (the lowest mark that is still valid), and records the time of the revocation. Bearer tokens
    /// that were issued before that time are rejected.
    pub(in crate::web) async fn revoke_all(
        &self,
        issuer: &str,
        subject: &str,
        cause: Cause,
    ) -> Result<(), StoreError> {
        let owner = self.state.namespace().owner_of(subject);
        let tokens = if self.revoker.is_available() {
            self.all::<Tokens>(&owner).await.unwrap_or_default()
        } else {
            Vec::new()
        };
        // Perform this write first. If the write fails, the person can try again. After the second
        // operation, the person has no session.
        self.record_revocation(&owner).await?;
        self.state.revoke(&owner, &FAMILIES).await?;
        let tokens = tokens.into_iter().map(|(_, tokens)| tokens);
        self.revoker.revoke(tokens.collect());
        observe::all_sessions_ended(cause, self.log_key.person(issuer, subject));
        Ok(())
    }

    /// Records the time of a revocation of all sessions. A later time of another instance, whose
    /// clock is ahead, stays recorded: an earlier time would make revoked tokens valid again.
    async fn record_revocation(&self, owner: &Owner) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut condition = Condition::Absent;
        let mut revoked_at = now;
        for _ in 0..MAX_ATTEMPTS {
            let revocation = RevokedTokens { revoked_at };
            let put = self.state.put(
                owner,
                RecordId::ONLY,
                condition,
                &revocation,
                REVOCATION_RETENTION,
            )?;
            let found = match self.state.write(owner, &[put], None).await? {
                Written::Applied => return Ok(()),
                Written::Conflict(found) => found,
                Written::Fenced => return Err(StoreError::Damaged),
            };
            let entry = found.entries.first().and_then(Option::as_ref);
            condition = entry.map_or(Condition::Absent, |it| Condition::Version(it.version));
            // Replaces an unreadable record, because the new record revokes more tokens.
            let known = self
                .state
                .open::<RevokedTokens>(owner, RecordId::ONLY, entry);
            revoked_at = known.value().map_or(now, |it| it.revoked_at.max(now));
        }
        Err(StoreError::Busy)
    }

    /// Reads the status of an access token in one operation. An unreadable record is an error,
    /// because it may record a rejection or a revocation.
    ///
    /// The time of the revocation comes from this machine's clock, and the token's time comes from
    /// KYCPort's clock. The function therefore also treats a token as revoked if KYCPort issued the
    /// token less than `skew` after the revocation.
    pub(in crate::web) async fn token_status(
        &self,
        subject: &str,
        issued_at: Timestamp,
        skew: Duration,
    ) -> Result<TokenStatus, StoreError> {
        let owner = self.state.namespace().owner_of(subject);
        let keys = [ASSURANCE_RECORD, RecordKey::only(Family::Revocation)];
        let snapshot = self.state.read(&owner, &keys).await?;
        let [assurance, revocation] = snapshot.entries.as_slice() else {
            return Err(StoreError::Damaged);
        };
        match self
            .state
            .open::<RevokedTokens>(&owner, RecordId::ONLY, revocation.as_ref())
        {
            Found::Absent => {}
            Found::Record { value, .. } => {
                if issued_at <= value.revoked_at.saturating_add(skew) {
                    return Ok(TokenStatus::Revoked);
                }
            }
            Found::Unreadable { .. } => return Err(StoreError::Damaged),
        }
        match self.assurances.open(&owner, subject, assurance.as_ref()) {
            Latest::Known { assurance, .. }
                if assurance.kyc_status == Some(KycStatus::Rejected) =>
            {
                Ok(TokenStatus::PersonRejected)
            }
            Latest::Known { .. } | Latest::NothingRecorded => Ok(TokenStatus::Accepted),
            Latest::Unreadable { .. } => Err(StoreError::Damaged),
        }
    }
}

/// Returns the deletions of a session's records, the session record first.
pub(super) fn deletions(id: RecordId) -> Vec<Write> {
    FAMILIES
        .into_iter()
        .map(|family| Write {
            key: RecordKey::new(family, id),
            condition: Condition::Any,
            change: Change::Delete,
        })
        .collect()
}
