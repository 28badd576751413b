//! Secrets are replaced (K97).

use kycport::mock::OldSecret;
use serde_json::json;

use crate::{
    admin_desk::AdminDesk,
    support::{Desk, set},
};

#[tokio::test]
async fn a_wrong_secret_spends_no_code() {
    let desk = Desk::new().await;
    let code = desk.code().await;
    let good = desk.exchange(&code);
    let bad = set(good.clone(), "client_secret", "wrong");
    let answer = desk.token(&bad).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.json()["error"], "invalid_client");
    desk.token(&good).await.assert_ok();
}

#[tokio::test]
async fn an_old_client_secret_ends_or_stays() {
    let desk = Desk::new().await;
    let client = desk.kyc.client();
    let with = async |secret: &str| {
        let code = desk.code().await;
        let form = set(desk.exchange(&code), "client_secret", secret);
        desk.token(&form).await.status()
    };
    let old = client.secret().unwrap();
    let second = client.rotate_secret(OldSecret::Stays).unwrap();
    assert_eq!((with(old).await, with(&second).await), (200, 200));
    let third = client.rotate_secret(OldSecret::Ends).unwrap();
    let all = (with(old).await, with(&second).await, with(&third).await);
    assert_eq!(all, (401, 401, 200));
    assert_eq!(
        desk.kyc.public_client().rotate_secret(OldSecret::Ends),
        None
    );
}

#[tokio::test]
async fn both_are_replaced_through_the_admin_api() {
    let desk = AdminDesk::new().await;
    let client = format!("/clients/{}", desk.kyc.client().id());
    let before = desk.get(&client).await["secret"].clone();
    let path = format!("{client}/rotate_secret");
    let after = desk.post(&path, &json!({ "old": "stays" })).await;
    assert_ne!(after["secret"], before);
    assert_eq!(desk.get("").await["client_secret"], after["secret"]);
    let public = format!("/clients/{}/rotate_secret", desk.kyc.public_client().id());
    let no = desk.no("POST", &public, &json!({ "old": "ends" })).await;
    assert_eq!((no.0, no.1.as_str()), (409, "conflict"));
    assert_eq!(
        desk.no("POST", &path, &json!({ "old": "rests" })).await.0,
        400
    );

    let tenant = desk.get("").await["tenant"].clone();
    let name = tenant.as_str().unwrap().replace(' ', "%20");
    let key = desk.get("").await["tenant_api_key"].clone();
    let path = format!("/tenants/{name}/rotate_api_key");
    let after = desk.post(&path, &json!({ "old": "ends" })).await;
    assert_ne!(after["api_key"], key);
    assert_eq!(desk.get("").await["tenant_api_key"], after["api_key"]);
}
