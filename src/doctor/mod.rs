//! Looks at a configuration and at what it leads to, before anybody signs in:
//! [`RelyingParty::doctor`](crate::RelyingParty::doctor).
//!
//! Asking is done here, judging in one pure function for each thing that is looked at.

mod provider;
mod report;
mod settings;
mod store;
mod tenant_key;

pub use report::{Line, Report, Verdict};

use crate::{api, config::Config, kyc::StatusClient, oidc::OidcClient, secrets::LiveSecrets};

/// Looks at everything but the store.
pub(crate) async fn examine(
    config: &Config,
    secrets: &LiveSecrets,
    oidc: &OidcClient,
    status: &StatusClient,
) -> Report {
    Report::new(lines(config, secrets, oidc, status, async { store::not_given() }).await)
}

/// Looks at everything.
#[cfg(feature = "web")]
pub(crate) async fn examine_with(
    config: &Config,
    secrets: &LiveSecrets,
    oidc: &OidcClient,
    status: &StatusClient,
    layer: &crate::web::SessionLayer,
) -> Report {
    let store = async { store::line(layer.check_store().await) };
    Report::new(lines(config, secrets, oidc, status, store).await)
}

async fn lines(
    config: &Config,
    secrets: &LiveSecrets,
    oidc: &OidcClient,
    status: &StatusClient,
    store: impl Future<Output = Line>,
) -> Vec<Line> {
    let from = config.clock.now();
    let looking = async {
        let checkup = oidc.check_up().await;
        (checkup, config.clock.now())
    };
    let ((checkup, until), answer, store) =
        tokio::join!(looking, status.status(api::NOBODY), store);
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
    lines.push(store);
    lines
}
