//! Store in Redis or Redis Cluster.

mod connection;
mod failure;
mod key;
mod operations;
mod reply;
mod script;
mod tls;
mod url;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use redis::{
    Client, ConnectionInfo,
    cluster::{ClusterClient, ClusterClientBuilder},
};
use tokio::time::timeout;

pub use self::url::InvalidRedisUrl;
use self::{
    connection::{Connector, Endpoint, NODE},
    failure::Failure,
    url::Parsed,
};
use super::{
    Acquired, Entry, Family, LeaseKey, LeaseToken, Mark, Owner, Properties, RecordId, RecordKey,
    Settlement, Snapshot, Store, StoreError, StoreFuture, Write, Written,
};
use crate::observe;

/// Maximum time that an operation takes.
const DEADLINE: Duration = Duration::from_secs(5);
/// What all keys begin with by default.
const DEFAULT_PREFIX: &str = "kycport:";
/// Maximum number of times that the client of a cluster follows redirections and waits for one
/// operation. The deadline usually comes first.
const CLUSTER_RETRIES: u32 = 32;
/// Bounds of the time that the client of a cluster waits between two attempts, in milliseconds.
const CLUSTER_RETRY_WAIT: (u64, u64) = (10, 300);

/// Store in Redis 5 or newer or in Valkey, on one server or on a cluster, for any number of
/// instances of the app. Clones share the connection.
///
/// # Addresses
///
/// | URL | server |
/// |---|---|
/// | `redis://user:password@host:port/database` | one server. Default: port 6379, database 0 |
/// | `rediss://…` | one server, by TLS |
/// | `redis+cluster://user:password@host:port?node=host2:port2` | a cluster. Further nodes are optional, and are asked for the others if the first is not reachable |
/// | `rediss+cluster://…` | a cluster, by TLS |
///
/// TLS uses rustls with aws-lc-rs and the root certificates of the machine. For certificates of
/// your own, make a client and pass it to [`with_client`](Self::with_client). For these clients and
/// for clusters, the store installs aws-lc-rs as the provider of the process when it connects, if
/// no provider is installed.
///
/// # Operations
///
/// Each operation is one round trip and atomic on the server; [`revoke`](Store::revoke) and
/// [`acquire`](Store::acquire) are two. Lifetimes run on the server's clock. An operation fails as
/// [`StoreError::Timeout`] after 5 s. The store connects at first use, waits 3 s for a connection,
/// and connects again by itself after a failure. It resolves the host name each time, and accepts
/// only a primary. It replaces a connection on which an operation was not answered in time, or on
/// which the server was read-only, loading its data or refused access.
///
/// All operations share one connection, to each node in a cluster. Operations never wait for a
/// script that blocks, and replies come in the order of the requests.
///
/// Cancellation: an operation whose future is dropped is not sent, or is executed as a whole.
///
/// # What Redis must be
///
/// The owner of a session has one hash, which holds the fence, the sessions and their tokens. An
/// eviction policy such as `allkeys-lru` evicts all of it together: the person signs in again. It
/// also evicts events that were handled, which are handled again if KYCPort redelivers them, and
/// fences, so that a sign-in that was under way during a revocation can create a session. Set
/// `noeviction`. On a full server with `noeviction`, writes fail as
/// [`StoreError::Full`], and revocations succeed.
///
/// Redis acknowledges before it writes to the disk, by default, and before replicas have the write.
/// A server that restarts or fails over can return sessions that were revoked in the last moments.
/// See [`wait_for_replicas`](Self::wait_for_replicas), and use `appendfsync always` where that
/// matters.
///
/// The user needs the rights `+eval +evalsha +hmget +hgetall +hset +hdel +get +set +del +pttl
/// +pexpireat +time` on `~kycport:*`, and `+wait` with
/// [`wait_for_replicas`](Self::wait_for_replicas). The right `+role` is recommended: without it the
/// store notices only at the first write that a server is no primary.
#[derive(Clone)]
pub struct RedisStore {
    prefix: Arc<str>,
    connector: Connector,
    replicas: Option<Replicas>,
}

/// How replicas acknowledge revocations.
#[derive(Clone)]
struct Replicas {
    count: u32,
    /// Connection of its own, because the server answers nothing else on a connection that waits.
    connector: Connector,
}

