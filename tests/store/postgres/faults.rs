//! Tests with servers that reject statements, are slow, or stop.

use std::time::Duration;

use kycport::store::{PostgresConnectError, PostgresStore, Store as _, StoreError, Written};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::support::{database, execute, role, server, wait_for_lock};
use crate::{
    samples::{
        REVOKED, create, has, put, random_event, random_owner, random_session, write_and_read,
    },
    servers::Server,
};

#[tokio::test]
async fn a_read_only_database_serves_reads() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let owner = random_owner();
    let key = create(&store, &owner).await;
    let name = url.rsplit_once('/').unwrap().1;
    let setting = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    execute(&url, &setting).await;

    let pool = PgPool::connect(&url).await.unwrap();
    for store in [
        PostgresStore::connect(&url).await.unwrap(),
        PostgresStore::new(pool),
    ] {
        assert!(has(&store, &owner, key).await);
        let read_only = StoreError::ReadOnly;
        assert_eq!(write_and_read(&store).await, (Err(read_only), None));
        assert_eq!(store.check().await, Err(read_only));
        let revoked = store.revoke(&owner, &REVOKED, Duration::ZERO).await;
        assert_eq!(revoked.unwrap_err(), read_only);
        let token = kycport::store::LeaseToken::random();
        let acquired = store.acquire(&random_event(), token, Duration::ZERO).await;
        assert_eq!(acquired.unwrap_err(), read_only);
        assert_eq!(store.sweep(1).await.unwrap_err(), read_only);
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_a_timeout() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    PostgresStore::connect(&url).await.unwrap();
    let theirs = format!("{url}?options=-c%20statement_timeout%3D100");
    let store = PostgresStore::connect(&theirs).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE kycport_records IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let timeout = StoreError::Timeout;
    assert_eq!(write_and_read(&store).await, (Err(timeout), Some(timeout)));
    transaction.rollback().await.unwrap();
    assert_eq!(write_and_read(&store).await, (Ok(()), None));
}

#[tokio::test]
async fn a_lock_that_is_not_available_in_time_means_busy() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    PostgresStore::connect(&url).await.unwrap();
    let theirs = format!("{url}?options=-c%20lock_timeout%3D100");
    let store = PostgresStore::connect(&theirs).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE kycport_records IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let busy = StoreError::Busy;
    assert_eq!(write_and_read(&store).await, (Err(busy), Some(busy)));
}

#[tokio::test]
async fn too_many_connections_mean_busy() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    PostgresStore::connect(&url).await.unwrap();
    let (theirs, _) = role(&url, "CONNECTION LIMIT 1").await;
    let only = PgConnection::connect(&theirs).await.unwrap();
    let store = PostgresStore::open(&theirs).unwrap();
    let busy = StoreError::Busy;
    assert_eq!(write_and_read(&store).await, (Err(busy), Some(busy)));
    only.close().await.unwrap();
}

#[tokio::test]
async fn a_pool_without_a_free_connection_means_busy() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(1));
    let pool = pool.connect(&url).await.unwrap();
    let store = PostgresStore::new(pool.clone());
    store.migrate().await.unwrap();
    let held = pool.acquire().await.unwrap();
    let busy = StoreError::Busy;
    assert_eq!(write_and_read(&store).await, (Err(busy), Some(busy)));
    drop(held);
    assert_eq!(write_and_read(&store).await, (Ok(()), None));
}

#[tokio::test]
async fn wrong_credentials_mean_access_denied() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let stranger = url.replacen("postgres@", "canary:canary@", 1);
    let error = PostgresStore::connect(&stranger).await.unwrap_err();
    let denied = StoreError::AccessDenied;
    assert_eq!(error, PostgresConnectError::Store(denied));
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[tokio::test]
async fn connections_ended_by_the_server_are_replaced() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let admin = url.rsplit_once('/').unwrap().0.to_owned() + "/postgres";
    let name = url.rsplit_once('/').unwrap().1;
    let end = format!(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
    );
    let pool = PgPool::connect(&url).await.unwrap();
    for store in [
        PostgresStore::connect(&url).await.unwrap(),
        PostgresStore::new(pool),
    ] {
        let owner = random_owner();
        for _ in 0..2 {
            // The writes use several connections of the pool.
            let writes = (0..5).map(|_| create(&store, &owner));
            let keys = futures_util::future::join_all(writes).await;
            execute(&admin, &end).await;
            assert!(has(&store, &owner, keys[0]).await);
            execute(&admin, &end).await;
            assert_eq!(write_and_read(&store).await, (Ok(()), None));
        }
    }
}

