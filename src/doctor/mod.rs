//! Checks of a configuration and its dependencies before the first
//! login: [`RelyingParty::doctor`](crate::RelyingParty::doctor).
//!
//! This module sends the requests. For each check, a function without side effects evaluates the
//! responses.

mod provider;
mod report;
mod settings;
#[cfg(feature = "web")]
mod store;
mod tenant_key;

pub use report::{Check, Report, Status};

use crate::{api, config::Config, kyc::StatusClient, oidc::OidcClient, secrets::LiveSecrets};

/// Parts of a relying party that the checks use.
pub(crate) struct Examined<'a> {
    pub(crate) config: &'a Config,
    pub(crate) secrets: &'a LiveSecrets,
    pub(crate) oidc: &'a OidcClient,
    pub(crate) status: &'a StatusClient,
    #[cfg(feature = "web")]
    pub(crate) web: &'a crate::web::Web,
}

/// Runs all checks.
pub(crate) async fn examine(examined: &Examined<'_>) -> Report {
    let Examined {
        config,
        secrets,
        oidc,
        status,
        ..
    } = examined;
    let from = config.clock.now();
    let discovery = async {
        let checkup = oidc.check_up().await;
        (checkup, config.clock.now())
    };
    #[cfg(feature = "web")]
    let store = async {
        let (properties, checked) = examined.web.check_store().await;
        vec![store::check(properties, checked)]
    };
    #[cfg(not(feature = "web"))]
    let store = async { Vec::new() };
    let ((checkup, until), answer, store) =
        tokio::join!(discovery, status.status(api::PROBE_PERSON_ID), store);
    let times = provider::RequestTimes { from, until };
    let mut checks = vec![
        settings::redirect_uri(config),
        settings::client(config, secrets),
    ];
    #[cfg(feature = "web")]
    checks.push(settings::cookies(config));
    checks.extend(provider::checks(
        &checkup,
        config.issuer(),
        config.oidc.skew,
        times,
    ));
    checks.push(tenant_key::check(&answer));
    checks.push(settings::webhook_secret(config, secrets));
    checks.extend(settings::status_aliases(config));
    checks.extend(store);
    Report::new(checks)
}
