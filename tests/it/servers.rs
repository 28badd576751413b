//! Servers for the tests: one Redis and one Postgres for the whole process, on free ports.
//!
//! The tests print a message and skip a server that is not installed. With
//! `KYCPORT_REQUIRE_SERVERS=1`, the tests fail instead.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use fred::{interfaces::ClientLike as _, types::config::ReconnectPolicy};
use sqlx::{PgPool, postgres::PgPoolOptions};

/// The server runs until the shell's standard input closes. The input closes when this process ends
/// for any reason, so no server is left running.
const UNTIL_INPUT_ENDS: &str = r#"
pid=$!
read _
kill -KILL "$pid"
wait "$pid"
[ -n "$KEEP" ] || rm -rf "$dir"
"#;

/// With `KEEP`, Redis writes each change to disk immediately.
const REDIS: &str = r#"
dir=${KEEP:-$(mktemp -d)}
mkdir -p "$dir" && cd "$dir" || exit 1
[ -n "$KEEP" ] && aof=yes || aof=no
redis-server --port "$PORT" --bind 127.0.0.1 --dir "$dir" --save "" --appendonly "$aof" \
    --requirepass "$PASSWORD" --appendfsync always >"$dir/log" 2>&1 &
"#;

/// The script sends `QUIT`, because `KILL` does not remove the shared memory of Postgres. The
/// script sends `CONT` first, because a suspended server does not handle `QUIT`.
const POSTGRES: &str = r#"
dir=${KEEP:-$(mktemp -d)}
mkdir -p "$dir" && cd "$dir" || exit 1
[ -d "$dir/data" ] || "$BIN/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --no-sync \
    >"$dir/log" 2>&1 || exit 1
"$BIN/postgres" -D "$dir/data" -p "$PORT" -h 127.0.0.1 -k "$dir" \
    -c fsync="$FSYNC" -c max_connections=200 >>"$dir/log" 2>&1 &
pid=$!
read _
kill -CONT "$pid"
kill -QUIT "$pid"
wait "$pid"
[ -n "$KEEP" ] || rm -rf "$dir"
"#;

/// Server process. The server runs until a test stops it or this process ends.
pub(crate) struct Server {
    watchdog: Child,
    port: u16,
    url: fn(u16) -> String,
    shell: fn() -> Option<Command>,
    /// Directory of the data that must survive a restart of the server.
    keep: Option<PathBuf>,
    disk: Disk,
}

/// Setting that makes a Postgres commit wait until the data is on disk.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Disk {
    Awaited,
    NotAwaited,
}

impl Disk {
    fn fsync(self) -> &'static str {
        match self {
            Self::Awaited => "on",
            Self::NotAwaited => "off",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Fleeting,
    Lasting,
}

impl Server {
    /// Password of Redis. Postgres accepts any password.
    pub(crate) const PASSWORD: &str = "canary-of-the-server";

    fn start_redis(memory: Memory) -> Option<Self> {
        Self::start(redis_shell, redis_url, memory, Disk::NotAwaited)
    }

    fn start_postgres(memory: Memory, disk: Disk) -> Option<Self> {
        Self::start(postgres_shell, postgres_url, memory, disk)
    }

    fn start(
        shell: fn() -> Option<Command>,
        url: fn(u16) -> String,
        memory: Memory,
        disk: Disk,
    ) -> Option<Self> {
        let port = free_port();
        let name = format!("kycport-test-{}-{port}", std::process::id());
        let keep = (memory == Memory::Lasting).then(|| std::env::temp_dir().join(name));
        let mut server = Self {
            watchdog: spawn(shell()?, port, keep.as_deref(), disk),
            port,
            url,
            shell,
            keep,
            disk,
        };
        server.wait_until_listening();
        Some(server)
    }

    /// Restarts the stopped server.
    pub(crate) fn start_again(&mut self) {
        self.watchdog = spawn(
            (self.shell)().unwrap(),
            self.port,
            self.keep.as_deref(),
            self.disk,
        );
        self.wait_until_listening();
    }

