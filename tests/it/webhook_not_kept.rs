//! Tests that a receiver does not acknowledge an event if the store does not confirm its result.
//! Without the redelivery, sessions would use the previous result until the result is stale.

use std::sync::Arc;

use kycport::{
    Config, ConfigBuilder, KycTier, MemoryStore, RelyingParty,
    mock::{Endpoint, MockIssuer},
};

use crate::{
    recording_store::{ASSURANCE, Op, RecordingStore},
    support::tenant_app_of,
    test_handler::{SECRET, answer, deliver, event},
};

/// Fault of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreFault {
    /// The store rejects writes of verification results and accepts writes of other records.
    RefusesWrites,
    /// The store never responds to a write of a verification result.
    Hangs,
    /// The store performs the write, but its response is lost.
    LosesAnswers,
}

/// Response of KYCPort to the status request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatusResponse {
    Answers,
    Refuses,
    /// The app has no tenant key, so it sends no status request.
    NoKey,
}

fn without_key(kyc: &MockIssuer, config: ConfigBuilder) -> ConfigBuilder {
    let redirect_uri = config.build().unwrap().redirect_uri().to_string();
    let client = kyc.client();
    Config::builder(client.id(), redirect_uri)
        .client_secret(client.secret().unwrap())
        .issuer(kyc.issuer())
        .discovery_url(kyc.discovery_url())
        .clock(kyc.clock().clone())
}

async fn deliver_unrecorded_rejection(status_response: StatusResponse, store_fault: StoreFault) {
    let kyc = MockIssuer::start().await;
    let store = RecordingStore::over(MemoryStore::new(1000, Arc::new(kyc.clock().clone())));
    let (own, kept_in) = (kyc.clone(), store.clone());
    let app = kyc.serve(move |config| {
        let config = match status_response {
            StatusResponse::NoKey => without_key(&own, config),
            StatusResponse::Answers | StatusResponse::Refuses => config,
        };
        let config = config.webhook_secret(SECRET).store(kept_in);
        let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
        let webhooks = kycport.webhooks(async |_| Ok::<(), std::io::Error>(()));
        tenant_app_of(&kycport).route_service("/webhooks/kycport", webhooks.build().unwrap())
    });
    let app = app.await.unwrap();
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    let browser = kyc.browser();
    browser.sign_in(app.url("/auth/login"), &ada).await.unwrap();
    browser.get(app.url("/")).await.unwrap();
    let guarded = async || {
        let page = browser.fetch(app.url("/guarded")).await.unwrap();
        page.status()
    };
    assert_eq!(guarded().await, 200);

    let _rejection = (status_response == StatusResponse::Refuses)
        .then(|| kyc.on(Endpoint::Status).fail(403).always());
    ada.reject();
    let rejected = event(&kyc, "evt_1", &ada, "rejected");
    let url = app.url("/webhooks/kycport");
    let delivered = async || answer(deliver(&url, &rejected).await).await;
    match store_fault {
        StoreFault::RefusesWrites => store.fail_on(Op::Write, ASSURANCE),
        StoreFault::Hangs => drop(store.hold(Op::Write, ASSURANCE)),
        // Row: the status in the event, and the response of KYCPort.
        StoreFault::LosesAnswers => (0..2).for_each(|_| store.lose_answer(Op::Write, ASSURANCE)),
    }
    let unavailable = (503, "store_unavailable".to_owned());
    assert_eq!(
        delivered().await,
        unavailable,
        "{status_response:?} {store_fault:?}"
    );
    // The previous result stays if the store did not perform the write.
    let is_still_admitted = store_fault != StoreFault::LosesAnswers;
    assert_eq!(
        guarded().await == 200,
        is_still_admitted,
        "{status_response:?} {store_fault:?}"
    );

    store.heal();
    assert_eq!(delivered().await.0, 200, "{status_response:?}");
    assert_ne!(guarded().await, 200, "{status_response:?}");
}

#[tokio::test]
async fn kycport_redelivers_a_rejection_that_was_not_recorded() {
    // Covers threat case 95.
    for status_response in [
        StatusResponse::Answers,
        StatusResponse::Refuses,
        StatusResponse::NoKey,
    ] {
        deliver_unrecorded_rejection(status_response, StoreFault::RefusesWrites).await;
        deliver_unrecorded_rejection(status_response, StoreFault::LosesAnswers).await;
    }
    // The time limit of the store (5 s) is shorter than the time limit of the handler.
    deliver_unrecorded_rejection(StatusResponse::NoKey, StoreFault::Hangs).await;
}
