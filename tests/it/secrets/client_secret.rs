//! The client secret is replaced.

use futures_util::future::join_all;
use kycport::{
    PendingReason, RotationOutcome, Secret,
    mock::{Client, Endpoint, OldSecret},
    oidc::{Authenticated, ExchangeError, LoginError, LoginRequest},
    secrets::Secrets,
};

use super::Stage;
use crate::direct::{come_back, sign_in};

const INVALID_GRANT: &str = r#"{"error":"invalid_grant"}"#;
const INVALID_CLIENT: &str = r#"{"error":"invalid_client"}"#;

impl Stage {
    async fn sign_in(&self) -> Result<Authenticated, LoginError> {
        sign_in(&self.kyc, &self.party, &self.ada).await
    }

    fn client(&self) -> &Client {
        self.kyc.client()
    }

    fn rotate(&self, old: OldSecret) -> Secrets {
        Secrets::new().client_secret(self.client().rotate_secret(old).unwrap())
    }

    /// Which secret was sent last.
    fn sent(&self) -> Option<String> {
        let requests = self.kyc.requests(Endpoint::Token);
        let last = requests.last().unwrap();
        last.form("client_secret").map(str::to_owned)
    }
}

#[tokio::test]
async fn with_overlap_the_new_one_is_proven_and_serves() {
    let stage = Stage::new().await;
    let new = stage.rotate(OldSecret::Stays);
    let report = stage.reload(new.clone()).await;
    assert_eq!(report.client_secret, RotationOutcome::Activated);
    assert_eq!(report.tenant_api_key, RotationOutcome::NotProvided);
    assert_eq!(report.webhook_secret, RotationOutcome::NotProvided);
    assert!(report.is_settled());
    // The new one, and one that nobody has.
    assert_eq!(stage.asked(Endpoint::Token), 2);

    stage.sign_in().await.unwrap();
    assert_eq!(
        stage.sent().as_deref(),
        new.client_secret.as_ref().map(Secret::expose)
    );
    assert_eq!(stage.asked(Endpoint::Token), 1);
    let report = stage.reload(new).await;
    assert_eq!(report.client_secret, RotationOutcome::Unchanged);
    assert_eq!(stage.asked(Endpoint::Token), 0);
}

#[tokio::test]
async fn where_the_old_one_ends_at_once_a_waiting_one_loses_no_login() {
    // K97
    let stage = Stage::new().await;
    let request = LoginRequest::new();
    let mut under_way = Vec::new();
    for _ in 0..8 {
        under_way.push(come_back(&stage.kyc, &stage.party, &stage.ada, &request).await);
    }
    let new = stage.rotate(OldSecret::Ends);
    let fault = stage.kyc.on(Endpoint::Token).fail(503).once();
    let report = stage.reload(new).await;
    fault.assert_hit();
    assert_eq!(
        report.client_secret,
        RotationOutcome::Pending(PendingReason::Unreachable)
    );
    assert!(!report.is_settled());

    let oidc = stage.party.oidc();
    let finished = under_way
        .into_iter()
        .map(|(transaction, params)| oidc.finish(transaction, params));
    for sign_in in join_all(finished).await {
        sign_in.unwrap();
    }
    stage.asked(Endpoint::Token);
    stage.sign_in().await.unwrap();
    assert_eq!(stage.asked(Endpoint::Token), 1, "the new one is in use");
}

#[tokio::test]
async fn what_began_with_the_old_one_goes_on_with_what_came_meanwhile() {
    let stage = Stage::new().await;
    let request = LoginRequest::new();
    let (transaction, params) = come_back(&stage.kyc, &stage.party, &stage.ada, &request).await;
    let gate = stage.kyc.on(Endpoint::Token).hold();
    let finish = stage.party.oidc().finish(transaction, params);
    let (finished, report) = tokio::join!(finish, async {
        gate.wait_for(1).await;
        let new = stage.rotate(OldSecret::Ends);
        stage.vault.holds(new);
        let (report, ()) = tokio::join!(stage.party.reload_secrets(), async {
            gate.wait_for(2).await;
            gate.release();
        });
        report.unwrap()
    });
    finished.unwrap();
    assert_eq!(report.client_secret, RotationOutcome::Activated);
}

#[tokio::test]
async fn a_refresh_token_outlives_the_rotation() {
    // K97: the refresh token is not spent by the secret that is refused.
    let stage = Stage::new().await;
    stage
        .kyc
        .switch(|switches| switches.issue_refresh_tokens = true);
    let signed_in = stage.sign_in().await.unwrap();
    let new = stage.rotate(OldSecret::Ends);
    let _fault = stage.kyc.on(Endpoint::Token).fail(503).once();
    stage.reload(new).await;
    let token = signed_in.tokens.refresh_token.unwrap();
    let oidc = stage.party.oidc();
    oidc.refresh(&token, stage.ada.id()).await.unwrap();
}

