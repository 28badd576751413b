use std::sync::{Arc, Mutex};

use futures_util::{FutureExt as _, future::BoxFuture, poll};
use tokio::sync::Semaphore;

use super::{Fetch, Reads, read};
use crate::store::{
    Entry, Family, Owner, RecordId, RecordKey, Snapshot, StoreError,
    sql::{Failure, Key, Records, records::entry},
};

/// Engine that contains every record. The engine answers only after a test permits the answer.
struct Engine {
    reads: Reads,
    answers: Semaphore,
    statements: Mutex<Vec<usize>>,
    fails: bool,
}

impl Engine {
    fn new(fails: bool) -> Arc<Self> {
        Arc::new(Self {
            reads: Reads::new(1),
            answers: Semaphore::new(0),
            statements: Mutex::default(),
            fails,
        })
    }

    /// Returns one number for each sent statement: how many keys the statement reads.
    fn statements(&self) -> Vec<usize> {
        self.statements.lock().unwrap().clone()
    }
}

fn row(key: Key) -> (Key, Entry) {
    (key, entry(1, &key))
}

impl Fetch for Engine {
    fn reads(&self) -> &Reads {
        &self.reads
    }

    fn fetch<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Records, Failure>> {
        async move {
            self.statements.lock().unwrap().push(keys.len());
            self.answers.acquire().await.unwrap().forget();
            if self.fails {
                return Err(Failure::new(StoreError::Busy, "test"));
            }
            Records::collect(keys.iter().map(|key| Ok(row(*key))))
        }
        .boxed()
    }
}

fn owner(number: u8) -> Owner {
    Owner::namespace([number; 16])
}

const KEY: RecordKey = RecordKey::new(Family::Session, RecordId([7; 16]));

fn has_own_record(snapshot: &Snapshot, number: u8) -> bool {
    let entry = snapshot.entries[0].as_ref().unwrap();
    snapshot.entries.len() == 1 && entry.body[..16] == [number; 16]
}

async fn all_tasks_wait() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn spawn(engine: &Arc<Engine>, number: u8) -> tokio::task::JoinHandle<Result<Snapshot, Failure>> {
    let engine = Arc::clone(engine);
    tokio::spawn(async move { read(&engine, &owner(number), &[KEY]).await })
}

#[tokio::test]
async fn waiting_reads_share_a_statement() {
    let engine = Engine::new(false);
    let reads: Vec<_> = (0..9).map(|number| spawn(&engine, number)).collect();
    all_tasks_wait().await;
    assert_eq!(engine.statements(), [2]);
    engine.answers.add_permits(2);
    for (number, read) in (0..).zip(reads) {
        assert!(has_own_record(&read.await.unwrap().unwrap(), number));
    }
    assert_eq!(engine.statements(), [2, 16]);
}

#[tokio::test]
async fn a_statement_has_a_limited_number_of_keys() {
    let engine = Engine::new(false);
    let first = spawn(&engine, 0);
    let keys = [KEY; 400];
    let mut others = Vec::new();
    for number in 1..4 {
        let engine = Arc::clone(&engine);
        others.push(tokio::spawn(async move {
            read(&engine, &owner(number), &keys).await.unwrap()
        }));
    }
    all_tasks_wait().await;
    engine.answers.add_permits(9);
    first.await.unwrap().unwrap();
    for other in others {
        assert_eq!(other.await.unwrap().entries.len(), 400);
    }
    assert_eq!(engine.statements(), [2, 802, 401]);
}

#[tokio::test]
async fn every_read_of_a_failed_statement_fails() {
    let engine = Engine::new(true);
    let reads: Vec<_> = (0..5).map(|number| spawn(&engine, number)).collect();
    // The first read is in flight, and the other reads wait for the next statement.
    all_tasks_wait().await;
    engine.answers.add_permits(2);
    for read in reads {
        let failure = read.await.unwrap().unwrap_err();
        assert_eq!(failure.error, StoreError::Busy);
    }
}

#[tokio::test]
async fn cancelled_reads_do_not_stop_the_others() {
    let engine = Engine::new(false);
    let (running, first, second) = (spawn(&engine, 0), spawn(&engine, 1), spawn(&engine, 2));
    all_tasks_wait().await;
    running.abort();
    first.abort();
    all_tasks_wait().await;
    engine.answers.add_permits(9);
    assert!(has_own_record(&second.await.unwrap().unwrap(), 2));
    assert!(has_own_record(
        &spawn(&engine, 3).await.unwrap().unwrap(),
        3
    ));
}

#[test]
fn reads_work_after_the_end_of_a_runtime() {
    let engine = Engine::new(false);
    let runtime = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.build().unwrap()
    };
    let first = runtime();
    let (running, waiting) = (owner(1), owner(2));
    let mut running = Box::pin(read(&engine, &running, &[KEY]));
    let mut waiting = Box::pin(read(&engine, &waiting, &[KEY]));
    first.block_on(async {
        assert!(poll!(&mut running).is_pending());
        assert!(poll!(&mut waiting).is_pending());
    });
    drop(first);
    runtime().block_on(async {
        engine.answers.add_permits(9);
        assert_eq!(waiting.await.unwrap_err().error, StoreError::Unreachable);
        assert!(has_own_record(&running.await.unwrap(), 1));
        let reads: Vec<_> = (3..6).map(|number| spawn(&engine, number)).collect();
        for (number, read) in (3..).zip(reads) {
            assert!(has_own_record(&read.await.unwrap().unwrap(), number));
        }
    });
}
