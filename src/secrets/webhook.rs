//! Accepted webhook secrets: the newest secret and the secrets that it replaces.

use std::{
    fmt::{self, Debug},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use super::kind::SecretKind;
use crate::{clock::Timestamp, observe, secret::Secret};

/// Maximum number of webhook secrets that the crate accepts simultaneously. [`State::evict`]
/// describes which secrets the crate evicts above the maximum.
pub(crate) const MAX_WEBHOOK_SECRETS: usize = 8;
/// Minimum length of a webhook secret, in bytes: 128 bits.
pub(crate) const MIN_WEBHOOK_SECRET_BYTES: usize = 16;
/// Time for which the crate accepts a replaced secret after the first delivery with the newest
/// secret. During this time, KYCPort may redeliver events with the old signature (K83).
const RETIREMENT_PERIOD: Duration = Duration::from_secs(96 * 3600);
/// Maximum number of removed secrets to remember. A reload does not add a remembered secret again.
const MAX_REMOVED: usize = 64;

pub(crate) struct WebhookSecrets {
    state: RwLock<State>,
}

struct State {
    /// Generation: a number that increases with every change of the secrets. Code that derives keys
    /// from the secrets compares the generation.
    generation: u64,
    /// Secrets, newest first.
    secrets: Vec<Entry>,
    /// True if the newest secret has replaced another secret and no delivery was signed with the
    /// newest secret yet.
    awaits_delivery: bool,
    removed: Vec<Secret>,
}

struct Entry {
    secret: Secret,
    lifecycle: Lifecycle,
    /// True if the secret was configured at start, or if a delivery was signed with it.
    is_proven: bool,
}

#[derive(Clone, Copy)]
enum Lifecycle {
    /// The configuration or the provider contains the secret.
    Configured,
    /// The secret was replaced. The receiver accepts a replaced secret until this time. Without a
    /// time, the receiver accepts it until the newest secret is proven.
    Retiring(Option<Timestamp>),
}

/// Webhook secret that is accepted.
pub(crate) struct ActiveSecret {
    /// Name of the secret in logs.
    pub(crate) name: String,
    pub(crate) secret: Secret,
    /// Time from which the secret is no longer accepted.
    pub(crate) until: Option<Timestamp>,
}

/// Result of offering a webhook secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebhookCandidacy {
    /// The secret is already the newest secret, and is proven.
    Unchanged,
    /// The receiver accepts the secret from now on, in parallel with the old secrets.
    Added,
    /// The receiver already accepts the secret, but no delivery was signed with it yet.
    AwaitingDelivery,
    /// An operator removed the secret, so the receiver does not accept it.
    Removed,
}

