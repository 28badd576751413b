//! Events come of what happens, and are delivered until they are taken (K60 to K64, K84 to K87).

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
    receiver::{Post, Receiver, signature},
    support::Desk,
};

const CHANGED: &str = "kyc.status_changed";
const DECIDED: &str = "verification.case.decided";

#[tokio::test]
async fn an_event_looks_as_the_contract_says() {
    let post = Post::new().await;
    post.kyc
        .clock()
        .jump_to(Timestamp::from_unix_millis(1_700_000_000_123));
    post.ada.reject();
    post.hooks.settled().await;
    let got = post.receiver.take();
    let json = got[0].json();
    let expected = json!({
        "id": json["id"],
        "type": CHANGED,
        "created_at": "2023-11-14T22:13:20.123Z",
        "data": {
            "person_id": post.ada.id(),
            "kyc_status": "rejected",
            "kyc_tier": "t2",
            "aml_clear": true,
        },
    });
    assert_eq!(json, expected);
    assert!(json["id"].as_str().unwrap().starts_with("evt_"));
    assert_eq!(got[0].header("content-type"), "application/json");
    assert!(got[0].is_signed(&post.hooks.secret()));
    assert_eq!(got.len(), 1);

    // The SDK reads it as it reads KYCPort's.
    let verifier = WebhookVerifier::builder()
        .secret("mock", Secret::new(post.hooks.secret()))
        .clock(Arc::new(post.kyc.clock().clone()))
        .build()
        .unwrap();
    let body = got[0].body.clone().into();
    let verified = verifier.verify(&got[0].headers, body).unwrap();
    let event = EventReader::default().read(&verified).unwrap();
    assert_eq!(event.created_at, post.kyc.clock().now());
    assert_eq!(event.person_id(), Some(post.ada.id()));
}

#[tokio::test]
async fn what_changes_is_told_in_its_order_and_what_does_not_is_not() {
    let post = Post::new().await;
    post.ada.reject();
    post.ada.reject();
    post.ada.set_name("Ada Byron");
    post.ada.set_email("ada@example.test");
    post.ada.set_status(KycStatus::Pending);
    post.ada.verify(KycTier::T3);
    post.ada.set_tier(KycTier::T1);
    post.ada.set_tier(KycTier::T1);
    post.ada.set_aml_clear(Some(false));
    post.ada.set_aml_clear(None);
    // To be created is nothing that happened to a person.
    let bob = post.kyc.person("bob").status(KycStatus::Rejected);
    bob.create().set_name("Robert");
    post.hooks.settled().await;
    let got = post.receiver.take();
    let told: Vec<_> = got.iter().map(|it| it.told(&post.hooks)).collect();
    let expected = [
        "rejected t2",
        "pending t2",
        "verified t3",
        "verified t1",
        "verified t1",
        "verified t1",
    ];
    assert_eq!(told, expected.map(|it| format!("{CHANGED} {it}")));
    assert_eq!(got[4].json()["data"]["aml_clear"], false);
    assert!(got[5].json()["data"].get("aml_clear").is_none());
    let deliveries = post.hooks.deliveries();
    deliveries.assert_count(6).assert_delivered();
    assert_eq!(deliveries.about(post.ada.id()).count(), 6);
}

#[tokio::test]
async fn an_expiry_is_told_once_when_the_clock_gets_there() {
    let post = Post::new().await;
    post.ada.expires_in(Duration::from_secs(60));
    assert!(post.told().await.is_empty());
    post.advance(59).await;
    assert!(post.told().await.is_empty());
    post.advance(1).await;
    post.advance(1).await;
    assert_eq!(post.told().await, [format!("{CHANGED} expired t2")]);
    // Nobody looked, and the next change comes after it all the same.
    post.ada.verify(KycTier::T2);
    post.ada.expires_in(Duration::from_secs(60));
    post.kyc.clock().advance(Duration::from_secs(60));
    post.ada.reject();
    let expected = ["verified t2", "expired t2", "rejected t2"];
    assert_eq!(
        post.told().await,
        expected.map(|it| format!("{CHANGED} {it}"))
    );
}

