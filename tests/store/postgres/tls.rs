//! Tests that the store connects to the server with TLS.

use kycport::store::{PostgresConnectError, PostgresStore, Store as _, StoreError};
use rcgen::{CertificateParams, KeyPair};
use sqlx::{Connection as _, PgConnection};

use super::support::execute;
use crate::servers::Server;

/// Returns SQL that writes a file into the server's data directory. Only the server can read the
/// file.
fn file(name: &str, content: &str) -> String {
    format!(
        "DO $do$ BEGIN EXECUTE format('COPY (SELECT %L) TO PROGRAM %L', $pem${}$pem$, \
         'umask 077; sed \"s/;/\\n/g\" > ' || current_setting('data_directory') || '/{name}'); \
         END $do$;",
        content.trim().replace('\n', ";")
    )
}

#[tokio::test]
async fn sslmode_in_the_url_selects_the_verification() {
    let Some(server) = Server::postgres() else {
        return;
    };
    // The test retries, because the server listens before it accepts logins.
    server.postgres_pool().await.close().await;
    let plain = format!("postgres://postgres@127.0.0.1:{}/postgres", server.port());
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    execute(&plain, &file("server.crt", &certificate.pem())).await;
    execute(&plain, &file("server.key", &key.serialize_pem())).await;
    let root = std::env::temp_dir().join(format!("kycport-root-{}.pem", server.port()));
    std::fs::write(&root, certificate.pem()).unwrap();

    let required = format!("{plain}?sslmode=require");
    let unreachable = PostgresConnectError::Store(StoreError::Unreachable);
    let error = PostgresStore::connect(&required).await.unwrap_err();
    assert_eq!(error, unreachable);
    PostgresStore::connect(&format!("{plain}?sslmode=prefer"))
        .await
        .unwrap();

    execute(&plain, "ALTER SYSTEM SET ssl = on").await;
    execute(&plain, "SELECT pg_reload_conf()").await;
    // The server reloads its settings after a delay.
    while PostgresStore::connect(&required).await.is_err() {
        tokio::task::yield_now().await;
    }
    let store = PostgresStore::connect(&required).await.unwrap();
    store.check().await.unwrap();
    let mut watcher = PgConnection::connect(&plain).await.unwrap();
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE ssl AND application_name = 'kycport'";
    let encrypted: i64 = sqlx::query_scalar(encrypted)
        .fetch_one(&mut watcher)
        .await
        .unwrap();
    assert!(encrypted > 0);

    let verified = format!("{plain}?sslmode=verify-full");
    let error = PostgresStore::connect(&verified).await.unwrap_err();
    assert_eq!(error, unreachable);
    let verified = format!("{verified}&sslrootcert={}", root.display());
    PostgresStore::connect(&verified).await.unwrap();
    std::fs::remove_file(root).unwrap();
}