#[tokio::test]
async fn a_wrong_one_never_replaces_the_old_one() {
    let stage = Stage::new().await;
    let wrong = Secrets::new().client_secret("a secret that KYCPort does not know");
    let report = stage.reload(wrong).await;
    assert_eq!(
        report.client_secret,
        RotationOutcome::Pending(PendingReason::Rejected)
    );
    stage.asked(Endpoint::Token);
    stage.sign_in().await.unwrap();
    assert_eq!(stage.asked(Endpoint::Token), 1);

    // Even if the old one is refused for once.
    for body in [INVALID_CLIENT, "<html>", r#"{"detail":"no such client"}"#] {
        let refused = stage.kyc.on(Endpoint::Token);
        let refused = refused.answer(401, "application/json", body).once();
        let error = stage.sign_in().await.unwrap_err();
        let LoginError::Exchange(ExchangeError::Rejected { code, .. }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(code, "invalid_client");
        refused.assert_hit();
        assert_eq!(stage.asked(Endpoint::Token), 2, "{body}");
        stage.sign_in().await.unwrap();
        assert_eq!(stage.asked(Endpoint::Token), 1);
    }
}

#[tokio::test]
async fn a_refused_one_serves_when_kycport_knows_it_and_the_old_one_is_dead() {
    let stage = Stage::new().await;
    let new = stage.rotate(OldSecret::Stays);
    // As if the file were there before KYCPort knows of it.
    let early = stage.kyc.on(Endpoint::Token);
    let early = early.answer(401, "application/json", INVALID_CLIENT).once();
    let report = stage.reload(new).await;
    early.assert_hit();
    assert_eq!(
        report.client_secret,
        RotationOutcome::Pending(PendingReason::Rejected)
    );
    let dead = stage.kyc.on(Endpoint::Token);
    let dead = dead.answer(401, "application/json", INVALID_CLIENT).once();
    stage.sign_in().await.unwrap();
    dead.assert_hit();
    stage.asked(Endpoint::Token);
    stage.sign_in().await.unwrap();
    assert_eq!(stage.asked(Endpoint::Token), 1);
}

#[tokio::test]
async fn no_other_refusal_makes_it_try_another() {
    let stage = Stage::new().await;
    let new = stage.rotate(OldSecret::Stays);
    let _fault = stage.kyc.on(Endpoint::Token).fail(503).once();
    stage.reload(new).await;
    stage.asked(Endpoint::Token);
    let spent = stage.kyc.on(Endpoint::Token);
    let _spent = spent.answer(400, "application/json", INVALID_GRANT).once();
    stage.sign_in().await.unwrap_err();
    assert_eq!(stage.asked(Endpoint::Token), 1);
}

#[tokio::test]
async fn an_answer_that_any_secret_would_get_proves_nothing() {
    let stage = Stage::new().await;
    let wrong = Secrets::new().client_secret("a secret that KYCPort does not know");
    let says = |status, body: &str| {
        let on = stage.kyc.on(Endpoint::Token);
        on.answer(status, "application/json", body).always()
    };
    for (status, body) in [
        (400, INVALID_GRANT),
        (400, r#"{"error":"invalid_request"}"#),
        (404, "<html>"),
        (200, "{}"),
    ] {
        let fault = says(status, body);
        let report = stage.reload(wrong.clone()).await;
        assert_eq!(
            report.client_secret,
            RotationOutcome::Pending(PendingReason::Unclear),
            "{body}"
        );
        drop(fault);
    }
    let report = stage.reload(wrong.clone()).await;
    assert_eq!(
        report.client_secret,
        RotationOutcome::Pending(PendingReason::Rejected)
    );
    stage.sign_in().await.unwrap();
    // It is not asked about again so soon.
    stage.asked(Endpoint::Token);
    let report = stage.reload(wrong).await;
    assert_eq!(
        report.client_secret,
        RotationOutcome::Pending(PendingReason::Rejected)
    );
    assert_eq!(stage.asked(Endpoint::Token), 0);
}

#[tokio::test]
async fn while_kycport_is_down_the_old_one_stays_and_a_later_reload_proves_the_new() {
    let stage = Stage::new().await;
    let new = stage.rotate(OldSecret::Stays);
    stage.kyc.stop().unwrap();
    let report = stage.reload(new.clone()).await;
    assert_eq!(
        report.client_secret,
        RotationOutcome::Pending(PendingReason::Unreachable)
    );
    stage.kyc.restart().unwrap();
    // What is backed off is asked again then.
    stage
        .kyc
        .clock()
        .advance(std::time::Duration::from_secs(60));
    stage.sign_in().await.unwrap();
    assert_eq!(stage.sent().as_deref(), stage.client().secret());
    assert_eq!(
        stage.reload(new).await.client_secret,
        RotationOutcome::Activated
    );
}

#[tokio::test]
async fn who_goes_back_to_the_old_one_has_no_candidate_any_more() {
    let stage = Stage::new().await;
    let old = Secrets::new().client_secret(stage.client().secret().unwrap());
    let new = stage.rotate(OldSecret::Stays);
    let _fault = stage.kyc.on(Endpoint::Token).fail(503).once();
    stage.reload(new).await;
    assert_eq!(
        stage.reload(old).await.client_secret,
        RotationOutcome::Unchanged
    );
    stage.asked(Endpoint::Token);
    let refused = stage.kyc.on(Endpoint::Token);
    let _refused = refused
        .answer(401, "application/json", INVALID_CLIENT)
        .once();
    stage.sign_in().await.unwrap_err();
    assert_eq!(stage.asked(Endpoint::Token), 1);
}