#[tokio::test]
async fn whoever_verifies_on_the_page_is_told_of_to_the_tenant_that_sent_them() {
    for (verification, told) in [
        (Verification::Pass, vec!["verified t2"]),
        (Verification::Fail, vec!["rejected t1"]),
        (Verification::Pending, vec!["pending t1"]),
        (Verification::Skip, vec![]),
    ] {
        let desk = Desk::new().await;
        let receiver = Receiver::start().await;
        desk.kyc.webhooks().subscribe(receiver.url());
        // Nobody but another tenant sees her until she signs in.
        let eve = desk.kyc.person("eve").tier(KycTier::T1);
        let eve = eve.only_for(desk.kyc.other_tenant()).create();
        let request = crate::support::and(desk.request(), "acr_values", "t2");
        let login = desk.authorize_url(&request);
        let browser = &desk.browser;
        browser
            .start_sign_in_verifying(login, &eve, verification)
            .await
            .unwrap();
        desk.kyc.webhooks().settled().await;
        let got = receiver.take();
        let hooks = desk.kyc.webhooks();
        let lines: Vec<_> = got.iter().map(|it| it.told(&hooks)).collect();
        let told: Vec<_> = told.iter().map(|it| format!("{CHANGED} {it}")).collect();
        assert_eq!(lines, told, "{verification:?}");
    }
}

