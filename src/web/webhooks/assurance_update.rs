//! News of a person, felt by their live sessions at once. What is heard is a hint: it may lower what
//! is known until KYCPort has been asked, and never raises it.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use crate::{
    cases::{Case, Decision},
    clock::{Clock, Timestamp},
    kyc::{
        Assurance, AssuranceSource, Assurances, Heard, NoAnswer, PersonRef, Question, StatusClient,
    },
    observe,
    store::StoreError,
    wire::kyc::{KycStatus, KycTier},
};

/// Where news of people goes.
#[derive(Debug, Clone)]
pub(in crate::web) struct News {
    pub(in crate::web) status: StatusClient,
    pub(in crate::web) assurances: Assurances,
    pub(in crate::web) clock: Arc<dyn Clock>,
    /// How far KYCPort's clock and this one may be apart.
    pub(in crate::web) skew: Duration,
}

/// What was heard of a person. What was not said is not known.
#[derive(Debug, Clone)]
pub(in crate::web) struct Hint {
    pub(in crate::web) kyc_status: Option<KycStatus>,
    pub(in crate::web) kyc_tier: Option<KycTier>,
    pub(in crate::web) aml_clear: Option<bool>,
    /// When it happened, by the clock of whoever said so.
    pub(in crate::web) happened_at: Timestamp,
}

/// News of a person did not get to where all sessions go by it. It may later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum NotFelt {
    /// KYCPort was asked, and did not answer.
    NotAsked { retry_after: Option<Duration> },
    /// The store did not take the result, and may still hold a better one from before.
    NotKept,
}

impl From<StoreError> for NotFelt {
    fn from(_: StoreError) -> Self {
        Self::NotKept
    }
}

impl News {
    /// Takes a decision as news of whose case it was.
    pub(in crate::web) async fn of_decision(self, case: Case, decision: Decision) {
        let kyc_status = if decision.is_under_review() {
            KycStatus::Pending
        } else {
            KycStatus::Rejected
        };
        let bad_news = (!decision.is_approved()).then(|| Hint {
            kyc_status: Some(kyc_status),
            kyc_tier: None,
            aml_clear: None,
            happened_at: self.clock.now(),
        });
        if self.hear(&case.person_id, bad_news).await.is_err() {
            observe::decision_not_confirmed();
        }
    }

    /// Believes the worst of `hint` until KYCPort has been asked, and asks. Gives what it says;
    /// none if there is no tenant key, or if it will not say. What was heard is kept then, or it is
    /// an error.
    pub(in crate::web) async fn hear(
        &self,
        person_id: &str,
        hint: Option<Hint>,
    ) -> Result<Option<Assurance>, NotFelt> {
        let person = self.assurances.person(person_id);
        let believed = match hint {
            Some(hint) => self.believe_the_worst(&person, hint).await,
            None => Ok(()),
        };
        if !self.status.is_configured() {
            believed?;
            return Ok(None);
        }
        match self.ask(&person).await {
            Ok(Heard {
                assurance,
                recorded,
                ..
            }) => {
                recorded?;
                Ok(Some(assurance))
            }
            Err(NoAnswer::Failed { retry_after }) => Err(NotFelt::NotAsked { retry_after }),
            Err(NoAnswer::Store(error)) => Err(error.into()),
            // Asking again brings the same: whoever is guarded will not be let in either.
            Err(NoAnswer::Rejected | NoAnswer::NoSource) => {
                believed?;
                Ok(None)
            }
        }
    }

    /// Lowers the latest assurance to what was heard. An event from before the latest answer changes
    /// nothing; one from about that time, as far as two clocks can tell, may be newer.
    async fn believe_the_worst(&self, person: &PersonRef, hint: Hint) -> Result<(), StoreError> {
        let heard = Assurance::new(
            hint.kyc_status,
            hint.kyc_tier,
            hint.aml_clear,
            hint.happened_at.min(self.clock.now()),
            AssuranceSource::Webhook,
        );
        let lowered = |known: Option<&Assurance>| {
            let Some(known) = known else {
                return (heard.kyc_status != Some(KycStatus::Verified)).then(|| heard.clone());
            };
            // A clock that is ahead recorded a result from the future: its time cannot be compared.
            let is_from_the_future = known.checked_at > self.clock.now();
            if !is_from_the_future && heard.checked_at.saturating_add(self.skew) < known.checked_at
            {
                return None;
            }
            let at = known.checked_at.max(heard.checked_at);
            let mut worst = known
                .clone()
                .requested_at(at)
                .stricter(heard.clone().requested_at(at));
            // Writing the same again would only make it look newer.
            if worst.says_the_same(known) {
                return None;
            }
            worst.source = AssuranceSource::Webhook;
            if worst.is_verified() {
                // What an event leaves of a positive result is as old as that result.
                worst.checked_at = known.checked_at;
            }
            Some(worst)
        };
        self.assurances.lower(person, lowered).await
    }

    async fn ask(&self, person: &PersonRef) -> Result<Heard, NoAnswer> {
        let (status, subject) = (self.status.clone(), Arc::clone(&person.subject));
        let question: Question = Arc::new(move || {
            let (status, subject) = (status.clone(), Arc::clone(&subject));
            async move { status.status(&subject).await.map_err(NoAnswer::from) }.boxed()
        });
        self.assurances.hear(person, question).await
    }
}
