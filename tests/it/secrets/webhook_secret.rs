//! The webhook secret is replaced: old and new are believed, until the new one is proven and longer.

use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::HeaderMap;
use kycport::{
    PendingReason, RelyingParty, RotationOutcome, Secret,
    mock::MockIssuer,
    secrets::Secrets,
    webhook::{
        SignatureError, SignatureScheme, VerifierError, WebhookVerifier, sign_test_delivery,
    },
};

use super::{Stage, Vault};
use crate::desk::Desk;

const OLD: &str = "the webhook secret of old";
const NEW: &str = "the webhook secret that is new";
const NEWER: &str = "the webhook secret after that";

const HOUR: Duration = Duration::from_secs(3600);

async fn stage() -> (Stage, WebhookVerifier) {
    let stage = Stage::with(|config| config.webhook_secret(OLD)).await;
    stage.kyc.clock().freeze();
    let verifier = stage.party.webhook_verifier().build().unwrap();
    (stage, verifier)
}

const NOBODY: &str = "nobody";

/// By which secret a delivery that this one signed is believed.
fn by(verifier: &WebhookVerifier, secret: &str) -> String {
    let body = Bytes::from_static(b"{}");
    let headers = HeaderMap::from_iter([sign_test_delivery(&Secret::new(secret), &body)]);
    match verifier.verify(&headers, body) {
        Ok(verified) => verified.secret_name().to_owned(),
        Err(refused) => {
            assert_eq!(refused, SignatureError::Mismatch);
            NOBODY.to_owned()
        }
    }
}

#[tokio::test]
async fn before_the_proof_both_are_believed_however_long_it_takes() {
    let (stage, verifier) = stage().await;
    assert_eq!(by(&verifier, NEW), NOBODY);
    let report = stage.reload(Secrets::new().webhook_secret(NEW)).await;
    assert_eq!(
        report.webhook_secret,
        RotationOutcome::Pending(PendingReason::NoDelivery)
    );
    // No reload could prove it.
    assert!(report.is_settled());
    stage.kyc.clock().advance(1000 * HOUR);
    assert_eq!(by(&verifier, OLD), "previous");
    assert_eq!(verifier.secret_names(), ["current", "previous"]);
    let again = stage.reload(Secrets::new().webhook_secret(NEW)).await;
    assert_eq!(
        again.webhook_secret,
        RotationOutcome::Pending(PendingReason::NoDelivery)
    );
}

#[tokio::test]
async fn after_the_proof_the_old_one_is_believed_for_as_long_as_kycport_may_send_it() {
    // K83
    let (stage, verifier) = stage().await;
    stage.reload(Secrets::new().webhook_secret(NEW)).await;
    assert_eq!(by(&verifier, NEW), "current");
    let report = stage.reload(Secrets::new().webhook_secret(NEW)).await;
    assert_eq!(report.webhook_secret, RotationOutcome::Unchanged);
    stage
        .kyc
        .clock()
        .advance(95 * HOUR + Duration::from_secs(3599));
    assert_eq!(by(&verifier, OLD), "previous");
    // A further delivery does not put it off.
    assert_eq!(by(&verifier, NEW), "current");
    stage.kyc.clock().advance(Duration::from_secs(1));
    assert_eq!(by(&verifier, OLD), NOBODY);
    assert_eq!(verifier.secret_names(), ["current"]);
    assert_eq!(by(&verifier, NEW), "current");
}

#[tokio::test]
async fn what_is_signed_with_the_old_one_proves_nothing() {
    let (stage, verifier) = stage().await;
    stage.reload(Secrets::new().webhook_secret(NEW)).await;
    assert_eq!(by(&verifier, OLD), "previous");
    stage.kyc.clock().advance(97 * HOUR);
    assert_eq!(by(&verifier, OLD), "previous");
}

