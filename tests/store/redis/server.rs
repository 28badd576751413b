//! Redis servers that the tests start.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use kycport::store::RedisStore;
use redis::{Connection, FromRedisValue};

/// Script that runs the server until the input of the shell closes. The input closes when this
/// process exits for any reason, so no server is left running.
const SHELL: &str = r#"
redis-server "$@" >>log 2>&1 &
pid=$!
echo "$pid"
read _
kill -KILL "$pid"
wait "$pid"
"#;
/// Maximum start time of a server, in tenths of a second.
const WAIT_TENTHS: usize = 300;
/// Difference between the port of a server's cluster bus and the port of the server.
const BUS: u16 = 10_000;

/// Running Redis server. Dropping this value kills the server.
pub(crate) struct Server {
    shell: Child,
    pid: u32,
    port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
}

impl Server {
    /// Starts a server with its port and these additional arguments. Returns `None` if Redis is not
    /// installed.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        if !is_installed() {
            skip();
            return None;
        }
        // Another process may take the port before the server starts.
        let server = (0..5).find_map(|_| Self::start_on(free_port(), arguments));
        assert!(server.is_some(), "the server did not start");
        server
    }

    /// Starts a server on a port, if the port is free.
    pub(crate) fn start_on(port: u16, arguments: &[&str]) -> Option<Self> {
        let folder = folder();
        let port_text = port.to_string();
        let all = ["--port", &port_text, "--bind", "127.0.0.1", "--save", ""];
        let all = all.iter().chain(arguments);
        let arguments: Vec<_> = all.map(|it| (*it).to_owned()).collect();
        let (shell, pid) = spawn(&folder, &arguments);
        let mut server = Self {
            shell,
            pid,
            port,
            folder,
            arguments,
        };
        server.listens().then_some(server)
    }

    /// Starts a server that acknowledges a write after the write is on disk.
    pub(crate) fn durable(arguments: &[&str]) -> Option<Self> {
        let durable = ["--appendonly", "yes", "--appendfsync", "always"];
        Self::start(&[&durable, arguments].concat())
    }

    fn listens(&mut self) -> bool {
        for _ in 0..WAIT_TENTHS {
            if self.try_connection().is_ok() {
                return true;
            }
            if self.has_ended() {
                return false;
            }
            pause();
        }
        false
    }

    fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid));
        stat.is_err() || stat.is_ok_and(|it| it.contains(") Z "))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Creates a store with the default prefix.
    pub(crate) fn store(&self) -> RedisStore {
        RedisStore::open(&self.url()).unwrap()
    }

    fn try_connection(&self) -> redis::RedisResult<Connection> {
        let client = redis::Client::open(self.url())?;
        let limit = Duration::from_secs(5);
        let mut connection = client.get_connection_with_timeout(limit)?;
        connection.set_read_timeout(Some(limit))?;
        redis::cmd("PING").exec(&mut connection)?;
        Ok(connection)
    }

    /// Sends a command with the permissions of the administrator.
    pub(crate) fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_command(words).unwrap()
    }

    pub(crate) fn try_command<T: FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_connection()?;
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query(&mut connection)
    }

    pub(crate) fn set(&self, setting: &str, value: &str) {
        self.command::<()>(&["CONFIG", "SET", setting, value]);
    }

    /// Closes all client connections.
    pub(crate) fn disconnect_all(&self) {
        self.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]);
    }

    /// Returns the keys with this suffix.
    pub(crate) fn keys(&self, ending: &str) -> Vec<String> {
        self.command(&["KEYS", &format!("*{ending}")])
    }

    /// Pauses the process. The kernel still accepts connections.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        drop(self.shell.stdin.take());
        self.shell.wait().unwrap();
    }

    /// Restarts the server after [`kill`](Self::kill) with the same port and the same files.
    pub(crate) fn restart(&mut self) {
        self.restart_without_waiting(&[]);
        assert!(self.listens(), "the server did not restart");
    }

    /// Restarts the server without waiting until it responds.
    pub(crate) fn restart_without_waiting(&mut self, more: &[&str]) {
        let more = more.iter().map(|it| (*it).to_owned());
        let arguments: Vec<_> = self.arguments.iter().cloned().chain(more).collect();
        (self.shell, self.pid) = spawn(&self.folder, &arguments);
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        kill.args([&format!("-{signal}"), &self.pid.to_string()]);
        kill.stderr(Stdio::null()).status().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn spawn(folder: &Path, arguments: &[String]) -> (Child, u32) {
    let mut shell = Command::new("sh")
        .args(["-c", SHELL, "redis"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = shell.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    let pid = line.trim().parse().unwrap();
    (shell, pid)
}

fn folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("kycport-redis-{}-{count}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Returns a free port whose cluster bus port is also free.
pub(crate) fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let bus = port.checked_add(BUS);
        if bus.is_some_and(|bus| TcpListener::bind(("127.0.0.1", bus)).is_ok()) {
            return port;
        }
    }
}

/// Waits, because another process does not signal its readiness.
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}

fn is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("redis-server").is_file())
}

/// Writes directly to stderr, because the test harness captures `eprintln!`.
fn skip() {
    assert!(
        std::env::var_os("KYCPORT_REQUIRE_SERVERS").is_none(),
        "the tests with servers are required, but redis-server is not installed"
    );
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED: redis-server is not installed").unwrap();
}
