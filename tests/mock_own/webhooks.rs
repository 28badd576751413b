//! Tests that each change of a person emits the correct event. A change creates an event, and the
//! mock retries the delivery until the endpoint accepts it (K60 to K64, K84 to K87).

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kycport::{
    Clock as _, KycStatus, KycTier, Secret, Timestamp,
    cases::Outcome,
    mock::{DeliverySignatures, MockIssuer, Verification, samples},
    webhook::{EventReader, WebhookVerifier},
};
use serde_json::json;

use crate::{
    receiver::{Receiver, WebhookTest, signature},
    support::TestIssuer,
};

const CHANGED: &str = "kyc.status_changed";
const DECIDED: &str = "verification.case.decided";

#[tokio::test]
async fn an_event_matches_the_contract() {
    let setup = WebhookTest::new().await;
    setup
        .kyc
        .clock()
        .jump_to(Timestamp::from_unix_millis(1_700_000_000_123));
    setup.ada.reject();
    setup.hooks.settled().await;
    let got = setup.receiver.take();
    let json = got[0].json();
    let expected = json!({
        "id": json["id"],
        "type": CHANGED,
        "created_at": "2023-11-14T22:13:20.123Z",
        "data": {
            "person_id": setup.ada.id(),
            "kyc_status": "rejected",
            "kyc_tier": "t2",
            "aml_clear": true,
        },
    });
    assert_eq!(json, expected);
    assert!(json["id"].as_str().unwrap().starts_with("evt_"));
    assert_eq!(got[0].header("content-type"), "application/json");
    assert!(got[0].is_signed(&setup.hooks.secret()));
    assert_eq!(got.len(), 1);

    // The SDK parses the event like an event of KYCPort.
    let verifier = WebhookVerifier::builder()
        .secret("mock", Secret::new(setup.hooks.secret()))
        .clock(Arc::new(setup.kyc.clock().clone()))
        .build()
        .unwrap();
    let body = got[0].body.clone().into();
    let verified = verifier.verify(&got[0].headers, body).unwrap();
    let event = EventReader::default().read(&verified).unwrap();
    assert_eq!(event.created_at, setup.kyc.clock().now());
    assert_eq!(event.person_id(), Some(setup.ada.id()));
}

#[tokio::test]
async fn every_change_causes_one_event_in_order() {
    let setup = WebhookTest::new().await;
    setup.ada.reject();
    setup.ada.reject();
    setup.ada.set_name("Ada Byron");
    setup.ada.set_email("ada@example.test");
    setup.ada.set_status(KycStatus::Pending);
    setup.ada.verify(KycTier::T3);
    setup.ada.set_tier(KycTier::T1);
    setup.ada.set_tier(KycTier::T1);
    setup.ada.set_aml_clear(Some(false));
    setup.ada.set_aml_clear(None);
    // The mock queues no event when a test creates a person.
    let bob = setup.kyc.person("bob").status(KycStatus::Rejected);
    bob.create().set_name("Robert");
    setup.hooks.settled().await;
    let got = setup.receiver.take();
    let events: Vec<_> = got.iter().map(|it| it.summary(&setup.hooks)).collect();
    let expected = [
        "rejected t2",
        "pending t2",
        "verified t3",
        "verified t1",
        "verified t1",
        "verified t1",
    ];
    assert_eq!(events, expected.map(|it| format!("{CHANGED} {it}")));
    assert_eq!(got[4].json()["data"]["aml_clear"], false);
    assert!(got[5].json()["data"].get("aml_clear").is_none());
    let deliveries = setup.hooks.deliveries();
    deliveries.assert_count(6).assert_delivered();
    assert_eq!(deliveries.about(setup.ada.id()).count(), 6);
}

