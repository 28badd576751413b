//! Token endpoint client, which chooses the client secret.

use std::sync::Arc;

use super::{
    exchange::{self, ExchangeError, Grant},
    login,
    metadata::VerifiedProvider,
    settings::Settings,
};
use crate::{
    clock::Clock,
    http::{HttpClient, Pause},
    observe::{self, Call},
    secret::Secret,
    secrets::{CandidateCheck, RotatingSecret, check_candidate},
    wire::token::TokenResponse,
};

pub(super) struct TokenEndpoint {
    pub(super) settings: Arc<Settings>,
    pub(super) client_secret: Arc<RotatingSecret>,
    pub(super) http: HttpClient,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) pause: Pause,
}

impl TokenEndpoint {
    pub(super) async fn exchange(
        &self,
        provider: &VerifiedProvider,
        grant: Grant<'_>,
    ) -> Result<TokenResponse, ExchangeError> {
        let call = match grant {
            Grant::Code { .. } => Call::Code,
            Grant::Refresh(_) => Call::Refresh,
        };
        if let Some(pause) = self.pause.remaining() {
            return Err(ExchangeError::rate_limited(pause));
        }
        let answer = observe::call(call, self.exchange_with_known_secrets(provider, grant)).await;
        if let Err(ExchangeError::Unavailable {
            status: ExchangeError::RATE_LIMITED,
            retry_after,
        }) = &answer
        {
            self.pause.start(*retry_after);
        }
        answer
    }

    async fn exchange_with_known_secrets(
        &self,
        provider: &VerifiedProvider,
        grant: Grant<'_>,
    ) -> Result<TokenResponse, ExchangeError> {
        let secrets = &self.client_secret;
        let first = secrets.current();
        let mut answer = self.exchange_with(first.as_ref(), provider, &grant).await;
        // Another secret may follow, because a request with a rejected client secret does not use
        // up the code (K97).
        let mut tried = Vec::from_iter(first);
        while answer.as_ref().is_err_and(ExchangeError::rejects_client)
            && let Some(secret) = secrets.next_untried(&tried)
        {
            answer = self.exchange_with(Some(&secret), provider, &grant).await;
            if answer.is_ok() {
                secrets.mark_accepted(&secret);
            }
            tried.push(secret);
        }
        answer
    }

    /// Checks whether KYCPort accepts this client secret, with a token request for a random code.
    pub(super) async fn check_secret(
        &self,
        provider: &VerifiedProvider,
        secret: &Secret,
    ) -> CandidateCheck {
        let [code, code_verifier] = [(); 2].map(|()| login::random_text(&mut rand::rng()));
        let grant = Grant::Code {
            code: &code,
            code_verifier: &code_verifier,
        };
        let send = async |secret: Secret| {
            let answer = self.exchange_with(Some(&secret), provider, &grant).await;
            exchange::verdict_of(&answer)
        };
        check_candidate(secret, send).await
    }

    async fn exchange_with(
        &self,
        secret: Option<&Secret>,
        provider: &VerifiedProvider,
        grant: &Grant<'_>,
    ) -> Result<TokenResponse, ExchangeError> {
        exchange::exchange(
            &self.http,
            &self.settings,
            secret,
            &provider.token_endpoint,
            grant,
            self.clock.now(),
        )
        .await
    }
}
