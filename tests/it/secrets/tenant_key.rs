//! Tests that the app can rotate the tenant API key.

use std::time::Duration;

use futures_util::future::join_all;
use kycport::{
    KycTier, PendingReason, RotationOutcome,
    cases::{CaptureFile, Upload},
    kyc::StatusError,
    mock::{Endpoint, OldSecret, samples},
    secrets::Secrets,
};

use super::RotationTest;

impl RotationTest {
    fn rotate_key(&self, old: OldSecret) -> Secrets {
        Secrets::new().tenant_api_key(self.kyc.tenant().rotate_api_key(old))
    }

    async fn status(&self) -> Result<(), StatusError> {
        self.party.status().status(self.ada.id()).await.map(drop)
    }

    /// Reloads a new key. Its check fails, so the key is pending.
    async fn reload_as_pending(&self, new: Secrets) {
        let fault = self.kyc.on(Endpoint::Status).fail(503).once();
        let report = self.reload(new).await;
        fault.assert_hit();
        assert_eq!(
            report.tenant_api_key,
            RotationOutcome::Pending(PendingReason::Unreachable)
        );
        self.kyc.forget_requests();
    }
}

#[tokio::test]
async fn a_new_key_is_checked_and_activated_while_the_old_key_is_valid() {
    let setup = RotationTest::new().await;
    let new = setup.rotate_key(OldSecret::Stays);
    assert_eq!(
        setup.reload(new.clone()).await.tenant_api_key,
        RotationOutcome::Activated
    );
    // A second rotation invalidates the old key.
    setup.rotate_key(OldSecret::Stays);
    setup.asked(Endpoint::Status);
    setup.status().await.unwrap();
    assert_eq!(setup.asked(Endpoint::Status), 1);
    assert_eq!(
        setup.reload(new).await.tenant_api_key,
        RotationOutcome::Unchanged
    );
    assert_eq!(setup.asked(Endpoint::Status), 0);
}

#[tokio::test]
async fn a_pending_key_is_activated_when_the_old_key_is_rejected() {
    // K97
    let setup = RotationTest::new().await;
    let new = setup.rotate_key(OldSecret::Ends);
    setup.reload_as_pending(new).await;
    let (statuses, case) = tokio::join!(
        join_all((0..8).map(|_| setup.status())),
        setup.party.cases().open(setup.ada.id(), &KycTier::T2),
    );
    assert_eq!(statuses, vec![Ok(()); 8]);
    case.unwrap();
    setup.asked(Endpoint::Status);
    setup.status().await.unwrap();
    assert_eq!(setup.asked(Endpoint::Status), 1, "the new key is in use");
}

#[tokio::test]
async fn an_upload_is_repeated_with_the_new_key() {
    let setup = RotationTest::new().await;
    let cases = setup.party.cases();
    let case = cases.open(setup.ada.id(), &KycTier::T2).await.unwrap();
    let new = setup.rotate_key(OldSecret::Ends);
    setup.reload_as_pending(new).await;
    let upload = Upload::new(
        CaptureFile::bytes(samples::document("ada")),
        CaptureFile::bytes(samples::selfie("ada")),
    );
    let received = cases.upload(&case.id, upload).await.unwrap();
    assert_eq!(received, ["document", "selfie"]);
}

#[tokio::test]
async fn a_wrong_key_never_replaces_the_current_key() {
    let setup = RotationTest::new().await;
    let wrong = Secrets::new().tenant_api_key("an unknown tenant API key");
    let report = setup.reload(wrong).await;
    assert_eq!(
        report.tenant_api_key,
        RotationOutcome::Pending(PendingReason::Rejected)
    );
    let refused = setup.kyc.on(Endpoint::Status).fail(401).once();
    setup.asked(Endpoint::Status);
    let error = setup.status().await.unwrap_err();
    assert!(
        matches!(error, StatusError::Rejected { status: 401, .. }),
        "{error:?}"
    );
    refused.assert_hit();
    assert_eq!(setup.asked(Endpoint::Status), 2);
    setup.status().await.unwrap();
    assert_eq!(setup.asked(Endpoint::Status), 1);
}

#[tokio::test]
async fn a_key_without_permission_is_not_activated() {
    // K47
    let setup = RotationTest::new().await;
    let new = setup.rotate_key(OldSecret::Stays);
    setup.kyc.tenant().revoke_status_right();
    let report = setup.reload(new).await;
    assert_eq!(
        report.tenant_api_key,
        RotationOutcome::Pending(PendingReason::Rejected)
    );
    // The client does not try the pending key after a 403, because a 403 concerns the permission.
    setup.asked(Endpoint::Status);
    setup.status().await.unwrap_err();
    assert_eq!(setup.asked(Endpoint::Status), 1);
}

