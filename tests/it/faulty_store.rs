//! A session store that breaks when told to, and remembers what it was asked.

use std::{
    collections::HashMap,
    fmt::{self, Debug},
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use kycport::{
    ConfigBuilder, KycTier, MemoryStore, RunningApp,
    mock::{MockIssuer, Person},
    web::SessionStore,
};
use serde_json::Value;
use tokio::sync::{Barrier, Semaphore};
use tower_sessions::{
    session::{Id, Record},
    session_store::{Error, Result},
};

use crate::support::tenant_app;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Create,
    Save,
    Load,
    Delete,
}

/// The kinds of records, as they are called in the store.
pub(crate) const LOGIN: &str = "login";
pub(crate) const SESSION: &str = "session";
pub(crate) const ACTIVITY: &str = "activity";
pub(crate) const TOKENS: &str = "tokens";
pub(crate) const RENEWAL: &str = "renewal";
pub(crate) const EPOCH: &str = "epoch";
pub(crate) const SIGN_INS: &str = "sign-ins";

/// A store with switches. Clones share everything.
#[derive(Clone)]
pub(crate) struct FaultyStore {
    inner: Arc<dyn SessionStore>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rules: Vec<(Op, Option<&'static str>, Fault)>,
    counts: HashMap<Op, usize>,
    /// Which kind a record is of, for operations that name its id alone.
    kinds: HashMap<Id, String>,
}

#[derive(Clone)]
enum Fault {
    Fail,
    Hang,
    Hold(Arc<Gate>),
    /// So many operations go on together or not at all; then no more of it.
    Meet(Arc<Barrier>, usize),
}

/// Operations wait here until they are let go.
#[derive(Debug)]
pub(crate) struct Gate {
    arrived: Semaphore,
    open: Semaphore,
}

impl Gate {
    /// Waits until an operation stands before the gate; not for ever, if none comes.
    pub(crate) async fn reached(&self) {
        let patience = Duration::from_secs(20);
        let arrived = tokio::time::timeout(patience, self.arrived.acquire()).await;
        arrived.unwrap().unwrap().forget();
    }

    /// Lets everybody go, now and later.
    pub(crate) fn open(&self) {
        self.open.add_permits(1000);
    }
}

impl FaultyStore {
    pub(crate) fn over(inner: impl SessionStore) -> Self {
        Self {
            inner: Arc::new(inner),
            state: Arc::default(),
        }
    }

    /// The store under the switches.
    pub(crate) fn into_inner(self) -> Arc<dyn SessionStore> {
        self.inner
    }

    /// Every operation fails.
    pub(crate) fn fail(&self) {
        for op in [Op::Create, Op::Save, Op::Load, Op::Delete] {
            self.add(op, None, Fault::Fail);
        }
    }

    /// One operation on one kind of records fails.
    pub(crate) fn fail_on(&self, op: Op, kind: &'static str) {
        self.add(op, Some(kind), Fault::Fail);
    }

    /// No operation ever ends.
    pub(crate) fn hang(&self) {
        for op in [Op::Create, Op::Save, Op::Load, Op::Delete] {
            self.add(op, None, Fault::Hang);
        }
    }

    /// One operation on one kind of records waits before it is done.
    pub(crate) fn hold(&self, op: Op, kind: &'static str) -> Arc<Gate> {
        let gate = Arc::new(Gate {
            arrived: Semaphore::new(0),
            open: Semaphore::new(0),
        });
        self.add(op, Some(kind), Fault::Hold(Arc::clone(&gate)));
        gate
    }

    /// The next `n` loads of this kind have all been done before any of them is answered.
    pub(crate) fn let_meet(&self, kind: &'static str, n: usize) {
        self.add(
            Op::Load,
            Some(kind),
            Fault::Meet(Arc::new(Barrier::new(n)), n),
        );
    }

    /// Everything works again.
    pub(crate) fn heal(&self) {
        self.lock().rules.clear();
    }

    /// How often it was asked for this since the last [`forget`](Self::forget).
    pub(crate) fn count(&self, op: Op) -> usize {
        self.lock().counts.get(&op).copied().unwrap_or_default()
    }

    /// Creations and saves.
    pub(crate) fn writes(&self) -> usize {
        self.count(Op::Create) + self.count(Op::Save)
    }

    pub(crate) fn forget(&self) {
        self.lock().counts.clear();
    }

    /// How many records there are of those that were written through this.
    pub(crate) async fn len(&self) -> usize {
        self.stored(|_| true).await.len()
    }

    /// The ids and kinds of what was written through this.
    pub(crate) fn written(&self) -> HashMap<Id, String> {
        self.lock().kinds.clone()
    }

