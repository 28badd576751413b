//! Helpers that call the OpenID client without axum. A test can therefore see each error.

use std::time::Duration;

use kycport::{
    ConfigBuilder, RelyingParty,
    mock::{MockIssuer, Person},
    oidc::{Authenticated, CallbackParams, LoginError, LoginRequest, PendingAuthorization},
};
use url::Url;

const REDIRECT_URI: &str = "http://127.0.0.1:9/auth/callback";

/// Returns a relying party for the mock's confidential client.
pub(crate) fn relying_party(kyc: &MockIssuer) -> RelyingParty {
    relying_party_with(kyc, |config| config)
}

/// Returns a relying party with additional settings.
pub(crate) fn relying_party_with(
    kyc: &MockIssuer,
    more: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
) -> RelyingParty {
    RelyingParty::new(more(kyc.config(REDIRECT_URI)).build().unwrap()).unwrap()
}

/// Returns a relying party with timeouts of 300 ms.
pub(crate) fn relying_party_with_short_timeouts(kyc: &MockIssuer) -> RelyingParty {
    let moment = Duration::from_millis(300);
    relying_party_with(kyc, |config| {
        config.connect_timeout(moment).request_timeout(moment)
    })
}

/// Starts a login and stops before the callback request.
pub(crate) async fn login_until_callback(
    kyc: &MockIssuer,
    app: &RelyingParty,
    person: &Person,
    request: &LoginRequest,
) -> (PendingAuthorization, CallbackParams) {
    let (url, transaction) = app.oidc().begin(request).await.unwrap();
    let callback = kyc.browser().start_sign_in(url, person).await.unwrap();
    (transaction, params(&callback))
}

/// Performs a complete login.
pub(crate) async fn sign_in(
    kyc: &MockIssuer,
    app: &RelyingParty,
    person: &Person,
) -> Result<Authenticated, LoginError> {
    sign_in_with(kyc, app, person, &LoginRequest::new()).await
}

/// Performs a complete login with these request parameters.
pub(crate) async fn sign_in_with(
    kyc: &MockIssuer,
    app: &RelyingParty,
    person: &Person,
    request: &LoginRequest,
) -> Result<Authenticated, LoginError> {
    let (transaction, params) = login_until_callback(kyc, app, person, request).await;
    app.oidc().finish(transaction, params).await
}

fn params(callback: &Url) -> CallbackParams {
    CallbackParams::parse(callback.query().unwrap()).unwrap()
}