#[tokio::test]
async fn an_inconclusive_response_does_not_activate_a_key() {
    let setup = RotationTest::new().await;
    let wrong = Secrets::new().tenant_api_key("an unknown tenant API key");
    for status in [404, 400] {
        let _fault = setup.kyc.on(Endpoint::Status).fail(status).always();
        let report = setup.reload(wrong.clone()).await;
        assert_eq!(
            report.tenant_api_key,
            RotationOutcome::Pending(PendingReason::Unclear)
        );
    }
    setup.status().await.unwrap();
}

#[tokio::test]
async fn a_rate_limited_check_does_not_activate_a_key() {
    let setup = RotationTest::new().await;
    let new = setup.rotate_key(OldSecret::Stays);
    let _fault = setup
        .kyc
        .on(Endpoint::Status)
        .fail(429)
        .retry_after(60)
        .once();
    let report = setup.reload(new).await;
    assert_eq!(
        report.tenant_api_key,
        RotationOutcome::Pending(PendingReason::Unreachable)
    );
}

#[tokio::test]
async fn a_rate_limited_check_does_not_pause_status_requests() {
    let pause = Duration::from_millis(1);
    let setup = RotationTest::with(|config| {
        config
            .max_attempts(3)
            .retry_pause(pause)
            .retry_deadline(Duration::from_secs(10))
    })
    .await;
    let new = setup.rotate_key(OldSecret::Stays);
    let on = setup.kyc.on(Endpoint::Status);
    let _fault = on.fail(429).retry_after(3600).once();
    let report = setup.reload(new.clone()).await;
    let pending = RotationOutcome::Pending(PendingReason::Unreachable);
    assert_eq!(report.tenant_api_key, pending);
    assert_eq!(setup.status().await, Ok(()));
    setup.asked(Endpoint::Status);
    // The check of a key respects KYCPort's rate limit.
    assert_eq!(setup.reload(new.clone()).await.tenant_api_key, pending);
    assert_eq!(setup.asked(Endpoint::Status), 0);
    setup.kyc.clock().advance(Duration::from_secs(3600));
    let fault = setup.kyc.on(Endpoint::Status).fail(503).always();
    assert_eq!(setup.reload(new).await.tenant_api_key, pending);
    drop(fault);
    assert_eq!(
        setup.asked(Endpoint::Status),
        1,
        "the check was not sent exactly once"
    );
}

#[tokio::test]
async fn checks_of_a_rejected_key_back_off() {
    let setup = RotationTest::new().await;
    setup.kyc.clock().freeze();
    let wrong = Secrets::new().tenant_api_key("an unknown tenant API key");
    let mut checks = Vec::new();
    for minute in 0..=130 {
        let report = setup.reload(wrong.clone()).await;
        assert_eq!(
            report.tenant_api_key,
            RotationOutcome::Pending(PendingReason::Rejected)
        );
        if setup.asked(Endpoint::Status) > 0 {
            checks.push(minute);
        }
        setup.kyc.clock().advance(Duration::from_secs(60));
    }
    assert_eq!(checks, [0, 1, 3, 7, 15, 31, 63, 123]);
    // The client checks a different key immediately.
    let new = setup.rotate_key(OldSecret::Stays);
    assert_eq!(
        setup.reload(new).await.tenant_api_key,
        RotationOutcome::Activated
    );
}

#[tokio::test]
async fn a_key_added_after_the_start_is_activated() {
    let kyc = kycport::mock::MockIssuer::start().await;
    let key = kyc.tenant().api_key().to_owned();
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    let config = kycport::Config::builder(kyc.client().id(), "http://127.0.0.1:9/auth/callback")
        .issuer(kyc.issuer())
        .discovery_url(kyc.discovery_url())
        .secrets(move || {
            let secrets = Secrets::new().tenant_api_key(key.clone());
            async move { Ok::<_, ()>(secrets) }
        });
    let party = kycport::RelyingParty::new(config.build().unwrap()).unwrap();
    assert!(!party.status().is_configured());
    let report = party.reload_secrets().await.unwrap();
    assert_eq!(report.tenant_api_key, RotationOutcome::Activated);
    assert!(party.status().is_configured());
    party.status().status(ada.id()).await.unwrap();
}