    /// The records of this kind that are there now.
    pub(crate) async fn records(&self, kind: &str) -> Vec<Value> {
        let mut found = Vec::new();
        for record in self.stored(|own| own == kind).await {
            found.push(record.data["kycport"]["body"].clone());
        }
        found
    }

    /// Changes what is stored of this kind behind everybody's back.
    pub(crate) async fn rewrite(&self, kind: &str, change: impl Fn(&mut Value)) {
        for mut record in self.stored(|own| own == kind).await {
            change(record.data.get_mut("kycport").unwrap());
            self.inner.save(&record).await.unwrap();
        }
    }

    async fn stored(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Record> {
        let ids: Vec<Id> = {
            let state = self.lock();
            let wanted = state.kinds.iter().filter(|(_, kind)| is_wanted(kind));
            wanted.map(|(id, _)| *id).collect()
        };
        let mut records = Vec::new();
        for id in ids {
            records.extend(self.inner.load(&id).await.unwrap());
        }
        records
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, op: Op, kind: Option<&'static str>, fault: Fault) {
        self.lock().rules.push((op, kind, fault));
    }

    /// Counts, and does what there is to do before the operation.
    async fn before(&self, op: Op, id: &Id, record: Option<&Record>) -> Result<()> {
        let fault = {
            let mut state = self.lock();
            *state.counts.entry(op).or_default() += 1;
            if let Some(kind) = record.and_then(|r| r.data["kycport"]["kind"].as_str()) {
                state.kinds.insert(*id, kind.to_owned());
            }
            state.fault(op, id)
        };
        match fault {
            Some(Fault::Fail) => Err(Error::Backend("the store is down: canary".to_owned())),
            Some(Fault::Hang) => pending().await,
            Some(Fault::Hold(gate)) => {
                gate.arrived.add_permits(1);
                gate.open.acquire().await.unwrap().forget();
                Ok(())
            }
            Some(Fault::Meet(..)) | None => Ok(()),
        }
    }

    async fn after_load(&self, id: &Id) {
        let meeting = {
            let mut state = self.lock();
            match state.fault(Op::Load, id) {
                Some(Fault::Meet(barrier, _)) => {
                    state.one_has_come();
                    Some(barrier)
                }
                _ => None,
            }
        };
        if let Some(barrier) = meeting {
            barrier.wait().await;
        }
    }
}

impl State {
    fn fault(&self, op: Op, id: &Id) -> Option<Fault> {
        let kind = self.kinds.get(id).map(String::as_str);
        let mut rules = self.rules.iter();
        rules
            .find(|(o, k, _)| *o == op && (k.is_none() || *k == kind))
            .map(|(_, _, fault)| fault.clone())
    }

    fn one_has_come(&mut self) {
        self.rules.retain_mut(|(_, _, fault)| match fault {
            Fault::Meet(_, left) => {
                *left -= 1;
                *left > 0
            }
            _ => true,
        });
    }
}

#[async_trait]
impl SessionStore for FaultyStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let id = record.id;
        self.before(Op::Create, &id, Some(record)).await?;
        self.inner.create(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.before(Op::Save, &record.id, Some(record)).await?;
        self.inner.save(record).await
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        self.before(Op::Load, id, None).await?;
        let record = self.inner.load(id).await?;
        self.after_load(id).await;
        Ok(record)
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.before(Op::Delete, id, None).await?;
        self.inner.delete(id).await
    }
}

impl Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

/// The mock, the app on it over a store that can break, and a person who is t2.
pub(crate) struct Stage {
    pub(crate) kyc: MockIssuer,
    pub(crate) app: RunningApp,
    pub(crate) ada: Person,
    pub(crate) store: FaultyStore,
    /// What the store stands on.
    pub(crate) engine: &'static str,
}

pub(crate) async fn stage() -> Stage {
    stage_on(MockIssuer::start().await, 100_000, |config| config).await
}

/// The same on a mock of the test's own, with a store of so many records.
pub(crate) async fn stage_on(
    kyc: MockIssuer,
    capacity: usize,
    more: impl FnOnce(ConfigBuilder) -> ConfigBuilder,
) -> Stage {
    let store = FaultyStore::over(MemoryStore::new(capacity, Arc::new(kyc.clock().clone())));
    let app = kyc
        .serve(|config| tenant_app(more(config), store.clone()))
        .await
        .unwrap();
    let ada = kyc.person("ada").tier(KycTier::T2).create();
    Stage {
        kyc,
        app,
        ada,
        store,
        engine: "memory",
    }
}
