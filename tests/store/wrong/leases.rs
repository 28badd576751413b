//! Faults of leases for which a changed argument is not enough.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use kycport::{
    Clock as _, TestClock, Timestamp,
    store::{Acquired, LeaseKey, LeaseToken, MemoryStore, Settlement, Store as _, conformance},
};
use tokio::task::yield_now;

use super::{Mutant, MutantStore, Result, violates, violates_with};

/// For each lease, the token of the caller that last acquired the lease.
#[derive(Default)]
struct Holders(Mutex<HashMap<LeaseKey, LeaseToken>>);

impl Holders {
    async fn acquire(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired> {
        let acquired = store.acquire(key, token, length).await?;
        if let Acquired::Granted { .. } = acquired {
            self.0.lock().unwrap().insert(*key, token);
        }
        Ok(acquired)
    }

    fn get(&self, key: &LeaseKey) -> Option<LeaseToken> {
        self.0.lock().unwrap().get(key).copied()
    }
}

/// Grants a lease to every caller while another caller waits for a response.
#[derive(Default)]
struct GrantsTwice(Mutex<HashMap<LeaseKey, usize>>);

#[async_trait]
impl Mutant for GrantsTwice {
    async fn acquire(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired> {
        *self.0.lock().unwrap().entry(*key).or_default() += 1;
        yield_now().await;
        let acquired = store.acquire(key, token, length).await?;
        let mut waiting = self.0.lock().unwrap();
        let waiting = waiting.get_mut(key).unwrap();
        *waiting -= 1;
        if *waiting > 0 && matches!(acquired, Acquired::Held(_)) {
            let mark = kycport::store::RevocationMark(0);
            return Ok(Acquired::Granted { mark });
        }
        Ok(acquired)
    }
}

#[tokio::test]
async fn the_suite_detects_a_lease_granted_twice_to_concurrent_callers() {
    let rule = "exactly one of many simultaneous callers is granted the lease";
    violates(GrantsTwice::default(), rule).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_suite_detects_a_lease_granted_twice_to_callers_on_threads() {
    let store = MutantStore {
        inner: MemoryStore::default(),
        mutant: GrantsTwice::default(),
    };
    let violation = conformance::check_in_parallel(Arc::new(store)).await;
    let rule = "exactly one of many simultaneous callers is granted the lease";
    assert_eq!(violation.unwrap_err().rule, rule);
}

/// Does not recognise the token of the holder.
#[derive(Default)]
struct ForgetsTokens(Holders);

#[async_trait]
impl Mutant for ForgetsTokens {
    async fn acquire(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired> {
        let is_holder = self.0.get(key) == Some(token);
        let asks = if is_holder {
            LeaseToken::random()
        } else {
            token
        };
        let acquired = store.acquire(key, asks, length).await?;
        if let Acquired::Granted { .. } = acquired {
            self.0.0.lock().unwrap().insert(*key, token);
        }
        Ok(acquired)
    }
}

#[tokio::test]
async fn the_suite_detects_a_forgotten_token() {
    let rule = "a lease is granted again to the same token";
    violates(ForgetsTokens::default(), rule).await;
}

/// Mutant that settles a lease for any token. To settle means to complete, release or extend.
#[derive(Default)]
struct AnyToken(Holders);

#[async_trait]
impl Mutant for AnyToken {
    async fn acquire(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired> {
        self.0.acquire(store, key, token, length).await
    }

    async fn settle(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> Result<bool> {
        let token = self.0.get(key).unwrap_or(token);
        store.settle(key, token, settlement).await
    }
}

#[tokio::test]
async fn the_suite_detects_a_settlement_by_another_token() {
    let rule = "a token that does not hold the lease cannot settle it";
    violates(AnyToken::default(), rule).await;
}

/// Mutant that settles a lease for the token of an expired lease.
#[derive(Default)]
struct Replaced {
    holders: Holders,
    earlier: Mutex<HashSet<(LeaseKey, LeaseToken)>>,
}

#[async_trait]
impl Mutant for Replaced {
    async fn acquire(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired> {
        self.earlier.lock().unwrap().insert((*key, token));
        self.holders.acquire(store, key, token, length).await
    }

    async fn settle(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> Result<bool> {
        let releases = settlement == Settlement::Release;
        let is_earlier = self.earlier.lock().unwrap().contains(&(*key, token));
        let holder = self.holders.get(key).filter(|_| is_earlier);
        let settled = store
            .settle(key, holder.unwrap_or(token), settlement)
            .await?;
        if releases && settled {
            self.earlier.lock().unwrap().remove(&(*key, token));
        }
        Ok(settled)
    }
}

#[tokio::test]
async fn the_suite_detects_a_settlement_by_a_replaced_holder() {
    let rule = "a holder that was replaced cannot settle the lease";
    violates(Replaced::default(), rule).await;
}

/// Rejects a repeated completion of a lease.
#[derive(Default)]
struct DoneOnce(Mutex<HashSet<LeaseKey>>);

#[async_trait]
impl Mutant for DoneOnce {
    async fn settle(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> Result<bool> {
        let is_done = matches!(settlement, Settlement::Done { .. });
        let settled = store.settle(key, token, settlement).await?;
        let is_first = !(settled && is_done) || self.0.lock().unwrap().insert(*key);
        Ok(settled && is_first)
    }
}

#[tokio::test]
async fn the_suite_detects_a_completion_that_cannot_be_repeated() {
    let rule = "the holder can repeat a completion but not undo it";
    violates(DoneOnce::default(), rule).await;
}

/// Releases a lease although its work is completed.
struct TakesBack;

#[async_trait]
impl Mutant for TakesBack {
    async fn settle(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> Result<bool> {
        let releases = settlement == Settlement::Release;
        let settled = store.settle(key, token, settlement).await?;
        if settled || !releases {
            return Ok(settled);
        }
        let is_done = store.acquire(key, LeaseToken::random(), Duration::ZERO);
        if !matches!(is_done.await?, Acquired::Done(_)) {
            return Ok(false);
        }
        let forget = Settlement::Done {
            result: "".into(),
            keep_for: Duration::ZERO,
        };
        store.settle(key, token, forget).await
    }
}

#[tokio::test]
async fn the_suite_detects_a_completion_that_is_undone() {
    let rule = "the holder can repeat a completion but not undo it";
    violates(TakesBack, rule).await;
}

/// Fault that affects a holder whose lease has expired.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Late {
    Rejected,
    Extends,
}

/// Mutant that knows the end of each lease.
struct Ends {
    clock: TestClock,
    by_key: Mutex<HashMap<LeaseKey, Timestamp>>,
    late: Late,
}

impl Ends {
    fn new(clock: &TestClock, late: Late) -> Self {
        Self {
            clock: clock.clone(),
            by_key: Mutex::default(),
            late,
        }
    }
}

#[async_trait]
impl Mutant for Ends {
    async fn acquire(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> Result<Acquired> {
        let acquired = store.acquire(key, token, length).await?;
        if let Acquired::Granted { .. } = acquired {
            let end = self.clock.now().saturating_add(length);
            self.by_key.lock().unwrap().insert(*key, end);
        }
        Ok(acquired)
    }

    async fn settle(
        &self,
        store: &MemoryStore,
        key: &LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> Result<bool> {
        let end = self.by_key.lock().unwrap().get(key).copied();
        let has_ended = end.is_some_and(|end| end <= self.clock.now());
        match (self.late, &settlement) {
            (Late::Rejected, Settlement::Done { .. }) if has_ended => Ok(false),
            (Late::Extends, Settlement::Extend(length)) if has_ended => {
                let acquired = store.acquire(key, token, *length).await?;
                Ok(matches!(acquired, Acquired::Granted { .. }))
            }
            _ => store.settle(key, token, settlement).await,
        }
    }
}

#[tokio::test]
async fn the_suite_detects_a_rejected_late_completion() {
    let clock = TestClock::new();
    let rule = "a holder that was not replaced can complete the work after its lease has expired";
    violates_with(Ends::new(&clock, Late::Rejected), &clock, rule).await;
}

#[tokio::test]
async fn the_suite_detects_an_extension_of_an_expired_lease() {
    let clock = TestClock::new();
    let rule = "a caller cannot release or extend an expired lease";
    violates_with(Ends::new(&clock, Late::Extends), &clock, rule).await;
}
