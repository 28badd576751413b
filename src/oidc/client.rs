//! OpenID Connect client: begins and finishes logins, refreshes tokens and verifies tokens.

use std::{fmt, sync::Arc, time::Duration};

use url::Url;

#[cfg(feature = "web")]
use super::revocation::{self, RevokedToken};
use super::{
    access_token::{self, AccessTokenClaims, ExpectedAccessToken},
    callback::{CallbackParams, Outcome},
    checkup::{self, Checkup},
    exchange::Grant,
    id_token::{self, ExpectedIdToken, IdTokenClaims},
    jws::{SignedPayload, Unverified},
    login::{self, LoginRequest, PendingAuthorization},
    outcome::{Authenticated, LoginError, TokenSet, VerifyError},
    provider::{KeysFor, Provider, ProviderError, TokenOrigin},
    reason::log_rejection,
    settings::{ResponseIssuer, Settings},
    token_endpoint::TokenEndpoint,
    userinfo::{self, Userinfo, UserinfoError, UserinfoRequest},
    validation_error::{TokenKind, TokenValidationError},
};
#[cfg(feature = "web")]
use crate::wire::status_aliases::StatusAliases;
use crate::{
    clock::Clock,
    http::{HttpClient, Pause, TransportError},
    observe::{self, Call},
    secret::Secret,
    secrets::{CandidateCheck, RotatingSecret},
    wire::token::TokenResponse,
};

/// Maximum number of requests that a refresh sends. A refresh may need one request for metadata,
/// one for keys, three for client secrets, and two key fetches per token.
#[cfg(feature = "web")]
const MAX_REFRESH_REQUESTS: u32 = 2 + 3 + 2 * 2;

/// Authorization code of a response that matches its pending authorization.
pub(crate) struct AuthorizationCode(Secret);

/// OpenID Connect client that signs people in with KYCPort and verifies its tokens. The client
/// needs no web framework. Cheap to clone.
#[derive(Clone)]
pub struct OidcClient(Arc<Inner>);

struct Inner {
    settings: Arc<Settings>,
    token_endpoint: TokenEndpoint,
    http: HttpClient,
    provider: Provider,
    userinfo_pause: Pause,
    expected_access_token: ExpectedAccessToken,
    clock: Arc<dyn Clock>,
}

impl OidcClient {
    pub(crate) fn new(
        settings: Settings,
        client_secret: Arc<RotatingSecret>,
        http: HttpClient,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let provider = Provider::new(
            http.clone(),
            settings.metadata.clone(),
            settings.algorithm_names,
            Arc::clone(&clock),
        );
        let expected_access_token = ExpectedAccessToken {
            profile: settings.access_token_profile,
            skew: settings.skew,
            algorithm_names: settings.algorithm_names,
            ..ExpectedAccessToken::new(settings.issuer.clone(), settings.client_id.clone())
        };
        let settings = Arc::new(settings);
        let token_endpoint = TokenEndpoint {
            settings: Arc::clone(&settings),
            client_secret,
            http: http.clone(),
            clock: Arc::clone(&clock),
            pause: Pause::new(Arc::clone(&clock)),
        };
        Self(Arc::new(Inner {
            settings,
            token_endpoint,
            http,
            provider,
            userinfo_pause: Pause::new(Arc::clone(&clock)),
            expected_access_token,
            clock,
        }))
    }

    /// Returns the expected issuer of tokens.
    pub fn issuer(&self) -> &str {
        &self.0.settings.issuer
    }

    /// Returns the client id.
    pub fn client_id(&self) -> &str {
        &self.0.settings.client_id
    }

    /// Fetches KYCPort's documents without the cache.
    pub(crate) async fn check_up(&self) -> Checkup {
        checkup::check_up(&self.0.http, &self.0.settings).await
    }

    /// Returns whether KYCPort's metadata is available, and fetches it if necessary.
    #[cfg(feature = "web")]
    pub(crate) async fn is_known(&self) -> bool {
        self.0.provider.metadata().await.is_ok()
    }

