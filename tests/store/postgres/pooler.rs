//! Tests with `PgBouncer` in transaction mode. In this mode, each transaction may use another
//! server connection.

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use kycport::store::{LeaseToken, PostgresStore, Settlement, Store as _, StoreError, conformance};
use sqlx::{Connection as _, PgConnection, PgPool, postgres::PgPoolOptions};

use super::support::{database, server};
use crate::{
    samples::{LONG, assert_every_operation_works, pass, random_event, write_and_read},
    servers::Server,
};

/// Script that ends the pooler when the script's input closes. The input closes when this process
/// ends.
const SCRIPT: &str = r#"
"$PGBOUNCER" -q "$DIR/pgbouncer.ini" >"$DIR/log" 2>&1 &
pid=$!
read _
kill -KILL "$pid"
wait "$pid"
rm -rf "$DIR"
"#;

struct Pooler {
    watchdog: Child,
    port: u16,
}

impl Pooler {
    /// Starts a pooler with few connections to the server. Clients then share these connections.
    fn start(server: &Server, ignored: &str) -> Option<Self> {
        let program = program()?;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let dir = std::env::temp_dir().join(format!("kycport-pooler-{port}"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("users"), "\"postgres\" \"\"\n").unwrap();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
             pool_mode = transaction\ndefault_pool_size = 3\nserver_round_robin = 1\n\
             ignore_startup_parameters = {ignored}\n",
            server.port(),
            dir.join("users").display(),
        );
        std::fs::write(dir.join("pgbouncer.ini"), settings).unwrap();
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        // PgBouncer refuses to run as root, so the test uses another user.
        let mut shell = if root {
            let chown = Command::new("chown")
                .arg("-R")
                .arg("postgres")
                .arg(&dir)
                .status();
            assert!(chown.unwrap().success());
            let mut other = Command::new("setpriv");
            other.args([
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
                "sh",
            ]);
            other
        } else {
            Command::new("sh")
        };
        let watchdog = shell
            .args(["-c", SCRIPT])
            .env("PGBOUNCER", program)
            .env("DIR", &dir)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pooler = Self { watchdog, port };
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(pooler);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the pooler did not accept a connection in time");
    }

    fn url(&self, direct: &str) -> String {
        let name = direct.rsplit_once('/').unwrap().1;
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders
        .map(|it| it.join("pgbouncer"))
        .find(|it| it.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("KYCPORT_REQUIRE_SERVERS").is_none(),
            "the tests with servers are required, but pgbouncer is not installed"
        );
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED: pgbouncer is not installed").unwrap();
    }
    found
}

async fn conforms(store: PostgresStore) {
    conformance::check(&store, pass).await.unwrap();
    conformance::check_in_parallel(Arc::new(store))
        .await
        .unwrap();
}

/// The pooler rejects unknown startup parameters.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_conforms_behind_a_pooler_that_rejects_its_settings() {
    let Some(server) = server() else { return };
    let Some(pooler) = Pooler::start(server, "") else {
        return;
    };
    let url = pooler.url(&database(server).await);
    conforms(PostgresStore::connect(&url).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_works_behind_a_pooler_that_ignores_its_settings() {
    let Some(server) = server() else { return };
    let Some(pooler) = Pooler::start(server, "extra_float_digits, options") else {
        return;
    };
    let url = pooler.url(&database(server).await);
    assert_every_operation_works(&PostgresStore::connect(&url).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_conforms_on_the_pool_of_an_app_behind_a_pooler() {
    let Some(server) = server() else { return };
    let Some(pooler) = Pooler::start(server, "extra_float_digits") else {
        return;
    };
    let url = pooler.url(&database(server).await);
    let pool = PgPool::connect(&url).await.unwrap();
    let store = PostgresStore::new(pool);
    store.migrate().await.unwrap();
    conforms(store).await;
}

/// An app and other instances use the same statement names on the same server connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn statements_of_other_clients_of_the_pooler_are_not_executed() {
    let Some(server) = server() else { return };
    let Some(pooler) = Pooler::start(server, "extra_float_digits") else {
        return;
    };
    let direct = database(server).await;
    let url = pooler.url(&direct);
    PostgresStore::connect(&direct).await.unwrap();
    // These named statements of an app remain on the server connections.
    let app = PgPoolOptions::new().connect(&url).await.unwrap();
    let uses = (0..30).map(|number| {
        let app = app.clone();
        tokio::spawn(async move {
            let query = format!("SELECT {number}, $1::bytea[]");
            let query = sqlx::query(&query).bind(vec![vec![1_u8]]);
            let _ = query.fetch_one(&app).await;
        })
    });
    for used in uses.collect::<Vec<_>>() {
        used.await.unwrap();
    }
    let stores = (0..6).map(|number| {
        let (url, app) = (url.clone(), app.clone());
        tokio::spawn(async move {
            let store = if number % 2 == 0 {
                PostgresStore::connect(&url).await.unwrap()
            } else {
                PostgresStore::new(app)
            };
            for _ in 0..20 {
                assert_eq!(write_and_read(&store).await, (Ok(()), None));
            }
        })
    });
    for store in stores.collect::<Vec<_>>() {
        store.await.unwrap();
    }
}

#[tokio::test]
async fn a_lease_is_settled_in_a_transaction_behind_a_pooler() {
    let Some(server) = server() else { return };
    let Some(pooler) = Pooler::start(server, "extra_float_digits") else {
        return;
    };
    let url = pooler.url(&database(server).await);
    let store = PostgresStore::connect(&url).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    assert!(store.is_database_of(&mut connection).await.unwrap());
    for _ in 0..8 {
        let (key, token) = (random_event(), LeaseToken::random());
        let _ = store.acquire(&key, token, LONG).await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        let release = Settlement::Release;
        let settled = store.settle_in(&mut transaction, &key, token, release);
        assert!(settled.await.unwrap());
        transaction.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_pooler_without_a_server_is_unreachable() {
    let Some(mut own) = Server::postgres() else {
        return;
    };
    let Some(pooler) = Pooler::start(&own, "extra_float_digits") else {
        return;
    };
    let store = PostgresStore::open(&pooler.url("/postgres")).unwrap();
    while write_and_read(&store).await.0.is_err() {
        tokio::task::yield_now().await;
    }
    own.stop();
    let (written, read) = write_and_read(&store).await;
    let expected = [StoreError::Timeout, StoreError::Unreachable];
    assert!(expected.contains(&written.unwrap_err()));
    assert!(expected.contains(&read.unwrap()));
}