impl WebhookSecrets {
    pub(crate) fn new(current: Option<Secret>, previous: Option<Secret>) -> Self {
        let secrets = current.into_iter().chain(previous).map(|secret| Entry {
            secret,
            lifecycle: Lifecycle::Configured,
            is_proven: true,
        });
        Self {
            state: RwLock::new(State {
                generation: 0,
                secrets: secrets.collect(),
                awaits_delivery: false,
                removed: Vec::new(),
            }),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.read().generation
    }

    /// Returns the generation and all secrets that the receiver may accept, newest first.
    pub(crate) fn active(&self) -> (u64, Vec<ActiveSecret>) {
        let state = self.read();
        let all = state
            .secrets
            .iter()
            .enumerate()
            .map(|(at, entry)| ActiveSecret {
                name: match at {
                    0 => "current".to_owned(),
                    1 => "previous".to_owned(),
                    _ => format!("previous-{at}"),
                },
                secret: entry.secret.clone(),
                until: match entry.lifecycle {
                    Lifecycle::Configured => None,
                    Lifecycle::Retiring(until) => until,
                },
            });
        (state.generation, all.collect())
    }

    /// Makes `newest` the newest secret. The receiver continues to accept the secrets that `newest`
    /// replaces. The receiver also accepts `previous` until another secret replaces `previous`.
    pub(crate) fn offer(
        &self,
        newest: &Secret,
        previous: Option<&Secret>,
        now: Timestamp,
    ) -> WebhookCandidacy {
        let mut state = self.write();
        if state.removed.contains(newest) {
            return WebhookCandidacy::Removed;
        }
        let previous = previous.filter(|it| *it != newest && !state.removed.contains(it));
        let is_new = state.secrets.first().map(|it| &it.secret) != Some(newest);
        state.awaits_delivery |= is_new;
        if is_new || previous.is_some() {
            state.retire_configured(now);
        }
        state.insert(0, newest);
        if let Some(previous) = previous {
            state.insert(1, previous);
        }
        state.evict(now);
        state.generation = state.generation.wrapping_add(1);
        match (is_new, state.awaits_delivery) {
            (true, _) => WebhookCandidacy::Added,
            (false, true) => WebhookCandidacy::AwaitingDelivery,
            (false, false) => WebhookCandidacy::Unchanged,
        }
    }

    /// Records that a delivery was signed with a secret. If the secret is the newest secret, the
    /// replaced secrets expire in 96 h.
    pub(crate) fn verified_by(&self, secret: &Secret, now: Timestamp) {
        if !self.read().would_change(secret) {
            return;
        }
        let mut state = self.write();
        for entry in &mut state.secrets {
            entry.is_proven |= entry.secret == *secret;
        }
        if !state.completes_rotation(secret) {
            return;
        }
        state.awaits_delivery = false;
        for entry in &mut state.secrets {
            if let Lifecycle::Retiring(until @ None) = &mut entry.lifecycle {
                *until = Some(now.saturating_add(RETIREMENT_PERIOD));
            }
        }
        state.generation = state.generation.wrapping_add(1);
        drop(state);
        observe::secret_activated(SecretKind::WebhookSecret.variable());
    }

    /// Removes all secrets except the newest secret, immediately and permanently. Returns the
    /// number of removed secrets.
    pub(crate) fn remove_previous(&self) -> usize {
        let mut state = self.write();
        let from = state.secrets.len().min(1);
        let old: Vec<_> = state.secrets.drain(from..).map(|it| it.secret).collect();
        let removed = old.len();
        state.removed.splice(0..0, old);
        state.removed.truncate(MAX_REMOVED);
        state.generation = state.generation.wrapping_add(1);
        drop(state);
        observe::webhook_secrets_removed(SecretKind::WebhookSecret.variable(), removed);
        removed
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Marks all configured secrets as retiring.
    fn retire_configured(&mut self, now: Timestamp) {
        let until = (!self.awaits_delivery).then(|| now.saturating_add(RETIREMENT_PERIOD));
        for entry in &mut self.secrets {
            if matches!(entry.lifecycle, Lifecycle::Configured) {
                entry.lifecycle = Lifecycle::Retiring(until);
            }
        }
    }

    /// Moves the secret to this position, or to the end of a shorter list. Adds the secret if
    /// necessary.
    fn insert(&mut self, at: usize, secret: &Secret) {
        let is_proven = self.secrets.iter().any(|it| it.is_proven_as(secret));
        self.secrets.retain(|it| it.secret != *secret);
        let entry = Entry {
            secret: secret.clone(),
            lifecycle: Lifecycle::Configured,
            is_proven,
        };
        self.secrets.insert(at.min(self.secrets.len()), entry);
    }

    /// Evicts secrets above the maximum, in this order: an expired secret, the oldest unproven
    /// secret, the oldest secret.
    ///
    /// KYCPort may sign with a proven secret until another secret is proven.
    fn evict(&mut self, now: Timestamp) {
        while self.secrets.len() > MAX_WEBHOOK_SECRETS {
            let expired = self.secrets.iter().rposition(|it| it.is_expired(now));
            let unproven = || self.secrets.iter().rposition(Entry::is_unproven);
            match expired.or_else(unproven) {
                Some(at) => drop(self.secrets.remove(at)),
                None => drop(self.secrets.pop()),
            }
        }
    }

    fn completes_rotation(&self, secret: &Secret) -> bool {
        self.awaits_delivery && self.secrets.first().map(|it| &it.secret) == Some(secret)
    }

    fn would_change(&self, secret: &Secret) -> bool {
        let is_new = |it: &Entry| it.secret == *secret && !it.is_proven;
        self.completes_rotation(secret) || self.secrets.iter().any(is_new)
    }
}

impl Entry {
    fn is_proven_as(&self, secret: &Secret) -> bool {
        self.is_proven && self.secret == *secret
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        matches!(self.lifecycle, Lifecycle::Retiring(Some(until)) if until <= now)
    }

    /// A configured secret is never evicted as unproven, because KYCPort may start to sign with it.
    fn is_unproven(&self) -> bool {
        !self.is_proven && matches!(self.lifecycle, Lifecycle::Retiring(_))
    }
}

impl Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let active = self.read().secrets.len();
        f.debug_struct("WebhookSecrets")
            .field("active", &active)
            .finish_non_exhaustive()
    }
}
