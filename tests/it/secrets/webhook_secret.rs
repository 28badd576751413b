//! Tests that the app can rotate the webhook secret. The receiver accepts old and new secrets until
//! the new secret has signed a delivery, and for a further period.

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

use super::{RotationTest, Vault};
use crate::test_handler::TestHandler;

const OLD: &str = "the old webhook secret";
const NEW: &str = "the new webhook secret";
const NEWER: &str = "the newest webhook secret";

const HOUR: Duration = Duration::from_secs(3600);

async fn setup() -> (RotationTest, WebhookVerifier) {
    let setup = RotationTest::with(|config| config.webhook_secret(OLD)).await;
    setup.kyc.clock().freeze();
    let verifier = setup.party.webhook_verifier().build().unwrap();
    (setup, verifier)
}

const NO_SECRET: &str = "no secret";

/// Returns the name of the secret that verifies a delivery signed with `secret`.
fn verified_by(verifier: &WebhookVerifier, secret: &str) -> String {
    let body = Bytes::from_static(b"{}");
    let headers = HeaderMap::from_iter([sign_test_delivery(&Secret::new(secret), &body)]);
    match verifier.verify(&headers, body) {
        Ok(verified) => verified.secret_name().to_owned(),
        Err(refused) => {
            assert_eq!(refused, SignatureError::Mismatch);
            NO_SECRET.to_owned()
        }
    }
}

#[tokio::test]
async fn old_and_new_secrets_are_accepted_until_the_new_secret_signs() {
    let (setup, verifier) = setup().await;
    assert_eq!(verified_by(&verifier, NEW), NO_SECRET);
    let report = setup.reload(Secrets::new().webhook_secret(NEW)).await;
    assert_eq!(
        report.webhook_secret,
        RotationOutcome::Pending(PendingReason::NoDelivery)
    );
    // A reload cannot confirm a webhook secret.
    assert!(report.is_settled());
    setup.kyc.clock().advance(1000 * HOUR);
    assert_eq!(verified_by(&verifier, OLD), "previous");
    assert_eq!(verifier.secret_names(), ["current", "previous"]);
    let again = setup.reload(Secrets::new().webhook_secret(NEW)).await;
    assert_eq!(
        again.webhook_secret,
        RotationOutcome::Pending(PendingReason::NoDelivery)
    );
}

#[tokio::test]
async fn the_old_secret_is_accepted_for_96_hours_after_the_new_secret_signs() {
    // K83
    let (setup, verifier) = setup().await;
    setup.reload(Secrets::new().webhook_secret(NEW)).await;
    assert_eq!(verified_by(&verifier, NEW), "current");
    let report = setup.reload(Secrets::new().webhook_secret(NEW)).await;
    assert_eq!(report.webhook_secret, RotationOutcome::Unchanged);
    setup
        .kyc
        .clock()
        .advance(95 * HOUR + Duration::from_secs(3599));
    assert_eq!(verified_by(&verifier, OLD), "previous");
    // A further delivery does not extend the period.
    assert_eq!(verified_by(&verifier, NEW), "current");
    setup.kyc.clock().advance(Duration::from_secs(1));
    assert_eq!(verified_by(&verifier, OLD), NO_SECRET);
    assert_eq!(verifier.secret_names(), ["current"]);
    assert_eq!(verified_by(&verifier, NEW), "current");
}

#[tokio::test]
async fn a_delivery_signed_with_the_old_secret_starts_no_removal() {
    let (setup, verifier) = setup().await;
    setup.reload(Secrets::new().webhook_secret(NEW)).await;
    assert_eq!(verified_by(&verifier, OLD), "previous");
    setup.kyc.clock().advance(97 * HOUR);
    assert_eq!(verified_by(&verifier, OLD), "previous");
}

#[tokio::test]
async fn a_further_rotation_does_not_extend_the_old_secrets_period() {
    let (setup, verifier) = setup().await;
    setup.reload(Secrets::new().webhook_secret(NEW)).await;
    assert_eq!(verified_by(&verifier, NEW), "current");
    setup.kyc.clock().advance(95 * HOUR);
    setup.reload(Secrets::new().webhook_secret(NEWER)).await;
    assert_eq!(verified_by(&verifier, OLD), "previous-2");
    setup.kyc.clock().advance(HOUR);
    assert_eq!(verified_by(&verifier, OLD), NO_SECRET);
    assert_eq!(verified_by(&verifier, NEW), "previous");
}

