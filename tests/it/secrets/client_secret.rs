//! Rotation of the client secret.

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

    /// Returns the secret of the last token request.
    fn sent(&self) -> Option<String> {
        let requests = self.kyc.requests(Endpoint::Token);
        let last = requests.last().unwrap();
        last.form("client_secret").map(str::to_owned)
    }
}

#[tokio::test]
async fn a_new_secret_is_checked_and_activated_while_the_old_one_is_valid() {
    let stage = Stage::new().await;
    let new = stage.rotate(OldSecret::Stays);
    let report = stage.reload(new.clone()).await;
    assert_eq!(report.client_secret, RotationOutcome::Activated);
    assert_eq!(report.tenant_api_key, RotationOutcome::NotProvided);
    assert_eq!(report.webhook_secret, RotationOutcome::NotProvided);
    assert!(report.is_settled());
    // One request with the new secret, and one with a random secret.
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
async fn a_pending_secret_is_activated_when_the_old_one_is_rejected() {
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
    assert_eq!(stage.asked(Endpoint::Token), 1, "the new secret is in use");
}

#[tokio::test]
async fn a_login_that_began_with_the_old_secret_completes_with_the_new_one() {
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
async fn a_refresh_token_remains_valid_after_a_rotation() {
    // K97: the request with the rejected secret does not consume the refresh token.
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
async fn a_wrong_secret_never_replaces_the_current_one() {
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

    // A single rejection of the old secret does not activate the wrong one.
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
async fn a_rejected_secret_is_activated_once_kycport_accepts_it() {
    let stage = Stage::new().await;
    let new = stage.rotate(OldSecret::Stays);
    // Simulates a secret that is deployed before KYCPort knows it.
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
async fn only_invalid_client_makes_the_client_try_the_pending_secret() {
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
async fn an_inconclusive_response_does_not_activate_a_secret() {
    let stage = Stage::new().await;
    let wrong = Secrets::new().client_secret("a secret that KYCPort does not know");
    let respond = |status, body: &str| {
        let on = stage.kyc.on(Endpoint::Token);
        on.answer(status, "application/json", body).always()
    };
    for (status, body) in [
        (400, INVALID_GRANT),
        (400, r#"{"error":"invalid_request"}"#),
        (404, "<html>"),
        (200, "{}"),
    ] {
        let fault = respond(status, body);
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
    // The check is not repeated immediately.
    stage.asked(Endpoint::Token);
    let report = stage.reload(wrong).await;
    assert_eq!(
        report.client_secret,
        RotationOutcome::Pending(PendingReason::Rejected)
    );
    assert_eq!(stage.asked(Endpoint::Token), 0);
}

#[tokio::test]
async fn during_an_outage_the_old_secret_stays_until_a_later_reload() {
    let stage = Stage::new().await;
    let new = stage.rotate(OldSecret::Stays);
    stage.kyc.stop().unwrap();
    let report = stage.reload(new.clone()).await;
    assert_eq!(
        report.client_secret,
        RotationOutcome::Pending(PendingReason::Unreachable)
    );
    stage.kyc.restart().unwrap();
    // The back-off has ended.
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
async fn reloading_the_current_secret_drops_the_pending_one() {
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
