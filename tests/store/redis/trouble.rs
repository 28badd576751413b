//! Tests with servers that respond with errors.

use kycport::store::{
    Acquired, LeaseToken, RedisStore, RevocationMark, Store as _, StoreError, Written, conformance,
};

use super::{
    conformance::pass,
    samples::{MINUTE, REVOKED, create, eventually, login, owner, random, session},
    server::{Server, free_port},
};

/// Permissions that the documentation of the store lists.
const PERMISSIONS: &str = "+eval +evalsha +hmget +hgetall +hset +hdel +get +set +del +pttl +pexpireat \
                      +time";

#[tokio::test]
async fn a_replica_is_read_only_until_it_is_promoted() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    assert_eq!(
        create(&store, &owner, key, RevocationMark(0)).await,
        Ok(Written::Applied)
    );
    let dead = free_port().to_string();
    server.command::<()>(&["REPLICAOF", "127.0.0.1", &dead]);
    let read_only = StoreError::ReadOnly;
    let written = create(&store, &owner, session(), RevocationMark(0)).await;
    assert_eq!(written, Err(read_only));
    let revoked = store.revoke(&owner, &REVOKED, MINUTE).await;
    assert_eq!(revoked, Err(read_only));
    assert_eq!(store.check().await, Err(read_only));
    // The store does not read from a replica, because a replica may be behind its primary.
    eventually(Err(read_only), async || {
        let _ = store.check().await;
        store.read(&owner, &[key]).await
    })
    .await;
    let connected = RedisStore::connect(&server.url()).await;
    assert_eq!(connected.err(), Some(read_only));

    server.command::<()>(&["REPLICAOF", "NO", "ONE"]);
    eventually(Ok(()), async || store.check().await).await;
    let snapshot = store.read(&owner, &[key]).await.unwrap();
    assert!(snapshot.entries[0].is_some());
}

#[tokio::test]
async fn a_server_without_its_replicas_is_read_only() {
    let Some(server) = Server::start(&["--min-replicas-to-write", "1"]) else {
        return;
    };
    let store = server.store();
    assert_eq!(store.check().await, Err(StoreError::ReadOnly));
    store.read(&owner(), &[session()]).await.unwrap();
    server.set("min-replicas-to-write", "0");
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_full_server_rejects_writes_and_accepts_revocations() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    assert_eq!(
        create(&store, &owner, key, RevocationMark(0)).await,
        Ok(Written::Applied)
    );
    let (held, token) = (login(owner.namespace), LeaseToken::random());
    let granted = store.acquire(&held, token, MINUTE).await;
    assert!(granted.is_ok());
    server.set("maxmemory", "1");
    let full = StoreError::Full;
    assert_eq!(store.check().await, Err(full));
    let written = create(&store, &owner, session(), RevocationMark(0)).await;
    assert_eq!(written, Err(full));
    let lease = login(random());
    let acquired = store.acquire(&lease, token, MINUTE).await;
    assert_eq!(acquired, Err(full));
    let snapshot = store.read(&owner, &[key]).await.unwrap();
    assert!(snapshot.entries[0].is_some());

    let mark = store.revoke(&owner, &REVOKED, MINUTE).await.unwrap();
    let snapshot = store.read(&owner, &[key]).await.unwrap();
    assert_eq!(
        (snapshot.fence, &snapshot.entries[..]),
        (Some(mark), &[None][..])
    );
    server.set("maxmemory", "0");
    store.check().await.unwrap();
    let acquired = store.acquire(&lease, token, MINUTE).await;
    assert_eq!(
        acquired,
        Ok(Acquired::Granted {
            mark: acquired_mark(&acquired)
        })
    );
}

