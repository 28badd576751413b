//! Revocation of the tokens of ended sessions at KYCPort, in the background.

use std::{fmt, sync::Arc};

use tokio::sync::Semaphore;
use tracing::Instrument as _;

use super::record::Tokens;
use crate::oidc::{OidcClient, RevokedToken};

/// Maximum number of sessions or persons whose tokens are being revoked at the same time. Further
/// tokens are not revoked: they stay valid until they expire.
const MAX_REVOCATIONS: usize = 64;

/// Revokes tokens at KYCPort if the discovery document names a revocation endpoint. Cheap to clone.
#[derive(Clone)]
pub(in crate::web) struct TokenRevoker {
    oidc: OidcClient,
    turns: Arc<Semaphore>,
}

impl TokenRevoker {
    pub(in crate::web) fn new(oidc: OidcClient) -> Self {
        Self {
            oidc,
            turns: Arc::new(Semaphore::new(MAX_REVOCATIONS)),
        }
    }

    /// Returns whether the cached metadata names a revocation endpoint. Sends no request.
    pub(super) fn is_available(&self) -> bool {
        self.oidc.has_revocation_endpoint()
    }

    /// Revokes tokens in a background task. Each request is sent only once. A token that KYCPort
    /// does not revoke stays valid until it expires.
    pub(super) fn revoke(&self, tokens: Vec<Tokens>) {
        if tokens.is_empty() {
            return;
        }
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            return;
        };
        let oidc = self.oidc.clone();
        let task = async move {
            for tokens in tokens {
                if let Some(refresh_token) = &tokens.refresh_token {
                    oidc.revoke(RevokedToken::Refresh, refresh_token).await;
                }
                oidc.revoke(RevokedToken::Access, &tokens.access_token)
                    .await;
            }
            drop(turn);
        };
        tokio::spawn(task.in_current_span());
    }
}

impl fmt::Debug for TokenRevoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenRevoker(…)")
    }
}
