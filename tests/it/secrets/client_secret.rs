//! Tests that the app can rotate the client secret.

use futures_util::future::join_all;
use kycport::{
    PendingReason, RotationOutcome, Secret,
    mock::{Client, Endpoint, OldSecret},
    oidc::{Authenticated, ExchangeError, LoginError, LoginRequest},
    secrets::Secrets,
};

use super::RotationTest;
use crate::direct::{login_until_callback, sign_in};

const INVALID_GRANT: &str = r#"{"error":"invalid_grant"}"#;
const INVALID_CLIENT: &str = r#"{"error":"invalid_client"}"#;

impl RotationTest {
    async fn sign_in(&self) -> Result<Authenticated, LoginError> {
        sign_in(&self.kyc, &self.party, &self.ada).await
    }

    fn client(&self) -> &Client {
        self.kyc.client()
    }

    fn rotate(&self, old: OldSecret) -> Secrets {
        Secrets::new().client_secret(self.client().rotate_secret(old).unwrap())
    }

    /// Returns the client secret in the last token request.
    fn sent(&self) -> Option<String> {
        let requests = self.kyc.requests(Endpoint::Token);
        let last = requests.last().unwrap();
        last.form("client_secret").map(str::to_owned)
    }
}

#[tokio::test]
async fn a_new_secret_is_checked_and_activated_while_the_old_secret_is_valid() {
    let setup = RotationTest::new().await;
    let new = setup.rotate(OldSecret::Stays);
    let report = setup.reload(new.clone()).await;
    assert_eq!(report.client_secret, RotationOutcome::Activated);
    assert_eq!(report.tenant_api_key, RotationOutcome::NotProvided);
    assert_eq!(report.webhook_secret, RotationOutcome::NotProvided);
    assert!(report.is_settled());
    // The check sends one request with the new secret and one request with a random secret.
    assert_eq!(setup.asked(Endpoint::Token), 2);

    setup.sign_in().await.unwrap();
    assert_eq!(
        setup.sent().as_deref(),
        new.client_secret.as_ref().map(Secret::expose)
    );
    assert_eq!(setup.asked(Endpoint::Token), 1);
    let report = setup.reload(new).await;
    assert_eq!(report.client_secret, RotationOutcome::Unchanged);
    assert_eq!(setup.asked(Endpoint::Token), 0);
}

#[tokio::test]
async fn a_pending_secret_is_activated_when_the_old_secret_is_rejected() {
    // K97
    let setup = RotationTest::new().await;
    let request = LoginRequest::new();
    let mut under_way = Vec::new();
    for _ in 0..8 {
        under_way.push(login_until_callback(&setup.kyc, &setup.party, &setup.ada, &request).await);
    }
    let new = setup.rotate(OldSecret::Ends);
    let fault = setup.kyc.on(Endpoint::Token).fail(503).once();
    let report = setup.reload(new).await;
    fault.assert_hit();
    assert_eq!(
        report.client_secret,
        RotationOutcome::Pending(PendingReason::Unreachable)
    );
    assert!(!report.is_settled());

    let oidc = setup.party.oidc();
    let finished = under_way
        .into_iter()
        .map(|(transaction, params)| oidc.finish(transaction, params));
    for sign_in in join_all(finished).await {
        sign_in.unwrap();
    }
    setup.asked(Endpoint::Token);
    setup.sign_in().await.unwrap();
    assert_eq!(setup.asked(Endpoint::Token), 1, "the new secret is in use");
}

