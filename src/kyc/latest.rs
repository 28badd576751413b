//! Record of the latest assurance of a person.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::assurance::{Assurance, AssuranceSource};
use crate::{
    clock::Timestamp,
    state::{Found, Memo, State, Stored},
    store::{Condition, Entry, Family, Owner, RecordId, RecordKey, StoreError, Write},
};

/// Lifetime of the record if no newer result is recorded. This lifetime exceeds the maximum session
/// lifetime and the maximum age of an assurance. A session therefore never outlives a negative
/// result.
const RETENTION: Duration = Duration::from_secs(41 * 24 * 3600);

/// Key of the record that contains the latest assurance.
pub(crate) const RECORD: RecordKey = RecordKey::only(Family::Assurance);

/// Reference to a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PersonRef {
    pub(crate) owner: Owner,
    pub(crate) subject: Arc<str>,
}

/// Latest assurance as read from the store. The crate never treats an unreadable record as a
/// missing record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Latest {
    NothingRecorded,
    Unreadable {
        version: u64,
    },
    Known {
        assurance: Arc<Assurance>,
        version: u64,
    },
}

impl Latest {
    /// Returns the assurance, if it is known.
    pub(crate) fn known(&self) -> Option<&Assurance> {
        match self {
            Self::Known { assurance, .. } => Some(assurance),
            Self::NothingRecorded | Self::Unreadable { .. } => None,
        }
    }

    /// Returns the write condition that this record has not changed.
    fn unchanged(&self) -> Condition {
        match self {
            Self::NothingRecorded => Condition::Absent,
            Self::Unreadable { version } | Self::Known { version, .. } => {
                Condition::Version(*version)
            }
        }
    }

    /// Returns the assurance to show and evaluate. The assurance is unknown if no readable
    /// assurance is recorded.
    pub(crate) fn or_unknown(&self, at: Timestamp) -> Assurance {
        self.known()
            .cloned()
            .unwrap_or_else(|| Assurance::unknown(at))
    }
}

/// Record of the latest assurance. The record contains the subject. A reader can therefore detect a
/// record under the wrong owner.
#[derive(Serialize, Deserialize)]
struct LatestAssurance {
    subject: String,
    assurance: Assurance,
}

impl Stored for LatestAssurance {
    const FAMILY: Family = Family::Assurance;
}

/// Reads and writes latest assurances. The order of two results does not depend on clocks.
pub(crate) struct LatestAssurances {
    state: State,
    memo: Memo<Assurance>,
}

impl LatestAssurances {
    pub(crate) fn new(state: State) -> Self {
        Self {
            state,
            memo: Memo::new(),
        }
    }

    pub(crate) fn person(&self, subject: &str) -> PersonRef {
        PersonRef {
            owner: self.state.namespace().owner_of(subject),
            subject: subject.into(),
        }
    }

    /// Reads the latest assurance.
    pub(crate) async fn read(&self, person: &PersonRef) -> Result<Latest, StoreError> {
        let snapshot = self.state.read(&person.owner, &[RECORD]).await?;
        let entry = snapshot.entries.first().and_then(Option::as_ref);
        Ok(self.open(&person.owner, &person.subject, entry))
    }

    /// Decodes the latest assurance from a store entry that the caller has already read.
    pub(crate) fn open(&self, owner: &Owner, subject: &str, entry: Option<&Entry>) -> Latest {
        let Some(entry) = entry else {
            return Latest::NothingRecorded;
        };
        let version = entry.version;
        if let Some(assurance) = self.memo.get(owner, RecordId::ONLY, &entry.body) {
            return Latest::Known { assurance, version };
        }
        match self.state.open(owner, RecordId::ONLY, Some(entry)) {
            Found::Record {
                value:
                    LatestAssurance {
                        subject: own,
                        assurance,
                    },
                ..
            } if own == subject => {
                let assurance = Arc::new(assurance);
                let value = Arc::clone(&assurance);
                self.memo
                    .insert(owner, RecordId::ONLY, entry.body.clone(), value);
                Latest::Known { assurance, version }
            }
            _ => Latest::Unreadable { version },
        }
    }

    /// Prepares the write of a result. The store always writes a rejection. The store writes another
    /// result only if the record has not changed since the caller read it. Otherwise a result that
    /// KYCPort sent before the rejection could replace the rejection.
    pub(crate) fn write_of(
        &self,
        person: &PersonRef,
        assurance: &Assurance,
        before: &Latest,
    ) -> Result<Write, StoreError> {
        let condition = if assurance.is_rejected() {
            Condition::Any
        } else {
            before.unchanged()
        };
        self.write_under(person, assurance, condition)
    }

