//! Tests that several processes can use one file.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
};

use kycport::store::{
    Acquired, Condition, LeaseFamily, LeaseKey, LeaseToken, RevocationMark, SqliteStore,
    Store as _, StoreError, Written,
};

use super::directory::Directory;
use crate::samples::{
    LONG, REVOKED, create, has, put, random_owner, random_session, write_and_read,
};

const FILE: &str = "KYCPORT_TEST_SQLITE_FILE";
/// Number of leases for which the processes compete.
const LEASES: u8 = 40;

/// Starts this test binary again and runs only one test.
fn spawn(test: &str, file: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(FILE, file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the other process prints a line that contains this text.
fn wait_for(child: &mut Child, text: &str) {
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut lines = output.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains(text)));
}

async fn store_of_the_test() -> SqliteStore {
    let file = std::env::var(FILE).unwrap();
    SqliteStore::connect(&file).await.unwrap()
}

async fn compete(store: &SqliteStore) -> usize {
    let mut granted = 0;
    for number in 0..LEASES {
        let key = LeaseKey {
            namespace: [1; 16],
            family: LeaseFamily::Job,
            id: [number; 16],
        };
        let token = LeaseToken::random();
        let acquired = store.acquire(&key, token, LONG).await.unwrap();
        granted += usize::from(matches!(acquired, Acquired::Granted { .. }));
        assert_eq!(write_and_read(store).await, (Ok(()), None));
    }
    granted
}

#[tokio::test]
#[ignore = "another test runs this test in a child process"]
async fn second_process() {
    let granted = compete(&store_of_the_test().await).await;
    writeln!(std::io::stdout(), "granted {granted} leases").unwrap();
}

/// All processes open a file that does not exist yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_granted_to_only_one_process() {
    let directory = Directory::new();
    let file = directory.file();
    let others: Vec<_> = (0..2)
        .map(|_| spawn("sqlite::processes::second_process", &file))
        .collect();
    let store = SqliteStore::connect(&file).await.unwrap();
    let mut granted = compete(&store).await;
    for other in others {
        let output = other.wait_with_output().unwrap();
        assert!(output.status.success());
        let output = String::from_utf8(output.stdout).unwrap();
        let count = output.split("granted ").nth(1).unwrap();
        let count = count.split(' ').next().unwrap();
        granted += count.parse::<usize>().unwrap();
    }
    assert_eq!(granted, usize::from(LEASES));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_applies_in_other_processes() {
    let directory = Directory::new();
    let one = SqliteStore::connect(&directory.file()).await.unwrap();
    let other = SqliteStore::connect(&directory.file()).await.unwrap();
    for _ in 0..20 {
        let owner = random_owner();
        let key = create(&one, &owner).await;
        assert!(has(&other, &owner, key).await);
        let session = random_session();
        let creation = {
            let one = one.clone();
            let writes = [put(session, Condition::Absent)];
            tokio::spawn(async move { one.write(&owner, &writes, Some(RevocationMark(0))).await })
        };
        let mark = other.revoke(&owner, &REVOKED, LONG).await.unwrap();
        let created = creation.await.unwrap().unwrap();
        assert!(matches!(created, Written::Applied | Written::Fenced));
        let snapshot = one.read(&owner, &[key, session]).await.unwrap();
        assert_eq!(snapshot.fence, Some(mark));
        assert!(snapshot.entries.iter().all(Option::is_none));
    }
}

#[tokio::test]
#[ignore = "another test runs this test in a child process"]
async fn locking_process() {
    let file = std::env::var(FILE).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut connection)
        .await
        .unwrap();
    writeln!(std::io::stdout(), "locked").unwrap();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

fn release_lock(mut stdin: ChildStdin) {
    stdin.write_all(b"\n").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_locked_by_another_process_is_busy() {
    let directory = Directory::new();
    let store = SqliteStore::connect(&directory.file()).await.unwrap();
    let owner = random_owner();
    let key = create(&store, &owner).await;
    let mut other = spawn("sqlite::processes::locking_process", &directory.file());
    wait_for(&mut other, "locked");

    // Reads still work, and a caller still finds a held lease.
    let busy = StoreError::Busy;
    assert_eq!(write_and_read(&store).await, (Err(busy), None));
    assert!(has(&store, &owner, key).await);
    // A write succeeds if the other process releases the lock in time.
    let writing = {
        let store = store.clone();
        tokio::spawn(async move { write_and_read(&store).await })
    };
    release_lock(other.stdin.take().unwrap());
    assert_eq!(writing.await.unwrap(), (Ok(()), None));
    // The test has closed the output of the process. The process can therefore fail, and the test
    // ignores its exit status.
    other.wait().unwrap();
}