#[tokio::test]
async fn a_login_that_began_with_the_old_secret_completes_with_the_new_secret() {
    let setup = RotationTest::new().await;
    let request = LoginRequest::new();
    let (transaction, params) =
        login_until_callback(&setup.kyc, &setup.party, &setup.ada, &request).await;
    let gate = setup.kyc.on(Endpoint::Token).hold();
    let finish = setup.party.oidc().finish(transaction, params);
    let (finished, report) = tokio::join!(finish, async {
        gate.wait_for(1).await;
        let new = setup.rotate(OldSecret::Ends);
        setup.vault.holds(new);
        let (report, ()) = tokio::join!(setup.party.reload_secrets(), async {
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
    // K97: a request with a rejected secret does not consume the refresh token.
    let setup = RotationTest::new().await;
    setup
        .kyc
        .switch(|switches| switches.issue_refresh_tokens = true);
    let signed_in = setup.sign_in().await.unwrap();
    let new = setup.rotate(OldSecret::Ends);
    let _fault = setup.kyc.on(Endpoint::Token).fail(503).once();
    setup.reload(new).await;
    let token = signed_in.tokens.refresh_token.unwrap();
    let oidc = setup.party.oidc();
    oidc.refresh(&token, setup.ada.id()).await.unwrap();
}

#[tokio::test]
async fn a_wrong_secret_never_replaces_the_current_secret() {
    let setup = RotationTest::new().await;
    let wrong = Secrets::new().client_secret("an unknown client secret");
    let report = setup.reload(wrong).await;
    assert_eq!(
        report.client_secret,
        RotationOutcome::Pending(PendingReason::Rejected)
    );
    setup.asked(Endpoint::Token);
    setup.sign_in().await.unwrap();
    assert_eq!(setup.asked(Endpoint::Token), 1);

    // A single rejection of the old secret does not activate the wrong secret.
    for body in [INVALID_CLIENT, "<html>", r#"{"detail":"no such client"}"#] {
        let refused = setup.kyc.on(Endpoint::Token);
        let refused = refused.answer(401, "application/json", body).once();
        let error = setup.sign_in().await.unwrap_err();
        let LoginError::Exchange(ExchangeError::Rejected { code, .. }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(code, "invalid_client");
        refused.assert_hit();
        assert_eq!(setup.asked(Endpoint::Token), 2, "{body}");
        setup.sign_in().await.unwrap();
        assert_eq!(setup.asked(Endpoint::Token), 1);
    }
}

#[tokio::test]
async fn a_rejected_secret_is_activated_once_kycport_accepts_it() {
    let setup = RotationTest::new().await;
    let new = setup.rotate(OldSecret::Stays);
    // The operator deploys the new secret before KYCPort knows this secret.
    let early = setup.kyc.on(Endpoint::Token);
    let early = early.answer(401, "application/json", INVALID_CLIENT).once();
    let report = setup.reload(new).await;
    early.assert_hit();
    assert_eq!(
        report.client_secret,
        RotationOutcome::Pending(PendingReason::Rejected)
    );
    let dead = setup.kyc.on(Endpoint::Token);
    let dead = dead.answer(401, "application/json", INVALID_CLIENT).once();
    setup.sign_in().await.unwrap();
    dead.assert_hit();
    setup.asked(Endpoint::Token);
    setup.sign_in().await.unwrap();
    assert_eq!(setup.asked(Endpoint::Token), 1);
}

#[tokio::test]
async fn only_invalid_client_makes_the_client_try_the_pending_secret() {
    let setup = RotationTest::new().await;
    let new = setup.rotate(OldSecret::Stays);
    let _fault = setup.kyc.on(Endpoint::Token).fail(503).once();
    setup.reload(new).await;
    setup.asked(Endpoint::Token);
    let spent = setup.kyc.on(Endpoint::Token);
    let _spent = spent.answer(400, "application/json", INVALID_GRANT).once();
    setup.sign_in().await.unwrap_err();
    assert_eq!(setup.asked(Endpoint::Token), 1);
}

#[tokio::test]
async fn an_inconclusive_response_does_not_activate_a_secret() {
    let setup = RotationTest::new().await;
    let wrong = Secrets::new().client_secret("an unknown client secret");
    let respond = |status, body: &str| {
        let on = setup.kyc.on(Endpoint::Token);
        on.answer(status, "application/json", body).always()
    };
    for (status, body) in [
        (400, INVALID_GRANT),
        (400, r#"{"error":"invalid_request"}"#),
        (404, "<html>"),
        (200, "{}"),
    ] {
        let fault = respond(status, body);
        let report = setup.reload(wrong.clone()).await;
        assert_eq!(
            report.client_secret,
            RotationOutcome::Pending(PendingReason::Unclear),
            "{body}"
        );
        drop(fault);
    }
    let report = setup.reload(wrong.clone()).await;
    assert_eq!(
        report.client_secret,
        RotationOutcome::Pending(PendingReason::Rejected)
    );
    setup.sign_in().await.unwrap();
    // The client does not repeat the check immediately.
    setup.asked(Endpoint::Token);
    let report = setup.reload(wrong).await;
    assert_eq!(
        report.client_secret,
        RotationOutcome::Pending(PendingReason::Rejected)
    );
    assert_eq!(setup.asked(Endpoint::Token), 0);
}

#[tokio::test]
async fn during_an_outage_the_old_secret_stays_until_a_later_reload() {
    let setup = RotationTest::new().await;
    let new = setup.rotate(OldSecret::Stays);
    setup.kyc.stop().unwrap();
    let report = setup.reload(new.clone()).await;
    assert_eq!(
        report.client_secret,
        RotationOutcome::Pending(PendingReason::Unreachable)
    );
    setup.kyc.restart().unwrap();
    // The back-off after the check has ended.
    setup
        .kyc
        .clock()
        .advance(std::time::Duration::from_secs(60));
    setup.sign_in().await.unwrap();
    assert_eq!(setup.sent().as_deref(), setup.client().secret());
    assert_eq!(
        setup.reload(new).await.client_secret,
        RotationOutcome::Activated
    );
}

#[tokio::test]
async fn reloading_the_current_secret_drops_the_pending_secret() {
    let setup = RotationTest::new().await;
    let old = Secrets::new().client_secret(setup.client().secret().unwrap());
    let new = setup.rotate(OldSecret::Stays);
    let _fault = setup.kyc.on(Endpoint::Token).fail(503).once();
    setup.reload(new).await;
    assert_eq!(
        setup.reload(old).await.client_secret,
        RotationOutcome::Unchanged
    );
    setup.asked(Endpoint::Token);
    let refused = setup.kyc.on(Endpoint::Token);
    let _refused = refused
        .answer(401, "application/json", INVALID_CLIENT)
        .once();
    setup.sign_in().await.unwrap_err();
    assert_eq!(setup.asked(Endpoint::Token), 1);
}