#[tokio::test]
async fn a_configured_previous_secret_is_accepted_without_time_limit() {
    let (setup, verifier) = setup().await;
    let both = Secrets::new()
        .webhook_secret(NEW)
        .previous_webhook_secret(OLD);
    setup.reload(both.clone()).await;
    assert_eq!(verified_by(&verifier, NEW), "current");
    setup.kyc.clock().advance(1000 * HOUR);
    assert_eq!(verified_by(&verifier, OLD), "previous");
    // A reload without a previous secret keeps the previous secret. After a reload with another
    // previous secret, the receiver accepts the old secret for 96 more hours.
    setup.reload(Secrets::new().webhook_secret(NEW)).await;
    setup.kyc.clock().advance(1000 * HOUR);
    assert_eq!(verified_by(&verifier, OLD), "previous");
    let other = Secrets::new()
        .webhook_secret(NEW)
        .previous_webhook_secret(NEWER);
    setup.reload(other).await;
    assert_eq!(verified_by(&verifier, OLD), "previous-2");
    setup.kyc.clock().advance(96 * HOUR);
    assert_eq!(verified_by(&verifier, OLD), NO_SECRET);
    assert_eq!(verified_by(&verifier, NEWER), "previous");
}

#[tokio::test]
async fn a_removed_previous_secret_is_rejected_immediately_and_permanently() {
    let (setup, verifier) = setup().await;
    let both = Secrets::new()
        .webhook_secret(NEW)
        .previous_webhook_secret(OLD);
    setup.reload(both.clone()).await;
    assert_eq!(verified_by(&verifier, OLD), "previous");
    assert_eq!(setup.party.remove_previous_webhook_secrets(), 1);
    assert_eq!(verified_by(&verifier, OLD), NO_SECRET);
    // A removed secret stays rejected even if the vault still contains it.
    setup.reload(both).await;
    assert_eq!(verified_by(&verifier, OLD), NO_SECRET);
    let back = setup.reload(Secrets::new().webhook_secret(OLD)).await;
    assert_eq!(
        back.webhook_secret,
        RotationOutcome::Pending(PendingReason::Removed)
    );
    assert_eq!(verified_by(&verifier, OLD), NO_SECRET);
    assert_eq!(verified_by(&verifier, NEW), "current");
    assert_eq!(setup.party.remove_previous_webhook_secrets(), 0);
    assert_eq!(verified_by(&verifier, NEW), "current");
}

#[tokio::test]
async fn at_most_eight_secrets_are_accepted() {
    let (setup, verifier) = setup().await;
    let new = |n| format!("{NEW} {n}");
    let reload = async |n| setup.reload(Secrets::new().webhook_secret(new(n))).await;
    for n in 1..=20 {
        reload(n).await;
    }
    assert_eq!(verifier.secret_names().len(), 8);
    // The receiver keeps a secret that has signed deliveries. The newer secrets have signed no
    // delivery.
    assert_eq!(verified_by(&verifier, OLD), "previous-7");
    assert_eq!(verified_by(&verifier, &new(13)), NO_SECRET);
    // A secret that is not the newest secret signs a delivery here, so the receiver also keeps this
    // secret.
    assert_eq!(verified_by(&verifier, &new(14)), "previous-6");
    for n in 21..=40 {
        reload(n).await;
    }
    assert_eq!(verified_by(&verifier, OLD), "previous-7");
    assert_eq!(verified_by(&verifier, &new(14)), "previous-6");
    assert_eq!(verified_by(&verifier, &new(34)), NO_SECRET);
    // The receiver evicts expired secrets first. If no secret has expired, the receiver evicts the
    // oldest secret that has signed no delivery.
    assert_eq!(verified_by(&verifier, &new(40)), "current");
    setup.kyc.clock().advance(96 * HOUR);
    assert_eq!(verifier.secret_names(), ["current"]);
    for n in 41..=48 {
        reload(n).await;
    }
    assert_eq!(verified_by(&verifier, &new(40)), "previous-7");
    assert_eq!(verified_by(&verifier, &new(42)), "previous-6");
    assert_eq!(verified_by(&verifier, &new(41)), NO_SECRET);
}

