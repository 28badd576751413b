//! Updates a person's stored verification result after a webhook or a decision.
//!
//! A webhook or a decision can lower the stored [`Assurance`], but never raise it. KYCPort's
//! response to the next status query replaces the assurance. The change applies to active sessions
//! immediately.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use crate::{
    cases::{Case, Decision},
    clock::{Clock, Timestamp},
    kyc::{
        Assurance, AssuranceSource, Assurances, PersonRef, QueryError, StatusAnswer, StatusClient,
        StatusQuery,
    },
    observe,
    store::StoreError,
    wire::kyc::{KycStatus, KycTier},
};

/// Applies webhooks and decisions to the stored verification result of a person.
#[derive(Debug, Clone)]
pub(in crate::web) struct AssuranceUpdater {
    pub(in crate::web) status: StatusClient,
    pub(in crate::web) assurances: Assurances,
    pub(in crate::web) clock: Arc<dyn Clock>,
    /// Maximum difference between KYCPort's clock and this machine's clock.
    pub(in crate::web) skew: Duration,
}

/// Result that a webhook or a decision reported. `None` means unknown.
#[derive(Debug, Clone)]
pub(in crate::web) struct ReportedAssurance {
    pub(in crate::web) kyc_status: Option<KycStatus>,
    pub(in crate::web) kyc_tier: Option<KycTier>,
    pub(in crate::web) aml_clear: Option<bool>,
    /// Time of the event, from KYCPort's clock.
    pub(in crate::web) happened_at: Timestamp,
}

/// Reason why an update did not take effect. KYCPort should redeliver the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum UpdateError {
    /// KYCPort did not answer the status query.
    StatusUnavailable { retry_after: Option<Duration> },
    /// The store did not store the result. The stored result may still be more positive.
    StoreUnavailable,
}

impl From<StoreError> for UpdateError {
    fn from(_: StoreError) -> Self {
        Self::StoreUnavailable
    }
}

impl AssuranceUpdater {
    /// Applies the decision on a case to the latest assurance of the person.
    pub(in crate::web) async fn apply_decision(self, case: Case, decision: Decision) {
        let kyc_status = if decision.is_under_review() {
            KycStatus::Pending
        } else {
            KycStatus::Rejected
        };
        let reported = (!decision.is_approved()).then(|| ReportedAssurance {
            kyc_status: Some(kyc_status),
            kyc_tier: None,
            aml_clear: None,
            happened_at: self.clock.now(),
        });
        if self.update(&case.person_id, reported).await.is_err() {
            observe::decision_not_confirmed();
        }
    }

    /// Lowers the latest assurance to `reported`, then queries the status endpoint and returns its
    /// result. Returns `None` if there is no tenant key, or if KYCPort rejects the query. If the
    /// store also failed to store the lower result, returns the error of the store instead of
    /// `None`.
    pub(in crate::web) async fn update(
        &self,
        person_id: &str,
        reported: Option<ReportedAssurance>,
    ) -> Result<Option<Assurance>, UpdateError> {
        let person = self.assurances.person(person_id);
        let lowered = match reported {
            Some(reported) => self.lower_to_reported(&person, reported).await,
            None => Ok(()),
        };
        if !self.status.is_configured() {
            lowered?;
            return Ok(None);
        }
        match self.query(&person).await {
            Ok(StatusAnswer {
                assurance,
                recorded,
                ..
            }) => {
                recorded?;
                Ok(Some(assurance))
            }
            Err(QueryError::Failed { retry_after }) => {
                Err(UpdateError::StatusUnavailable { retry_after })
            }
            Err(QueryError::Store(error)) => Err(error.into()),
            // KYCPort would also reject a second query. Until the next successful query, guards
            // reject the person's requests.
            Err(QueryError::Rejected | QueryError::NoSource) => {
                lowered?;
                Ok(None)
            }
        }
    }

    /// Lowers the latest assurance to the reported result. An event that is older than the recorded
    /// answer has no effect. An event within the clock skew of the answer may be newer, so its
    /// result is applied. An event that is older than a recorded ID token is also applied, because
    /// an ID token may contain a result that is older than the ID token.
    async fn lower_to_reported(
        &self,
        person: &PersonRef,
        reported: ReportedAssurance,
    ) -> Result<(), StoreError> {
        let reported = Assurance::new(
            reported.kyc_status,
            reported.kyc_tier,
            reported.aml_clear,
            reported.happened_at.min(self.clock.now()),
            AssuranceSource::Webhook,
        );
        let lowered = |known: Option<&Assurance>| {
            let Some(known) = known else {
                return (reported.kyc_status != Some(KycStatus::Verified))
                    .then(|| reported.clone());
            };
            // The recorded result is from an instance whose clock is ahead, so its time cannot be
            // compared.
            let is_in_future = known.checked_at > self.clock.now();
            let is_older = reported.checked_at.saturating_add(self.skew) < known.checked_at;
            let is_id_token = known.source == AssuranceSource::IdToken;
            if is_older && !is_in_future && !is_id_token {
                return None;
            }
            let at = known.checked_at.max(reported.checked_at);
            let mut lowest = known
                .clone()
                .with_checked_at(at)
                .stricter(reported.clone().with_checked_at(at));
            // Writing an equal result would wrongly change the time of the record.
            if lowest.has_same_result(known) {
                return None;
            }
            lowest.source = AssuranceSource::Webhook;
            if lowest.is_verified() {
                // A lowered result that is still positive keeps the time of the recorded result.
                lowest.checked_at = known.checked_at;
            }
            Some(lowest)
        };
        self.assurances.lower(person, lowered).await
    }

    async fn query(&self, person: &PersonRef) -> Result<StatusAnswer, QueryError> {
        let (status, subject) = (self.status.clone(), Arc::clone(&person.subject));
        let query = StatusQuery::new(move || {
            let (status, subject) = (status.clone(), Arc::clone(&subject));
            async move { status.status(&subject).await.map_err(QueryError::from) }.boxed()
        });
        self.assurances.query_recorded(person, query).await
    }
}
