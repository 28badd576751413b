//! Tests with several receivers on one store: which receivers share events, and how many store
//! operations a delivery needs.

use std::sync::Arc;

use axum::Router;
use kycport::{
    KycTier, MemoryStore, RelyingParty, RunningApp, Secret,
    mock::{Client, MockIssuer, Person},
    store::{LeaseFamily, LeaseToken},
    web::{ReceiverError, WebhookReceiver, WebhookReceiverBuilder},
    webhook::WebhookVerifier,
};
use serde_json::json;

use crate::{
    engines::Engine,
    recording_store::{Op, RecordingStore},
    stages::Named,
    test_handler::{Action, SECRET, TestHandler, answer, deliver, event},
};

struct ReceiversTest {
    kyc: MockIssuer,
    ada: Person,
    store: RecordingStore,
}

impl ReceiversTest {
    async fn new() -> Self {
        let kyc = MockIssuer::start().await;
        let store = RecordingStore::over(MemoryStore::new(100, Arc::new(kyc.clock().clone())));
        Self::over(kyc, store)
    }

    fn over(kyc: MockIssuer, store: RecordingStore) -> Self {
        let ada = kyc.person("ada").tier(KycTier::T2).create();
        Self { kyc, ada, store }
    }

    fn party(&self, client: &Client) -> RelyingParty {
        let config = self
            .kyc
            .config_for(client, "https://app.example.com/auth/callback");
        let config = config.webhook_secret(SECRET).store(self.store.clone());
        RelyingParty::new(config.build().unwrap()).unwrap()
    }

    async fn serve(&self, receiver: WebhookReceiver) -> RunningApp {
        let app = |_| Router::new().route_service("/webhooks/kycport", receiver);
        self.kyc.serve(app).await.unwrap()
    }

    /// Delivers an event, and returns the status and the code of the response.
    async fn deliver(&self, app: &RunningApp, id: &str) -> (u16, String) {
        let event = event(&self.kyc, id, &self.ada, "verified");
        answer(deliver(&app.url("/webhooks/kycport"), &event).await).await
    }
}

fn receiver(party: &RelyingParty, handler: &TestHandler) -> WebhookReceiverBuilder {
    let handler = handler.clone();
    party.webhooks(move |delivery| handler.clone().handle(delivery))
}

/// Runs the test on every store that is installed on this machine.
async fn on_every_store(test_case: impl AsyncFn(ReceiversTest)) {
    let kyc = MockIssuer::start().await;
    for engine in Engine::all(&kyc).await {
        let _named = Named(engine.name());
        let kyc = MockIssuer::start().await;
        let store = engine.aging_with(&kyc).recording_store();
        test_case(ReceiversTest::over(kyc, store)).await;
    }
}

#[tokio::test]
async fn two_clients_on_one_store_handle_an_event_separately() {
    on_every_store(async |setup| {
        let second = setup.kyc.add_client("another").create();
        for client in [setup.kyc.client(), &second] {
            let handler = TestHandler::default();
            let app = receiver(&setup.party(client), &handler).build().unwrap();
            let app = setup.serve(app).await;
            assert_eq!(setup.deliver(&app, "evt_1").await.0, 200);
            assert_eq!(handler.effects(), ["evt_1"]);
        }
        assert_eq!(setup.store.leases(LeaseFamily::Event), 2);
    })
    .await;
}

#[tokio::test]
async fn receivers_with_different_names_handle_an_event_separately() {
    on_every_store(async |setup| {
        let party = setup.party(setup.kyc.client());
        let (orders, mails) = (TestHandler::default(), TestHandler::default());
        let to_orders = setup
            .serve(receiver(&party, &orders).build().unwrap())
            .await;
        let to_mails = receiver(&party, &mails).name("mails").build().unwrap();
        let to_mails = setup.serve(to_mails).await;
        for app in [&to_orders, &to_mails, &to_orders, &to_mails] {
            assert_eq!(setup.deliver(app, "evt_1").await.0, 200);
        }
        assert_eq!(orders.effects(), ["evt_1"]);
        assert_eq!(mails.effects(), ["evt_1"]);
    })
    .await;
}

#[tokio::test]
async fn instances_share_the_events_of_a_receiver_name() {
    on_every_store(async |setup| {
        let handler = TestHandler::default();
        let mut apps = Vec::new();
        for _ in 0..2 {
            let party = setup.party(setup.kyc.client());
            let receiver = receiver(&party, &handler).name("orders").build().unwrap();
            apps.push(setup.serve(receiver).await);
        }
        for app in apps.iter().chain(&apps) {
            assert_eq!(setup.deliver(app, "evt_1").await.0, 200);
        }
        assert_eq!(handler.effects(), ["evt_1"]);
    })
    .await;
}

#[tokio::test]
async fn a_second_receiver_with_the_same_name_is_rejected() {
    let setup = ReceiversTest::new().await;
    let party = setup.party(setup.kyc.client());
    let handler = TestHandler::default();
    let first = receiver(&party, &handler).build().unwrap();
    let taken = receiver(&party, &handler).build().unwrap_err();
    assert_eq!(taken, ReceiverError::NameTaken("default".to_owned()));
    assert!(taken.to_string().contains(".name("), "{taken}");
    // A clone of a relying party has the same receivers as the relying party.
    let clone = party.clone();
    assert!(receiver(&clone, &handler).build().is_err());
    let named = receiver(&party, &handler).name("mails").build().unwrap();
    assert!(receiver(&party, &handler).name("mails").build().is_err());
    // The name is free after the test has dropped the receiver and all its clones.
    let copy = first.clone();
    drop(first);
    assert!(receiver(&party, &handler).build().is_err());
    drop(copy);
    receiver(&party, &handler).build().unwrap();
    drop(named);
}