    /// Begins a login. Returns the URL to redirect the browser to, and the pending authorization.
    /// Keep the pending authorization until the browser returns.
    ///
    /// # Errors
    /// Returns [`ProviderError`] while the discovery document is unavailable.
    pub async fn begin(
        &self,
        request: &LoginRequest,
    ) -> Result<(Url, PendingAuthorization), ProviderError> {
        let lifetime = self.0.settings.transaction_lifetime;
        let expires_at = self.0.clock.now().saturating_add(lifetime);
        let transaction = PendingAuthorization::random(request, expires_at, &mut rand::rng());
        let url = self.authorization_url(request, &transaction).await?;
        Ok((url, transaction))
    }

    /// Builds the URL of the authorization request.
    pub(crate) async fn authorization_url(
        &self,
        request: &LoginRequest,
        transaction: &PendingAuthorization,
    ) -> Result<Url, ProviderError> {
        let provider = self.0.provider.metadata().await?;
        login::authorization_url(&self.0.settings, &provider, request, transaction)
            .map_err(|_| ProviderError::Transport(TransportError::Request))
    }

    /// Finishes a login: validates the response, exchanges the code and verifies the tokens.
    ///
    /// Before this call, check that the pending authorization belongs to the browser that returned.
    /// Also remove the pending authorization permanently from the app's storage.
    ///
    /// # Errors
    /// Returns [`LoginError`]. After an error, do not use the pending authorization again.
    pub async fn finish(
        &self,
        transaction: PendingAuthorization,
        params: CallbackParams,
    ) -> Result<Authenticated, LoginError> {
        let code = self.accept(&transaction, params).await?;
        self.redeem(transaction, code).await
    }

    /// Validates an authorization response against its pending authorization. Sends no request if
    /// the metadata is cached.
    pub(crate) async fn accept(
        &self,
        transaction: &PendingAuthorization,
        params: CallbackParams,
    ) -> Result<AuthorizationCode, LoginError> {
        let settings = &self.0.settings;
        if transaction.state != params.state {
            return Err(LoginError::State);
        }
        if self.0.clock.now() >= transaction.expires_at {
            return Err(LoginError::Expired);
        }
        let provider = self.0.provider.metadata().await?;
        let must_name_issuer =
            provider.sends_iss || settings.response_issuer == ResponseIssuer::Required;
        let is_ours = match &params.issuer {
            Some(issuer) => *issuer == settings.issuer,
            None => !must_name_issuer,
        };
        if !is_ours {
            return Err(LoginError::Issuer);
        }
        match params.outcome {
            Outcome::Code(code) => Ok(AuthorizationCode(code)),
            Outcome::Error(error) => Err(LoginError::Rejected(error)),
        }
    }

    /// Returns the time for which KYCPort rate-limits token requests.
    #[cfg(feature = "web")]
    pub(crate) fn token_pause(&self) -> Option<Duration> {
        self.0.token_endpoint.pause.remaining()
    }

    /// Exchanges an accepted code, and verifies the tokens.
    pub(crate) async fn redeem(
        &self,
        transaction: PendingAuthorization,
        code: AuthorizationCode,
    ) -> Result<Authenticated, LoginError> {
        let provider = self.0.provider.metadata().await?;
        let grant = Grant::Code {
            code: &code.0,
            code_verifier: &transaction.code_verifier,
        };
        let requested_at = self.0.clock.now();
        let answer = self.0.token_endpoint.exchange(&provider, grant).await?;
        let id_token = answer.id_token.clone().ok_or(LoginError::NoIdToken)?;
        let mut expected = self.expected_id_token(&answer);
        expected.nonce = Some(transaction.nonce);
        expected.max_age = transaction.max_age.map(Duration::from_secs);
        expected.acr = transaction.required_acr;
        let claims = self.verify_id_token(&id_token, &expected).await?;
        let tokens = self.token_set(answer, &claims.subject).await?;
        Ok(Authenticated {
            claims,
            tokens,
            requested_at,
        })
    }

    /// Verifies an access token (`at+jwt`) that users of this client send to the client's own API.
    ///
    /// # Errors
    /// Returns [`VerifyError::Rejected`] if the token is invalid, and [`VerifyError::Provider`] if
    /// the keys are unavailable.
    pub async fn verify_access_token(&self, token: &str) -> Result<AccessTokenClaims, VerifyError> {
        self.verify_access_token_of(TokenOrigin::AnyClient, token)
            .await
    }