#[tokio::test]
async fn a_further_one_does_not_keep_what_is_leaving() {
    let (stage, verifier) = stage().await;
    stage.reload(Secrets::new().webhook_secret(NEW)).await;
    assert_eq!(by(&verifier, NEW), "current");
    stage.kyc.clock().advance(95 * HOUR);
    stage.reload(Secrets::new().webhook_secret(NEWER)).await;
    assert_eq!(by(&verifier, OLD), "previous-2");
    stage.kyc.clock().advance(HOUR);
    assert_eq!(by(&verifier, OLD), NOBODY);
    assert_eq!(by(&verifier, NEW), "previous");
}

#[tokio::test]
async fn a_previous_one_is_believed_for_as_long_as_it_is_named() {
    let (stage, verifier) = stage().await;
    let both = Secrets::new()
        .webhook_secret(NEW)
        .previous_webhook_secret(OLD);
    stage.reload(both.clone()).await;
    assert_eq!(by(&verifier, NEW), "current");
    stage.kyc.clock().advance(1000 * HOUR);
    assert_eq!(by(&verifier, OLD), "previous");
    // Left out, it stays; replaced, it leaves.
    stage.reload(Secrets::new().webhook_secret(NEW)).await;
    stage.kyc.clock().advance(1000 * HOUR);
    assert_eq!(by(&verifier, OLD), "previous");
    let other = Secrets::new()
        .webhook_secret(NEW)
        .previous_webhook_secret(NEWER);
    stage.reload(other).await;
    assert_eq!(by(&verifier, OLD), "previous-2");
    stage.kyc.clock().advance(96 * HOUR);
    assert_eq!(by(&verifier, OLD), NOBODY);
    assert_eq!(by(&verifier, NEWER), "previous");
}

#[tokio::test]
async fn a_leaked_one_is_forgotten_at_once_and_for_good() {
    let (stage, verifier) = stage().await;
    let both = Secrets::new()
        .webhook_secret(NEW)
        .previous_webhook_secret(OLD);
    stage.reload(both.clone()).await;
    assert_eq!(by(&verifier, OLD), "previous");
    assert_eq!(stage.party.remove_previous_webhook_secrets(), 1);
    assert_eq!(by(&verifier, OLD), NOBODY);
    // The vault may name it still.
    stage.reload(both).await;
    assert_eq!(by(&verifier, OLD), NOBODY);
    let back = stage.reload(Secrets::new().webhook_secret(OLD)).await;
    assert_eq!(
        back.webhook_secret,
        RotationOutcome::Pending(PendingReason::Forgotten)
    );
    assert_eq!(by(&verifier, OLD), NOBODY);
    assert_eq!(by(&verifier, NEW), "current");
    assert_eq!(stage.party.remove_previous_webhook_secrets(), 0);
    assert_eq!(by(&verifier, NEW), "current");
}

#[tokio::test]
async fn no_more_than_eight_are_believed() {
    let (stage, verifier) = stage().await;
    let new = |n| format!("{NEW} {n}");
    let reload = async |n| stage.reload(Secrets::new().webhook_secret(new(n))).await;
    for n in 1..=20 {
        reload(n).await;
    }
    assert_eq!(verifier.secret_names().len(), 8);
    // What works stays, for KYCPort has signed with none of the others.
    assert_eq!(by(&verifier, OLD), "previous-7");
    assert_eq!(by(&verifier, &new(13)), NOBODY);
    // One that is not the newest, and has signed, stays as well.
    assert_eq!(by(&verifier, &new(14)), "previous-6");
    for n in 21..=40 {
        reload(n).await;
    }
    assert_eq!(by(&verifier, OLD), "previous-7");
    assert_eq!(by(&verifier, &new(14)), "previous-6");
    assert_eq!(by(&verifier, &new(34)), NOBODY);
    // What is over makes room before what is not proven.
    assert_eq!(by(&verifier, &new(40)), "current");
    stage.kyc.clock().advance(96 * HOUR);
    assert_eq!(verifier.secret_names(), ["current"]);
    for n in 41..=48 {
        reload(n).await;
    }
    assert_eq!(by(&verifier, &new(40)), "previous-7");
    assert_eq!(by(&verifier, &new(42)), "previous-6");
    assert_eq!(by(&verifier, &new(41)), NOBODY);
}

