//! Tests that the mock can imitate undocumented behaviour that tenants observed at KYCPort. The
//! mock has a switch for each behaviour.

use std::{sync::Arc, time::Duration};

use http::Method;
use kycport::{
    Clock as _, KycStatus, KycTier, RelyingParty, Secret,
    mock::{MockIssuer, Switches},
    oidc::{AcrRequirement, CallbackParams, LoginRequest, Prompt},
    webhook::{EventFieldPaths, EventReader, WebhookVerifier},
};
use serde_json::Value;

use crate::{
    receiver::WebhookTest,
    support::{BACK, TestIssuer, and, payload, query},
};

// K19
#[tokio::test]
async fn a_verification_can_end_on_a_page_without_a_link_to_the_app() {
    let issuer = TestIssuer::new().await;
    issuer.kyc.switch(|it| it.strand_after_verification = true);
    let grace = issuer.kyc.person("grace").tier(KycTier::T1).create();
    let status = format!("{}/status", issuer.kyc.origin());
    let step_up = issuer.authorize_url(&and(issuer.request(), "acr_values", "t2"));
    let verify = async |how: &str| {
        let form = [
            ("person", "grace"),
            ("decision", "allow"),
            ("verification", how),
        ];
        let visit = issuer.browser.request(Method::POST, step_up.as_str());
        let page = visit.form(&form).stay().send().await.unwrap();
        page.location().unwrap()
    };
    for (how, stands) in [
        ("fail", KycStatus::Rejected),
        ("pending", KycStatus::Pending),
        ("pass", KycStatus::Verified),
    ] {
        assert_eq!(verify(how).await.as_str(), status, "{how}");
        assert_eq!(grace.status(), stands);
    }
    let page = issuer.browser.open(&status).await.unwrap();
    page.assert_status(200);
    assert!(!page.body().contains("<a ") && !page.body().contains("<form"));
    // The person sends the request again. The person is still signed in, and the mock redirects the
    // browser to the app.
    let again = issuer.authorize_url(&and(issuer.request(), "prompt", "consent"));
    let page = issuer.browser.open(&again).await.unwrap();
    assert!(page.body().contains("<h1>Continue to "), "{}", page.body());
    let callback = issuer.browser.start_sign_in(&again, &grace).await.unwrap();
    assert!(query(&callback, "code").is_some());

    // The hosted page also ends at `/status`. After a skipped verification, the mock redirects the
    // browser to the tenant.
    let client = issuer.kyc.client().id();
    let hosted = format!("{}/verify", issuer.kyc.origin());
    let hosted =
        url::Url::parse_with_params(&hosted, [("client_id", client), ("redirect_uri", BACK)]);
    for (how, to) in [("pass", status.as_str()), ("skip", BACK)] {
        let visit = issuer
            .browser
            .request(Method::POST, hosted.clone().unwrap());
        let page = visit.form(&[("verification", how)]).stay().send().await;
        assert_eq!(page.unwrap().location().unwrap().as_str(), to);
    }
    issuer.kyc.switch(|it| it.strand_after_verification = false);
    issuer
        .browser
        .open(&status)
        .await
        .unwrap()
        .assert_status(404);
}

// K35
#[tokio::test]
async fn userinfo_can_wrap_the_claims_in_a_member() {
    let issuer = TestIssuer::new().await;
    let tokens = issuer.tokens().await.json();
    let token = tokens["access_token"].as_str().unwrap();
    let plain = issuer.userinfo(token).await.json();
    for wrapper in ["user", "profile", "data"] {
        issuer
            .kyc
            .switch(|it| it.userinfo_wrapper = Some(wrapper.to_owned()));
        let told = issuer.userinfo(token).await.json();
        assert_eq!(told, serde_json::json!({ wrapper: plain }));
    }
}

// K14
#[tokio::test]
async fn an_authorization_request_can_return_a_redirect_uri_mismatch() {
    let issuer = TestIssuer::new().await;
    issuer.kyc.switch(|it| it.reject_redirect_uri = true);
    let page = issuer
        .browser
        .open(issuer.authorize_url(&issuer.request()))
        .await
        .unwrap();
    let back = page.location().unwrap();
    assert!(back.as_str().starts_with(BACK));
    let error = query(&back, "error");
    assert_eq!(error.as_deref(), Some("redirect_uri_mismatch"));
    assert!(query(&back, "state").is_some() && query(&back, "code").is_none());
}

