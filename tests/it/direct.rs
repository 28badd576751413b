//! The client without axum, on the mock: for what a page would hide.

use std::time::Duration;

use kycport::{
    ConfigBuilder, RelyingParty,
    mock::{MockIssuer, Person},
    oidc::{Authenticated, CallbackParams, LoginError, LoginRequest, PendingAuthorization},
};
use url::Url;

const REDIRECT_URI: &str = "http://127.0.0.1:9/auth/callback";

/// A relying party on this mock's confidential client.
pub(crate) fn relying_party(kyc: &MockIssuer) -> RelyingParty {
    relying_party_with(kyc, |config| config)
}

/// The same, with more said to the configuration.
pub(crate) fn relying_party_with(
    kyc: &MockIssuer,
    more: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
) -> RelyingParty {
    RelyingParty::new(more(kyc.config(REDIRECT_URI)).build().unwrap()).unwrap()
}

/// The same, which gives up after a moment.
pub(crate) fn hasty(kyc: &MockIssuer) -> RelyingParty {
    let moment = Duration::from_millis(300);
    relying_party_with(kyc, |config| {
        config.connect_timeout(moment).request_timeout(moment)
    })
}

/// A login as far as the callback.
pub(crate) async fn come_back(
    kyc: &MockIssuer,
    app: &RelyingParty,
    person: &Person,
    request: &LoginRequest,
) -> (PendingAuthorization, CallbackParams) {
    let (url, transaction) = app.oidc().begin(request).await.unwrap();
    let callback = kyc.browser().start_sign_in(url, person).await.unwrap();
    (transaction, params(&callback))
}

/// A whole login.
pub(crate) async fn sign_in(
    kyc: &MockIssuer,
    app: &RelyingParty,
    person: &Person,
) -> Result<Authenticated, LoginError> {
    sign_in_with(kyc, app, person, &LoginRequest::new()).await
}

/// A whole login that asks for more.
pub(crate) async fn sign_in_with(
    kyc: &MockIssuer,
    app: &RelyingParty,
    person: &Person,
    request: &LoginRequest,
) -> Result<Authenticated, LoginError> {
    let (transaction, params) = come_back(kyc, app, person, request).await;
    app.oidc().finish(transaction, params).await
}

fn params(callback: &Url) -> CallbackParams {
    CallbackParams::parse(callback.query().unwrap()).unwrap()
}
