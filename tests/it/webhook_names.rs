//! Receivers on one store: which of them share events, and what a delivery costs.

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
    desk::{Act, Desk, SECRET, answer, deliver, event},
    engines::Engine,
    faulty_store::{FaultyStore, Op},
    stages::Named,
};

struct Stage {
    kyc: MockIssuer,
    ada: Person,
    store: FaultyStore,
}

impl Stage {
    async fn new() -> Self {
        let kyc = MockIssuer::start().await;
        let store = FaultyStore::over(MemoryStore::new(100, Arc::new(kyc.clock().clone())));
        Self::over(kyc, store)
    }

    fn over(kyc: MockIssuer, store: FaultyStore) -> Self {
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

    /// Delivers an event. Returns the status and the code of the response.
    async fn deliver(&self, app: &RunningApp, id: &str) -> (u16, String) {
        let event = event(&self.kyc, id, &self.ada, "verified");
        answer(deliver(&app.url("/webhooks/kycport"), &event).await).await
    }
}

fn receiver(party: &RelyingParty, desk: &Desk) -> WebhookReceiverBuilder {
    let desk = desk.clone();
    party.webhooks(move |delivery| desk.clone().handle(delivery))
}

/// Plays the scene on every engine that is installed here.
async fn everywhere(scene: impl AsyncFn(Stage)) {
    let kyc = MockIssuer::start().await;
    for engine in Engine::all(&kyc).await {
        let _named = Named(engine.name());
        let kyc = MockIssuer::start().await;
        let store = engine.aging_with(&kyc).faulty_store();
        scene(Stage::over(kyc, store)).await;
    }
}

#[tokio::test]
async fn two_clients_on_one_store_each_handle_an_event() {
    everywhere(async |stage| {
        let second = stage.kyc.add_client("another").create();
        for client in [stage.kyc.client(), &second] {
            let desk = Desk::default();
            let app = receiver(&stage.party(client), &desk).build().unwrap();
            let app = stage.serve(app).await;
            assert_eq!(stage.deliver(&app, "evt_1").await.0, 200);
            assert_eq!(desk.effects(), ["evt_1"]);
        }
        assert_eq!(stage.store.leases(LeaseFamily::Event), 2);
    })
    .await;
}

#[tokio::test]
async fn receivers_of_different_names_each_handle_an_event() {
    everywhere(async |stage| {
        let party = stage.party(stage.kyc.client());
        let (orders, mails) = (Desk::default(), Desk::default());
        let to_orders = stage
            .serve(receiver(&party, &orders).build().unwrap())
            .await;
        let to_mails = receiver(&party, &mails).name("mails").build().unwrap();
        let to_mails = stage.serve(to_mails).await;
        for app in [&to_orders, &to_mails, &to_orders, &to_mails] {
            assert_eq!(stage.deliver(app, "evt_1").await.0, 200);
        }
        assert_eq!(orders.effects(), ["evt_1"]);
        assert_eq!(mails.effects(), ["evt_1"]);
    })
    .await;
}

#[tokio::test]
async fn instances_share_the_events_of_a_name() {
    everywhere(async |stage| {
        let desk = Desk::default();
        let mut apps = Vec::new();
        for _ in 0..2 {
            let party = stage.party(stage.kyc.client());
            let receiver = receiver(&party, &desk).name("orders").build().unwrap();
            apps.push(stage.serve(receiver).await);
        }
        for app in apps.iter().chain(&apps) {
            assert_eq!(stage.deliver(app, "evt_1").await.0, 200);
        }
        assert_eq!(desk.effects(), ["evt_1"]);
    })
    .await;
}

#[tokio::test]
async fn a_second_receiver_of_one_name_is_not_built() {
    let stage = Stage::new().await;
    let party = stage.party(stage.kyc.client());
    let desk = Desk::default();
    let first = receiver(&party, &desk).build().unwrap();
    let taken = receiver(&party, &desk).build().unwrap_err();
    assert_eq!(taken, ReceiverError::NameTaken("default".to_owned()));
    assert!(taken.to_string().contains(".name("), "{taken}");
    // A clone of the relying party is the same one.
    let clone = party.clone();
    assert!(receiver(&clone, &desk).build().is_err());
    let named = receiver(&party, &desk).name("mails").build().unwrap();
    assert!(receiver(&party, &desk).name("mails").build().is_err());
    // The name is free when the receiver is gone, and all of its clones.
    let copy = first.clone();
    drop(first);
    assert!(receiver(&party, &desk).build().is_err());
    drop(copy);
    receiver(&party, &desk).build().unwrap();
    drop(named);
}

#[tokio::test]
async fn a_receiver_on_its_own_keeps_events_in_its_store() {
    let stage = Stage::new().await;
    let desk = Desk::default();
    let verifier = || WebhookVerifier::builder().secret("current", Secret::new(SECRET));
    let mut apps = Vec::new();
    for _ in 0..2 {
        let own = desk.clone();
        let receiver = WebhookReceiver::builder(verifier().build().unwrap(), move |delivery| {
            own.clone().handle(delivery)
        });
        let receiver = receiver.store(stage.store.clone());
        let receiver = receiver.clock(Arc::new(stage.kyc.clock().clone()));
        apps.push(stage.serve(receiver.build().unwrap()).await);
    }
    for app in &apps {
        assert_eq!(stage.deliver(app, "evt_1").await.0, 200);
    }
    assert_eq!(desk.effects(), ["evt_1"]);
    assert_eq!(stage.store.leases(LeaseFamily::Event), 1);
}

/// Asserts how often the store was called since the last time, by operation.
fn assert_operations(store: &FaultyStore, expected: &[(Op, usize)], what: &str) {
    let all: usize = expected.iter().map(|(_, times)| times).sum();
    for (op, times) in expected {
        assert_eq!(store.count(*op), *times, "{what}: {op:?}");
    }
    assert_eq!(store.operations(), all, "{what}");
    store.forget();
}

#[tokio::test]
async fn a_delivery_costs_a_known_number_of_operations() {
    everywhere(async |stage| {
        let party = stage.party(stage.kyc.client());
        let desk = Desk::default();
        let app = stage.serve(receiver(&party, &desk).build().unwrap()).await;
        let store = &stage.store;
        // Nothing is recorded about Ada: the event lowers nothing, and the answer is recorded.
        assert_eq!(stage.deliver(&app, "evt_1").await.0, 200);
        let first = [
            (Op::Acquire, 1),
            (Op::Read, 2),
            (Op::Write, 1),
            (Op::Settle, 1),
        ];
        assert_operations(store, &first, "handled");
        assert_eq!(stage.deliver(&app, "evt_1").await.0, 200);
        assert_operations(store, &[(Op::Acquire, 1)], "duplicate");
        desk.next(Act::Fail);
        assert_eq!(stage.deliver(&app, "evt_2").await.0, 500);
        assert_operations(store, &first, "failed");
        // A rejection is recorded before KYCPort is asked, too.
        let event = event(&stage.kyc, "evt_3", &stage.ada, "rejected");
        stage.ada.reject();
        let url = app.url("/webhooks/kycport");
        assert_eq!(answer(deliver(&url, &event).await).await.0, 200);
        let rejected = [
            (Op::Acquire, 1),
            (Op::Read, 2),
            (Op::Write, 2),
            (Op::Settle, 1),
        ];
        assert_operations(store, &rejected, "rejected");
        // An event of an unknown type that names nobody costs nothing, and neither does what is not
        // KYCPort's.
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
async fn a_delivery_to_a_receiver_on_its_own_costs_two_operations() {
    everywhere(async |stage| {
        let desk = Desk::default();
        let verifier = WebhookVerifier::builder().secret("current", Secret::new(SECRET));
        let own = desk.clone();
        let receiver = WebhookReceiver::builder(verifier.build().unwrap(), move |delivery| {
            own.clone().handle(delivery)
        })
        .store(stage.store.clone());
        let app = stage.serve(receiver.build().unwrap()).await;
        let handled = [(Op::Acquire, 1), (Op::Settle, 1)];
        // The events of receivers on their own are shared by all tests on this engine.
        let unique = format!("evt_{:?}", LeaseToken::random().0);
        assert_eq!(stage.deliver(&app, &unique).await.0, 200);
        assert_operations(&stage.store, &handled, "handled");
        assert_eq!(stage.deliver(&app, &unique).await.0, 200);
        assert_operations(&stage.store, &[(Op::Acquire, 1)], "duplicate");
    })
    .await;
}
