//! Authorization request and pending authorization (OpenID Connect Core 1.0 section 3.1.2.1, RFC
//! 7636, RFC 9700 section 2.1.1).

use std::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{
    AuthUrl, AuthenticationContextClass, ClientId, CsrfToken, IssuerUrl, LoginHint, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    core::{CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreJsonWebKeySet},
};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;
use zeroize::Zeroizing;

use super::{metadata::VerifiedProvider, settings::Settings};
use crate::{
    clock::Timestamp,
    secret::{Secret, at_rest},
    wire::{authorize, kyc::KycTier},
};

/// Options of one login, in addition to the configured scopes.
#[derive(Debug, Clone, Default)]
pub struct LoginRequest {
    prompt: Option<Prompt>,
    max_age: Option<Duration>,
    login_hint: Option<Secret>,
    ui_locales: Vec<String>,
    tier: Option<(KycTier, AcrRequirement)>,
}

/// Interaction with the person at KYCPort (K16, K17).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prompt {
    /// `none`: KYCPort does not interact with the person. Without a session at KYCPort, KYCPort
    /// responds with `login_required`.
    None,
    /// `login`: the person authenticates again.
    Login,
    /// `consent`: the person gives consent again.
    Consent,
}

/// Effect of a requested tier on the validation of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcrRequirement {
    /// KYCPort may ignore the requested tier, so the app must check the claims of the response.
    Voluntary,
    /// KYCPort must reach the requested tier. The login fails if `acr` in the ID token does not
    /// confirm the tier.
    Essential,
}

impl LoginRequest {
    /// Creates a request for the configured scopes, without further options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the interaction with the person.
    #[must_use]
    pub fn prompt(mut self, prompt: Prompt) -> Self {
        self.prompt = Some(prompt);
        self
    }

    /// Sets the maximum time since the person authenticated, in whole seconds. The client checks
    /// this time against `auth_time` in the ID token.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Sets a hint for the expected person. Another person may still sign in.
    #[must_use]
    pub fn login_hint(mut self, hint: impl Into<String>) -> Self {
        self.login_hint = Some(Secret::new(hint));
        self
    }

    /// Sets the languages of KYCPort's pages, in the order of preference (BCP 47).
    #[must_use]
    pub fn ui_locales(mut self, locales: impl IntoIterator<Item: Into<String>>) -> Self {
        self.ui_locales = locales.into_iter().map(Into::into).collect();
        self
    }

    /// Requests a tier, with `acr_values` by default (K15).
    #[must_use]
    pub fn tier(mut self, tier: KycTier, demand: AcrRequirement) -> Self {
        self.tier = Some((tier, demand));
        self
    }
}

/// Length of the seed in a pending authorization, in bytes.
pub(crate) const SEED_BYTES: usize = 32;

/// Pending authorization. The client compares the response with the pending authorization. A
/// pending authorization can be used once: [`finish`](super::OidcClient::finish) consumes it.
///
/// A pending authorization contains secrets. Store it on the server or encrypted, and bind it to
/// the browser that started the login.
#[derive(Clone, Serialize, Deserialize)]
pub struct PendingAuthorization {
    #[serde(with = "at_rest")]
    pub(super) state: Secret,
    #[serde(with = "at_rest")]
    pub(super) nonce: Secret,
    #[serde(with = "at_rest")]
    pub(super) code_verifier: Secret,
    pub(super) max_age: Option<u64>,
    pub(super) required_acr: Option<KycTier>,
    pub(super) expires_at: Timestamp,
}

impl PendingAuthorization {
    /// Returns the `state` of the response, which identifies the pending authorization.
    pub fn state(&self) -> &Secret {
        &self.state
    }

    /// Returns the time at which the pending authorization expires. The client rejects later
    /// responses.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Derives state, nonce and code verifier from 256 random bits. Each value has 43 characters,
    /// which are allowed in a code verifier (RFC 7636 section 4.1). None of the values reveals
    /// another value.
    pub(crate) fn from_seed(seed: &[u8; SEED_BYTES], expires_at: Timestamp) -> Self {
        let derive = |purpose: &str| {
            let digest = Sha256::new()
                .chain_update(b"kycport transaction ")
                .chain_update(purpose)
                .chain_update([0])
                .chain_update(seed)
                .finalize();
            Secret::new(URL_SAFE_NO_PAD.encode(digest))
        };
        Self {
            state: derive("state"),
            nonce: derive("nonce"),
            code_verifier: derive("code verifier"),
            max_age: None,
            required_acr: None,
            expires_at,
        }
    }

