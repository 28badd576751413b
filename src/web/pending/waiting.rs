//! Callbacks that wait for another callback of the same login.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::store::LeaseKey;

/// Maximum number of callbacks that wait in one instance.
const MAX_WAITING: usize = 64;
/// Maximum number of callbacks that wait for one login. A browser or a proxy repeats a callback
/// once or twice. Without this limit, a few logins could occupy all places.
const MAX_WAITING_PER_LOGIN: usize = 4;

/// Numbers of waiting callbacks, by the key of the login's lock.
#[derive(Debug, Default)]
pub(in crate::web) struct WaitingCallbacks(Mutex<HashMap<LeaseKey, usize>>);

/// Permit of one callback to wait. Dropping the permit releases it.
#[derive(Debug)]
pub(in crate::web) struct WaitingPermit<'a> {
    callbacks: &'a WaitingCallbacks,
    login: LeaseKey,
}

impl WaitingCallbacks {
    /// Returns a permit, or `None` if too many callbacks wait.
    pub(in crate::web) fn enter(&self, login: LeaseKey) -> Option<WaitingPermit<'_>> {
        let mut by_login = self.lock();
        let all: usize = by_login.values().sum();
        let of_login = by_login.get(&login).copied().unwrap_or_default();
        if all >= MAX_WAITING || of_login >= MAX_WAITING_PER_LOGIN {
            return None;
        }
        by_login.insert(login, of_login.saturating_add(1));
        drop(by_login);
        Some(WaitingPermit {
            callbacks: self,
            login,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LeaseKey, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitingPermit<'_> {
    fn drop(&mut self) {
        let mut by_login = self.callbacks.lock();
        let others = by_login.get(&self.login).copied().unwrap_or_default();
        match others.saturating_sub(1) {
            0 => by_login.remove(&self.login),
            others => by_login.insert(self.login, others),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{LeaseKey, MAX_WAITING, MAX_WAITING_PER_LOGIN, WaitingCallbacks};
    use crate::store::LeaseFamily;

    fn login(number: usize) -> LeaseKey {
        LeaseKey::of([0; 16], LeaseFamily::Login, &[&number.to_be_bytes()])
    }

    #[test]
    fn one_login_occupies_a_few_places_and_all_logins_occupy_a_limited_number() {
        let callbacks = WaitingCallbacks::default();
        let enter = |number| callbacks.enter(login(number));
        let mut permits = Vec::new();
        for number in 0..MAX_WAITING / MAX_WAITING_PER_LOGIN {
            for _ in 0..MAX_WAITING_PER_LOGIN {
                permits.push(enter(number).unwrap());
            }
            assert!(enter(number).is_none());
        }
        assert!(enter(MAX_WAITING).is_none());
        permits.pop();
        assert!(enter(0).is_none());
        drop(enter(MAX_WAITING).unwrap());
        drop(permits);
        assert!(callbacks.lock().is_empty());
    }
}
