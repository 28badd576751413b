//! AssuranceUpdater of a person, felt by their live sessions at once. What is heard is a reported: it may lower what
//! is known until KYCPort has been asked, and never raises it.

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

/// Where news of people goes.
#[derive(Debug, Clone)]
pub(in crate::web) struct AssuranceUpdater {
    pub(in crate::web) status: StatusClient,
    pub(in crate::web) assurances: Assurances,
    pub(in crate::web) clock: Arc<dyn Clock>,
    /// How far KYCPort's clock and this one may be apart.
    pub(in crate::web) skew: Duration,
}

/// What was heard of a person. What was not said is not known.
#[derive(Debug, Clone)]
pub(in crate::web) struct ReportedAssurance {
    pub(in crate::web) kyc_status: Option<KycStatus>,
    pub(in crate::web) kyc_tier: Option<KycTier>,
    pub(in crate::web) aml_clear: Option<bool>,
    /// When it happened, by the clock of whoever said so.
    pub(in crate::web) happened_at: Timestamp,
}

/// AssuranceUpdater of a person did not get to where all sessions go by it. It may later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum UpdateError {
    /// KYCPort was asked, and did not answer.
    StatusUnavailable { retry_after: Option<Duration> },
    /// The store did not take the result, and may still hold a better one from before.
    StoreUnavailable,
}

impl From<StoreError> for UpdateError {
    fn from(_: StoreError) -> Self {
        Self::StoreUnavailable
    }
}

impl AssuranceUpdater {
    /// Takes a decision as news of whose case it was.
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

    /// Believes the lowest of `reported` until KYCPort has been asked, and asks. Gives what it says;
    /// none if there is no tenant key, or if it will not say. What was heard is kept then, or it is
    /// an error.
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
            // Asking again brings the same: whoever is guarded will not be let in either.
            Err(QueryError::Rejected | QueryError::NoSource) => {
                lowered?;
                Ok(None)
            }
        }
    }

    /// Lowers the latest assurance to what was reported. An event from before the latest answer changes
    /// nothing; one from about that time, as far as two clocks can tell, may be newer.
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
            // A clock that is ahead recorded a result from the future: its time cannot be compared.
            let is_in_future = known.checked_at > self.clock.now();
            if !is_in_future && reported.checked_at.saturating_add(self.skew) < known.checked_at {
                return None;
            }
            let at = known.checked_at.max(reported.checked_at);
            let mut lowest = known
                .clone()
                .with_checked_at(at)
                .stricter(reported.clone().with_checked_at(at));
            // Writing the same again would only make it look newer.
            if lowest.has_same_result(known) {
                return None;
            }
            lowest.source = AssuranceSource::Webhook;
            if lowest.is_verified() {
                // What an event leaves of a positive result is as old as that result.
                lowest.checked_at = known.checked_at;
            }
            Some(lowest)
        };
        self.assurances.lower(person, lowered).await
    }

    async fn query(&self, person: &PersonRef) -> Result<StatusAnswer, QueryError> {
        let (status, subject) = (self.status.clone(), Arc::clone(&person.subject));
        let question: StatusQuery = Arc::new(move || {
            let (status, subject) = (status.clone(), Arc::clone(&subject));
            async move { status.status(&subject).await.map_err(QueryError::from) }.boxed()
        });
        self.assurances.query_recorded(person, question).await
    }
}
