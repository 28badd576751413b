//! An event whose result the store does not take is not acknowledged: sessions would use the previous
//! result for as long as it is not too old.

use std::sync::Arc;

use kycport::{
    Config, ConfigBuilder, KycTier, MemoryStore, RelyingParty,
    mock::{Endpoint, MockIssuer},
};

use crate::{
    desk::{SECRET, answer, deliver, event},
    faulty_store::{ASSURANCE, FaultyStore, Op},
    support::tenant_app_of,
};

/// What is wrong with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It takes no assurance, and other records.
    RefusesWrites,
    /// It never answers a write of an assurance.
    Hangs,
    /// It takes the write, and its answer is lost.
    LosesAnswers,
}

/// What KYCPort says when it is asked about the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Answers,
    Refuses,
    /// There is no key to ask with.
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

async fn a_rejection_that_is_not_recorded(asked: Asked, trouble: Trouble) {
    let kyc = MockIssuer::start().await;
    let store = FaultyStore::over(MemoryStore::new(1000, Arc::new(kyc.clock().clone())));
    let (own, kept_in) = (kyc.clone(), store.clone());
    let app = kyc.serve(move |config| {
        let config = match asked {
            Asked::NoKey => without_key(&own, config),
            Asked::Answers | Asked::Refuses => config,
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

    let _no = (asked == Asked::Refuses).then(|| kyc.on(Endpoint::Status).fail(403).always());
    ada.reject();
    let rejected = event(&kyc, "evt_1", &ada, "rejected");
    let url = app.url("/webhooks/kycport");
    let delivered = async || answer(deliver(&url, &rejected).await).await;
    match trouble {
        Trouble::RefusesWrites => store.fail_on(Op::Write, ASSURANCE),
        Trouble::Hangs => drop(store.hold(Op::Write, ASSURANCE)),
        // What was heard, and what KYCPort answered.
        Trouble::LosesAnswers => (0..2).for_each(|_| store.lose_answer(Op::Write, ASSURANCE)),
    }
    let unavailable = (503, "store_unavailable".to_owned());
    assert_eq!(delivered().await, unavailable, "{asked:?} {trouble:?}");
    // The previous result stands, if the write was not made.
    let is_still_admitted = trouble != Trouble::LosesAnswers;
    assert_eq!(
        guarded().await == 200,
        is_still_admitted,
        "{asked:?} {trouble:?}"
    );

    store.heal();
    assert_eq!(delivered().await.0, 200, "{asked:?}");
    assert_ne!(guarded().await, 200, "{asked:?}");
}

#[tokio::test]
async fn kycport_redelivers_a_rejection_that_was_not_recorded() {
    // case 95
    for asked in [Asked::Answers, Asked::Refuses, Asked::NoKey] {
        a_rejection_that_is_not_recorded(asked, Trouble::RefusesWrites).await;
        a_rejection_that_is_not_recorded(asked, Trouble::LosesAnswers).await;
    }
    // The store's limit of 5 s is shorter than that of a handler.
    a_rejection_that_is_not_recorded(Asked::NoKey, Trouble::Hangs).await;
}
