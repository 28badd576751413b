//! Test app with two instances on one store whose faults the test controls. A browser's consecutive
//! requests alternate between the instances.

use std::io::Write as _;

use kycport::{
    ConfigBuilder, KycTier, RelyingParty,
    mock::{MockIssuer, MockIssuerBuilder},
    web::{SealingKeys, Sessions},
};

use crate::{
    engines::{Engine, FIRST_KEY, balanced},
    recording_store::TestApp,
    support::tenant_app_of,
};

/// Runs the test on every store that is installed on this machine, unsealed and sealed.
pub(crate) async fn everywhere(test_case: impl AsyncFn(TestApp)) {
    everywhere_with(|mock| mock, |config| config, test_case).await;
}

/// Runs the test on every store, with additional settings of the mock and of the app.
pub(crate) async fn everywhere_with(
    mock: impl Fn(MockIssuerBuilder) -> MockIssuerBuilder,
    app: impl Fn(ConfigBuilder) -> ConfigBuilder,
    test_case: impl AsyncFn(TestApp),
) {
    let engines = Engine::all(&MockIssuer::start().await).await;
    for engine in engines {
        let kyc = mock(MockIssuer::builder()).start().await.unwrap();
        let engine = engine.aging_with(&kyc);
        let _named = Named(engine.name());
        test_case(stage_on_engine(kyc, &engine, &app).await).await;
    }
}

/// Runs the test unsealed on every store that is installed on this machine. Tests that modify
/// stored records use this function.
pub(crate) async fn everywhere_unsealed(test_case: impl AsyncFn(TestApp)) {
    everywhere(async |setup| {
        if !setup.engine.ends_with("sealed") {
            test_case(setup).await;
        }
    })
    .await;
}

/// Returns the session administration of another instance on the same store.
pub(crate) fn sessions(setup: &TestApp) -> Sessions {
    let config = setup.kyc.config("http://127.0.0.1:9/auth/callback");
    let mut config = config.store(setup.store.clone());
    if setup.engine.ends_with("sealed") {
        config = config.session_keys(SealingKeys::parse(FIRST_KEY).unwrap());
    }
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    kycport.sessions()
}

pub(crate) async fn stage_on_engine(
    kyc: MockIssuer,
    engine: &Engine,
    more: impl Fn(ConfigBuilder) -> ConfigBuilder,
) -> TestApp {
    let store = engine.recording_store();
    let app = balanced(&kyc, |config| {
        let config = more(engine.configure_over(config, store.clone()));
        tenant_app_of(&RelyingParty::new(config.build().unwrap()).unwrap())
    })
    .await;
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    TestApp {
        kyc,
        app,
        ada,
        store,
        engine: engine.name(),
    }
}

/// Prints the store's name if the test fails on this store.
pub(crate) struct Named(pub(crate) &'static str);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "failed on: {}", self.0);
        }
    }
}