    fn wait_until_listening(&mut self) {
        for _ in 0..600 {
            if self.accepts_connections() {
                return;
            }
            let ended = self.watchdog.try_wait().unwrap();
            assert_eq!(ended, None, "the server did not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the server did not listen in time");
    }

    /// Returns whether the server accepts connections. Postgres listens for a while before it
    /// accepts logins.
    fn accepts_connections(&self) -> bool {
        let Ok(mut socket) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        if !self.url().starts_with("postgres") {
            return true;
        }
        let startup = b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0";
        let mut answer = [0];
        let answered = socket
            .write_all(startup)
            .and_then(|()| socket.read_exact(&mut answer));
        answered.is_ok() && answer == *b"R"
    }

    /// Starts a Redis for one test.
    pub(crate) fn redis() -> Option<Self> {
        Self::start_redis(Memory::Fleeting)
    }

    /// Starts a Postgres for one test.
    pub(crate) fn postgres() -> Option<Self> {
        Self::start_postgres(Memory::Fleeting, Disk::NotAwaited)
    }

    /// Starts a Redis for one test. The Redis keeps its data across a restart.
    pub(crate) fn lasting_redis() -> Option<Self> {
        Self::start_redis(Memory::Lasting)
    }

    /// Starts a Postgres for one test. The Postgres keeps its data across a restart.
    pub(crate) fn lasting_postgres() -> Option<Self> {
        Self::start_postgres(Memory::Lasting, Disk::NotAwaited)
    }

    /// Starts a Postgres for one test. The Postgres keeps its data across a restart and writes
    /// every commit to disk.
    pub(crate) fn lasting_postgres_on_disk() -> Option<Self> {
        Self::start_postgres(Memory::Lasting, Disk::Awaited)
    }

    /// Starts a Postgres for one test, with this disk setting.
    pub(crate) fn postgres_with(disk: Disk) -> Option<Self> {
        Self::start_postgres(Memory::Fleeting, disk)
    }

    /// Returns the port of the server on the loopback interface.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// URL of the server, in the form of `KYCPORT_STORE`.
    pub(crate) fn url(&self) -> String {
        (self.url)(self.port)
    }

    /// Kills the server with `SIGKILL`, like a machine that fails.
    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        self.stop();
    }

    /// Suspends all processes of the server until the test resumes the server. The kernel still
    /// accepts connections.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    /// Sends a signal to each process of the server. The parents get the signal first, because a
    /// parent could create new processes.
    fn signal(&self, signal: &str) {
        let mut parents = vec![self.watchdog.id()];
        while !parents.is_empty() {
            parents = children_of(&parents);
            for process in &parents {
                let mut kill = Command::new("sh");
                kill.args(["-c", &format!("kill -{signal} {process}")]);
                // The function ignores a process that has already ended.
                let _ = kill.stderr(Stdio::null()).status().unwrap();
            }
        }
    }

    /// Returns the process ID of the server's top process.
    pub(crate) fn process(&self) -> u32 {
        self.watchdog.id()
    }

    /// Stops the server and waits until its processes have ended.
    pub(crate) fn stop(&mut self) {
        drop(self.watchdog.stdin.take());
        self.watchdog.wait().unwrap();
    }

    /// Returns a connected client with the manual's settings. The client reconnects and has a short
    /// timeout.
    pub(crate) async fn redis_pool(&self) -> fred::clients::Pool {
        redis_pool_with(self.port, |builder| {
            builder
                .set_policy(ReconnectPolicy::new_exponential(0, 50, 2000, 2))
                .with_performance_config(|config| {
                    config.default_command_timeout = Duration::from_secs(2);
                });
        })
        .await
    }