#[tokio::test]
async fn an_expiry_causes_one_event_at_its_time() {
    let setup = WebhookTest::new().await;
    setup.ada.expires_in(Duration::from_secs(60));
    assert!(setup.events().await.is_empty());
    setup.advance(59).await;
    assert!(setup.events().await.is_empty());
    setup.advance(1).await;
    setup.advance(1).await;
    assert_eq!(setup.events().await, [format!("{CHANGED} expired t2")]);
    // The mock applies the expiry before the next change, even if no request arrives between the
    // expiry and the change.
    setup.ada.verify(KycTier::T2);
    setup.ada.expires_in(Duration::from_secs(60));
    setup.kyc.clock().advance(Duration::from_secs(60));
    setup.ada.reject();
    let expected = ["verified t2", "expired t2", "rejected t2"];
    assert_eq!(
        setup.events().await,
        expected.map(|it| format!("{CHANGED} {it}"))
    );
}

#[tokio::test]
async fn a_verification_on_the_page_causes_an_event_for_its_tenant() {
    for (verification, events) in [
        (Verification::Pass, vec!["verified t2"]),
        (Verification::Fail, vec!["rejected t1"]),
        (Verification::Pending, vec!["pending t1"]),
        (Verification::Skip, vec![]),
    ] {
        let issuer = TestIssuer::new().await;
        let receiver = Receiver::start().await;
        issuer.kyc.webhooks().subscribe(receiver.url());
        // Only another tenant sees Eve before she signs in.
        let eve = issuer.kyc.person("eve").tier(KycTier::T1);
        let eve = eve.only_for(issuer.kyc.other_tenant()).create();
        let request = crate::support::and(issuer.request(), "acr_values", "t2");
        let login = issuer.authorize_url(&request);
        let browser = &issuer.browser;
        browser
            .start_sign_in_verifying(login, &eve, verification)
            .await
            .unwrap();
        issuer.kyc.webhooks().settled().await;
        let got = receiver.take();
        let hooks = issuer.kyc.webhooks();
        let lines: Vec<_> = got.iter().map(|it| it.summary(&hooks)).collect();
        let events: Vec<_> = events.iter().map(|it| format!("{CHANGED} {it}")).collect();
        assert_eq!(lines, events, "{verification:?}");
    }
}

