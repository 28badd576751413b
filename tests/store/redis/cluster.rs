//! Tests that the Redis store works on a Redis Cluster.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use kycport::store::{
    Acquired, LeaseToken, Owner, RecordKey, RedisStore, RevocationMark, Store as _, StoreError,
    Written, conformance,
};
use tokio::{task::JoinSet, time::Instant};

use super::{
    conformance::pass,
    nodes::{Cluster, owner_in_same_slot, slot, wait_until},
    samples::{MINUTE, REVOKED, create, eventually, hash_of, login, owner, session},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_redis_store_conforms_on_a_cluster() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let store = RedisStore::connect(&cluster.url()).await.unwrap();
    conformance::check(&store, pass).await.unwrap();
    conformance::check_in_parallel(Arc::new(store))
        .await
        .unwrap();
    for node in &cluster.nodes {
        assert!(!node.keys("o").is_empty());
    }
}

/// Repeats the requests of one person. Each request must read the session.
async fn use_session(
    store: RedisStore,
    owner: Owner,
    key: RecordKey,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
) {
    while !stop.load(Ordering::Relaxed) {
        let snapshot = store.read(&owner, &[key]).await.unwrap();
        assert!(snapshot.entries[0].is_some() && snapshot.fence == Some(RevocationMark(0)));
        let other = session();
        assert_eq!(
            create(&store, &owner, other, RevocationMark(0)).await,
            Ok(Written::Applied)
        );
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Signs in and out at each step of a migration, concurrently with the requests.
async fn sign_in_and_out(store: &RedisStore, signed_in: &[(Owner, RecordKey)]) {
    for (owner, key) in signed_in {
        let snapshot = store.read(owner, &[*key]).await.unwrap();
        assert!(snapshot.entries[0].is_some() && snapshot.fence == Some(RevocationMark(0)));
    }
    let (owner, key) = (owner_in_same_slot(&signed_in[0].0), session());
    let lease = login(owner.namespace);
    let granted = store.acquire(&lease, LeaseToken::random(), MINUTE).await;
    let Ok(Acquired::Granted { mark }) = granted else {
        panic!("{granted:?}");
    };
    assert_eq!(create(store, &owner, key, mark).await, Ok(Written::Applied));
    let fence = store.revoke(&owner, &REVOKED, MINUTE).await.unwrap();
    assert!(fence > mark);
    let snapshot = store.read(&owner, &[key]).await.unwrap();
    assert_eq!(
        (snapshot.fence, &snapshot.entries[..]),
        (Some(fence), &[None][..])
    );
    assert_eq!(create(store, &owner, key, mark).await, Ok(Written::Fenced));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_survive_the_migration_of_a_slot() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let store = cluster.store();
    let first = Cluster::owner_on(0);
    let mut signed_in = vec![(first, session())];
    for _ in 0..4 {
        signed_in.push((owner_in_same_slot(&first), session()));
    }
    for (owner, key) in &signed_in {
        assert_eq!(
            create(&store, owner, *key, RevocationMark(0)).await,
            Ok(Written::Applied)
        );
    }
    let (stop, count) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut requests = JoinSet::new();
    for (owner, key) in signed_in.clone() {
        let store = cluster.store();
        requests.spawn(use_session(
            store,
            owner,
            key,
            Arc::clone(&stop),
            Arc::clone(&count),
        ));
    }

    let slot = slot(&hash_of(&first)).to_string();
    let (source, target) = (&cluster.nodes[0], &cluster.nodes[1]);
    let (source_id, target_id) = (cluster.id(0), cluster.id(1));
    for _ in 0..2 {
        sign_in_and_out(&store, &signed_in).await;
    }
    target.command::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id]);
    sign_in_and_out(&store, &signed_in).await;
    source.command::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id]);
    sign_in_and_out(&store, &signed_in).await;
    let port = target.port().to_string();
    loop {
        let keys: Vec<String> = source.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "1"]);
        let Some(key) = keys.first() else { break };
        source.command::<String>(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        sign_in_and_out(&store, &signed_in).await;
    }
    for node in [target, source, &cluster.nodes[2]] {
        node.command::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]);
        sign_in_and_out(&store, &signed_in).await;
    }

    stop.store(true, Ordering::Relaxed);
    requests.join_all().await;
    assert!(count.load(Ordering::Relaxed) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_recovers_from_a_failover_and_flushed_scripts() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    cluster.add_replica(0);
    let store = cluster.store().wait_for_replicas(1);
    let (owner, key) = (Cluster::owner_on(0), session());
    assert_eq!(
        create(&store, &owner, key, RevocationMark(0)).await,
        Ok(Written::Applied)
    );
    let revoked = Cluster::owner_on(0);
    let fence = store.revoke(&revoked, &REVOKED, MINUTE).await.unwrap();

    let replica = cluster.nodes.last().unwrap();
    replica.command::<()>(&["CLUSTER", "FAILOVER", "FORCE"]);
    wait_until("a failover", || {
        let info: String = replica.command(&["INFO", "replication"]);
        info.contains("role:master")
    });
    cluster.nodes[0].kill();
    eventually(true, async || store.read(&owner, &[key]).await.is_ok()).await;
    let snapshot = store.read(&owner, &[key]).await.unwrap();
    assert!(snapshot.entries[0].is_some() && snapshot.fence == Some(RevocationMark(0)));
    let snapshot = store.read(&revoked, &[]).await.unwrap();
    assert_eq!(snapshot.fence, Some(fence));
    for node in &cluster.nodes[1..] {
        node.command::<()>(&["SCRIPT", "FLUSH"]);
    }
    let other = session();
    assert_eq!(
        create(&store, &owner, other, RevocationMark(0)).await,
        Ok(Written::Applied)
    );
    let denied = store.revoke(&owner, &REVOKED, MINUTE).await;
    assert_eq!(
        denied,
        Err(StoreError::Failed),
        "the new primary has no replica"
    );
    let snapshot = store.read(&owner, &[key, other]).await.unwrap();
    assert_eq!(snapshot.entries, [None, None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_node_does_not_affect_others_and_recovers() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let store = cluster.store();
    let owners = [0, 1, 2].map(|node| (Cluster::owner_on(node), session()));
    for (owner, key) in &owners {
        assert_eq!(
            create(&store, owner, *key, RevocationMark(0)).await,
            Ok(Written::Applied)
        );
    }
    cluster.nodes[0].kill();
    let (on_dead, key) = owners[0];
    let read = store.read(&on_dead, &[key]).await;
    assert!(read.is_err());
    for (owner, key) in &owners[1..] {
        let snapshot = store.read(owner, &[*key]).await.unwrap();
        assert!(snapshot.entries[0].is_some());
    }
    cluster.nodes[0].restart();
    eventually(true, async || {
        let read = store.read(&on_dead, &[key]).await;
        read.is_ok_and(|it| it.entries[0].is_some())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_node_does_not_affect_others_and_recovers() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let store = cluster.store();
    let owners = [0, 1, 2].map(|node| (Cluster::owner_on(node), session()));
    for (owner, key) in &owners {
        assert_eq!(
            create(&store, owner, *key, RevocationMark(0)).await,
            Ok(Written::Applied)
        );
    }
    cluster.nodes[0].pause();
    let (on_silent, key) = owners[0];
    let start = Instant::now();
    for _ in 0..2 {
        let read = store.read(&on_silent, &[key]).await;
        assert!(read.is_err());
        for (owner, key) in &owners[1..] {
            let snapshot = store.read(owner, &[*key]).await.unwrap();
            assert!(snapshot.entries[0].is_some());
        }
    }
    let passed = start.elapsed();
    assert!(passed < Duration::from_secs(15), "{passed:?}");
    cluster.nodes[0].resume();
    eventually(true, async || {
        let read = store.read(&on_silent, &[key]).await;
        read.is_ok_and(|it| it.entries[0].is_some())
    })
    .await;
}

#[tokio::test]
async fn a_cluster_without_nodes_is_unreachable() {
    let port = super::server::free_port();
    let url = format!("redis+cluster://127.0.0.1:{port}");
    let store = RedisStore::open(&url).unwrap();
    assert_eq!(store.check().await, Err(StoreError::Unreachable));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_denies_access_with_a_wrong_password() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    for node in &cluster.nodes {
        node.command::<()>(&["ACL", "SETUSER", "app", "on", ">first", "~*", "+@all"]);
    }
    let with = |password: &str| {
        let url = cluster.url().replace("//", &format!("//app:{password}@"));
        RedisStore::open(&url).unwrap()
    };
    with("first").check().await.unwrap();
    let denied = with("second").check().await;
    assert_eq!(denied, Err(StoreError::AccessDenied));
    let _ = owner();
}