/// Two environments may share one store, and their events may have equal ids.
#[test]
fn a_stand_alone_receiver_with_a_store_requires_a_name() {
    let build = |name: Option<&str>| {
        let secret = Secret::new(SECRET);
        let verifier = WebhookVerifier::builder().secret("current", secret);
        let handler = async |_| Ok::<(), std::io::Error>(());
        let store = MemoryStore::new(100, kycport::SystemClock::new());
        let receiver = WebhookReceiver::builder(verifier.build().unwrap(), handler).store(store);
        let receiver = match name {
            Some(name) => receiver.name(name),
            None => receiver,
        };
        receiver.build().map(drop)
    };
    assert_eq!(build(None), Err(ReceiverError::NameMissing));
    assert_eq!(build(Some("acme-staging")), Ok(()));
}

#[tokio::test]
async fn a_stand_alone_receiver_records_events_in_its_store() {
    let setup = ReceiversTest::new().await;
    let handler = TestHandler::default();
    let verifier = || WebhookVerifier::builder().secret("current", Secret::new(SECRET));
    let mut apps = Vec::new();
    for _ in 0..2 {
        let own = handler.clone();
        let receiver = WebhookReceiver::builder(verifier().build().unwrap(), move |delivery| {
            own.clone().handle(delivery)
        });
        let receiver = receiver.store(setup.store.clone());
        let receiver = receiver.name("acme-staging");
        let receiver = receiver.clock(Arc::new(setup.kyc.clock().clone()));
        apps.push(setup.serve(receiver.build().unwrap()).await);
    }
    for app in &apps {
        assert_eq!(setup.deliver(app, "evt_1").await.0, 200);
    }
    assert_eq!(handler.effects(), ["evt_1"]);
    assert_eq!(setup.store.leases(LeaseFamily::Event), 1);
}

/// Asserts the number of store calls of each operation since the last assertion.
fn assert_operations(store: &RecordingStore, expected: &[(Op, usize)], what: &str) {
    let all: usize = expected.iter().map(|(_, times)| times).sum();
    for (op, times) in expected {
        assert_eq!(store.count(*op), *times, "{what}: {op:?}");
    }
    assert_eq!(store.operations(), all, "{what}");
    store.forget();
}

#[tokio::test]
async fn a_delivery_costs_a_known_number_of_operations() {
    on_every_store(async |setup| {
        let party = setup.party(setup.kyc.client());
        let handler = TestHandler::default();
        let app = setup
            .serve(receiver(&party, &handler).build().unwrap())
            .await;
        let store = &setup.store;
        // The store has no verification result about Ada. The event changes no record, and the app
        // stores the response of KYCPort.
        assert_eq!(setup.deliver(&app, "evt_1").await.0, 200);
        let first = [
            (Op::Acquire, 1),
            (Op::Read, 2),
            (Op::Write, 1),
            (Op::Settle, 1),
        ];
        assert_operations(store, &first, "handled");
        assert_eq!(setup.deliver(&app, "evt_1").await.0, 200);
        assert_operations(store, &[(Op::Acquire, 1)], "duplicate");
        handler.next(Action::Fail);
        assert_eq!(setup.deliver(&app, "evt_2").await.0, 500);
        assert_operations(store, &first, "failed");
        // The app also stores a rejection before the status request.
        let event = event(&setup.kyc, "evt_3", &setup.ada, "rejected");
        setup.ada.reject();
        let url = app.url("/webhooks/kycport");
        assert_eq!(answer(deliver(&url, &event).await).await.0, 200);
        let rejected = [
            (Op::Acquire, 1),
            (Op::Read, 2),
            (Op::Write, 2),
            (Op::Settle, 1),
        ];
        assert_operations(store, &rejected, "rejected");
        // The receiver needs no store operation for a forged request. The receiver also needs no
        // store operation for an event of an unknown type without a person.
        let mut unknown = event;
        unknown["id"] = json!("evt_4");
        unknown["type"] = json!("kyc.something_new");
        unknown["data"] = json!({});
        assert_eq!(answer(deliver(&url, &unknown).await).await.0, 200);
        let forged = reqwest::Client::new().post(&url).body("{}").send().await;
        assert_eq!(forged.unwrap().status(), 401);
        assert_operations(store, &[], "nothing");
    })
    .await;
}

#[tokio::test]
async fn a_delivery_to_a_stand_alone_receiver_costs_two_operations() {
    on_every_store(async |setup| {
        let handler = TestHandler::default();
        let verifier = WebhookVerifier::builder().secret("current", Secret::new(SECRET));
        let own = handler.clone();
        let receiver = WebhookReceiver::builder(verifier.build().unwrap(), move |delivery| {
            own.clone().handle(delivery)
        })
        .store(setup.store.clone())
        .name("acme");
        let app = setup.serve(receiver.build().unwrap()).await;
        let handled = [(Op::Acquire, 1), (Op::Settle, 1)];
        // Stand-alone receivers of all tests share the events in this store.
        let unique = format!("evt_{:?}", LeaseToken::random().0);
        assert_eq!(setup.deliver(&app, &unique).await.0, 200);
        assert_operations(&setup.store, &handled, "handled");
        assert_eq!(setup.deliver(&app, &unique).await.0, 200);
        assert_operations(&setup.store, &[(Op::Acquire, 1)], "duplicate");
    })
    .await;
}