    async fn verify_access_token_of(
        &self,
        origin: TokenOrigin,
        token: &str,
    ) -> Result<AccessTokenClaims, VerifyError> {
        let payload = self
            .signed_payload(token, TokenKind::AccessToken, origin)
            .await?;
        let expected = &self.0.expected_access_token;
        let validated = access_token::validate(&payload, expected, self.0.clock.now());
        validated.map_err(|error| rejected(TokenKind::AccessToken, error))
    }

    /// Requests new tokens for `subject` with a refresh token. Use each refresh token only once,
    /// because KYCPort may rotate refresh tokens.
    ///
    /// # Errors
    /// Returns [`LoginError`]. After [`ExchangeError::Rejected`](super::ExchangeError::Rejected),
    /// the person must sign in again.
    pub async fn refresh(
        &self,
        refresh_token: &Secret,
        subject: &str,
    ) -> Result<TokenSet, LoginError> {
        let provider = self.0.provider.metadata().await?;
        // Fetch the keys before the request uses up the old refresh token. Without keys, the client
        // could not verify the new tokens, and the new refresh token would be lost.
        if let KeysFor::Unavailable(error) = self
            .0
            .provider
            .keys_for(None, TokenOrigin::TokenEndpoint)
            .await
        {
            return Err(error.into());
        }
        let grant = Grant::Refresh(refresh_token);
        let answer = self.0.token_endpoint.exchange(&provider, grant).await?;
        if let Some(id_token) = answer.id_token.clone() {
            let expected = self.expected_id_token(&answer);
            let claims = self.verify_id_token(&id_token, &expected).await?;
            if claims.subject != subject {
                return Err(LoginError::SubjectMismatch);
            }
        }
        let mut tokens = self.token_set(answer, subject).await?;
        // RFC 6749 section 6: if the response has no new refresh token, the old refresh token stays
        // valid.
        tokens
            .refresh_token
            .get_or_insert_with(|| refresh_token.clone());
        Ok(tokens)
    }

    /// Returns the maximum duration of [`refresh`](Self::refresh): the deadlines of all its
    /// possible requests, one after the other.
    #[cfg(feature = "web")]
    pub(crate) fn max_refresh_duration(&self) -> Duration {
        self.0.http.deadline().saturating_mul(MAX_REFRESH_REQUESTS)
    }

    /// Reads the userinfo endpoint with the access token of `subject` (K35).
    ///
    /// # Errors
    /// Returns [`UserinfoError`]. [`UserinfoError::SubjectMismatch`] means that the response was
    /// about another person; the client discards it.
    pub async fn userinfo(
        &self,
        access_token: &Secret,
        subject: &str,
    ) -> Result<Userinfo, UserinfoError> {
        if let Some(retry_after) = self.0.userinfo_pause.remaining() {
            return Err(UserinfoError::RateLimited { retry_after });
        }
        let provider = self.0.provider.metadata().await?;
        let request = UserinfoRequest {
            endpoint: &provider.userinfo_endpoint,
            access_token,
            subject,
            member: self.0.settings.userinfo_member.as_deref(),
            now: self.0.clock.now(),
        };
        let fetch = userinfo::fetch(&self.0.http, request);
        let answer = observe::call(Call::Userinfo, fetch).await;
        if let Err(UserinfoError::RateLimited { retry_after }) = &answer {
            self.0.userinfo_pause.start(Some(*retry_after));
        }
        let mut userinfo = answer?;
        userinfo.kyc_status = self.0.settings.status_aliases.apply(userinfo.kyc_status);
        Ok(userinfo)
    }

    /// Returns the configured aliases of verification statuses.
    #[cfg(feature = "web")]
    pub(crate) fn status_aliases(&self) -> &StatusAliases {
        &self.0.settings.status_aliases
    }

    /// Returns whether KYCPort may have a revocation endpoint. Returns true if the last known
    /// discovery document contains a revocation endpoint. Also returns true if no document is known
    /// yet.
    #[cfg(feature = "web")]
    pub(crate) fn has_revocation_endpoint(&self) -> bool {
        let known = self.0.provider.last_known_metadata();
        known.is_none_or(|provider| provider.revocation_endpoint.is_some())
    }