/// Opens a case for this person and uploads files, over plain HTTP.
async fn case(kyc: &MockIssuer, person_id: &str, document: Vec<u8>) -> String {
    let cases = format!("{}/api/v1/verification/cases/", kyc.origin());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let key = kyc.tenant().api_key();
    let body = json!({ "person_id": person_id, "level": "t2" });
    let opened = client.post(&cases).bearer_auth(key).body(body.to_string());
    let opened = opened
        .header("content-type", "application/json")
        .send()
        .await
        .unwrap();
    let opened: serde_json::Value = serde_json::from_str(&opened.text().await.unwrap()).unwrap();
    let id = opened["id"].as_str().unwrap().to_owned();
    let part = |bytes: Vec<u8>| {
        let part = reqwest::multipart::Part::bytes(bytes).file_name("f.png");
        part.mime_str("image/png").unwrap()
    };
    let form = reqwest::multipart::Form::new()
        .part("document", part(document))
        .part("selfie", part(samples::selfie(person_id)));
    let upload = client.post(format!("{cases}{id}/upload/")).bearer_auth(key);
    assert!(
        upload
            .multipart(form)
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
    let decide = client.post(format!("{cases}{id}/decide/")).bearer_auth(key);
    assert!(decide.send().await.unwrap().status().is_success());
    id
}

#[tokio::test]
async fn a_decision_event_reaches_one_tenant_and_a_status_event_all_tenants() {
    let setup = WebhookTest::new().await;
    let (other, elsewhere) = (setup.kyc.other_tenant().webhooks(), Receiver::start().await);
    other.subscribe(elsewhere.url());
    let events = async || {
        other.settled().await;
        let got = elsewhere.take();
        got.iter().map(|it| it.summary(&other)).collect::<Vec<_>>()
    };

    // The engine approves the case. The status does not change, because Ada is already verified at
    // t2.
    let id = case(&setup.kyc, setup.ada.id(), samples::document("ada")).await;
    setup.hooks.settled().await;
    let got = setup.receiver.take();
    assert_eq!(
        got[0].summary(&setup.hooks),
        format!("{DECIDED} verified t2")
    );
    assert_eq!(got[0].json()["data"]["case_id"], *id);
    assert_eq!(got.len(), 1);
    assert!(events().await.is_empty());

    // The engine rejects the case. The mock sends the event of the decision before the event of the
    // changed status.
    let document = samples::document_that_is(&Outcome::Rejected, "ada");
    case(&setup.kyc, setup.ada.id(), document).await;
    let changed = format!("{CHANGED} rejected t2");
    let expected = [format!("{DECIDED} rejected t2"), changed.clone()];
    assert_eq!(setup.events().await, expected);
    assert_eq!(events().await, [changed]);

    // A case under review has no decision until the reviewer decides the case.
    let document = samples::document_that_is(&Outcome::Review, "ada");
    let id = case(&setup.kyc, setup.ada.id(), document).await;
    assert_eq!(setup.events().await, [format!("{CHANGED} pending t2")]);
    setup.kyc.cases().review(&id, &Outcome::Approved).unwrap();
    let changed = format!("{CHANGED} verified t2");
    assert_eq!(
        setup.events().await,
        [format!("{DECIDED} verified t2"), changed.clone()]
    );
    assert_eq!(events().await, [format!("{CHANGED} pending t2"), changed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_waits_for_the_decision_and_its_status_change() {
    let setup = WebhookTest::new().await;
    for round in 0..10 {
        let bob = setup.kyc.person(&format!("bob{round}"));
        let bob = bob.status(KycStatus::Unverified).create();
        let document = samples::document_that_is(&Outcome::Review, bob.slug());
        let (cases, id) = (setup.kyc.cases(), bob.id().to_owned());
        let reviewer = std::thread::spawn(move || {
            // The reviewer rejects the case immediately after the case has changed to `review`.
            let is_rejected = |case: &str| cases.review(case, &Outcome::Rejected).is_ok();
            let of_bob = || cases.all().into_iter().find(|case| case.person_id == id);
            (0..10_000_000).any(|_| of_bob().is_some_and(|case| is_rejected(&case.id)))
        });
        case(&setup.kyc, bob.id(), document).await;
        assert!(reviewer.join().unwrap());
        assert_eq!(bob.status(), KycStatus::Rejected);
    }
}

#[tokio::test]
async fn tenants_get_events_of_visible_persons_with_their_own_secret() {
    let setup = WebhookTest::new().await;
    let (other, elsewhere) = (setup.kyc.other_tenant().webhooks(), Receiver::start().await);
    other.subscribe(elsewhere.url());
    assert_ne!(setup.hooks.secret(), other.secret());
    let bob = setup.kyc.person("bob").only_for(setup.kyc.other_tenant());
    bob.create().reject();
    setup.ada.reject();
    other.settled().await;
    let got = elsewhere.take();
    assert!(got.iter().all(|it| it.is_signed(&other.secret())));
    assert_eq!(got.len(), 2);
    let events = setup.events().await;
    assert_eq!(events.len(), 1);
    // Each tenant has a separate list of deliveries.
    setup.hooks.deliveries().assert_count(1);
    other.deliveries().assert_count(2);
    other.forget_deliveries();
    other.deliveries().assert_count(0);
    setup.hooks.deliveries().assert_count(1);
}

#[tokio::test]
async fn an_endpoint_gets_its_event_types_while_it_is_active() {
    let setup = WebhookTest::new().await;
    let (cases, late) = (Receiver::start().await, Receiver::start().await);
    setup
        .hooks
        .subscribe_to(&["verification.case.decided"], cases.url());
    setup.ada.reject();
    case(&setup.kyc, setup.ada.id(), samples::document("ada")).await;
    let endpoint = setup.hooks.subscribe(late.url());
    setup.ada.set_tier(KycTier::T1);
    endpoint.pause();
    setup.ada.set_tier(KycTier::T3);
    setup.hooks.settled().await;
    let types = |receiver: &Receiver| {
        let got = receiver.take();
        got.iter()
            .map(|it| it.summary(&setup.hooks))
            .collect::<Vec<_>>()
    };
    assert_eq!(types(&cases), ["verification.case.decided verified t2"]);
    assert!(types(&late).len() <= 1, "it was paused");
    assert_eq!(setup.events().await.len(), 5);
    endpoint.resume();
    setup.hooks.settled().await;
    assert_eq!(
        types(&late).last().unwrap(),
        &format!("{CHANGED} verified t3")
    );
    endpoint.unsubscribe();
    setup.ada.reject();
    setup.hooks.settled().await;
    assert!(types(&late).is_empty());
    assert_eq!(setup.hooks.pending(), 0);
}

// K61, K63, K80, K81
#[tokio::test]
async fn assumed_formats_can_be_switched() {
    let setup = WebhookTest::new().await;
    setup.kyc.switch(|it| {
        it.webhook_flat_body = true;
        it.webhook_unix_time = true;
        it.tier_as_number = true;
        it.webhook_header = "x-webhook-signature".to_owned();
        it.webhook_prefix = false;
    });
    setup.ada.reject();
    setup.hooks.settled().await;
    let got = setup.receiver.take();
    let json = got[0].json();
    assert_eq!(json["kyc_status"], "rejected");
    assert_eq!(json["kyc_tier"], 2);
    assert_eq!(json["person_id"], setup.ada.id());
    assert_eq!(json["created_at"], setup.kyc.clock().now().as_unix());
    assert!(json.get("data").is_none());
    let signature = signature(&setup.hooks.secret(), &got[0].body);
    let digits = signature.strip_prefix("sha256=").unwrap();
    assert_eq!(got[0].header("x-webhook-signature"), digits);
    assert!(got[0].headers.get("x-kycport-signature").is_none());
}

// case 133
#[tokio::test]
async fn during_a_rotation_both_secrets_sign() {
    let setup = WebhookTest::new().await;
    let old = setup.hooks.secret();
    let new = setup.hooks.rotate_secret();
    assert_ne!(old, new);
    assert_eq!(setup.hooks.secret(), new);
    for how in [
        DeliverySignatures::BothInOneHeader,
        DeliverySignatures::BothInTwoHeaders,
        DeliverySignatures::Current,
    ] {
        setup.kyc.switch(|it| it.webhook_signatures = how);
        setup.ada.set_tier(KycTier::T1);
        setup.ada.set_tier(KycTier::T2);
        setup.hooks.settled().await;
        for got in setup.receiver.take() {
            let of = |secret: &str| signature(secret, &got.body);
            let values: Vec<_> = got.headers.get_all("x-kycport-signature").iter().collect();
            match how {
                DeliverySignatures::BothInOneHeader => {
                    assert_eq!(values, [&format!("{}, {}", of(&new), of(&old))]);
                }
                DeliverySignatures::BothInTwoHeaders => assert_eq!(values, [&of(&new), &of(&old)]),
                _ => assert_eq!(values, [&of(&new)]),
            }
        }
    }
    setup.hooks.deliveries().assert_count(6);
}

#[tokio::test]
async fn the_configuration_of_an_app_contains_the_webhook_secret() {
    let kyc = MockIssuer::start().await;
    let back = "http://127.0.0.1:3000/auth/callback";
    let config = kyc.config(back).build().unwrap();
    let secret = config.webhook_secret().unwrap().expose();
    assert_eq!(secret, kyc.webhooks().secret());
    let variables = kyc.environment(back);
    let variable = ("KYCPORT_WEBHOOK_SECRET", kyc.webhooks().secret());
    assert!(variables.contains(&variable));
    let other = kyc.config_for(kyc.public_client(), back).build().unwrap();
    let secret = other.webhook_secret().unwrap().expose();
    assert_eq!(secret, kyc.other_tenant().webhooks().secret());
    assert_ne!(
        kyc.webhooks().secret(),
        MockIssuer::start().await.webhooks().secret()
    );
}

#[tokio::test]
async fn any_event_can_be_sent_manually() {
    let setup = WebhookTest::new().await;
    let data = json!({ "person_id": setup.ada.id(), "of": "later" });
    let id = setup.hooks.emit("wallet.opened", data.clone());
    setup.hooks.manual(b"\xff".to_vec()).send();
    setup
        .hooks
        .manual("[]")
        .signed()
        .header("content-type", "text/plain")
        .send();
    setup.receiver.answer(&[204, 500, 500]);
    setup.hooks.settled().await;
    let got = setup.receiver.take();
    assert_eq!(got[0].id(&setup.hooks), id);
    assert_eq!(
        (&got[0].json()["type"], &got[0].json()["data"]),
        (&json!("wallet.opened"), &data)
    );
    assert_eq!(got[1].body, b"\xff");
    assert!(got[1].headers.get("x-kycport-signature").is_none());
    assert_eq!(got[2].header("content-type"), "text/plain");
    assert!(got[2].is_signed(&setup.hooks.secret()));
    // The mock sends a manual delivery once.
    assert_eq!(setup.hooks.pending(), 0);
    let deliveries = setup.hooks.deliveries();
    assert_eq!(deliveries.of_type("wallet.opened").count(), 1);
    // `repeat` delivers an old event again.
    setup.hooks.repeat(deliveries.iter().next().unwrap());
    setup.hooks.settled().await;
    assert_eq!(setup.receiver.take()[0].body, got[0].body);
}

/// A receiver that verifies the signature over reserialised JSON rejects the delivery, as with
/// KYCPort.
#[tokio::test]
async fn the_body_has_the_json_format_of_django() {
    let setup = WebhookTest::new().await;
    let data = json!({ "name": "Zoë 𝄞", "all": [1, 2] });
    setup.hooks.emit("kyc.other", data.clone());
    setup.hooks.settled().await;
    let got = setup.receiver.got().pop().unwrap();
    let body = String::from_utf8(got.body.clone()).unwrap();
    let part = r#""data": {"all": [1, 2], "name": "Zo\u00eb \ud834\udd1e"}"#;
    assert!(body.contains(part), "{body}");
    assert_eq!(got.json()["data"], data);
    assert!(got.is_signed(&setup.hooks.secret()));
    assert_ne!(got.json().to_string(), body);

    setup.kyc.switch(|it| it.webhook_compact_json = true);
    setup.hooks.emit("kyc.other", data);
    setup.hooks.settled().await;
    let got = setup.receiver.got().pop().unwrap();
    assert_eq!(got.json().to_string().as_bytes(), got.body);
    assert!(got.is_signed(&setup.hooks.secret()));
}

/// Standard Webhooks 1.0: The signed timestamp is the time of the attempt, and the signed ID is the
/// event ID.
#[tokio::test]
async fn a_delivery_is_signed_by_standard_webhooks_if_switched_on() {
    let setup = WebhookTest::new().await;
    let plain = setup.hooks.secret();
    setup.kyc.switch(|it| {
        it.webhook_standard_signature = true;
        it.webhook_signatures = DeliverySignatures::BothInOneHeader;
    });
    let old = setup.hooks.secret();
    assert_eq!(old, format!("whsec_{}", STANDARD.encode(&plain)));
    assert!(
        setup
            .kyc
            .environment("http://127.0.0.1/")
            .contains(&("KYCPORT_WEBHOOK_SECRET", old.clone()))
    );
    let new = setup.hooks.rotate_secret();
    assert!(new.starts_with("whsec_") && new != old);
    setup.receiver.answer(&[500]);
    setup.ada.reject();
    setup.hooks.settled().await;
    setup.kyc.clock().advance(Duration::from_secs(10));
    setup.hooks.settled().await;
    let got = setup.receiver.take();
    let header = |place: usize, name: &str| got[place].header(name).to_owned();
    assert_eq!(got.len(), 2);
    assert_eq!(header(0, "webhook-id"), header(1, "webhook-id"));
    assert_eq!(header(0, "webhook-id"), got[0].json()["id"]);
    assert_ne!(
        header(0, "webhook-timestamp"),
        header(1, "webhook-timestamp")
    );
    for got in &got {
        assert!(got.headers.get("x-kycport-signature").is_none());
        // Sign the delivery with the library `standardwebhooks`, whose authors wrote the
        // specification.
        let signed = [&new, &old].map(|secret| {
            let signer = standardwebhooks::Webhook::new(secret).unwrap();
            let time = got.header("webhook-timestamp").parse().unwrap();
            let id = got.header("webhook-id");
            signer.sign(id, time, &got.body).unwrap()
        });
        assert_eq!(got.header("webhook-signature"), signed.join(" "));
    }
}