fn acquired_mark(acquired: &Result<Acquired, StoreError>) -> RevocationMark {
    match acquired {
        Ok(Acquired::Granted { mark }) => *mark,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_eviction_removes_sessions_and_fence_together() {
    let Some(server) = Server::start(&["--maxmemory-policy", "allkeys-lru"]) else {
        return;
    };
    let store = server.store();
    let mut owners = Vec::new();
    for round in 0..2 {
        for _ in 0..1000 {
            let (owner, key) = (owner(), session());
            assert_eq!(
                create(&store, &owner, key, RevocationMark(0)).await,
                Ok(Written::Applied)
            );
            owners.push((owner, key));
        }
        if round == 0 {
            let memory: String = server.command(&["INFO", "memory"]);
            let used = memory
                .lines()
                .find_map(|it| it.strip_prefix("used_memory:"));
            server.set("maxmemory", used.unwrap());
        }
    }
    let mut kept = 0;
    for (owner, key) in &owners {
        let snapshot = store.read(owner, &[*key]).await.unwrap();
        assert_eq!(snapshot.fence.is_some(), snapshot.entries[0].is_some());
        kept += usize::from(snapshot.fence.is_some());
    }
    assert!(0 < kept && kept < owners.len(), "{kept} kept");
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_starting() {
    let Some(mut server) = Server::start(&[]) else {
        return;
    };
    let (store, first, key) = (server.store(), owner(), session());
    assert_eq!(
        create(&store, &first, key, RevocationMark(0)).await,
        Ok(Written::Applied)
    );
    for _ in 0..1000 {
        assert_eq!(
            create(&store, &owner(), session(), RevocationMark(0)).await,
            Ok(Written::Applied)
        );
    }
    server.command::<()>(&["SAVE"]);
    server.kill();
    // The value is in microseconds: one millisecond per key.
    let slow = ["--key-load-delay", "1000"];
    let polite = ["--loading-process-events-interval-bytes", "1024"];
    server.restart_without_waiting(&[slow, polite].concat());
    eventually(Err(StoreError::Starting), async || {
        store.read(&first, &[key]).await
    })
    .await;
    eventually(Ok(()), async || store.check().await).await;
    let snapshot = store.read(&first, &[key]).await.unwrap();
    assert!(snapshot.entries[0].is_some());
}

fn with_user(server: &Server, password: &str) -> RedisStore {
    let url = format!("redis://app:{password}@127.0.0.1:{}", server.port());
    RedisStore::open(&url).unwrap()
}

#[tokio::test]
async fn a_changed_password_denies_access_until_it_is_restored() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    server.command::<()>(&["ACL", "SETUSER", "app", "on", ">first", "~*", "+@all"]);
    let store = with_user(&server, "first");
    store.check().await.unwrap();
    server.command::<()>(&["ACL", "SETUSER", "app", "resetpass", ">second"]);
    server.command::<i64>(&["CLIENT", "KILL", "USER", "app"]);
    let denied = StoreError::AccessDenied;
    eventually(Err(denied), async || store.check().await).await;
    assert_eq!(store.read(&owner(), &[]).await, Err(denied));
    server.command::<()>(&["ACL", "SETUSER", "app", ">first"]);
    eventually(Ok(()), async || store.check().await).await;
}

#[tokio::test]
async fn a_missing_password_denies_access() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let store = server.store();
    store.check().await.unwrap();
    let url = server.url();
    server.set("requirepass", "demanded");
    let client = redis::Client::open(url.replace("//", "//:demanded@")).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("TYPE").arg("normal");
    kill.exec(&mut connection).unwrap();
    eventually(Err(StoreError::AccessDenied), async || store.check().await).await;
    let connected = RedisStore::connect(&url).await;
    assert_eq!(connected.err(), Some(StoreError::AccessDenied));
}

#[tokio::test]
async fn exactly_the_documented_permissions_are_necessary() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let mut set = vec!["ACL", "SETUSER", "app", "on", ">first", "~kycport:*"];
    set.extend(PERMISSIONS.split(' '));
    server.command::<()>(&set);
    let store = with_user(&server, "first");
    conformance::check(&store, pass).await.unwrap();

    server.command::<()>(&["ACL", "SETUSER", "app", "-hset"]);
    assert_eq!(store.check().await, Err(StoreError::AccessDenied));
    store.read(&owner(), &[]).await.unwrap();
    server.command::<()>(&["ACL", "SETUSER", "app", "+hset"]);
    store.check().await.unwrap();
}

#[tokio::test]
async fn flushed_scripts_are_loaded_again() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let (store, owner, key) = (server.store(), owner(), session());
    for _ in 0..2 {
        server.command::<()>(&["SCRIPT", "FLUSH"]);
        let lease = login(owner.namespace);
        let granted = store.acquire(&lease, LeaseToken::random(), MINUTE).await;
        let mark = acquired_mark(&granted);
        server.command::<()>(&["SCRIPT", "FLUSH"]);
        assert_eq!(
            create(&store, &owner, key, mark).await,
            Ok(Written::Applied)
        );
        server.command::<()>(&["SCRIPT", "FLUSH"]);
        store.revoke(&owner, &REVOKED, MINUTE).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_executes_a_slow_script_is_busy() {
    let Some(server) = Server::start(&["--busy-reply-threshold", "50"]) else {
        return;
    };
    let store = server.store();
    store.check().await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let script = std::thread::spawn(move || {
        let mut connection = client.get_connection().unwrap();
        let mut eval = redis::cmd("EVAL");
        eval.arg("while true do end").arg(0);
        eval.exec(&mut connection).unwrap_err();
    });
    eventually(Err(StoreError::Busy), async || store.check().await).await;
    server.command::<()>(&["SCRIPT", "KILL"]);
    script.join().unwrap();
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_cluster_node_is_rejected_as_a_single_server() {
    let Some(node) = Server::start(&["--cluster-enabled", "yes"]) else {
        return;
    };
    let connected = RedisStore::connect(&node.url()).await;
    assert_eq!(connected.err(), Some(StoreError::Unreachable));
}
