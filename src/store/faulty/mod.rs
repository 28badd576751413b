//! Test store with injected faults: [`FaultyStore`].

mod pause;
mod target;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Acquired, Entry, Family, LeaseKey, LeaseToken, Owner, Properties, RecordId, RecordKey,
    RevocationMark, Settlement, Snapshot, Store, StoreError, StoreFuture, Write, Written,
};
pub use pause::PausePoint;
pub use target::{Counts, Operation, Target};

use pause::Gate;
use target::Call;

/// Point in an operation at which a fault takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    /// Before the operation takes effect.
    Before,
    /// After the operation has taken effect, but before the caller receives the result. A failure
    /// at this point simulates a lost response.
    After,
}

/// Test store that fails, hangs or pauses on request and counts its calls.
///
/// A `FaultyStore` wraps another store. Clones share faults, counts and records. Faults take effect
/// in the order in which they were added. A fault affects an operation if the fault exists when the
/// operation reaches the point of the fault.
///
/// ```
/// use kycport::store::{
///     Family, FaultyStore, MemoryStore, Operation, Owner, RecordKey, Store, StoreError, When,
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let store = FaultyStore::new(MemoryStore::default());
/// let owner = Owner { namespace: [1; 16], id: [2; 16] };
/// let keys = [RecordKey::only(Family::Session)];
///
/// store.fail_next(1, Operation::Read, When::Before, StoreError::Unreachable);
/// assert_eq!(store.read(&owner, &keys).await, Err(StoreError::Unreachable));
/// assert!(store.read(&owner, &keys).await.is_ok());
/// assert_eq!(store.counts().of(Operation::Read), 2);
///
/// let point = store.pause(Operation::Write.of(Family::Session), When::After);
/// let other = store.clone();
/// let write = tokio::spawn(async move { other.write(&owner, &[], None).await });
/// assert!(write.await.is_ok(), "this write names no session and does not wait");
/// drop(point);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    fences_are_lost: bool,
    counts: Counts,
}

#[derive(Debug)]
struct Fault {
    target: Target,
    when: When,
    effect: Effect,
    /// Number of further operations that the fault affects. `None`: all.
    left: Option<usize>,
}

#[derive(Debug, Clone)]
enum Effect {
    Fail(StoreError),
    Wait(Arc<Gate>),
}

impl FaultyStore {
    /// Creates a store without faults over another store.
    pub fn new(inner: impl Store) -> Self {
        Self::wrap(Arc::new(inner))
    }

