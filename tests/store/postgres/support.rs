//! Helpers for databases on the server that the tests share.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection as _, PgConnection};

use crate::servers::{self, Server};

pub(super) fn server() -> Option<&'static Server> {
    servers::postgres()
}

/// Creates a database, and returns its URL.
pub(super) async fn database(server: &Server) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let admin = server.postgres_pool().await;
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let create = format!("CREATE DATABASE {name}");
    // Another test may be copying the template database at the same time.
    while sqlx::raw_sql(&create).execute(&admin).await.is_err() {
        tokio::task::yield_now().await;
    }
    admin.close().await;
    format!("postgres://postgres@127.0.0.1:{}/{name}", server.port())
}

/// Executes statements in a database.
pub(super) async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// Creates a role with the permission to log in, and returns its database URL and its name.
pub(super) async fn role(url: &str, options: &str) -> (String, String) {
    let database = url.rsplit_once('/').unwrap().1;
    let name = format!("role_{database}");
    execute(url, &format!("CREATE ROLE {name} LOGIN {options}")).await;
    (url.replacen("postgres@", &format!("{name}@"), 1), name)
}

/// Waits until this number of database sessions wait for a lock of this type.
pub(super) async fn wait_for_lock(connection: &mut PgConnection, kind: &str, count: i64) {
    let waiting = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) \
                   WHERE NOT granted AND locktype = $1 AND datname = current_database()";
    loop {
        let found: i64 = sqlx::query_scalar(waiting)
            .bind(kind)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        if found == count {
            return;
        }
        tokio::task::yield_now().await;
    }
}