impl RedisStore {
    /// Connects to the server or the cluster of a URL, and reads from it.
    ///
    /// # Errors
    /// Why the server cannot be used. An invalid URL is [`StoreError::Unreachable`]; use
    /// [`open`](Self::open) to learn what is wrong with it.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let store = Self::open(url).map_err(|error| {
            observe::backend_unavailable("redis", error.code());
            StoreError::Unreachable
        })?;
        store.bounded(store.try_to_read()).await?;
        Ok(store)
    }

    /// Makes a store for the server or the cluster of a URL. It does no I/O, and can be called
    /// outside a Tokio runtime. The store connects when it is first used.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn open(url: &str) -> Result<Self, InvalidRedisUrl> {
        match url::parse(url)? {
            Parsed::Server(info) => Ok(Self::new(Endpoint::server(*info))),
            Parsed::Cluster(nodes) => Ok(Self::with_cluster_client(cluster(nodes)?)),
        }
    }

    /// Makes a store for the server of a client of the app, for instance with certificates of its
    /// own. It does no I/O.
    pub fn with_client(client: &Client) -> Self {
        Self::new(Endpoint::server(client.get_connection_info().clone()))
    }

    /// Makes a store for the cluster of a client of the app, for instance with certificates of its
    /// own. It does no I/O. The client must not read from replicas, and its overall response
    /// timeout should be `None`, because the store has a deadline of its own.
    pub fn with_cluster_client(client: ClusterClient) -> Self {
        Self::new(Endpoint::Cluster(Box::new(client)))
    }

    fn new(endpoint: Endpoint) -> Self {
        Self {
            prefix: DEFAULT_PREFIX.into(),
            connector: Connector::new(Arc::new(endpoint)),
            replicas: None,
        }
    }

    /// Sets what all keys begin with. Default: `kycport:`. Apps of one issuer and one client that
    /// share a server share their sessions, unless their prefixes differ.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Lets each revocation, and each write that only deletes, such as a sign-out, wait until this
    /// many replicas have it. Default: 0.
    ///
    /// If fewer acknowledge it within 1 s, the operation fails as [`StoreError::Failed`]. It has
    /// taken effect on the primary then. These operations use a connection of their own.
    #[must_use]
    pub fn wait_for_replicas(mut self, count: u32) -> Self {
        self.replicas = (count > 0).then(|| Replicas {
            count,
            connector: self.connector.another(),
        });
        self
    }

    /// Bounds an operation by the deadline, and logs a failure.
    fn bounded<'a, T: 'a>(
        &'a self,
        operation: impl Future<Output = Result<T, Failure>> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let result = timeout(DEADLINE, operation).await;
            let result = result.unwrap_or_else(|_| {
                self.connector.note_silence(DEADLINE);
                if let Some(replicas) = &self.replicas {
                    replicas.connector.note_silence(DEADLINE);
                }
                Err(Failure::timeout())
            });
            result.map_err(|failure| {
                observe::backend_unavailable("redis", &failure.code);
                failure.error
            })
        })
    }
}

fn cluster(nodes: Vec<ConnectionInfo>) -> Result<ClusterClient, InvalidRedisUrl> {
    let (shortest, longest) = CLUSTER_RETRY_WAIT;
    ClusterClientBuilder::new(nodes)
        .connection_timeout(NODE)
        .response_timeout(NODE)
        .overall_response_timeout(None)
        .retries(CLUSTER_RETRIES)
        .min_retry_wait(shortest)
        .max_retry_wait(longest)
        .build()
        .map_err(|_| InvalidRedisUrl::Malformed)
}

impl Store for RedisStore {
    fn read<'a>(&'a self, owner: &'a Owner, keys: &'a [RecordKey]) -> StoreFuture<'a, Snapshot> {
        self.bounded(self.read_now(owner, keys))
    }

    fn write<'a>(
        &'a self,
        owner: &'a Owner,
        writes: &'a [Write],
        admitted_at: Option<Mark>,
    ) -> StoreFuture<'a, Written> {
        self.bounded(self.write_now(owner, writes, admitted_at))
    }

    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, Mark> {
        self.bounded(self.revoke_now(owner, families, keep_fence_for))
    }

    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        family: Family,
        after: Option<RecordId>,
        limit: usize,
    ) -> StoreFuture<'a, Vec<(RecordId, Entry)>> {
        self.bounded(self.list_now(owner, family, after, limit))
    }

    fn acquire<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        length: Duration,
    ) -> StoreFuture<'a, Acquired> {
        self.bounded(self.acquire_now(key, token, length))
    }

    fn settle<'a>(
        &'a self,
        key: &'a LeaseKey,
        token: LeaseToken,
        settlement: Settlement,
    ) -> StoreFuture<'a, bool> {
        self.bounded(self.settle_now(key, token, settlement))
    }

    fn sweep(&self, _limit: usize) -> StoreFuture<'_, usize> {
        // Redis removes a hash when its last record has expired.
        Box::pin(std::future::ready(Ok(0)))
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        self.bounded(self.check_now())
    }

    fn properties(&self) -> Properties {
        Properties::new("redis", true, true)
    }
}

/// Shows no address and no password.
impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let replicas = self.replicas.as_ref().map_or(0, |it| it.count);
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .field("cluster", &self.connector.is_cluster())
            .field("wait_for_replicas", &replicas)
            .finish_non_exhaustive()
    }
}
