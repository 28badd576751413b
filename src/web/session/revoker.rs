//! Revokes the tokens of ended sessions at KYCPort, in the background.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use super::record::Tokens;
use crate::{
    clock::Clock,
    expiring_map::ExpiringMap,
    oidc::{OidcClient, RevokedToken},
};

/// Maximum number of sessions or persons whose tokens the crate revokes concurrently. Further
/// tokens are not revoked: they stay valid until they expire.
const MAX_REVOCATIONS: usize = 64;
/// Maximum number of tokens that the revoker remembers.
const MAX_RECENT: usize = 10_000;
/// Time for which the revoker remembers a token. If several requests revoke a person's sessions
/// simultaneously, each request finds the same tokens. Only the first request revokes the tokens at
/// KYCPort.
const RECENT: Duration = Duration::from_secs(60);

/// SHA-256 digests of access tokens that were recently given to the revoker.
type RecentTokens = ExpiringMap<[u8; 32], (), MAX_RECENT>;

/// Revokes tokens at KYCPort if the discovery document contains a revocation endpoint. Cheap to
/// clone.
#[derive(Clone)]
pub(in crate::web) struct TokenRevoker {
    oidc: OidcClient,
    turns: Arc<Semaphore>,
    recent: Arc<Mutex<RecentTokens>>,
    clock: Arc<dyn Clock>,
}

impl TokenRevoker {
    pub(in crate::web) fn new(oidc: OidcClient, clock: Arc<dyn Clock>) -> Self {
        Self {
            oidc,
            recent: Arc::default(),
            clock,
            turns: Arc::new(Semaphore::new(MAX_REVOCATIONS)),
        }
    }

    /// Returns whether the cached metadata contains a revocation endpoint. Sends no request.
    pub(super) fn is_available(&self) -> bool {
        self.oidc.has_revocation_endpoint()
    }

    /// Revokes tokens in a background task. The crate sends each revocation request only once. A
    /// token that KYCPort does not revoke stays valid until it expires.
    pub(super) fn revoke(&self, mut tokens: Vec<Tokens>) {
        if tokens.is_empty() {
            return;
        }
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            return;
        };
        tokens.retain(|tokens| self.is_new(tokens));
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

    /// Remembers these tokens. Returns `true` if the tokens are new to the revoker.
    fn is_new(&self, tokens: &Tokens) -> bool {
        let digest = Sha256::digest(tokens.access_token.expose().as_bytes()).into();
        let now = self.clock.monotonic();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.get(now, &digest).is_some() {
            return false;
        }
        recent.insert(now, digest, (), now.saturating_add(RECENT));
        true
    }
}

impl fmt::Debug for TokenRevoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenRevoker(…)")
    }
}
