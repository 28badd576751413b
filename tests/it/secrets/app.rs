//! The whole story in an app: people sign in and guards ask while everything is replaced at once.

use futures_util::future::join_all;
use kycport::{
    KycTier, PendingReason, RelyingParty, RotationOutcome,
    mock::{Endpoint, MockIssuer, OldSecret},
    secrets::Secrets,
};

use super::Vault;
use crate::support::tenant_app_of;

#[tokio::test]
async fn nobody_at_the_app_notices_a_rotation() {
    // K97
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    let (vault, mut party) = (Vault::default(), None);
    let own = vault.clone();
    let app = kyc
        .serve(|config| {
            let config = config.secrets(move || {
                let said = own.say();
                async move { said }
            });
            let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
            party = Some(kycport.clone());
            tenant_app_of(&kycport)
        })
        .await
        .unwrap();
    let party = party.unwrap();
    for old in [OldSecret::Stays, OldSecret::Ends, OldSecret::Ends] {
        let new = Secrets::new()
            .client_secret(kyc.client().rotate_secret(old).unwrap())
            .tenant_api_key(kyc.tenant().rotate_api_key(old));
        vault.holds(new);
        // The trial finds nobody at home, so it is people's own requests that must tell.
        let busy = kyc.on(Endpoint::Token).fail(503).once();
        let report = party.reload_secrets().await.unwrap();
        busy.assert_hit();
        let waits = RotationOutcome::Pending(PendingReason::Unreachable);
        assert_eq!(report.client_secret, waits);
        let people = (0..4).map(async |_| {
            let browser = kyc.browser();
            // A guard that asks the status endpoint for this very request.
            let page = browser.sign_in(app.url("/sensitive"), &ada).await.unwrap();
            page.assert_ok();
        });
        let (_, later) = tokio::join!(join_all(people), party.reload_secrets());
        let settled = [RotationOutcome::Activated, RotationOutcome::Unchanged];
        assert!(settled.contains(&later.unwrap().client_secret));
    }
}
