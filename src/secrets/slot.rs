//! One secret that is sent: the one in use, and one that is to replace it.

use std::{
    fmt::{self, Debug},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use super::kind::SecretKind;
use crate::{observe, secret::Secret};

/// One request tries no more secrets than these: the one it began with, the one that replaced it
/// meanwhile, and the candidate.
const MOST_TRIED: usize = 3;
/// A candidate that is refused rests for so long, each time twice as long …
const FIRST_REST: Duration = Duration::from_secs(60);
/// … and never longer: a reload on a timer must not look like somebody who guesses.
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// A secret that is sent to KYCPort. Read at each request; no lock is held while one is under way.
///
/// A candidate becomes the current one only when KYCPort has accepted it, so that what works is
/// never replaced by what does not.
pub(crate) struct Slot {
    kind: SecretKind,
    held: RwLock<Held>,
}

struct Held {
    current: Option<Secret>,
    candidate: Option<Candidate>,
}

struct Candidate {
    secret: Secret,
    /// How long the last rest is. None before the first refusal.
    rest: Duration,
    /// Until then, by the monotonic clock, it is not tried by a reload.
    rests_until: Duration,
}

/// What became of a secret that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It is in use already.
    Unchanged,
    /// It is the candidate, and to be tried.
    Candidate,
    /// It is the candidate, was refused, and rests.
    Rests,
}

impl Slot {
    pub(crate) fn new(kind: SecretKind, current: Option<Secret>) -> Self {
        let candidate = None;
        Self {
            kind,
            held: RwLock::new(Held { current, candidate }),
        }
    }

    pub(crate) fn kind(&self) -> SecretKind {
        self.kind
    }

    /// The one in use.
    pub(crate) fn current(&self) -> Option<Secret> {
        self.read().current.clone()
    }

    /// One that was not tried yet: what is in use by now, or the candidate.
    pub(crate) fn other_than(&self, tried: &[Secret]) -> Option<Secret> {
        if tried.len() >= MOST_TRIED {
            return None;
        }
        let held = self.read();
        let mut known = held.current.iter().chain(held.candidate());
        known.find(|secret| !tried.contains(secret)).cloned()
    }

    /// Takes a secret for the candidate. If it is the one in use, nothing is to replace that any
    /// more. `now` is the monotonic clock's.
    pub(crate) fn offer(&self, secret: &Secret, now: Duration) -> Offer {
        let mut held = self.write();
        if held.current.as_ref() == Some(secret) {
            held.candidate = None;
            return Offer::Unchanged;
        }
        match &held.candidate {
            Some(it) if it.secret == *secret && it.rests_until > now => return Offer::Rests,
            Some(it) if it.secret == *secret => return Offer::Candidate,
            _ => {}
        }
        held.candidate = Some(Candidate {
            secret: secret.clone(),
            rest: Duration::ZERO,
            rests_until: Duration::ZERO,
        });
        Offer::Candidate
    }

    /// A trial was refused: if that was the candidate's, it rests.
    pub(crate) fn refused(&self, secret: &Secret, now: Duration) {
        let mut held = self.write();
        let candidate = held.candidate.as_mut();
        if let Some(candidate) = candidate.filter(|it| it.secret == *secret) {
            let twice = candidate.rest.saturating_mul(2);
            candidate.rest = twice.clamp(FIRST_REST, LONGEST_REST);
            candidate.rests_until = now.saturating_add(candidate.rest);
        }
    }

    /// KYCPort accepted this one: if it is the candidate, it is in use from here.
    pub(crate) fn accepted(&self, secret: &Secret) {
        if self.read().candidate() != Some(secret) {
            return;
        }
        let mut held = self.write();
        // Another may have been offered since.
        if held.candidate() != Some(secret) {
            return;
        }
        held.current = held.candidate.take().map(|it| it.secret);
        drop(held);
        observe::secret_proven(self.kind.variable());
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn candidate(&self) -> Option<&Secret> {
        self.candidate.as_ref().map(|it| &it.secret)
    }
}

impl Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot").field(&self.kind).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Offer, SecretKind, Slot};
    use crate::secret::Secret;

    const NOW: Duration = Duration::from_secs(1000);

    fn slot() -> (Slot, [Secret; 3]) {
        let secrets = ["old", "new", "newer"].map(Secret::new);
        let slot = Slot::new(SecretKind::ClientSecret, Some(secrets[0].clone()));
        (slot, secrets)
    }

    #[test]
    fn a_candidate_serves_when_it_is_accepted() {
        let (slot, [old, new, _]) = slot();
        assert_eq!(slot.offer(&new, NOW), Offer::Candidate);
        assert_eq!(slot.current(), Some(old.clone()));
        assert_eq!(
            slot.other_than(std::slice::from_ref(&old)),
            Some(new.clone())
        );
        slot.accepted(&new);
        assert_eq!(slot.current(), Some(new.clone()));
        assert_eq!(slot.other_than(&[new]), None);
    }

    #[test]
    fn what_is_no_candidate_any_more_does_not_serve() {
        let (slot, [old, new, newer]) = slot();
        slot.offer(&new, NOW);
        slot.offer(&newer, NOW);
        slot.accepted(&new);
        assert_eq!(slot.current(), Some(old.clone()));
        assert_eq!(slot.offer(&old, NOW), Offer::Unchanged);
        slot.accepted(&newer);
        assert_eq!(slot.current(), Some(old));
    }

    #[test]
    fn a_request_that_began_before_goes_on_with_what_is_in_use_by_now() {
        let (slot, [old, new, _]) = slot();
        slot.offer(&new, NOW);
        slot.accepted(&new);
        assert_eq!(slot.other_than(&[old]), Some(new));
    }

    #[test]
    fn what_is_refused_rests_longer_each_time_up_to_an_hour() {
        let (slot, [old, new, newer]) = slot();
        let second = Duration::from_secs(1);
        let mut now = NOW;
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(slot.offer(&new, now), Offer::Candidate);
            slot.refused(&new, now);
            now += Duration::from_secs(60 * minutes);
            assert_eq!(
                slot.offer(&new, now.saturating_sub(second)),
                Offer::Rests,
                "{minutes}"
            );
        }
        slot.refused(&new, now);
        // Live requests try it all the same.
        assert_eq!(slot.other_than(&[old]), Some(new.clone()));
        // Another does not rest, and is not refused by what was said of the one before.
        assert_eq!(slot.offer(&newer, now), Offer::Candidate);
        slot.refused(&new, now);
        assert_eq!(slot.offer(&newer, now), Offer::Candidate);
    }
}