// K31
#[tokio::test]
async fn the_time_of_the_verification_can_be_sent() {
    let issuer = TestIssuer::new().await;
    let kyc = &issuer.kyc;
    kyc.clock().freeze();
    let eve = kyc.person("eve").status(KycStatus::Unverified).create();
    let told = || kyc.mint().id_token(&eve, kyc.client(), "nonce").sign();
    let claim = || payload(&told())["verified_at"].clone();
    eve.verify(KycTier::T1);
    assert_eq!(claim(), Value::Null);
    kyc.switch(|it| it.verified_at = true);
    let first = kyc.clock().now();
    assert_eq!(claim(), first.to_string());
    // Only a verification changes the time.
    kyc.clock().advance(Duration::from_secs(60));
    eve.set_aml_clear(Some(false));
    assert_eq!(claim(), first.to_string());
    eve.verify(KycTier::T2);
    assert_eq!(claim(), kyc.clock().now().to_string());
    eve.reject();
    assert_eq!(claim(), Value::Null);
}

// K63
#[tokio::test]
async fn an_event_can_contain_the_person_id_in_another_member() {
    let webhooks = WebhookTest::new().await;
    let verifier = WebhookVerifier::builder()
        .secret("mock", Secret::new(webhooks.hooks.secret()))
        .clock(Arc::new(webhooks.kyc.clock().clone()))
        .build()
        .unwrap();
    webhooks
        .kyc
        .switch(|it| it.webhook_person_member = "address".to_owned());
    for (is_flat, pointer) in [(false, "/data/address"), (true, "/address")] {
        webhooks.kyc.switch(|it| it.webhook_flat_body = is_flat);
        webhooks.ada.set_tier(KycTier::T1);
        webhooks.hooks.settled().await;
        webhooks.ada.set_tier(KycTier::T2);
        webhooks.hooks.settled().await;
        let got = webhooks.receiver.take().pop().unwrap();
        let verified = verifier.verify(&got.headers, got.body.into()).unwrap();
        let mut pointers = EventFieldPaths::default();
        pointers.person_id = vec![pointer.to_owned()];
        let reader = EventReader::new(pointers).unwrap();
        let event = reader.read(&verified).unwrap();
        assert_eq!(event.person_id(), Some(webhooks.ada.id()));
        assert!(EventReader::default().read(&verified).is_err());
    }
}

// K18, K19
#[tokio::test]
async fn a_person_verifies_and_signs_in_with_the_observed_switches() {
    let kyc = MockIssuer::builder().switch(Switches::as_observed);
    let kyc = kyc.start().await.unwrap();
    kyc.client().register_redirect_uri(BACK).unwrap();
    let eve = kyc.person("eve").status(KycStatus::Unverified).create();
    let app = RelyingParty::new(kyc.config(BACK).build().unwrap()).unwrap();
    let browser = kyc.browser();
    let asks = || LoginRequest::new().tier(KycTier::T2, AcrRequirement::Voluntary);
    let (url, _) = app.oidc().begin(&asks()).await.unwrap();
    let form = [
        ("person", "eve"),
        ("decision", "allow"),
        ("verification", "pass"),
    ];
    let visit = browser.request(Method::POST, url);
    let page = visit.form(&form).send().await.unwrap();
    assert_eq!(page.url().path(), "/status");
    // The app sends a second authorization request, as tenants do.
    let (url, pending) = app
        .oidc()
        .begin(&asks().prompt(Prompt::Consent))
        .await
        .unwrap();
    let callback = browser.start_sign_in(url, &eve).await.unwrap();
    let params = CallbackParams::parse(callback.query().unwrap()).unwrap();
    let signed_in = app.oidc().finish(pending, params).await.unwrap();
    assert_eq!(signed_in.claims.kyc_status, Some(KycStatus::Verified));
    assert_eq!(signed_in.claims.kyc_tier, Some(KycTier::T2));
}
