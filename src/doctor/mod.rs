//! Looks at a configuration and at what it leads to, before anybody signs in:
//! [`RelyingParty::doctor`](crate::RelyingParty::doctor).
//!
//! Asking is done here, judging in one pure function for each thing that is looked at.

mod provider;
mod report;
mod settings;
#[cfg(feature = "web")]
mod store;
mod tenant_key;

pub use report::{Check, Report, Status};

use crate::{api, config::Config, kyc::StatusClient, oidc::OidcClient, secrets::LiveSecrets};

/// What the doctor examines.
pub(crate) struct Examined<'a> {
    pub(crate) config: &'a Config,
    pub(crate) secrets: &'a LiveSecrets,
    pub(crate) oidc: &'a OidcClient,
    pub(crate) status: &'a StatusClient,
    #[cfg(feature = "web")]
    pub(crate) web: &'a crate::web::Web,
}

/// Examines everything.
pub(crate) async fn examine(examined: &Examined<'_>) -> Report {
    let Examined {
        config,
        secrets,
        oidc,
        status,
        ..
    } = examined;
    let from = config.clock.now();
    let looking = async {
        let checkup = oidc.check_up().await;
        (checkup, config.clock.now())
    };
    #[cfg(feature = "web")]
    let store = async {
        let (properties, checked) = examined.web.check_store().await;
        vec![store::line(properties, checked)]
    };
    #[cfg(not(feature = "web"))]
    let store = async { Vec::new() };
    let ((checkup, until), answer, store) =
        tokio::join!(looking, status.status(api::PROBE_PERSON_ID), store);
    let asked = provider::Asked { from, until };
    let mut lines = vec![
        settings::redirect_uri(config),
        settings::client(config, secrets),
    ];
    #[cfg(feature = "web")]
    lines.push(settings::cookies(config));
    lines.extend(provider::lines(
        &checkup,
        config.issuer(),
        config.oidc.skew,
        asked,
    ));
    lines.push(tenant_key::line(&answer));
    lines.push(settings::webhook_secret(config, secrets));
    lines.extend(store);
    Report::new(lines)
}