#[tokio::test]
async fn a_write_whose_connection_is_ended_is_repeated() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    let owner = random_owner();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let mut watcher = PgConnection::connect(&url).await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE kycport_records IN SHARE MODE")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let writes = vec![put(random_session(), kycport::store::Condition::Absent)];
    let key = writes[0].key;
    let writing = {
        let store = store.clone();
        tokio::spawn(async move { store.write(&owner, &writes, None).await })
    };
    wait_for_lock(&mut watcher, "relation", 1).await;
    let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks \
               WHERE NOT granted AND locktype = 'relation'";
    sqlx::raw_sql(end).execute(&mut watcher).await.unwrap();
    wait_for_lock(&mut watcher, "relation", 1).await;
    transaction.rollback().await.unwrap();
    assert_eq!(writing.await.unwrap().unwrap(), Written::Applied);
    assert!(has(&store, &owner, key).await);
}

fn url_of(server: &Server) -> String {
    format!("postgres://postgres@127.0.0.1:{}/postgres", server.port())
}

/// The test retries, because the server listens before it accepts logins.
async fn wait_until_store_works(store: &PostgresStore) {
    loop {
        let error = match write_and_read(store).await {
            (Ok(()), None) => return,
            (written, read) => written.err().or(read).unwrap(),
        };
        let expected = [StoreError::Starting, StoreError::Unreachable];
        assert!(expected.contains(&error), "{error:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_store_recovers_with_its_server() {
    let Some(mut server) = Server::lasting_postgres() else {
        return;
    };
    let store = PostgresStore::open(&url_of(&server)).unwrap();
    wait_until_store_works(&store).await;
    let owner = random_owner();
    let key = create(&store, &owner).await;
    for crash in [false, true] {
        if crash {
            server.kill();
        } else {
            server.stop();
        }
        let gone = StoreError::Unreachable;
        assert_eq!(write_and_read(&store).await, (Err(gone), Some(gone)));
        assert_eq!(store.check().await, Err(gone));
        server.start_again();
        wait_until_store_works(&store).await;
        assert!(has(&store, &owner, key).await);
    }
}

#[tokio::test]
async fn a_replica_is_rejected_until_it_is_promoted() {
    let Some(mut server) = Server::lasting_postgres() else {
        return;
    };
    let url = url_of(&server);
    let store = PostgresStore::open(&url).unwrap();
    wait_until_store_works(&store).await;
    let standby = "DO $$ BEGIN EXECUTE format('COPY (SELECT 1) TO %L', \
                   current_setting('data_directory') || '/standby.signal'); END $$";
    execute(&url, standby).await;
    server.stop();
    server.start_again();
    let read_only = StoreError::ReadOnly;
    loop {
        match write_and_read(&store).await {
            (Err(written), Some(read)) if written == read_only => {
                assert_eq!(read, read_only);
                break;
            }
            (Err(StoreError::Starting | StoreError::Unreachable), _) => {}
            other => panic!("{other:?}"),
        }
        tokio::task::yield_now().await;
    }
    // The server accepts writes after its promotion.
    execute(&url, "SELECT pg_promote()").await;
    assert_eq!(write_and_read(&store).await, (Ok(()), None));
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let store = PostgresStore::open("postgres://user:canary@127.0.0.1:1/none").unwrap();
    let gone = StoreError::Unreachable;
    assert_eq!(write_and_read(&store).await, (Err(gone), Some(gone)));
    assert!(!format!("{store:?}").contains("canary"));
}