    /// Revokes a token (RFC 7009 section 2.1) if KYCPort has a revocation endpoint. If the request
    /// fails, only a metric records the failure.
    #[cfg(feature = "web")]
    pub(crate) async fn revoke(&self, kind: RevokedToken, token: &Secret) {
        let Ok(provider) = self.0.provider.metadata().await else {
            return;
        };
        let Some(endpoint) = &provider.revocation_endpoint else {
            return;
        };
        let secret = self.0.token_endpoint.client_secret.current();
        let revoke = revocation::revoke(
            &self.0.http,
            &self.0.settings,
            secret.as_ref(),
            endpoint,
            (kind, token),
        );
        let _ = observe::call(Call::Revoke, revoke).await;
    }

    /// Checks whether KYCPort accepts this client secret.
    pub(crate) async fn check_secret(&self, secret: &Secret) -> CandidateCheck {
        match self.0.provider.metadata().await {
            Ok(provider) => self.0.token_endpoint.check_secret(&provider, secret).await,
            Err(_) => CandidateCheck::Unreachable,
        }
    }

    fn expected_id_token(&self, answer: &TokenResponse) -> ExpectedIdToken {
        let settings = &self.0.settings;
        ExpectedIdToken {
            issuer: settings.issuer.clone(),
            client_id: settings.client_id.clone(),
            nonce: None,
            access_token: Some(Secret::new(answer.access_token.clone())),
            max_age: None,
            acr: None,
            skew: settings.skew,
            algorithm_names: settings.algorithm_names,
        }
    }

    async fn verify_id_token(
        &self,
        token: &str,
        expected: &ExpectedIdToken,
    ) -> Result<IdTokenClaims, LoginError> {
        let origin = TokenOrigin::TokenEndpoint;
        let payload = match self.signed_payload(token, TokenKind::IdToken, origin).await {
            Ok(payload) => payload,
            Err(VerifyError::Rejected(error)) => return Err(LoginError::IdToken(error)),
            Err(VerifyError::Provider(error)) => return Err(LoginError::Provider(error)),
        };
        let validated = id_token::validate(&payload, expected, self.0.clock.now());
        validated
            .map(|mut claims| {
                claims.kyc_status = self.0.settings.status_aliases.apply(claims.kyc_status);
                claims
            })
            .inspect_err(|error| log_rejection(TokenKind::IdToken, error))
            .map_err(LoginError::IdToken)
    }

    async fn token_set(
        &self,
        answer: TokenResponse,
        subject: &str,
    ) -> Result<TokenSet, LoginError> {
        let verified =
            self.verify_access_token_of(TokenOrigin::TokenEndpoint, &answer.access_token);
        let claims = match verified.await {
            Ok(claims) => claims,
            Err(VerifyError::Rejected(error)) => return Err(LoginError::AccessToken(error)),
            Err(VerifyError::Provider(error)) => return Err(LoginError::Provider(error)),
        };
        if claims.subject != subject {
            return Err(LoginError::SubjectMismatch);
        }
        let announced = answer.expires_in.map(|seconds| {
            self.0
                .clock
                .now()
                .saturating_add(Duration::from_secs(seconds))
        });
        let scopes = match &answer.scope {
            Some(granted) => granted
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
            // RFC 6749 section 5.1: the response may omit `scope` if the granted scopes equal the
            // requested scopes.
            None => self.0.settings.scopes.clone(),
        };
        Ok(TokenSet {
            access_token: Secret::new(answer.access_token),
            expires_at: announced.map_or(claims.expires_at, |at| at.min(claims.expires_at)),
            refresh_token: answer.refresh_token.map(Secret::new),
            scopes,
        })
    }

    async fn signed_payload(
        &self,
        token: &str,
        kind: TokenKind,
        origin: TokenOrigin,
    ) -> Result<SignedPayload, VerifyError> {
        let unverified = Unverified::parse(token, kind, self.0.settings.algorithm_names)
            .map_err(|error| rejected(kind, error))?;
        match self.0.provider.keys_for(unverified.kid(), origin).await {
            KeysFor::Set(keys) => unverified
                .signed_payload(&keys)
                .map_err(|error| rejected(kind, error)),
            KeysFor::Unavailable(error) => Err(VerifyError::Provider(error)),
        }
    }
}

fn rejected(kind: TokenKind, error: TokenValidationError) -> VerifyError {
    log_rejection(kind, &error);
    VerifyError::Rejected(error)
}

impl fmt::Debug for OidcClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcClient")
            .field("issuer", &self.0.settings.issuer)
            .field("client_id", &self.0.settings.client_id)
            .finish_non_exhaustive()
    }
}
