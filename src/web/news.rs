//! News of a person, felt by their live sessions at once. What is heard is a hint: it may lower what
//! is known until KYCPort has been asked, and never raises it.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use crate::{
    cases::{Case, Decision},
    clock::{Clock, Timestamp},
    kyc::{
        Assurance, AssuranceSource, Assurances, CacheUnavailable, Heard, NoAnswer, PersonKey,
        StatusClient,
    },
    observe,
    wire::kyc::{KycStatus, KycTier},
};

/// Where news of people goes.
#[derive(Debug, Clone)]
pub(super) struct News {
    pub(super) status: StatusClient,
    pub(super) assurances: Assurances,
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) clock: Arc<dyn Clock>,
    /// How far KYCPort's clock and this one may be apart.
    pub(super) skew: Duration,
}

/// What was heard of a person. What was not said is not known.
#[derive(Debug, Clone)]
pub(super) struct Hint {
    pub(super) kyc_status: Option<KycStatus>,
    pub(super) kyc_tier: Option<KycTier>,
    pub(super) aml_clear: Option<bool>,
    /// When it happened, by the clock of whoever said so.
    pub(super) happened_at: Timestamp,
}

/// News of a person did not get to where all sessions go by it. It may later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotFelt {
    /// KYCPort was asked, and did not answer.
    NotAsked { retry_after: Option<Duration> },
    /// The cache did not take it, and may still hold better news from before.
    NotKept,
}

impl From<CacheUnavailable> for NotFelt {
    fn from(_: CacheUnavailable) -> Self {
        Self::NotKept
    }
}

impl News {
    /// Takes a decision as news of whose case it was.
    pub(super) async fn of_decision(self, case: Case, decision: Decision) {
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
    pub(super) async fn hear(
        &self,
        person_id: &str,
        hint: Option<Hint>,
    ) -> Result<Option<Assurance>, NotFelt> {
        let person = PersonKey {
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            subject: person_id.to_owned(),
        };
        let believed = match hint {
            Some(hint) => self.believe_the_worst(&person, hint).await,
            None => Ok(()),
        };
        if !self.status.is_configured() {
            believed?;
            return Ok(None);
        }
        match self.ask(&person).await {
            Ok(Heard { assurance, kept }) => {
                kept?;
                Ok(Some(assurance))
            }
            Err(NoAnswer::Failed { retry_after }) => Err(NotFelt::NotAsked { retry_after }),
            // Asking again brings the same: whoever is guarded will not be let in either.
            Err(NoAnswer::Refused | NoAnswer::NoSource) => {
                believed?;
                Ok(None)
            }
        }
    }

    /// Lowers what is known to what was heard. What happened before that was asked changes nothing;
    /// what happened about then, as far as two clocks can tell, may be newer.
    async fn believe_the_worst(
        &self,
        person: &PersonKey,
        hint: Hint,
    ) -> Result<(), CacheUnavailable> {
        let heard = Assurance::new(
            hint.kyc_status,
            hint.kyc_tier,
            hint.aml_clear,
            hint.happened_at.min(self.clock.now()),
            AssuranceSource::Webhook,
        );
        let Some(known) = self.assurances.latest(person).await else {
            if heard.kyc_status == Some(KycStatus::Verified) {
                return Ok(());
            }
            return self.assurances.note(person, heard).await;
        };
        if heard.checked_at.saturating_add(self.skew) < known.checked_at {
            return Ok(());
        }
        let at = known.checked_at.max(heard.checked_at);
        let before = known.clone();
        let worst = known.asked_at(at).stricter(heard.asked_at(at));
        // The same once more would only look as if it had been asked for anew.
        if worst.says_the_same(&before) {
            return Ok(());
        }
        self.assurances.note(person, worst).await
    }

    async fn ask(&self, person: &PersonKey) -> Result<Heard, NoAnswer> {
        let (status, subject) = (self.status.clone(), person.subject.clone());
        let ask = move || {
            async move {
                let asked = status.status(&subject).await;
                asked.map_err(NoAnswer::from)
            }
            .boxed()
        };
        self.assurances.hear(person, ask).await
    }
}
