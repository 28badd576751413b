//! The store in Postgres.

use std::{sync::Arc, time::Duration};

use kycport::store::{PostgresStore, conformance};

use crate::servers::{self, Server};

/// URL of a database of its own on the server that the tests share.
async fn database(server: &Server) -> String {
    let admin = server.postgres_pool().await;
    let name = format!("test_{:032x}", rand::random::<u128>());
    sqlx::raw_sql(&format!("CREATE DATABASE {name}"))
        .execute(&admin)
        .await
        .unwrap();
    format!("postgres://postgres@127.0.0.1:{}/{name}", server.port())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the store runs on the server's clock"
)]
async fn pass(by: Duration) {
    tokio::time::sleep(by).await;
}

#[tokio::test]
async fn it_conforms() {
    let Some(server) = servers::postgres() else {
        return;
    };
    let store = PostgresStore::connect(&database(server).await)
        .await
        .unwrap();
    conformance::check(&store, pass).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_conforms_with_callers_on_several_threads() {
    let Some(server) = servers::postgres() else {
        return;
    };
    let store = PostgresStore::connect(&database(server).await)
        .await
        .unwrap();
    conformance::check_in_parallel(Arc::new(store))
        .await
        .unwrap();
}