    /// Creates a store without faults over a shared store.
    pub fn wrap(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            state: Arc::default(),
        }
    }

    /// Returns the wrapped store, which has no faults.
    pub fn inner(&self) -> &Arc<dyn Store> {
        &self.inner
    }

    /// Makes all operations of a target fail, until [`repair`](Self::repair).
    pub fn fail(&self, target: impl Into<Target>, when: When, error: StoreError) {
        self.add(target.into(), when, Effect::Fail(error), None);
    }

    /// Makes the next `count` operations of a target fail.
    pub fn fail_next(
        &self,
        count: usize,
        target: impl Into<Target>,
        when: When,
        error: StoreError,
    ) {
        self.add(target.into(), when, Effect::Fail(error), Some(count));
    }

    /// Makes the next operation of a target wait. Later operations do not wait.
    pub fn pause(&self, target: impl Into<Target>, when: When) -> PausePoint {
        self.wait_at(target.into(), when, Some(1))
    }

    /// Makes all operations of a target wait until [`PausePoint::resume`] is called.
    pub fn hang(&self, target: impl Into<Target>, when: When) -> PausePoint {
        self.wait_at(target.into(), when, None)
    }

    /// Lets the next `count` operations of a target wait until all of them have arrived. With
    /// [`When::After`], the operations take effect before they wait. A cancelled operation also
    /// counts, if the operation has arrived.
    pub fn gather_next(&self, count: usize, target: impl Into<Target>, when: When) {
        let gate = Arc::new(Gate::for_meeting(count));
        self.add(target.into(), when, Effect::Wait(gate), Some(count));
    }

    /// Hides all fences, as if the engine had lost them. To show the fences again,
    /// call [`repair`](Self::repair) or [`remove_faults`](Self::remove_faults). A fence is the
    /// lowest [`RevocationMark`](crate::store::RevocationMark) that is still valid. While fences are hidden, the
    /// results of reads and conflicts contain no fence. The wrapped store still compares writes
    /// with its fences.
    pub fn lose_fences(&self) {
        self.lock().fences_are_lost = true;
    }

    /// Removes all faults, and resumes all waiting operations.
    pub fn repair(&self) {
        for fault in self.take_faults() {
            if let Effect::Wait(gate) = fault.effect {
                gate.open();
            }
        }
    }

    /// Removes all faults for later operations. Operations that wait at a pause point continue to
    /// wait.
    pub fn remove_faults(&self) {
        self.take_faults();
    }

    fn take_faults(&self) -> Vec<Fault> {
        let mut state = self.lock();
        state.fences_are_lost = false;
        std::mem::take(&mut state.faults)
    }

    /// Returns the calls since the start or the last [`reset_counts`](Self::reset_counts).
    pub fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// Resets all counts to zero.
    pub fn reset_counts(&self) {
        self.lock().counts = Counts::default();
    }

    fn wait_at(&self, target: Target, when: When, count: Option<usize>) -> PausePoint {
        let gate = Arc::new(Gate::new());
        self.add(target, when, Effect::Wait(Arc::clone(&gate)), count);
        PausePoint::of(gate)
    }

    fn add(&self, target: Target, when: When, effect: Effect, left: Option<usize>) {
        self.lock().faults.push(Fault {
            target,
            when,
            effect,
            left,
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an operation with its faults.
    async fn run<'a, T>(
        &'a self,
        call: Call,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Result<T, StoreError> {
        self.lock().counts.add(call.clone());
        self.meet(&call, When::Before).await?;
        // A store may start the operation at the call of the method, before the future is polled.
        let result = operation(&*self.inner).await;
        self.meet(&call, When::After).await?;
        result
    }

    /// Applies the faults at one point of an operation.
    async fn meet(&self, call: &Call, when: When) -> Result<(), StoreError> {
        let effects = self.lock().take(call, when);
        for effect in effects {
            match effect {
                Effect::Fail(error) => return Err(error),
                Effect::Wait(gate) => gate.pass().await,
            }
        }
        Ok(())
    }

    fn hide_lost_fence(&self, snapshot: &mut Snapshot) {
        if self.lock().fences_are_lost {
            snapshot.fence = None;
        }
    }
}

impl State {
    /// Returns the effects on a call, up to and including the first failure. Later faults do not
    /// affect a failed operation.
    fn take(&mut self, call: &Call, when: When) -> Vec<Effect> {
        self.faults.retain(|fault| fault.left != Some(0));
        let mut effects = Vec::new();
        for fault in &mut self.faults {
            if fault.when != when || !fault.target.includes(call) {
                continue;
            }
            if let Some(left) = &mut fault.left {
                *left = left.saturating_sub(1);
            }
            effects.push(fault.effect.clone());
            if matches!(fault.effect, Effect::Fail(_)) {
                break;
            }
        }
        effects
    }
}

impl Store for FaultyStore {
    fn read<'a>(&'a self, owner: &'a Owner, keys: &'a [RecordKey]) -> StoreFuture<'a, Snapshot> {
        let families = keys.iter().map(|key| key.family);
        let call = Call::records(Operation::Read, families);
        Box::pin(async move {
            let mut snapshot = self.run(call, |it| it.read(owner, keys)).await?;
            self.hide_lost_fence(&mut snapshot);
            Ok(snapshot)
        })
    }

    fn write<'a>(
        &'a self,
        owner: &'a Owner,
        writes: &'a [Write],
        admitted_at: Option<RevocationMark>,
    ) -> StoreFuture<'a, Written> {
        let families = writes.iter().map(|write| write.key.family);
        let call = Call::records(Operation::Write, families);
        Box::pin(async move {
            let write = self.run(call, |it| it.write(owner, writes, admitted_at));
            let mut written = write.await?;
            if let Written::Conflict(snapshot) = &mut written {
                self.hide_lost_fence(snapshot);
            }
            Ok(written)
        })
    }

    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, RevocationMark> {
        let call = Call::records(Operation::Revoke, families.iter().copied());
        Box::pin(self.run(call, move |it| it.revoke(owner, families, keep_fence_for)))
    }

    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<(RecordId, Entry)>> {
        let call = Call::records(Operation::List, [family]);
        Box::pin(self.run(call, move |it| it.list(owner, family, after, limit)))
    }

    fn acquire<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> StoreFuture<'a, Acquired> {
        let call = Call::lease(Operation::Acquire, key.family);
        Box::pin(self.run(call, move |it| it.acquire(key, token, length)))
    }

    fn settle<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool> {
        let call = Call::lease(Operation::Settle, key.family);
        Box::pin(self.run(call, move |it| it.settle(key, token, settlement)))
    }

    fn sweep(&self, limit: usize) -> StoreFuture<'_, usize> {
        Box::pin(self.run(Call::new(Operation::Sweep), move |it| it.sweep(limit)))
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.run(Call::new(Operation::Check), move |it| it.check()))
    }

    /// Returns the guarantees of the wrapped store.
    fn properties(&self) -> Properties {
        self.inner.properties()
    }
}
