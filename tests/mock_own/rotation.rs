//! Tests that the mock can rotate client secrets and API keys (K97).

use kycport::mock::OldSecret;
use serde_json::json;

use crate::{
    admin_desk::AdminClient,
    support::{TestIssuer, set},
};

#[tokio::test]
async fn a_wrong_secret_does_not_redeem_the_code() {
    let issuer = TestIssuer::new().await;
    let code = issuer.code().await;
    let good = issuer.exchange(&code);
    let bad = set(good.clone(), "client_secret", "wrong");
    let answer = issuer.token(&bad).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.json()["error"], "invalid_client");
    issuer.token(&good).await.assert_ok();
}

#[tokio::test]
async fn an_old_client_secret_is_revoked_or_kept() {
    let issuer = TestIssuer::new().await;
    let client = issuer.kyc.client();
    let with = async |secret: &str| {
        let code = issuer.code().await;
        let form = set(issuer.exchange(&code), "client_secret", secret);
        issuer.token(&form).await.status()
    };
    let old = client.secret().unwrap();
    let second = client.rotate_secret(OldSecret::Stays).unwrap();
    assert_eq!((with(old).await, with(&second).await), (200, 200));
    let third = client.rotate_secret(OldSecret::Ends).unwrap();
    let all = (with(old).await, with(&second).await, with(&third).await);
    assert_eq!(all, (401, 401, 200));
    assert_eq!(
        issuer.kyc.public_client().rotate_secret(OldSecret::Ends),
        None
    );
}

#[tokio::test]
async fn secrets_and_keys_are_rotated_through_the_admin_api() {
    let admin = AdminClient::new().await;
    let client = format!("/clients/{}", admin.kyc.client().id());
    let before = admin.get(&client).await["secret"].clone();
    let path = format!("{client}/rotate_secret");
    let after = admin.post(&path, &json!({ "old": "stays" })).await;
    assert_ne!(after["secret"], before);
    assert_eq!(admin.get("").await["client_secret"], after["secret"]);
    let public = format!("/clients/{}/rotate_secret", admin.kyc.public_client().id());
    let error = admin
        .rejection("POST", &public, &json!({ "old": "ends" }))
        .await;
    assert_eq!((error.0, error.1.as_str()), (409, "conflict"));
    assert_eq!(
        admin
            .rejection("POST", &path, &json!({ "old": "unknown" }))
            .await
            .0,
        400
    );

    let tenant = admin.get("").await["tenant"].clone();
    let name = tenant.as_str().unwrap().replace(' ', "%20");
    let key = admin.get("").await["tenant_api_key"].clone();
    let path = format!("/tenants/{name}/rotate_api_key");
    let after = admin.post(&path, &json!({ "old": "ends" })).await;
    assert_ne!(after["api_key"], key);
    assert_eq!(admin.get("").await["tenant_api_key"], after["api_key"]);
}
