//! Test double of a tower-sessions store. The test double exposes its records and injects faults.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store::{Error, Result},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Create,
    Save,
    Load,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operation fails without an effect.
    Fails,
    /// The operation takes effect and returns an error.
    LosesAnswer,
    /// The operation fails because it cannot decode the record.
    CannotDecode,
    /// The operation never returns.
    Hangs,
}

/// Behaviour of `create` for an existing id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Taken {
    /// Creates the record under another id, like the in-memory and SQL stores.
    #[default]
    OtherId,
    /// Fails, like the Redis store. `save` also fails on a missing record.
    Fails,
}

#[derive(Clone, Default)]
pub(crate) struct TestSessions {
    state: Arc<Mutex<State>>,
    taken: Taken,
}

#[derive(Default)]
struct State {
    records: HashMap<Id, Record>,
    faults: HashMap<Op, Fault>,
    counts: HashMap<Op, usize>,
    before_load: Vec<Box<dyn FnOnce() + Send>>,
}

impl TestSessions {
    pub(crate) fn with(taken: Taken) -> Self {
        Self {
            taken,
            ..Self::default()
        }
    }

    pub(crate) fn break_on(&self, op: Op, fault: Fault) {
        self.lock().faults.insert(op, fault);
    }

    pub(crate) fn break_down(&self, fault: Fault) {
        for op in [Op::Create, Op::Save, Op::Load, Op::Delete] {
            self.break_on(op, fault);
        }
    }

    pub(crate) fn repair(&self) {
        self.lock().faults.clear();
    }

    /// Runs a function before the next `load`. Each further call adds a function for a further
    /// `load`.
    pub(crate) fn before_load(&self, run: impl FnOnce() + Send + 'static) {
        self.lock().before_load.insert(0, Box::new(run));
    }

    pub(crate) fn ids(&self) -> Vec<Id> {
        self.lock().records.keys().copied().collect()
    }

    /// Returns the only record of this store.
    pub(crate) fn only(&self) -> Record {
        let state = self.lock();
        assert_eq!(state.records.len(), 1);
        state.records.values().next().unwrap().clone()
    }

    pub(crate) fn put(&self, record: Record) {
        self.lock().records.insert(record.id, record);
    }

    pub(crate) fn remove(&self, id: Id) {
        self.lock().records.remove(&id);
    }

    pub(crate) fn count(&self, op: Op) -> usize {
        self.lock().counts.get(&op).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn run<T>(&self, op: Op, run: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        if op == Op::Load {
            let run = self.lock().before_load.pop();
            if let Some(run) = run {
                run();
            }
        }
        let fault = {
            let mut state = self.lock();
            *state.counts.entry(op).or_default() += 1;
            state.faults.get(&op).copied()
        };
        match fault {
            None => run(&mut self.lock()),
            Some(Fault::Fails) => Err(broken()),
            Some(Fault::LosesAnswer) => {
                run(&mut self.lock())?;
                Err(broken())
            }
            Some(Fault::CannotDecode) => Err(Error::Decode("canary".to_owned())),
            Some(Fault::Hangs) => std::future::pending().await,
        }
    }
}

fn broken() -> Error {
    Error::Backend("canary: redis://:password@10.0.0.1".to_owned())
}

#[async_trait]
impl SessionStore for TestSessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        self.run(Op::Create, |state| {
            if state.records.contains_key(&record.id) {
                if self.taken == Taken::Fails {
                    return Err(broken());
                }
                record.id = Id::default();
            }
            state.records.insert(record.id, record.clone());
            Ok(())
        })
        .await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.run(Op::Save, |state| {
            if self.taken == Taken::Fails && !state.records.contains_key(&record.id) {
                return Err(broken());
            }
            state.records.insert(record.id, record.clone());
            Ok(())
        })
        .await
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        self.run(Op::Load, |state| Ok(state.records.get(id).cloned()))
            .await
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.run(Op::Delete, |state| {
            state.records.remove(id);
            Ok(())
        })
        .await
    }
}

impl fmt::Debug for TestSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("canary of the sessions")
    }
}
