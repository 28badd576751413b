//! Test that logs, errors and debug output of a secret rotation contain no secret.

use kycport::{
    mock::{Endpoint, OldSecret},
    secrets::Secrets,
};

use super::{CANARY, RotationTest};
use crate::{direct::sign_in, leaks::Log};

#[tokio::test]
async fn logs_errors_and_debug_output_contain_no_secret() {
    // Covers threat cases 137, 138.
    let (log, _guard) = Log::capture();
    let setup = RotationTest::new().await;
    let wrong = "canary-of-a-wrong-client-secret";
    let broken = "canary-of-a-broken-key\n";
    let hook = "canary-of-a-webhook-secret";
    let old = setup.kyc.client().secret().unwrap().to_owned();
    let old_key = setup.kyc.tenant().api_key().to_owned();
    let old_hook = setup.kyc.webhooks().secret();
    let mut shown = vec![format!("{:?}{:?}", setup.party, setup.party.config())];

    setup.vault.fails();
    let error = setup.party.reload_secrets().await.unwrap_err();
    shown.push(format!("{error} {error:?}"));
    setup.vault.holds(Secrets::new().tenant_api_key(broken));
    let error = setup.party.reload_secrets().await.unwrap_err();
    shown.push(format!("{error} {error:?}"));
    let report = setup.reload(Secrets::new().client_secret(wrong)).await;
    shown.push(format!("{report:?}"));
    let new = setup.kyc.client().rotate_secret(OldSecret::Ends).unwrap();
    let new_key = setup.kyc.tenant().rotate_api_key(OldSecret::Ends);
    let all = Secrets::new()
        .client_secret(&new)
        .tenant_api_key(&new_key)
        .webhook_secret(hook);
    shown.push(format!("{all:?}"));
    let fault = setup.kyc.on(Endpoint::Token).fail(503).once();
    shown.push(format!("{:?}", setup.reload(all).await));
    drop(fault);
    sign_in(&setup.kyc, &setup.party, &setup.ada).await.unwrap();
    setup.party.remove_previous_webhook_secrets();
    shown.push(format!("{:?}", setup.party));
    shown.push(format!("{:?}", setup.party.webhook_verifier()));
    let verifier = setup.party.webhook_verifier().build().unwrap();
    shown.push(format!("{verifier:?}"));

    let log = log.text();
    for expected in [
        "KYCPORT_CLIENT_SECRET",
        "KYCPORT_TENANT_API_KEY",
        "KYCPORT_WEBHOOK_SECRET",
        "rejected",
        "unreachable",
        "it is in use now",
        "were removed",
        "reloading the secrets failed",
    ] {
        assert!(log.contains(expected), "{expected} is not in {log}");
    }
    shown.push(log);
    let secrets = [
        wrong,
        broken.trim(),
        hook,
        &old,
        &old_key,
        &old_hook,
        &new,
        &new_key,
        CANARY,
    ];
    for text in shown {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}