#[tokio::test]
async fn what_works_still_does_when_it_comes_back() {
    let (stage, verifier) = stage().await;
    let back = stage.reload(Secrets::new().webhook_secret(NEW)).await;
    assert_eq!(
        back.webhook_secret,
        RotationOutcome::Pending(PendingReason::NoDelivery)
    );
    stage.reload(Secrets::new().webhook_secret(OLD)).await;
    for n in 1..=20 {
        let secret = format!("{NEWER} {n}");
        stage.reload(Secrets::new().webhook_secret(secret)).await;
    }
    assert_eq!(by(&verifier, OLD), "previous-7");
    assert_eq!(by(&verifier, NEW), NOBODY);
}

#[tokio::test]
async fn of_those_that_have_all_signed_the_oldest_goes() {
    let (stage, verifier) = stage().await;
    for n in 1..=8 {
        let secret = format!("{NEW} {n}");
        let both = Secrets::new().webhook_secret(&secret);
        stage.reload(both.previous_webhook_secret(NEWER)).await;
        assert_eq!(by(&verifier, &secret), "current");
    }
    // The one that is named stays, though it has signed nothing.
    assert_eq!(by(&verifier, NEWER), "previous");
    assert_eq!(by(&verifier, OLD), NOBODY);
    assert_eq!(by(&verifier, &format!("{NEW} 2")), "previous-7");
}

#[tokio::test]
async fn one_that_the_scheme_cannot_use_leaves_the_others() {
    let stage =
        Stage::with(|config| config.webhook_secret("whsec_b2xkIG9sZCBvbGQgb2xkIG9sZA==")).await;
    let verifier = stage.party.webhook_verifier();
    let verifier = verifier.scheme(SignatureScheme::StandardWebhooks);
    let verifier = verifier.build().unwrap();
    stage
        .reload(Secrets::new().webhook_secret("this is no base64, is it?"))
        .await;
    assert_eq!(verifier.secret_names(), ["previous"]);
}

#[test]
fn without_one_there_is_no_verifier() {
    let config = kycport::Config::builder("client", "https://app.example.test/auth/callback");
    let party = RelyingParty::new(config.build().unwrap()).unwrap();
    let none = party.webhook_verifier().build();
    assert_eq!(none.unwrap_err(), VerifierError::NoSecret);
}

#[tokio::test]
async fn a_receiver_goes_on_while_kycport_rotates() {
    let kyc = MockIssuer::start().await;
    let (desk, vault) = (Desk::default(), Vault::default());
    let (own_desk, own_vault) = (desk.clone(), vault.clone());
    let mut party = None;
    let app = kyc
        .serve(|config| {
            let config = config.secrets(move || {
                let said = own_vault.say();
                async move { said }
            });
            let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
            let webhooks = kycport.webhooks(move |delivery| own_desk.clone().handle(delivery));
            party = Some(kycport.clone());
            Router::new().route_service("/webhooks/kycport", webhooks.build().unwrap())
        })
        .await
        .unwrap();
    let (party, hooks) = (party.unwrap(), kyc.webhooks());
    hooks.subscribe(app.url("/webhooks/kycport"));
    let ada = kyc.person("ada").create();
    ada.reject();
    hooks.settled().await;

    // Deployed before KYCPort signs with it: the old one is believed on.
    let new = hooks.rotate_secret();
    vault.holds(Secrets::new().webhook_secret(new));
    party.reload_secrets().await.unwrap();
    ada.verify(kycport::KycTier::T2);
    hooks.settled().await;
    let names: Vec<_> = desk
        .begun()
        .into_iter()
        .map(|seen| seen.secret_name)
        .collect();
    assert_eq!(names, ["current", "current"]);
    assert_eq!(party.remove_previous_webhook_secrets(), 1);
    ada.reject();
    hooks.settled().await;
    assert_eq!(desk.effects().len(), 3);
}