    /// Returns a connected client.
    pub(crate) async fn postgres_pool(&self) -> PgPool {
        postgres_pool(self.port, 8).await
    }
}

/// Returns the URL of a Redis server of the tests.
pub(crate) fn redis_url(port: u16) -> String {
    format!("redis://:{}@127.0.0.1:{port}", Server::PASSWORD)
}

/// Returns the URL of a Postgres server of the tests.
pub(crate) fn postgres_url(port: u16) -> String {
    let password = Server::PASSWORD;
    format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres")
}

/// Returns a connected client. The client reconnects when the server is back, and then sends queued
/// commands.
pub(crate) async fn redis_pool(port: u16) -> fred::clients::Pool {
    redis_pool_with(port, |_| {}).await
}

async fn redis_pool_with(
    port: u16,
    more: impl FnOnce(&mut fred::types::Builder),
) -> fred::clients::Pool {
    let config = fred::types::config::Config::from_url(&redis_url(port)).unwrap();
    let mut builder = fred::types::Builder::from_config(config);
    builder.set_policy(ReconnectPolicy::new_constant(0, 50));
    more(&mut builder);
    let pool = builder.build_pool(4).unwrap();
    pool.init().await.unwrap();
    pool
}

/// Returns a connected client. The server listens before it accepts logins, so this function
/// retries.
pub(crate) async fn postgres_pool(port: u16, connections: u32) -> PgPool {
    let url = postgres_url(port);
    for _ in 0..100 {
        let options = PgPoolOptions::new().max_connections(connections);
        match options.connect(&url).await {
            Ok(pool) => return pool,
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
    panic!("Postgres accepted no login in time");
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(keep) = self.keep.take() else {
            return;
        };
        self.stop();
        let _ = std::fs::remove_dir_all(keep);
    }
}

fn spawn(mut shell: Command, port: u16, keep: Option<&Path>, disk: Disk) -> Child {
    shell
        .env("PORT", port.to_string())
        .env("FSYNC", disk.fsync())
        .env("PASSWORD", Server::PASSWORD)
        .env("KEEP", keep.unwrap_or(Path::new("")))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn redis_shell() -> Option<Command> {
    if !is_installed("redis-server") {
        skip("redis-server");
        return None;
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{REDIS}{UNTIL_INPUT_ENDS}")]);
    Some(shell)
}

fn postgres_shell() -> Option<Command> {
    let Some(bin) = postgres_bin() else {
        skip("postgres");
        return None;
    };
    // Postgres refuses to run as root, so the test uses another user.
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut shell = if root {
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
    shell
        .current_dir("/")
        .env("BIN", bin)
        .args(["-c", POSTGRES]);
    Some(shell)
}

/// Returns the Redis that the tests share.
pub(crate) fn redis() -> Option<&'static Server> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    SHARED.get_or_init(Server::redis).as_ref()
}

/// Returns the Postgres that the tests share.
pub(crate) fn postgres() -> Option<&'static Server> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    SHARED.get_or_init(Server::postgres).as_ref()
}

/// Returns the child processes of a process. In `/proc/<pid>/stat`, the state and the parent follow
/// the process name. The process name may contain any characters.
fn children_of(parents: &[u32]) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_child = |id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let parent = after_name.split_whitespace().nth(1);
        parent.is_some_and(|id| parents.iter().any(|parent| parent.to_string() == id))
    };
    ids.filter(is_child).collect()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Returns the program of the newest version in Debian's directory, or otherwise the program on
/// `PATH`.
fn postgres_bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok();
    let folders = versions.into_iter().flatten().filter_map(Result::ok);
    let mut bins: Vec<_> = folders.map(|folder| folder.path().join("bin")).collect();
    bins.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(bins.into_iter().rev())
        .find(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
}

fn is_installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// Writes directly to standard error, because the test harness does not capture direct writes.
fn skip(server: &str) {
    assert!(
        std::env::var_os("KYCPORT_REQUIRE_SERVERS").is_none(),
        "KYCPORT_REQUIRE_SERVERS is set, but {server} is not installed"
    );
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED: {server} is not installed").unwrap();
}
