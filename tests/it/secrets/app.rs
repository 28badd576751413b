//! Test that rotates all secrets while people sign in and guards request the status.

use futures_util::future::join_all;
use kycport::{
    KycTier, PendingReason, RelyingParty, RotationOutcome,
    mock::{Endpoint, MockIssuer, OldSecret},
    secrets::Secrets,
};

use super::Vault;
use crate::support::tenant_app_of;

#[tokio::test]
async fn a_rotation_fails_no_login_and_no_guarded_request() {
    // K97
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    let (vault, mut party) = (Vault::default(), None);
    let own = vault.clone();
    let app = kyc
        .serve(|config| {
            let config = config.secrets(move || {
                let secrets = own.read();
                async move { secrets }
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
        // The check of the new secret fails, so the app must detect the rotation with its first
        // real requests.
        let busy = kyc.on(Endpoint::Token).fail(503).once();
        let report = party.reload_secrets().await.unwrap();
        busy.assert_hit();
        let pending = RotationOutcome::Pending(PendingReason::Unreachable);
        assert_eq!(report.client_secret, pending);
        let people = (0..4).map(async |_| {
            let browser = kyc.browser();
            // The guard of this route requests the status on every request.
            let page = browser.sign_in(app.url("/sensitive"), &ada).await.unwrap();
            page.assert_ok();
        });
        let (_, later) = tokio::join!(join_all(people), party.reload_secrets());
        let settled = [RotationOutcome::Activated, RotationOutcome::Unchanged];
        assert!(settled.contains(&later.unwrap().client_secret));
    }
}
