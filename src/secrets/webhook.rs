//! The secrets by which deliveries are believed: the newest, and those it replaces.

use std::{
    fmt::{self, Debug},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use super::kind::SecretKind;
use crate::{clock::Timestamp, observe, secret::Secret};

/// The most that are believed at once. Of more, what works goes last.
pub(crate) const MAX_WEBHOOK_SECRETS: usize = 8;
/// The shortest that is taken, in bytes: 128 bits.
pub(crate) const MIN_WEBHOOK_SECRET_BYTES: usize = 16;
/// So long after the newest was proven, what it replaced is believed: so long KYCPort may send what
/// it signed before (K83).
const LEFT_BEHIND: Duration = Duration::from_secs(96 * 3600);
/// So many that were forgotten are known not to be taken again.
const MOST_FORGOTTEN: usize = 64;

pub(crate) struct WebhookSecrets {
    held: RwLock<Held>,
}

struct Held {
    /// Changes with every change, for whoever derives keys.
    generation: u64,
    /// The newest first.
    secrets: Vec<Entry>,
    /// Nothing that the newest signed has come since it replaced another.
    awaits_proof: bool,
    forgotten: Vec<Secret>,
}

struct Entry {
    secret: Secret,
    standing: Standing,
    /// It was there from the start, or a delivery was signed with it.
    works: bool,
}

#[derive(Clone, Copy)]
enum Standing {
    /// The configuration or the provider names it.
    Named,
    /// It was replaced, and is believed until this or, before the newest is proven, without end.
    Leaving(Option<Timestamp>),
}

/// One that is believed.
pub(crate) struct Believed {
    /// What logs say of it.
    pub(crate) name: String,
    pub(crate) secret: Secret,
    /// From then on no more.
    pub(crate) until: Option<Timestamp>,
}

/// What became of a secret that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebhookOffer {
    /// It is the newest already, and awaits nothing.
    Unchanged,
    /// It is believed from now on, beside the old ones.
    Added,
    /// It is believed already, and no delivery was signed with it yet.
    AwaitsProof,
    /// It was forgotten on purpose, and is not taken.
    Forgotten,
}

