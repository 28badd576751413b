//! Tests that the receiver and the mock support Standard Webhooks signatures.

use std::time::Duration;

use axum::Router;
use kycport::{
    KycTier, RelyingParty,
    mock::{DeliverySignatures, DeliveryTamper, MockIssuer},
    webhook::SignatureScheme,
};

use crate::test_handler::TestHandler;

#[tokio::test]
async fn deliveries_by_standard_webhooks_reach_the_handler_once() {
    let kyc = MockIssuer::builder().switch(|it| it.webhook_standard_signature = true);
    let kyc = kyc.start().await.unwrap();
    let handler = TestHandler::default();
    let own = handler.clone();
    let app = |config: kycport::ConfigBuilder| {
        let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
        let verifier = kycport.webhook_verifier();
        let verifier = verifier.scheme(SignatureScheme::StandardWebhooks);
        let receiver = kycport
            .webhooks(move |delivery| own.clone().handle(delivery))
            .verifier(verifier.build().unwrap());
        Router::new()
            .route_service("/webhooks/kycport", receiver.build().unwrap())
            .layer(kycport.session_layer())
    };
    let app = kyc.serve(app).await.unwrap();
    let hooks = kyc.webhooks();
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    hooks.subscribe(app.url("/webhooks/kycport"));

    ada.reject();
    hooks.settled().await;
    hooks.deliveries().assert_delivered().assert_count(1);
    let id = hooks.deliveries().last().unwrap().event_id().to_owned();
    assert_eq!(handler.effects(), [id.as_str()]);
    // A redelivery has a new signature and the same ID. The event therefore takes effect only once.
    hooks.repeat(hooks.deliveries().last().unwrap());
    hooks.settled().await;
    assert_eq!(hooks.deliveries().last().unwrap().status(), Some(200));
    assert_eq!(handler.effects(), [id.as_str()]);

    // After a rotation, KYCPort signs each delivery with the new secret and with the old secret.
    hooks.rotate_secret();
    kyc.switch(|it| it.webhook_signatures = DeliverySignatures::BothInOneHeader);
    ada.verify(KycTier::T2);
    hooks.settled().await;
    assert_eq!(hooks.deliveries().last().unwrap().status(), Some(200));
    assert_eq!(handler.effects().len(), 2);

    // The receiver rejects every forged delivery and every delivery with KYCPort's default
    // signature.
    for &tamper in DeliveryTamper::FORGED {
        let fault = hooks.tamper(tamper).once();
        ada.set_tier(KycTier::T1);
        ada.set_tier(KycTier::T2);
        hooks.settled().await;
        let bent = fault.hits();
        assert_eq!(bent, 1, "{tamper:?}");
        let refused = hooks.deliveries();
        let refused = refused.iter().filter(|it| it.status() != Some(200));
        assert_eq!(refused.count(), 1, "{tamper:?}");
        hooks.forget_deliveries();
        kyc.clock().advance(Duration::from_secs(10));
        hooks.settled().await;
        assert_eq!(hooks.deliveries().last().unwrap().status(), Some(200));
        hooks.forget_deliveries();
    }
    kyc.switch(|it| it.webhook_standard_signature = false);
    ada.reject();
    hooks.settled().await;
    assert_eq!(hooks.deliveries().last().unwrap().status(), Some(401));
}
