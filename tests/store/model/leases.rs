//! Reference model of leases.

use std::collections::HashMap;

use bytes::Bytes;
use kycport::store::{LeaseKey, LeaseToken};

use super::records::Ticks;

#[derive(Default)]
pub(super) struct Leases(HashMap<LeaseKey, Lease>);

#[derive(Clone)]
pub(super) struct Lease {
    pub(super) token: LeaseToken,
    state: State,
}

#[derive(Clone, PartialEq, Eq)]
enum State {
    HeldUntil(Ticks),
    Released,
    Done {
        result: Bytes,
        at: Ticks,
        until: Ticks,
    },
}

/// Expected result of an acquisition.
#[derive(Debug)]
pub(super) enum Expected {
    Granted,
    Held,
    Done(Bytes),
}

impl Leases {
    pub(super) fn get(&self, key: &LeaseKey) -> Option<&Lease> {
        self.0.get(key)
    }

    pub(super) fn acquire(
        &mut self,
        key: &LeaseKey,
        token: LeaseToken,
        length: Ticks,
        now: Ticks,
    ) -> Expected {
        match self.0.get(key) {
            Some(lease) if lease.is_held(now) && lease.token != token => return Expected::Held,
            Some(Lease {
                state: State::Done { result, until, .. },
                ..
            }) if now < *until => return Expected::Done(result.clone()),
            _ => {}
        }
        let state = State::HeldUntil(now.saturating_add(length));
        self.0.insert(*key, Lease { token, state });
        Expected::Granted
    }

    /// Returns the expected result of `settle` with
    /// [`Settlement::Done`](kycport::store::Settlement::Done). `None` if the contract allows both.
    pub(super) fn done(
        &mut self,
        key: &LeaseKey,
        token: LeaseToken,
        result: Bytes,
        keep_for: Ticks,
        now: Ticks,
    ) -> Option<bool> {
        let Some(lease) = self.0.get_mut(key).filter(|it| it.token == token) else {
            return Some(false);
        };
        let end = now.saturating_add(keep_for);
        match &lease.state {
            // No other caller has acquired the expired lease.
            State::HeldUntil(_) => {}
            // The contract does not specify whether a repetition extends the lifetime of the
            // result.
            State::Done {
                result: before,
                at,
                until,
            } if *at == now && *until == end && now < end && *before == result => {
                return Some(true);
            }
            State::Done { .. } | State::Released => return None,
        }
        lease.state = State::Done {
            result,
            at: now,
            until: end,
        };
        Some(true)
    }

    pub(super) fn release(&mut self, key: &LeaseKey, token: LeaseToken, now: Ticks) -> bool {
        self.set(key, token, State::Released, now)
    }

    pub(super) fn extend(
        &mut self,
        key: &LeaseKey,
        token: LeaseToken,
        length: Ticks,
        now: Ticks,
    ) -> bool {
        let state = State::HeldUntil(now.saturating_add(length));
        self.set(key, token, state, now)
    }

    fn set(&mut self, key: &LeaseKey, token: LeaseToken, state: State, now: Ticks) -> bool {
        let lease = self.0.get_mut(key);
        let Some(lease) = lease.filter(|it| it.token == token && it.is_held(now)) else {
            return false;
        };
        lease.state = state;
        true
    }
}

impl Lease {
    fn is_held(&self, now: Ticks) -> bool {
        matches!(self.state, State::HeldUntil(until) if now < until)
    }

    /// Returns the remaining time of a lease that a caller holds.
    pub(super) fn left(&self, now: Ticks) -> Ticks {
        match self.state {
            State::HeldUntil(until) => until.saturating_sub(now),
            State::Released | State::Done { .. } => 0,
        }
    }
}