impl WebhookSecrets {
    pub(crate) fn new(current: Option<Secret>, previous: Option<Secret>) -> Self {
        let secrets = current.into_iter().chain(previous).map(|secret| Entry {
            secret,
            standing: Standing::Named,
            works: true,
        });
        Self {
            held: RwLock::new(Held {
                generation: 0,
                secrets: secrets.collect(),
                awaits_proof: false,
                forgotten: Vec::new(),
            }),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.read().generation
    }

    /// All that may be believed, the newest first, and of which generation that is.
    pub(crate) fn believed(&self) -> (u64, Vec<Believed>) {
        let held = self.read();
        let all = held.secrets.iter().enumerate().map(|(at, entry)| Believed {
            name: match at {
                0 => "current".to_owned(),
                1 => "previous".to_owned(),
                _ => format!("previous-{at}"),
            },
            secret: entry.secret.clone(),
            until: match entry.standing {
                Standing::Named => None,
                Standing::Leaving(until) => until,
            },
        });
        (held.generation, all.collect())
    }

    /// Takes `newest` for the newest. What it replaces is believed on, and so is `previous` until
    /// another is named.
    pub(crate) fn offer(
        &self,
        newest: &Secret,
        previous: Option<&Secret>,
        now: Timestamp,
    ) -> WebhookOffer {
        let mut held = self.write();
        if held.forgotten.contains(newest) {
            return WebhookOffer::Forgotten;
        }
        let previous = previous.filter(|it| *it != newest && !held.forgotten.contains(it));
        let is_new = held.secrets.first().map(|it| &it.secret) != Some(newest);
        held.awaits_proof |= is_new;
        if is_new || previous.is_some() {
            held.leave(now);
        }
        held.put(0, newest);
        if let Some(previous) = previous {
            held.put(1, previous);
        }
        held.make_room(now);
        held.generation = held.generation.wrapping_add(1);
        match (is_new, held.awaits_proof) {
            (true, _) => WebhookOffer::Added,
            (false, true) => WebhookOffer::AwaitsProof,
            (false, false) => WebhookOffer::Unchanged,
        }
    }

    /// A delivery was signed with this one. If it is the newest, what it replaced goes in 96 h.
    pub(crate) fn verified_by(&self, secret: &Secret, now: Timestamp) {
        if !self.read().would_learn(secret) {
            return;
        }
        let mut held = self.write();
        for entry in &mut held.secrets {
            entry.works |= entry.secret == *secret;
        }
        if !held.is_proven_by(secret) {
            return;
        }
        held.awaits_proof = false;
        for entry in &mut held.secrets {
            if let Standing::Leaving(until @ None) = &mut entry.standing {
                *until = Some(now.saturating_add(LEFT_BEHIND));
            }
        }
        held.generation = held.generation.wrapping_add(1);
        drop(held);
        observe::secret_proven(SecretKind::WebhookSecret.variable());
    }

    /// Believes the newest alone, at once and for good. Gives how many were forgotten.
    pub(crate) fn forget_old(&self) -> usize {
        let mut held = self.write();
        let from = held.secrets.len().min(1);
        let old: Vec<_> = held.secrets.drain(from..).map(|it| it.secret).collect();
        let forgotten = old.len();
        held.forgotten.splice(0..0, old);
        held.forgotten.truncate(MOST_FORGOTTEN);
        held.generation = held.generation.wrapping_add(1);
        drop(held);
        observe::webhook_secrets_forgotten(SecretKind::WebhookSecret.variable(), forgotten);
        forgotten
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// None is named any more.
    fn leave(&mut self, now: Timestamp) {
        let until = (!self.awaits_proof).then(|| now.saturating_add(LEFT_BEHIND));
        for entry in &mut self.secrets {
            if matches!(entry.standing, Standing::Named) {
                entry.standing = Standing::Leaving(until);
            }
        }
    }

    /// At this place, or at the end, and nowhere else.
    fn put(&mut self, at: usize, secret: &Secret) {
        let works = self.secrets.iter().any(|it| it.works_as(secret));
        self.secrets.retain(|it| it.secret != *secret);
        let entry = Entry {
            secret: secret.clone(),
            standing: Standing::Named,
            works,
        };
        self.secrets.insert(at.min(self.secrets.len()), entry);
    }

    /// Of too many, one that is over goes first, then the oldest with which nothing was signed, and
    /// only then the oldest: KYCPort may sign with what works for as long as no other is proven.
    fn make_room(&mut self, now: Timestamp) {
        while self.secrets.len() > MAX_WEBHOOK_SECRETS {
            let over = self.secrets.iter().rposition(|it| it.is_over(now));
            let unproven = || self.secrets.iter().rposition(Entry::is_unproven);
            match over.or_else(unproven) {
                Some(at) => drop(self.secrets.remove(at)),
                None => drop(self.secrets.pop()),
            }
        }
    }

    fn is_proven_by(&self, secret: &Secret) -> bool {
        self.awaits_proof && self.secrets.first().map(|it| &it.secret) == Some(secret)
    }

    fn would_learn(&self, secret: &Secret) -> bool {
        let is_new = |it: &Entry| it.secret == *secret && !it.works;
        self.is_proven_by(secret) || self.secrets.iter().any(is_new)
    }
}

impl Entry {
    fn works_as(&self, secret: &Secret) -> bool {
        self.works && self.secret == *secret
    }

    fn is_over(&self, now: Timestamp) -> bool {
        matches!(self.standing, Standing::Leaving(Some(until)) if until <= now)
    }

    /// What is named may yet sign.
    fn is_unproven(&self) -> bool {
        !self.works && matches!(self.standing, Standing::Leaving(_))
    }
}

impl Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let believed = self.read().secrets.len();
        f.debug_struct("WebhookSecrets")
            .field("believed", &believed)
            .finish_non_exhaustive()
    }
}