    /// Creates a pending authorization with random values.
    pub(super) fn random(
        request: &LoginRequest,
        expires_at: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        rng.fill_bytes(&mut *seed);
        Self {
            max_age: request.max_age.map(|age| age.as_secs()),
            required_acr: match &request.tier {
                Some((tier, AcrRequirement::Essential)) => Some(tier.clone()),
                _ => None,
            },
            ..Self::from_seed(&seed, expires_at)
        }
    }
}

impl fmt::Debug for PendingAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingAuthorization")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Builds the URL of the authorization request. The request contains no parameter twice (RFC 6749
/// section 3.1): a parameter of the request replaces a configured parameter, and a configured
/// parameter replaces a parameter of the authorization endpoint.
pub(super) fn authorization_url(
    settings: &Settings,
    provider: &VerifiedProvider,
    request: &LoginRequest,
    transaction: &PendingAuthorization,
) -> Result<Url, url::ParseError> {
    let mut endpoint = provider.authorization_endpoint.clone();
    if !settings.extra_parameters.is_empty() {
        let mut query = endpoint.query_pairs_mut();
        query.extend_pairs(&settings.extra_parameters);
    }
    let client = CoreClient::new(
        ClientId::new(settings.client_id.clone()),
        IssuerUrl::new(settings.issuer.clone())?,
        CoreJsonWebKeySet::default(),
    )
    .set_auth_uri(AuthUrl::from_url(endpoint))
    .set_redirect_uri(RedirectUrl::new(settings.redirect_uri.clone())?)
    // The configured scopes already include `openid`.
    .disable_openid_scope();
    let state = CsrfToken::new(transaction.state.expose().to_owned());
    let nonce = Nonce::new(transaction.nonce.expose().to_owned());
    let verifier = PkceCodeVerifier::new(transaction.code_verifier.expose().to_owned());
    let mut url = client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            move || state,
            move || nonce,
        )
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
        .add_scopes(settings.scopes.iter().cloned().map(Scope::new));
    if let Some(prompt) = request.prompt {
        url = url.add_prompt(match prompt {
            Prompt::None => CoreAuthPrompt::None,
            Prompt::Login => CoreAuthPrompt::Login,
            Prompt::Consent => CoreAuthPrompt::Consent,
        });
    }
    // The router checks `max_age` itself, and its pending authorization has no `max_age`.
    if let Some(age) = request.max_age {
        url = url.set_max_age(Duration::from_secs(age.as_secs()));
    }
    if let Some(hint) = &request.login_hint {
        url = url.set_login_hint(LoginHint::new(hint.expose().to_owned()));
    }
    if !request.ui_locales.is_empty() {
        url = url.add_extra_param(authorize::UI_LOCALES, request.ui_locales.join(" "));
    }
    if let Some((tier, _)) = &request.tier {
        url = if settings.tier_parameter == authorize::ACR_VALUES {
            url.add_auth_context_value(AuthenticationContextClass::new(tier.to_string()))
        } else {
            url.add_extra_param(settings.tier_parameter.clone(), tier.to_string())
        };
    }
    let (url, _, _) = url.url();
    Ok(with_last_of_each(url))
}

/// Keeps only the last value of each parameter.
fn with_last_of_each(mut url: Url) -> Url {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let is_last = |place: usize, name: &str| {
        let mut later = pairs.iter().skip(place.saturating_add(1));
        later.all(|(other, _)| other != name)
    };
    let has_repeats = pairs
        .iter()
        .enumerate()
        .any(|(place, (name, _))| !is_last(place, name));
    if !has_repeats {
        return url;
    }
    let kept = pairs
        .iter()
        .enumerate()
        .filter(|(place, (name, _))| is_last(*place, name))
        .map(|(_, pair)| pair);
    url.query_pairs_mut().clear().extend_pairs(kept);
    url
}

/// Returns 256 random bits as 43 characters, which are allowed in a code verifier (RFC 7636 section
/// 4.1).
pub(super) fn random_text(rng: &mut impl CryptoRng) -> Secret {
    let mut bytes = [0_u8; 32];
    rng.fill_bytes(&mut bytes);
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}
