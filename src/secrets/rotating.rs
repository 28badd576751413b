//! Rotation of a secret that is sent to KYCPort: the current secret and the candidate to replace
//! it.

use std::{
    fmt::{self, Debug},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use super::kind::SecretKind;
use crate::{observe, secret::Secret};

/// Maximum number of secrets that one request tries: the first secret, the secret that replaced it
/// in the meantime, and the candidate.
const MAX_TRIED: usize = 3;
/// Back-off after the first rejection of a candidate. Each further rejection doubles the back-off.
const INITIAL_BACK_OFF: Duration = Duration::from_secs(60);
/// Maximum back-off of a candidate. Without back-off, reloads on a timer could look like a guessing
/// attack.
const MAX_BACK_OFF: Duration = Duration::from_secs(3600);

/// Secret that the client sends to KYCPort. Each request reads the secret, and no lock is held
/// during a request.
///
/// A candidate becomes the current secret only after KYCPort accepts it. An invalid secret
/// therefore never replaces a valid secret.
pub(crate) struct RotatingSecret {
    kind: SecretKind,
    state: RwLock<State>,
}

struct State {
    current: Option<Secret>,
    candidate: Option<Candidate>,
}

struct Candidate {
    secret: Secret,
    /// Last back-off. The back-off is zero before the first rejection.
    back_off: Duration,
    /// Time on the monotonic clock before which a reload does not check the candidate.
    retry_at: Duration,
}

/// Result of offering a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Candidacy {
    /// The secret is already in use.
    Unchanged,
    /// The secret is the candidate, and the reload must check it now.
    Candidate,
    /// The secret is the candidate. KYCPort rejected the candidate, and a reload must not check it
    /// yet.
    BackingOff,
}

impl RotatingSecret {
    pub(crate) fn new(kind: SecretKind, current: Option<Secret>) -> Self {
        let candidate = None;
        Self {
            kind,
            state: RwLock::new(State { current, candidate }),
        }
    }

    pub(crate) fn kind(&self) -> SecretKind {
        self.kind
    }

    /// Returns the secret in use.
    pub(crate) fn current(&self) -> Option<Secret> {
        self.read().current.clone()
    }

    /// Returns a secret that the request has not tried yet: the current secret or the candidate.
    pub(crate) fn next_untried(&self, tried: &[Secret]) -> Option<Secret> {
        if tried.len() >= MAX_TRIED {
            return None;
        }
        let state = self.read();
        let mut known = state.current.iter().chain(state.candidate());
        known.find(|secret| !tried.contains(secret)).cloned()
    }

    /// Makes a secret the candidate. If the secret is already in use, drops the former candidate.
    /// `now` is the time of the monotonic clock.
    pub(crate) fn offer(&self, secret: &Secret, now: Duration) -> Candidacy {
        let mut state = self.write();
        if state.current.as_ref() == Some(secret) {
            state.candidate = None;
            return Candidacy::Unchanged;
        }
        match &state.candidate {
            Some(it) if it.secret == *secret && it.retry_at > now => return Candidacy::BackingOff,
            Some(it) if it.secret == *secret => return Candidacy::Candidate,
            _ => {}
        }
        state.candidate = Some(Candidate {
            secret: secret.clone(),
            back_off: Duration::ZERO,
            retry_at: Duration::ZERO,
        });
        Candidacy::Candidate
    }

    /// Records that KYCPort rejected a secret. If the secret is the candidate, starts or doubles
    /// its back-off.
    pub(crate) fn mark_rejected(&self, secret: &Secret, now: Duration) {
        let mut state = self.write();
        let candidate = state.candidate.as_mut();
        if let Some(candidate) = candidate.filter(|it| it.secret == *secret) {
            let twice = candidate.back_off.saturating_mul(2);
            candidate.back_off = twice.clamp(INITIAL_BACK_OFF, MAX_BACK_OFF);
            candidate.retry_at = now.saturating_add(candidate.back_off);
        }
    }

    /// Records that KYCPort accepted a secret. If the secret is the candidate, it becomes the
    /// current secret.
    pub(crate) fn mark_accepted(&self, secret: &Secret) {
        if self.read().candidate() != Some(secret) {
            return;
        }
        let mut state = self.write();
        // Check again, because a reload may have offered another secret in the meantime.
        if state.candidate() != Some(secret) {
            return;
        }
        state.current = state.candidate.take().map(|it| it.secret);
        drop(state);
        observe::secret_activated(self.kind.variable());
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn candidate(&self) -> Option<&Secret> {
        self.candidate.as_ref().map(|it| &it.secret)
    }
}

impl Debug for RotatingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RotatingSecret").field(&self.kind).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Candidacy, RotatingSecret, SecretKind};
    use crate::secret::Secret;

    const NOW: Duration = Duration::from_secs(1000);

    fn rotating() -> (RotatingSecret, [Secret; 3]) {
        let secrets = ["old", "new", "newer"].map(Secret::new);
        let rotating = RotatingSecret::new(SecretKind::ClientSecret, Some(secrets[0].clone()));
        (rotating, secrets)
    }

    #[test]
    fn a_candidate_is_activated_when_it_is_accepted() {
        let (rotating, [old, new, _]) = rotating();
        assert_eq!(rotating.offer(&new, NOW), Candidacy::Candidate);
        assert_eq!(rotating.current(), Some(old.clone()));
        assert_eq!(
            rotating.next_untried(std::slice::from_ref(&old)),
            Some(new.clone())
        );
        rotating.mark_accepted(&new);
        assert_eq!(rotating.current(), Some(new.clone()));
        assert_eq!(rotating.next_untried(&[new]), None);
    }

    #[test]
    fn a_dropped_candidate_is_not_activated() {
        let (rotating, [old, new, newer]) = rotating();
        rotating.offer(&new, NOW);
        rotating.offer(&newer, NOW);
        rotating.mark_accepted(&new);
        assert_eq!(rotating.current(), Some(old.clone()));
        assert_eq!(rotating.offer(&old, NOW), Candidacy::Unchanged);
        rotating.mark_accepted(&newer);
        assert_eq!(rotating.current(), Some(old));
    }

    #[test]
    fn a_request_continues_with_the_secret_that_replaced_its_own() {
        let (rotating, [old, new, _]) = rotating();
        rotating.offer(&new, NOW);
        rotating.mark_accepted(&new);
        assert_eq!(rotating.next_untried(&[old]), Some(new));
    }

    #[test]
    fn a_rejected_candidate_backs_off_for_up_to_an_hour() {
        let (rotating, [old, new, newer]) = rotating();
        let second = Duration::from_secs(1);
        let mut now = NOW;
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(rotating.offer(&new, now), Candidacy::Candidate);
            rotating.mark_rejected(&new, now);
            now += Duration::from_secs(60 * minutes);
            assert_eq!(
                rotating.offer(&new, now.saturating_sub(second)),
                Candidacy::BackingOff,
                "{minutes}"
            );
        }
        rotating.mark_rejected(&new, now);
        // Requests to KYCPort still try the candidate during its back-off.
        assert_eq!(rotating.next_untried(&[old]), Some(new.clone()));
        // A new candidate has no back-off. A rejection of the earlier candidate does not affect the
        // new candidate.
        assert_eq!(rotating.offer(&newer, now), Candidacy::Candidate);
        rotating.mark_rejected(&new, now);
        assert_eq!(rotating.offer(&newer, now), Candidacy::Candidate);
    }
}
