//! Leases of an in-memory store.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use bytes::Bytes;

use super::Moment;
use crate::{
    observe,
    store::{Acquired, LeaseFamily, LeaseKey, LeaseToken, RevocationMark, Settlement, StoreError},
};

/// Maximum number of login leases. A further lease evicts the lease that ends first.
const LOGIN_CLAIMS: usize = 20_000;
/// Maximum number of events, and of jobs. At the limit, the store rejects new events and keeps
/// known events.
const EVENTS: usize = 100_000;
/// Time after the end of a lease during which its holder may still complete the work.
const LATE_SETTLEMENT: Duration = Duration::from_secs(3600);

/// Leases of all namespaces.
#[derive(Default)]
pub(super) struct Leases {
    by_key: HashMap<LeaseKey, Lease>,
    logins: BTreeSet<(Moment, LeaseKey)>,
    events: BTreeSet<(Moment, LeaseKey)>,
    jobs: BTreeSet<(Moment, LeaseKey)>,
}

struct Lease {
    token: LeaseToken,
    state: LeaseState,
    /// Time at which the record of this lease is removed.
    expires_at: Moment,
}

enum LeaseState {
    HeldUntil(Moment),
    Done(Bytes),
}

impl Leases {
    pub(super) fn acquire(
        &mut self,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
        now: Moment,
        mark: RevocationMark,
    ) -> Result<Acquired, StoreError> {
        if let Some(lease) = self.live(key, now) {
            match &lease.state {
                LeaseState::Done(result) => return Ok(Acquired::Done(result.clone())),
                LeaseState::HeldUntil(until) if now < *until && lease.token != token => {
                    return Ok(Acquired::Held(until.after(now)));
                }
                LeaseState::HeldUntil(_) => {}
            }
        }
        self.make_room(key, now)?;
        self.insert(key, Lease::held(token, now.plus(length)));
        Ok(Acquired::Granted { mark })
    }

    pub(super) fn settle(
        &mut self,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
        now: Moment,
    ) -> bool {
        let Some(lease) = self.live(key, now).filter(|it| it.token == token) else {
            return false;
        };
        let is_held = matches!(lease.state, LeaseState::HeldUntil(until) if now < until);
        match settlement {
            Settlement::Done { result, keep_for } => {
                let lease = Lease {
                    token,
                    state: LeaseState::Done(result),
                    expires_at: now.plus(keep_for),
                };
                self.insert(key, lease);
                true
            }
            Settlement::Release if is_held => {
                self.remove(key);
                true
            }
            Settlement::Extend(length) if is_held => {
                self.insert(key, Lease::held(token, now.plus(length)));
                true
            }
            Settlement::Release | Settlement::Extend(_) => false,
        }
    }

    /// Removes at most `limit` expired leases and results, and returns their number.
    pub(super) fn remove_expired(&mut self, now: Moment, limit: usize) -> usize {
        let mut removed = 0_usize;
        for family in [LeaseFamily::Login, LeaseFamily::Event, LeaseFamily::Job] {
            while removed < limit && self.remove_first(family, Some(now)) {
                removed = removed.saturating_add(1);
            }
        }
        removed
    }

    fn live(&self, key: &LeaseKey, now: Moment) -> Option<&Lease> {
        self.by_key.get(key).filter(|it| now < it.expires_at)
    }

    fn insert(&mut self, key: &LeaseKey, lease: Lease) {
        self.remove(key);
        self.expiries(key.family).insert((lease.expires_at, *key));
        self.by_key.insert(*key, lease);
    }

    fn remove(&mut self, key: &LeaseKey) {
        if let Some(lease) = self.by_key.remove(key) {
            self.expiries(key.family).remove(&(lease.expires_at, *key));
        }
    }

    /// Makes room for a new lease. Evicting a login lease is harmless, because KYCPort accepts a
    /// code only once. If the store evicted an event, a redelivery of this event would be handled
    /// again. The store therefore rejects a new event instead of evicting an old event.
    fn make_room(&mut self, key: &LeaseKey, now: Moment) -> Result<(), StoreError> {
        if self.by_key.contains_key(key) {
            return Ok(());
        }
        let (capacity, evicts_before) = match key.family {
            LeaseFamily::Login => (LOGIN_CLAIMS, None),
            LeaseFamily::Event | LeaseFamily::Job => (EVENTS, Some(now)),
        };
        while self.expiries(key.family).len() >= capacity {
            if !self.remove_first(key.family, evicts_before) {
                observe::memory_store_full(capacity);
                return Err(StoreError::Full);
            }
        }
        Ok(())
    }

    /// Removes the lease of a family that expires first. With `by`, removes this lease only if it
    /// expires by that time.
    fn remove_first(&mut self, family: LeaseFamily, by: Option<Moment>) -> bool {
        let expiries = self.expiries(family);
        let Some((at, key)) = expiries.first().copied() else {
            return false;
        };
        if by.is_some_and(|by| by < at) {
            return false;
        }
        expiries.pop_first();
        self.by_key.remove(&key);
        true
    }

    /// Returns the leases of a family with the times of their removal.
    fn expiries(&mut self, family: LeaseFamily) -> &mut BTreeSet<(Moment, LeaseKey)> {
        match family {
            LeaseFamily::Login => &mut self.logins,
            LeaseFamily::Event => &mut self.events,
            LeaseFamily::Job => &mut self.jobs,
        }
    }
}

impl Lease {
    fn held(token: LeaseToken, until: Moment) -> Self {
        Self {
            token,
            state: LeaseState::HeldUntil(until),
            expires_at: until.plus(LATE_SETTLEMENT),
        }
    }
}
