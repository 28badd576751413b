//! Tests that the app survives failures of a secrets provider and concurrent reloads.

use futures_util::poll;
use kycport::{
    RotationError, RotationOutcome,
    mock::{Endpoint, OldSecret},
    secrets::{InvalidSecret, SecretKind, Secrets, SecretsUnavailable},
};

use super::RotationTest;
use crate::direct::{relying_party, sign_in};

#[tokio::test]
async fn a_reload_without_a_provider_is_an_error() {
    let kyc = kycport::mock::MockIssuer::start().await;
    let error = relying_party(&kyc).reload_secrets().await.unwrap_err();
    assert_eq!(error, RotationError::NoProvider);
}

#[tokio::test]
async fn a_failing_provider_changes_no_secret() {
    let setup = RotationTest::new().await;
    setup.vault.fails();
    let error = setup.party.reload_secrets().await.unwrap_err();
    assert_eq!(error, RotationError::Provider(SecretsUnavailable::Failed));
    sign_in(&setup.kyc, &setup.party, &setup.ada).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hanging_provider_times_out_for_every_waiting_reload() {
    let config = kycport::Config::builder("client", "https://app.example.test/auth/callback")
        .secrets(std::future::pending::<Result<Secrets, ()>>);
    let party = kycport::RelyingParty::new(config.build().unwrap()).unwrap();
    let (first, second) = tokio::join!(party.reload_secrets(), party.reload_secrets());
    let late = Err(RotationError::Provider(SecretsUnavailable::Late));
    assert_eq!((first, second), (late.clone(), late));
}

#[tokio::test]
async fn one_invalid_secret_prevents_the_whole_rotation() {
    let setup = RotationTest::new().await;
    let new = setup.kyc.client().rotate_secret(OldSecret::Stays).unwrap();
    let good = Secrets::new().client_secret(new);
    let flaws = [
        ("", InvalidSecret::Blank),
        (" \n", InvalidSecret::Blank),
        ("the key\n", InvalidSecret::WhiteSpace),
        (" the key", InvalidSecret::WhiteSpace),
        ("the\nkey", InvalidSecret::ControlCharacter),
        ("\"the key\"", InvalidSecret::Quoted),
        ("TENANT_KEY=the key", InvalidSecret::Assignment),
    ];
    for (text, problem) in flaws {
        setup.vault.holds(good.clone().tenant_api_key(text));
        let error = setup.party.reload_secrets().await.unwrap_err();
        let kind = SecretKind::TenantApiKey;
        assert_eq!(
            error,
            RotationError::InvalidSecret { kind, problem },
            "{text:?}"
        );
    }
    for (kind, secrets) in [
        (
            SecretKind::WebhookSecret,
            good.clone().webhook_secret("fifteen bytes.."),
        ),
        (
            SecretKind::PreviousWebhookSecret,
            good.clone().previous_webhook_secret("short"),
        ),
    ] {
        setup.vault.holds(secrets);
        let error = setup.party.reload_secrets().await.unwrap_err();
        let problem = InvalidSecret::Short;
        assert_eq!(error, RotationError::InvalidSecret { kind, problem });
    }
    assert_eq!(setup.asked(Endpoint::Token), 0);
    assert_eq!(
        setup.reload(good).await.client_secret,
        RotationOutcome::Activated
    );
}

#[tokio::test]
async fn concurrent_reloads_run_one_after_the_other() {
    let setup = RotationTest::new().await;
    let rotate = || setup.kyc.client().rotate_secret(OldSecret::Stays).unwrap();
    let (new, newer) = (rotate(), rotate());
    setup.vault.holds(Secrets::new().client_secret(new));
    let gate = setup.kyc.on(Endpoint::Token).hold();
    let (first, second) = tokio::join!(setup.party.reload_secrets(), async {
        gate.wait_for(1).await;
        setup
            .vault
            .holds(Secrets::new().client_secret(newer.clone()));
        let mut second = Box::pin(setup.party.reload_secrets());
        assert!(poll!(&mut second).is_pending());
        assert_eq!(setup.vault.asked(), 1, "the second reload started early");
        gate.release();
        second.await
    });
    assert_eq!(first.unwrap().client_secret, RotationOutcome::Activated);
    assert_eq!(second.unwrap().client_secret, RotationOutcome::Activated);
    sign_in(&setup.kyc, &setup.party, &setup.ada).await.unwrap();
    let requests = setup.kyc.requests(Endpoint::Token);
    let last = requests.last().unwrap();
    assert_eq!(last.form("client_secret"), Some(newer.as_str()));
}

#[tokio::test]
async fn a_cancelled_reload_does_not_block_the_next() {
    let setup = RotationTest::new().await;
    let new = setup.kyc.client().rotate_secret(OldSecret::Stays).unwrap();
    setup.vault.holds(Secrets::new().client_secret(new));
    let gate = setup.kyc.on(Endpoint::Token).hold();
    tokio::select! {
        biased;
        () = gate.wait_for(1) => {}
        _ = setup.party.reload_secrets() => panic!("the reload completed although the gate is closed"),
    }
    gate.release();
    let report = setup.party.reload_secrets().await.unwrap();
    assert_eq!(report.client_secret, RotationOutcome::Activated);
}