/// A case of this person's, opened and uploaded to by hand.
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
async fn a_decision_is_told_to_its_tenant_and_what_it_does_to_all() {
    let post = Post::new().await;
    let (other, elsewhere) = (post.kyc.other_tenant().webhooks(), Receiver::start().await);
    other.subscribe(elsewhere.url());
    let told = async || {
        other.settled().await;
        let got = elsewhere.take();
        got.iter().map(|it| it.told(&other)).collect::<Vec<_>>()
    };

    // Approved, and nothing changes: she was verified to t2.
    let id = case(&post.kyc, post.ada.id(), samples::document("ada")).await;
    post.hooks.settled().await;
    let got = post.receiver.take();
    assert_eq!(got[0].told(&post.hooks), format!("{DECIDED} verified t2"));
    assert_eq!(got[0].json()["data"]["case_id"], *id);
    assert_eq!(got.len(), 1);
    assert!(told().await.is_empty());

    // Rejected: the decision, then what it does.
    let document = samples::document_that_is(&Outcome::Rejected, "ada");
    case(&post.kyc, post.ada.id(), document).await;
    let changed = format!("{CHANGED} rejected t2");
    let expected = [format!("{DECIDED} rejected t2"), changed.clone()];
    assert_eq!(post.told().await, expected);
    assert_eq!(told().await, [changed]);

    // A review decides nothing until the reviewer does.
    let document = samples::document_that_is(&Outcome::Review, "ada");
    let id = case(&post.kyc, post.ada.id(), document).await;
    assert_eq!(post.told().await, [format!("{CHANGED} pending t2")]);
    post.kyc.cases().review(&id, &Outcome::Approved).unwrap();
    let changed = format!("{CHANGED} verified t2");
    assert_eq!(
        post.told().await,
        [format!("{DECIDED} verified t2"), changed.clone()]
    );
    assert_eq!(told().await, [format!("{CHANGED} pending t2"), changed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reviewer_gets_between_a_decision_and_what_it_does() {
    let post = Post::new().await;
    for round in 0..10 {
        let bob = post.kyc.person(&format!("bob{round}"));
        let bob = bob.status(KycStatus::Unverified).create();
        let document = samples::document_that_is(&Outcome::Review, bob.slug());
        let (cases, id) = (post.kyc.cases(), bob.id().to_owned());
        let reviewer = std::thread::spawn(move || {
            // As soon as there is something to say.
            let is_rejected = |case: &str| cases.review(case, &Outcome::Rejected).is_ok();
            let of_bob = || cases.all().into_iter().find(|case| case.person_id == id);
            (0..10_000_000).any(|_| of_bob().is_some_and(|case| is_rejected(&case.id)))
        });
        case(&post.kyc, bob.id(), document).await;
        assert!(reviewer.join().unwrap());
        assert_eq!(bob.status(), KycStatus::Rejected);
    }
}

#[tokio::test]
async fn tenants_hear_of_whom_they_see_and_each_under_its_own_secret() {
    let post = Post::new().await;
    let (other, elsewhere) = (post.kyc.other_tenant().webhooks(), Receiver::start().await);
    other.subscribe(elsewhere.url());
    assert_ne!(post.hooks.secret(), other.secret());
    let bob = post.kyc.person("bob").only_for(post.kyc.other_tenant());
    bob.create().reject();
    post.ada.reject();
    other.settled().await;
    let got = elsewhere.take();
    assert!(got.iter().all(|it| it.is_signed(&other.secret())));
    assert_eq!(got.len(), 2);
    let told = post.told().await;
    assert_eq!(told.len(), 1);
    // Each has its own list.
    post.hooks.deliveries().assert_count(1);
    other.deliveries().assert_count(2);
    other.forget_deliveries();
    other.deliveries().assert_count(0);
    post.hooks.deliveries().assert_count(1);
}

#[tokio::test]
async fn an_endpoint_gets_what_it_asked_for_while_it_asks() {
    let post = Post::new().await;
    let (cases, late) = (Receiver::start().await, Receiver::start().await);
    post.hooks
        .subscribe_to(&["verification.case.decided"], cases.url());
    post.ada.reject();
    case(&post.kyc, post.ada.id(), samples::document("ada")).await;
    let endpoint = post.hooks.subscribe(late.url());
    post.ada.set_tier(KycTier::T1);
    endpoint.pause();
    post.ada.set_tier(KycTier::T3);
    post.hooks.settled().await;
    let types = |receiver: &Receiver| {
        let got = receiver.take();
        got.iter()
            .map(|it| it.told(&post.hooks))
            .collect::<Vec<_>>()
    };
    assert_eq!(types(&cases), ["verification.case.decided verified t2"]);
    assert!(types(&late).len() <= 1, "it was paused");
    assert_eq!(post.told().await.len(), 5);
    endpoint.resume();
    post.hooks.settled().await;
    assert_eq!(
        types(&late).last().unwrap(),
        &format!("{CHANGED} verified t3")
    );
    endpoint.unsubscribe();
    post.ada.reject();
    post.hooks.settled().await;
    assert!(types(&late).is_empty());
    assert_eq!(post.hooks.pending(), 0);
}

// K61, K63, K80, K81
#[tokio::test]
async fn what_is_assumed_can_be_switched() {
    let post = Post::new().await;
    post.kyc.switch(|it| {
        it.webhook_flat_body = true;
        it.webhook_unix_time = true;
        it.tier_as_number = true;
        it.webhook_header = "x-webhook-signature".to_owned();
        it.webhook_prefix = false;
    });
    post.ada.reject();
    post.hooks.settled().await;
    let got = post.receiver.take();
    let json = got[0].json();
    assert_eq!(json["kyc_status"], "rejected");
    assert_eq!(json["kyc_tier"], 2);
    assert_eq!(json["person_id"], post.ada.id());
    assert_eq!(json["created_at"], post.kyc.clock().now().as_unix());
    assert!(json.get("data").is_none());
    let signature = signature(&post.hooks.secret(), &got[0].body);
    let digits = signature.strip_prefix("sha256=").unwrap();
    assert_eq!(got[0].header("x-webhook-signature"), digits);
    assert!(got[0].headers.get("x-kycport-signature").is_none());
}

// case 133
#[tokio::test]
async fn a_secret_is_replaced_with_both_for_a_while() {
    let post = Post::new().await;
    let old = post.hooks.secret();
    let new = post.hooks.rotate_secret();
    assert_ne!(old, new);
    assert_eq!(post.hooks.secret(), new);
    for how in [
        DeliverySignatures::BothInOneHeader,
        DeliverySignatures::BothInTwoHeaders,
        DeliverySignatures::Current,
    ] {
        post.kyc.switch(|it| it.webhook_signatures = how);
        post.ada.set_tier(KycTier::T1);
        post.ada.set_tier(KycTier::T2);
        post.hooks.settled().await;
        for got in post.receiver.take() {
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
    post.hooks.deliveries().assert_count(6);
}

#[tokio::test]
async fn an_app_is_set_up_with_the_secret() {
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
async fn anything_can_be_sent_by_hand() {
    let post = Post::new().await;
    let data = json!({ "person_id": post.ada.id(), "of": "later" });
    let id = post.hooks.emit("wallet.opened", data.clone());
    post.hooks.by_hand(b"\xff".to_vec()).send();
    post.hooks
        .by_hand("[]")
        .signed()
        .header("content-type", "text/plain")
        .send();
    post.receiver.answer(&[204, 500, 500]);
    post.hooks.settled().await;
    let got = post.receiver.take();
    assert_eq!(got[0].id(&post.hooks), id);
    assert_eq!(
        (&got[0].json()["type"], &got[0].json()["data"]),
        (&json!("wallet.opened"), &data)
    );
    assert_eq!(got[1].body, b"\xff");
    assert!(got[1].headers.get("x-kycport-signature").is_none());
    assert_eq!(got[2].header("content-type"), "text/plain");
    assert!(got[2].is_signed(&post.hooks.secret()));
    // What is sent by hand is sent once.
    assert_eq!(post.hooks.pending(), 0);
    let deliveries = post.hooks.deliveries();
    assert_eq!(deliveries.of_type("wallet.opened").count(), 1);
    // An old one comes late.
    post.hooks.repeat(deliveries.iter().next().unwrap());
    post.hooks.settled().await;
    assert_eq!(post.receiver.take()[0].body, got[0].body);
}

/// A receiver that verifies the signature over JSON that it wrote itself fails, as at KYCPort.
#[tokio::test]
async fn the_body_has_the_form_that_django_writes() {
    let post = Post::new().await;
    let data = json!({ "name": "Zoë 𝄞", "all": [1, 2] });
    post.hooks.emit("kyc.other", data.clone());
    post.hooks.settled().await;
    let got = post.receiver.got().pop().unwrap();
    let body = String::from_utf8(got.body.clone()).unwrap();
    let part = r#""data": {"all": [1, 2], "name": "Zo\u00eb \ud834\udd1e"}"#;
    assert!(body.contains(part), "{body}");
    assert_eq!(got.json()["data"], data);
    assert!(got.is_signed(&post.hooks.secret()));
    assert_ne!(got.json().to_string(), body);

    post.kyc.switch(|it| it.webhook_compact_json = true);
    post.hooks.emit("kyc.other", data);
    post.hooks.settled().await;
    let got = post.receiver.got().pop().unwrap();
    assert_eq!(got.json().to_string().as_bytes(), got.body);
    assert!(got.is_signed(&post.hooks.secret()));
}

/// Standard Webhooks 1.0: the signed moment is that of the attempt, and the id that of the event.
#[tokio::test]
async fn a_delivery_is_signed_by_standard_webhooks_if_switched_on() {
    let post = Post::new().await;
    let plain = post.hooks.secret();
    post.kyc.switch(|it| {
        it.webhook_standard_signature = true;
        it.webhook_signatures = DeliverySignatures::BothInOneHeader;
    });
    let old = post.hooks.secret();
    assert_eq!(old, format!("whsec_{}", STANDARD.encode(&plain)));
    assert!(
        post.kyc
            .environment("http://127.0.0.1/")
            .contains(&("KYCPORT_WEBHOOK_SECRET", old.clone()))
    );
    let new = post.hooks.rotate_secret();
    assert!(new.starts_with("whsec_") && new != old);
    post.receiver.answer(&[500]);
    post.ada.reject();
    post.hooks.settled().await;
    post.kyc.clock().advance(Duration::from_secs(10));
    post.hooks.settled().await;
    let got = post.receiver.take();
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
        // By the library of the standard's authors.
        let signed = [&new, &old].map(|secret| {
            let signer = standardwebhooks::Webhook::new(secret).unwrap();
            let time = got.header("webhook-timestamp").parse().unwrap();
            let id = got.header("webhook-id");
            signer.sign(id, time, &got.body).unwrap()
        });
        assert_eq!(got.header("webhook-signature"), signed.join(" "));
    }
}
