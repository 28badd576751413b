//! Connection to Redis. All operations share one connection. The store replaces a failed
//! connection.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, Pipeline, Value,
    aio::MultiplexedConnection,
    cluster::{ClusterClient, ClusterConfig},
    cluster_async::ClusterConnection,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::AbortHandle,
    time::{Instant, timeout},
};

use super::{
    failure::{Failure, Fate},
    tls::{Tls, ensure_provider},
};

/// Time limit for establishing a connection. The limit is shorter than the time limit of an
/// operation.
const CONNECT: Duration = Duration::from_secs(3);
/// Time limit for connecting to one node of a cluster, and for a response of a node. A node that
/// does not respond delays the discovery of the cluster by this time.
pub(super) const NODE: Duration = Duration::from_millis(1500);
/// Time limit for discovering the nodes of a cluster and connecting to them.
const CONNECT_CLUSTER: Duration = Duration::from_secs(4);
/// Pause after a failed connection attempt.
const PAUSE: Duration = Duration::from_millis(100);
/// Minimum age of a working connection before the store may replace it.
const REPLACED_AFTER: Duration = Duration::from_millis(250);
/// Number of commands in the queue of a connection before further callers wait.
const QUEUE: usize = 1024;

/// Address of the server.
pub(super) enum Endpoint {
    /// Server at an address, to which this crate connects.
    Server {
        info: Box<ConnectionInfo>,
        tls: OnceLock<Tls>,
    },
    /// Server of the app's client, which has its own certificates.
    Client(Box<Client>),
    /// Cluster.
    Cluster(Box<ClusterClient>),
}

impl Endpoint {
    pub(super) fn server(info: ConnectionInfo) -> Self {
        let has_certificates = matches!(
            info.addr(),
            ConnectionAddr::TcpTls {
                tls_params: Some(_),
                ..
            } | ConnectionAddr::TcpTls { insecure: true, .. }
        );
        match Client::open(info.clone()) {
            Ok(client) if has_certificates => Self::Client(Box::new(client)),
            _ => Self::Server {
                info: Box::new(info),
                tls: OnceLock::new(),
            },
        }
    }

