//! A decision, felt by live sessions: whose case it was is asked about at once.

use std::sync::Arc;

use futures_util::FutureExt as _;

use crate::{
    cases::{Case, Decision},
    clock::Clock,
    kyc::{Assurance, AssuranceSource, Assurances, NoAnswer, PersonKey, StatusClient},
    wire::kyc::KycStatus,
};

#[derive(Debug, Clone)]
pub(super) struct News {
    pub(super) status: StatusClient,
    pub(super) assurances: Assurances,
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) clock: Arc<dyn Clock>,
}

impl News {
    /// What was decided is a hint: the status endpoint has the word. Only if it does not answer is
    /// bad news taken from the decision itself; good news never is.
    pub(super) async fn spread(self, case: Case, decision: Decision) {
        let person = PersonKey {
            issuer: self.issuer,
            client_id: self.client_id,
            subject: case.person_id.clone(),
        };
        let decided_at = self.clock.now();
        let status = self.status.clone();
        let ask = move || {
            async move {
                let asked = status.status(&case.person_id).await;
                asked.map_err(|_| NoAnswer::Failed { retry_after: None })
            }
            .boxed()
        };
        if self.assurances.ask(&person, ask).await.is_ok() || decision.is_approved() {
            return;
        }
        tracing::warn!("after a decision the status could not be asked: taking it as bad news");
        let kyc_status = if decision.is_under_review() {
            KycStatus::Pending
        } else {
            KycStatus::Rejected
        };
        let bad_news = Assurance::new(
            Some(kyc_status),
            None,
            None,
            decided_at,
            AssuranceSource::Status,
        );
        self.assurances.note(&person, bad_news).await;
    }
}