    /// Returns the record to write after a login, if the ID token says "verified" and an assurance
    /// is already recorded. Returns `None` if the record stays unchanged.
    ///
    /// The ID token may be older than the record. If the record comes from a status query, userinfo
    /// or a webhook, the ID token therefore never raises the result in the record. If the ID token
    /// is lower in one respect and higher in another respect, the function returns the lowered
    /// record, and the source of the record stays the same. If the record comes from an ID token
    /// that was requested earlier or at the same time, the new ID token replaces the record.
    pub(crate) fn after_sign_in(known: &Assurance, id_token: &Assurance) -> Option<Assurance> {
        if !known.is_verified() {
            return None;
        }
        let is_newer_id_token =
            known.source == AssuranceSource::IdToken && known.checked_at <= id_token.checked_at;
        if is_newer_id_token || !id_token.grants_more_than(known) {
            return Some(id_token.clone().keeping_verified_at(known));
        }
        let lowered = Assurance {
            checked_at: known.checked_at,
            source: known.source,
            ..known.clone().stricter(id_token.clone())
        };
        (!lowered.has_same_result(known)).then_some(lowered)
    }

    /// Prepares a write that replaces the record only if the record has not changed, for any
    /// result.
    pub(crate) fn replacement_of(
        &self,
        person: &PersonRef,
        assurance: &Assurance,
        before: &Latest,
    ) -> Result<Write, StoreError> {
        self.write_under(person, assurance, before.unchanged())
    }

    fn write_under(
        &self,
        person: &PersonRef,
        assurance: &Assurance,
        condition: Condition,
    ) -> Result<Write, StoreError> {
        let record = LatestAssurance {
            subject: person.subject.to_string(),
            assurance: assurance.clone(),
        };
        let id = RecordId::ONLY;
        self.state
            .put(&person.owner, id, condition, &record, RETENTION)
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }
}

#[cfg(test)]
mod tests {
    use super::LatestAssurances;
    use crate::{
        clock::Timestamp,
        kyc::{Assurance, AssuranceSource as Source},
        wire::kyc::{KycStatus, KycTier as T},
    };

    fn verified(tier: T, aml_clear: Option<bool>, source: Source, at: i64) -> Assurance {
        let status = Some(KycStatus::Verified);
        Assurance::new(
            status,
            Some(tier),
            aml_clear,
            Timestamp::from_unix(at),
            source,
        )
    }

    #[test]
    fn an_id_token_raises_only_an_older_id_token() {
        let (clear, found) = (Some(true), Some(false));
        for (source, at) in [
            (Source::Webhook, 1),
            (Source::Status, 1),
            (Source::Userinfo, 1),
            (Source::IdToken, 3),
        ] {
            for (known, token, expected) in [
                // The ID token claims more than the record, so the record stays.
                ((T::T1, clear), (T::T2, clear), None),
                ((T::T2, found), (T::T2, clear), None),
                ((T::T2, found), (T::T2, None), None),
                ((T::T2, None), (T::T2, clear), None),
                // The ID token claims as much or less, so the ID token becomes the record.
                ((T::T2, clear), (T::T2, clear), Some((T::T2, clear))),
                ((T::T2, clear), (T::T1, None), Some((T::T1, None))),
                // The ID token claims more in one respect and less in another respect.
                ((T::T2, found), (T::T1, clear), Some((T::T1, found))),
                ((T::T1, None), (T::T2, found), Some((T::T1, found))),
            ] {
                let claims_more = token.0 > known.0 || (token.1 == clear && known.1 != clear);
                let known = verified(known.0, known.1, source, at);
                let token = verified(token.0, token.1, Source::IdToken, 2);
                let next = LatestAssurances::after_sign_in(&known, &token);
                let expected = expected.map(|(tier, aml_clear)| {
                    let (source, at) = if claims_more {
                        (source, at)
                    } else {
                        (Source::IdToken, 2)
                    };
                    verified(tier, aml_clear, source, at)
                });
                assert_eq!(next, expected, "{known:?} {token:?}");
            }
        }
        let older = verified(T::T1, None, Source::IdToken, 1);
        let token = verified(T::T2, clear, Source::IdToken, 2);
        let next = LatestAssurances::after_sign_in(&older, &token);
        assert_eq!(next, Some(token.clone()));
        let rejected = Assurance {
            kyc_status: Some(KycStatus::Rejected),
            ..older
        };
        assert_eq!(LatestAssurances::after_sign_in(&rejected, &token), None);
    }
}