    async fn connect(&self) -> Result<Link, Failure> {
        let config = AsyncConnectionConfig::new()
            // The store sets a deadline for each operation, so the client needs no timeout.
            .set_response_timeout(None)
            .set_connection_timeout(Some(CONNECT))
            .set_pipeline_buffer_size(QUEUE);
        match self {
            Self::Server { info, tls } => {
                let stream = open(info, tls).await?;
                let settings = info.redis_settings();
                let (connection, driver) =
                    MultiplexedConnection::new_with_config(settings, stream, config).await?;
                let driver = tokio::spawn(driver).abort_handle();
                Link::server(connection, Some(driver)).await
            }
            Self::Client(client) => {
                ensure_provider();
                let connection = client.get_multiplexed_async_connection_with_config(&config);
                Link::server(connection.await?, None).await
            }
            Self::Cluster(client) => {
                ensure_provider();
                let config = ClusterConfig::new()
                    .set_connection_timeout(NODE)
                    .set_response_timeout(NODE);
                let connection = client.get_async_connection_with_config(config).await?;
                Ok(Link::new(Connection::Cluster(connection), None))
            }
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send {}
impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// Opens a stream to the server, with TLS if the address requires it.
async fn open(info: &ConnectionInfo, tls: &OnceLock<Tls>) -> Result<Pin<Box<dyn Stream>>, Failure> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => Ok(Box::pin(open_tcp(host, *port).await?)),
        ConnectionAddr::TcpTls { host, port, .. } => {
            let tls = settings(tls).await?;
            let stream = open_tcp(host, *port).await?;
            Ok(Box::pin(tls.connect(host, stream).await?))
        }
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => Ok(Box::pin(tokio::net::UnixStream::connect(path).await?)),
        _ => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
    }
}

/// Loads the TLS settings at the first use.
async fn settings(tls: &OnceLock<Tls>) -> Result<Tls, Failure> {
    if let Some(tls) = tls.get() {
        return Ok(tls.clone());
    }
    let loaded = tokio::task::spawn_blocking(Tls::load).await;
    let loaded = loaded.map_err(|_| Failure::certificates())??;
    Ok(tls.get_or_init(|| loaded).clone())
}

async fn open_tcp(host: &str, port: u16) -> Result<TcpStream, io::Error> {
    // Resolves the name, and tries its addresses one after the other.
    let stream = TcpStream::connect((host, port)).await?;
    // Send each command immediately, without waiting for further commands.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Established connection.
pub(super) struct Link {
    connection: Connection,
    driver: Option<AbortHandle>,
    since: Instant,
    is_being_replaced: AtomicBool,
}

enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    fn new(connection: Connection, driver: Option<AbortHandle>) -> Self {
        Self {
            connection,
            driver,
            since: Instant::now(),
            is_being_replaced: AtomicBool::new(false),
        }
    }

    /// Accepts a connection only if its server is a primary. The role is unknown if the user lacks
    /// the permission `+role`, or if a proxy is in between. If the role is unknown, the first write
    /// detects a replica.
    async fn server(
        connection: MultiplexedConnection,
        driver: Option<AbortHandle>,
    ) -> Result<Self, Failure> {
        let link = Self::new(Connection::Server(connection), driver);
        match link.command(&redis::cmd("ROLE")).await {
            Ok(Value::Array(role)) if is_replica(&role) => Err(Failure::replica()),
            Err(failure) if failure.connection != Fate::Kept => Err(failure),
            _ => Ok(link),
        }
    }

    /// Sends a command, and returns the reply.
    pub(super) async fn command(&self, command: &Cmd) -> Result<Value, Failure> {
        let reply = match &self.connection {
            Connection::Server(connection) => connection.clone().send_packed_command(command).await,
            Connection::Cluster(connection) => command.query_async(&mut connection.clone()).await,
        };
        checked(reply?)
    }

    /// Sends commands on keys of one slot together, and returns their replies.
    pub(super) async fn pipeline(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Failure> {
        match &self.connection {
            Connection::Server(connection) => {
                let mut connection = connection.clone();
                let replies = connection.send_packed_commands(pipeline, 0, pipeline.len());
                let mut replies = replies.await?;
                for reply in &mut replies {
                    if matches!(reply, Value::ServerError(_)) {
                        checked(std::mem::replace(reply, Value::Nil))?;
                    }
                }
                Ok(replies)
            }
            Connection::Cluster(connection) => {
                Ok(pipeline.query_async(&mut connection.clone()).await?)
            }
        }
    }

    fn is_alive(&self) -> bool {
        self.driver.as_ref().is_none_or(|it| !it.is_finished())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

fn is_replica(role: &[Value]) -> bool {
    let name: &[u8] = match role.first() {
        Some(Value::BulkString(name)) => name,
        Some(Value::SimpleString(name)) => name.as_bytes(),
        _ => return false,
    };
    // A sentinel is not a data server. The sentinel's response to the first command on a key
    // reveals this error.
    name == b"slave"
}

fn checked(reply: Value) -> Result<Value, Failure> {
    match reply {
        Value::ServerError(error) => Err(error.into()),
        reply => Ok(reply),
    }
}

/// Current connection of a store. The store connects at its first use and after a failure.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    endpoint: Arc<Endpoint>,
    current: Mutex<Option<Arc<Link>>>,
    /// Mutex that a caller locks while it connects. The mutex contains the time and the error of
    /// the last failed attempt.
    connecting: tokio::sync::Mutex<Option<(Instant, Failure)>>,
}

impl Connector {
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self(Arc::new(Inner {
            endpoint,
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }))
    }

    /// Creates a connector with a separate connection to the server.
    pub(super) fn another(&self) -> Self {
        Self::new(Arc::clone(&self.0.endpoint))
    }

    /// Returns the current connection, or opens a new connection.
    pub(super) async fn link(&self) -> Result<Arc<Link>, Failure> {
        match self.0.current() {
            Some(link) => Ok(link),
            None => self.0.connect().await,
        }
    }

    /// Handles a failure on a connection: keeps or replaces the connection.
    pub(super) fn note(&self, link: &Arc<Link>, failure: &Failure) {
        match failure.connection {
            Fate::Kept => {}
            Fate::Replaced if link.since.elapsed() < REPLACED_AFTER => {}
            Fate::Replaced | Fate::Broken => self.0.replace(link),
        }
    }

    /// Replaces the connection if an operation received no response within `time`.
    pub(super) fn note_silence(&self, time: Duration) {
        if let Some(link) = self.0.current()
            && link.since.elapsed() >= time
        {
            self.0.replace(&link);
        }
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(*self.0.endpoint, Endpoint::Cluster(_))
    }
}

impl Inner {
    fn current(&self) -> Option<Arc<Link>> {
        let current = self.current.lock();
        let current = current.unwrap_or_else(PoisonError::into_inner);
        current.as_ref().filter(|it| it.is_alive()).cloned()
    }

    fn set(&self, link: Option<Arc<Link>>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // The previous connection is dropped after the lock is released.
        let before = std::mem::replace(&mut *current, link);
        drop(current);
        drop(before);
    }

    async fn connect(&self) -> Result<Arc<Link>, Failure> {
        let mut last = self.connecting.lock().await;
        // While this caller waited, another caller has connected or failed.
        if let Some(link) = self.current() {
            return Ok(link);
        }
        if let Some((at, failure)) = &*last
            && at.elapsed() < PAUSE
        {
            return Err(failure.clone());
        }
        let connected = self.attempt().await;
        match connected {
            Ok(link) => {
                *last = None;
                self.set(Some(Arc::clone(&link)));
                Ok(link)
            }
            Err(failure) => {
                *last = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    async fn attempt(&self) -> Result<Arc<Link>, Failure> {
        let limit = match *self.endpoint {
            Endpoint::Cluster(_) => CONNECT_CLUSTER,
            Endpoint::Server { .. } | Endpoint::Client(_) => CONNECT,
        };
        match timeout(limit, self.endpoint.connect()).await {
            Ok(link) => link.map(Arc::new),
            Err(_) => Err(Failure::connect_timeout()),
        }
    }

    /// Replaces a connection. Pending operations on the old connection continue. For a cluster,
    /// keeps the old connection until a new connection exists, because other nodes of the cluster
    /// may work.
    fn replace(self: &Arc<Self>, link: &Arc<Link>) {
        let is_current = self.current().is_some_and(|it| Arc::ptr_eq(&it, link));
        if !is_current {
            return;
        }
        if !matches!(*self.endpoint, Endpoint::Cluster(_)) {
            self.set(None);
            return;
        }
        if link.is_being_replaced.swap(true, Ordering::Relaxed) {
            return;
        }
        let (inner, link) = (Arc::clone(self), Arc::clone(link));
        tokio::spawn(async move {
            match inner.attempt().await {
                Ok(new) => inner.set(Some(new)),
                Err(_) => link.is_being_replaced.store(false, Ordering::Relaxed),
            }
        });
    }
}
