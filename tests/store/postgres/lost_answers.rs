//! Tests that the store handles a lost response of the server.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use kycport::store::{
    Acquired, Condition, LeaseToken, PostgresStore, RevocationMark, Settlement, Store as _, Written,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::support::{database, server};
use crate::samples::{LONG, REVOKED, create, has, put, random_event, random_owner, random_session};

/// Proxy that loses responses. The proxy breaks the connection after the server has executed the
/// statement.
struct Proxy {
    port: u16,
    lost: Arc<AtomicU32>,
}

impl Proxy {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let lost = Arc::new(AtomicU32::new(0));
        let answers = Arc::clone(&lost);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(forward(client, server, Arc::clone(&answers)));
            }
        });
        Self { port, lost }
    }

    /// Loses the next responses, up to this number.
    fn lose(&self, answers: u32) {
        self.lost.store(answers, Ordering::SeqCst);
    }
}

async fn forward(mut client: TcpStream, mut server: TcpStream, lost: Arc<AtomicU32>) {
    let (mut question, mut answer) = ([0; 8192], [0; 8192]);
    loop {
        tokio::select! {
            read = client.read(&mut question) => {
                let Ok(length @ 1..) = read else { return };
                if server.write_all(&question[..length]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                let loses = |left: u32| left.checked_sub(1);
                if lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, loses).is_ok() {
                    return;
                }
                if client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Creates a store behind a proxy. The store has one connection, on which it has prepared each
/// statement.
async fn setup() -> Option<(PostgresStore, Proxy)> {
    let url = database(server()?).await;
    let proxy = Proxy::to(server()?.port()).await;
    let database = url.rsplit_once('/').unwrap().1;
    let url = format!("postgres://postgres@127.0.0.1:{}/{database}", proxy.port);
    let store = PostgresStore::connect(&url).await.unwrap();
    let owner = random_owner();
    let key = create(&store, &owner).await;
    assert!(has(&store, &owner, key).await);
    store.revoke(&owner, &REVOKED, LONG).await.unwrap();
    let (event, token) = (random_event(), LeaseToken::random());
    let _ = store.acquire(&event, token, LONG).await.unwrap();
    let settlement = Settlement::Release;
    assert!(store.settle(&event, token, settlement).await.unwrap());
    Some((store, proxy))
}

#[tokio::test]
async fn a_read_with_a_lost_response_is_repeated() {
    let Some((store, proxy)) = setup().await else {
        return;
    };
    let owner = random_owner();
    let key = create(&store, &owner).await;
    proxy.lose(1);
    assert!(has(&store, &owner, key).await);
}

#[tokio::test]
async fn a_repeated_write_recognises_its_own_result() {
    let Some((store, proxy)) = setup().await else {
        return;
    };
    let owner = random_owner();
    let writes = [put(random_session(), Condition::Absent)];
    proxy.lose(1);
    let written = store
        .write(&owner, &writes, Some(RevocationMark(0)))
        .await
        .unwrap();
    assert_eq!(written, Written::Applied);
    assert!(has(&store, &owner, writes[0].key).await);
    // The second write conflicts if no response was lost.
    let written = store
        .write(&owner, &writes, Some(RevocationMark(0)))
        .await
        .unwrap();
    assert!(matches!(written, Written::Conflict(_)), "{written:?}");
}

#[tokio::test]
async fn the_result_of_another_write_is_a_conflict() {
    let Some((store, proxy)) = setup().await else {
        return;
    };
    let owner = random_owner();
    let key = create(&store, &owner).await;
    proxy.lose(1);
    let writes = [put(key, Condition::Absent)];
    let written = store
        .write(&owner, &writes, Some(RevocationMark(0)))
        .await
        .unwrap();
    assert!(matches!(written, Written::Conflict(_)), "{written:?}");
}

#[tokio::test]
async fn a_revocation_with_a_lost_response_is_repeated() {
    let Some((store, proxy)) = setup().await else {
        return;
    };
    let owner = random_owner();
    let key = create(&store, &owner).await;
    proxy.lose(1);
    let mark = store.revoke(&owner, &REVOKED, LONG).await.unwrap();
    let snapshot = store.read(&owner, &[key]).await.unwrap();
    assert_eq!(snapshot.fence, Some(mark));
    assert!(snapshot.entries[0].is_none());
}

#[tokio::test]
async fn a_lease_with_a_lost_response_is_acquired_and_settled_by_its_token() {
    let Some((store, proxy)) = setup().await else {
        return;
    };
    let (event, token) = (random_event(), LeaseToken::random());
    proxy.lose(1);
    let acquired = store.acquire(&event, token, LONG).await.unwrap();
    assert!(matches!(acquired, Acquired::Granted { .. }));
    proxy.lose(1);
    let extend = Settlement::Extend(LONG);
    assert!(store.settle(&event, token, extend).await.unwrap());
    proxy.lose(1);
    let release = Settlement::Release;
    assert!(store.settle(&event, token, release).await.unwrap());

    let acquired = store.acquire(&event, token, LONG).await.unwrap();
    assert!(matches!(acquired, Acquired::Granted { .. }));
    proxy.lose(1);
    let done = Settlement::Done {
        result: Bytes::from_static(b"result"),
        keep_for: LONG,
    };
    assert!(store.settle(&event, token, done).await.unwrap());
    let other = LeaseToken::random();
    let acquired = store.acquire(&event, other, LONG).await.unwrap();
    assert_eq!(acquired, Acquired::Done(Bytes::from_static(b"result")));
}