#[tokio::test]
async fn returning_to_a_secret_that_has_signed_keeps_it_accepted() {
    let (setup, verifier) = setup().await;
    let back = setup.reload(Secrets::new().webhook_secret(NEW)).await;
    assert_eq!(
        back.webhook_secret,
        RotationOutcome::Pending(PendingReason::NoDelivery)
    );
    setup.reload(Secrets::new().webhook_secret(OLD)).await;
    for n in 1..=20 {
        let secret = format!("{NEWER} {n}");
        setup.reload(Secrets::new().webhook_secret(secret)).await;
    }
    assert_eq!(verified_by(&verifier, OLD), "previous-7");
    assert_eq!(verified_by(&verifier, NEW), NO_SECRET);
}

#[tokio::test]
async fn among_secrets_that_have_signed_the_oldest_is_evicted() {
    let (setup, verifier) = setup().await;
    for n in 1..=8 {
        let secret = format!("{NEW} {n}");
        let both = Secrets::new().webhook_secret(&secret);
        setup.reload(both.previous_webhook_secret(NEWER)).await;
        assert_eq!(verified_by(&verifier, &secret), "current");
    }
    // The receiver keeps the configured previous secret, although this secret has signed no
    // delivery.
    assert_eq!(verified_by(&verifier, NEWER), "previous");
    assert_eq!(verified_by(&verifier, OLD), NO_SECRET);
    assert_eq!(verified_by(&verifier, &format!("{NEW} 2")), "previous-7");
}

#[tokio::test]
async fn a_secret_invalid_for_the_scheme_does_not_replace_other_secrets() {
    let setup =
        RotationTest::with(|config| config.webhook_secret("whsec_b2xkIG9sZCBvbGQgb2xkIG9sZA=="))
            .await;
    let verifier = setup.party.webhook_verifier();
    let verifier = verifier.scheme(SignatureScheme::StandardWebhooks);
    let verifier = verifier.build().unwrap();
    setup
        .reload(Secrets::new().webhook_secret("this is no base64, is it?"))
        .await;
    assert_eq!(verifier.secret_names(), ["previous"]);
}

#[test]
fn a_verifier_without_a_secret_is_an_error() {
    let config = kycport::Config::builder("client", "https://app.example.test/auth/callback");
    let party = RelyingParty::new(config.build().unwrap()).unwrap();
    let none = party.webhook_verifier().build();
    assert_eq!(none.unwrap_err(), VerifierError::NoSecret);
}

#[tokio::test]
async fn a_receiver_accepts_deliveries_during_a_rotation() {
    let kyc = MockIssuer::start().await;
    let (handler, vault) = (TestHandler::default(), Vault::default());
    let (own_handler, own_vault) = (handler.clone(), vault.clone());
    let mut party = None;
    let app = kyc
        .serve(|config| {
            let config = config.secrets(move || {
                let secrets = own_vault.read();
                async move { secrets }
            });
            let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
            let webhooks = kycport.webhooks(move |delivery| own_handler.clone().handle(delivery));
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

    // The operator deploys the new secret before KYCPort signs with this secret. The receiver still
    // accepts the old secret.
    let new = hooks.rotate_secret();
    vault.holds(Secrets::new().webhook_secret(new));
    party.reload_secrets().await.unwrap();
    ada.verify(kycport::KycTier::T2);
    hooks.settled().await;
    let names: Vec<_> = handler
        .begun()
        .into_iter()
        .map(|seen| seen.secret_name)
        .collect();
    assert_eq!(names, ["current", "current"]);
    assert_eq!(party.remove_previous_webhook_secrets(), 1);
    ada.reject();
    hooks.settled().await;
    assert_eq!(handler.effects().len(), 3);
}
