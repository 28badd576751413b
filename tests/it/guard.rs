//! The requirement on a route, through the running app.

use kycport::mock::Endpoint;

use crate::support::stage;

#[tokio::test]
async fn who_is_verified_far_enough_passes_without_a_question() {
    let (kyc, app, ada) = stage().await;
    let browser = kyc.browser();

    let page = browser.sign_in(app.url("/guarded"), &ada).await.unwrap();

    assert_eq!(page.assert_ok().json()["kyc_tier"], "t2");
    assert_eq!(page.json()["source"], "id_token");
    kyc.requests(Endpoint::Status).assert_count(0);
}

#[tokio::test]
async fn a_sensitive_action_asks_at_this_very_moment() {
    let (kyc, app, ada) = stage().await;
    let browser = kyc.browser();
    browser
        .sign_in(app.url("/sensitive"), &ada)
        .await
        .unwrap()
        .assert_ok();
    kyc.requests(Endpoint::Status).assert_count(1);

    ada.reject();

    let answer = browser.fetch(app.url("/sensitive")).await.unwrap();
    answer.assert_status(401);
    assert_eq!(answer.json()["code"], "rejected");
    kyc.requests(Endpoint::Status).assert_count(2);
    // What one route has learnt is felt on the other.
    browser
        .fetch(app.url("/guarded"))
        .await
        .unwrap()
        .assert_status(401);
}
