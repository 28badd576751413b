//! Tests that the store creates and checks its tables in any schema and with a restricted role.

use kycport::store::{
    InvalidPostgresUrl, PostgresConnectError, PostgresStore, Store as _, StoreError,
};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::support::{database, execute, role, server};
use crate::samples::{assert_every_operation_works, create, has, random_owner, write_and_read};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_instances_create_the_tables_simultaneously() {
    let Some(server) = server() else { return };
    for schema in ["", "?schema=kyc-port"] {
        let url = database(server).await + schema;
        let connects: Vec<_> = (0..8)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move {
                    let store = PostgresStore::connect(&url).await.unwrap();
                    store.migrate().await.unwrap();
                    store.check().await.unwrap();
                })
            })
            .collect();
        for connect in connects {
            connect.await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_migration_can_be_repeated() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    execute(&url, PostgresStore::MIGRATION).await;
    let store = PostgresStore::new(PgPool::connect(&url).await.unwrap());
    let owner = random_owner();
    let key = create(&store, &owner).await;
    execute(&url, PostgresStore::MIGRATION).await;
    assert!(has(&store, &owner, key).await);
}

#[tokio::test]
async fn the_search_path_has_no_effect() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let name = url.rsplit_once('/').unwrap().1;
    execute(
        &url,
        &format!(
            "CREATE SCHEMA decoy; \
             CREATE TABLE decoy.kycport_records (id int); \
             CREATE FUNCTION decoy.clock_timestamp() RETURNS int LANGUAGE sql AS 'SELECT 1'; \
             ALTER DATABASE {name} SET search_path = decoy"
        ),
    )
    .await;
    let store = PostgresStore::connect(&url).await.unwrap();
    assert_every_operation_works(&store).await;
}

#[tokio::test]
async fn stores_in_different_schemas_are_independent() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let public = PostgresStore::connect(&url).await.unwrap();
    let other = PostgresStore::open(&url).unwrap().schema("other").unwrap();
    let same = format!("{url}?schema=other");
    let same = PostgresStore::connect(&same).await.unwrap();
    let owner = random_owner();
    let key = create(&other, &owner).await;
    assert!(has(&same, &owner, key).await);
    assert!(!has(&public, &owner, key).await);
    assert_every_operation_works(&other).await;
    assert_eq!(
        PostgresStore::open(&url).unwrap().schema("a.b").err(),
        Some(InvalidPostgresUrl::Schema)
    );
}

#[tokio::test]
async fn missing_tables_are_reported_as_a_schema_error() {
    let Some(server) = server() else { return };
    let pool = PgPool::connect(&database(server).await).await.unwrap();
    let store = PostgresStore::new(pool);
    let schema = Some(StoreError::Schema);
    let (written, read) = write_and_read(&store).await;
    assert_eq!((written.err(), read), (schema, schema));
    assert_eq!(store.check().await.err(), schema);
    store.migrate().await.unwrap();
    store.check().await.unwrap();
}

#[tokio::test]
async fn tables_of_an_unknown_version_are_rejected() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let store = PostgresStore::connect(&url).await.unwrap();
    // The test simulates a newer release that this release is compatible with.
    execute(&url, "UPDATE kycport_schema SET version = 2").await;
    PostgresStore::connect(&url).await.unwrap();

    execute(&url, "UPDATE kycport_schema SET compatible_with = 2").await;
    let schema = StoreError::Schema;
    let error = PostgresStore::connect(&url).await.unwrap_err();
    assert_eq!(error, PostgresConnectError::Store(schema));
    let opened = PostgresStore::open(&url).unwrap();
    let (written, read) = write_and_read(&opened).await;
    assert_eq!((written, read), (Err(schema), Some(schema)));
    assert_eq!(store.migrate().await, Err(schema));
    assert_eq!(store.check().await, Err(schema));

    let mut connection = PgConnection::connect(&url).await.unwrap();
    let version = "SELECT compatible_with FROM kycport_schema";
    let version: i64 = sqlx::query_scalar(version)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(version, 2);
}

/// The role has the permissions that the documentation of the store lists.
#[tokio::test]
async fn a_role_without_permission_to_create_tables_can_use_existing_tables() {
    let Some(server) = server() else { return };
    let url = database(server).await;
    let (theirs, name) = role(&url, "").await;
    let denied = StoreError::AccessDenied;
    let error = PostgresStore::connect(&theirs).await.unwrap_err();
    assert_eq!(error, PostgresConnectError::Store(denied));

    execute(&url, PostgresStore::MIGRATION).await;
    let error = PostgresStore::connect(&theirs).await.unwrap_err();
    assert_eq!(error, PostgresConnectError::Store(denied));
    let grants = format!(
        "GRANT USAGE ON SCHEMA public TO {name};
         GRANT SELECT ON kycport_schema TO {name};
         GRANT SELECT, INSERT, UPDATE, DELETE ON kycport_records, kycport_leases TO {name};
         GRANT SELECT, USAGE ON SEQUENCE kycport_marks TO {name};"
    );
    execute(&url, &grants).await;
    for store in [
        PostgresStore::connect(&theirs).await.unwrap(),
        PostgresStore::open(&theirs).unwrap(),
    ] {
        assert_every_operation_works(&store).await;
        store.migrate().await.unwrap();
    }
}
