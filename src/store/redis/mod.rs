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
    Acquired, Entry, Family, LeaseKey, LeaseToken, Owner, Properties, RecordId, RecordKey,
    RevocationMark, Settlement, Snapshot, Store, StoreError, StoreFuture, Write, Written,
};
use crate::observe;

/// Time limit of an operation.
const DEADLINE: Duration = Duration::from_secs(5);
/// Default prefix of all keys.
const DEFAULT_PREFIX: &str = "kycport:";
/// Maximum number of redirections and retries of the cluster client for one operation. An operation
/// usually reaches its deadline before this maximum.
const CLUSTER_RETRIES: u32 = 32;
/// Minimum and maximum pause of the cluster client between two attempts, in milliseconds.
const CLUSTER_RETRY_WAIT: (u64, u64) = (10, 300);

/// Store in Redis (version 5 or newer) or Valkey. Any number of app instances can use the store.
/// The store supports a single server and a cluster. Clones share the connection.
///
/// # Addresses
///
/// | URL | server |
/// |---|---|
/// | `redis://user:password@host:port/database` | one server. Default: port 6379, database 0 |
/// | `rediss://…` | one server, by TLS |
/// | `redis+cluster://user:password@host:port?node=host2:port2` | a cluster. Further nodes are optional: the store uses them if the first node is unreachable |
/// | `rediss+cluster://…` | a cluster, by TLS |
///
/// TLS uses rustls with aws-lc-rs and the root certificates of the machine. To use your own
/// certificates, create a client and pass it to [`with_client`](Self::with_client). For an app's
/// client and for a cluster, rustls needs a default provider in the process. If no provider is
/// installed, the store installs aws-lc-rs when it connects.
///
/// # Operations
///
/// Each operation is atomic on the server and takes one round trip; [`revoke`](Store::revoke)
/// and [`acquire`](Store::acquire) take two. Lifetimes run on the server's clock. An operation
/// fails with [`StoreError::Timeout`] after 5 s. The store connects at its first use, waits at most
/// 3 s for a connection, and reconnects after a failure. For each connection, the store resolves
/// the host name and accepts only a primary. The store replaces a connection if an operation timed
/// out, or if the server was read-only, was loading its data or denied access.
///
/// All operations share one connection. On a cluster, all operations share one connection per node.
/// No script blocks, and replies arrive in the order of the requests.
///
/// Cancellation safety: if the caller drops the future of an operation, the operation is either not
/// sent or executed completely.
///
/// # Requirements for the server
///
/// Set the eviction policy `noeviction`. With `noeviction`, a full server rejects writes with
/// [`StoreError::Full`] and accepts revocations. A policy that evicts keys, such as `allkeys-lru`,
/// has these effects:
///
/// - Each owner has one hash with the fence, the sessions and their tokens. (The fence is the
///   lowest [`RevocationMark`](super::RevocationMark) that is still valid.) The policy evicts the whole hash, so the
///   person must sign in again.
/// - The policy evicts completed events. If KYCPort redelivers an evicted event, the event is
///   handled again.
/// - The policy evicts fences. A login that is in progress during a revocation can then create a
///   session.
///
/// By default, Redis acknowledges a write before the write is on disk or on replicas. After a
/// restart or failover, sessions that were revoked shortly before can be valid again. To keep
/// revocations after a restart or failover, use [`wait_for_replicas`](Self::wait_for_replicas) and
/// `appendfsync always`.
///
/// The user needs the permissions `+eval +evalsha +hmget +hgetall +hset +hdel +get +set +del +pttl
/// +pexpireat +time` on `~kycport:*`, and `+wait`
/// with [`wait_for_replicas`](Self::wait_for_replicas). The permission `+role` is recommended.
/// Without `+role`, the store detects a replica only at the first write.
#[derive(Clone)]
pub struct RedisStore {
    prefix: Arc<str>,
    connector: Connector,
    replicas: Option<Replicas>,
}

/// Acknowledgement of revocations by replicas.
#[derive(Clone)]
struct Replicas {
    count: u32,
    /// Separate connection, because Redis answers no other request on a connection that waits for
    /// replicas.
    connector: Connector,
}

impl RedisStore {
    /// Connects to the server or cluster of a URL, and reads a record as a test.
    ///
    /// # Errors
    /// Returns [`StoreError`] if the server cannot be used. For an invalid URL,
    /// returns [`StoreError::Unreachable`]; only [`open`](Self::open) returns the cause.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let store = Self::open(url).map_err(|error| {
            observe::backend_unavailable("redis", error.code());
            StoreError::Unreachable
        })?;
        store.bounded(store.try_to_read()).await?;
        Ok(store)
    }

    /// Creates a store for the server or the cluster of a URL. This function does no I/O and can be
    /// called outside a Tokio runtime. The store connects at its first use.
    ///
    /// # Errors
    /// Returns [`InvalidRedisUrl`].
    pub fn open(url: &str) -> Result<Self, InvalidRedisUrl> {
        match url::parse(url)? {
            Parsed::Server(info) => Ok(Self::new(Endpoint::server(*info))),
            Parsed::Cluster(nodes) => Ok(Self::with_cluster_client(cluster(nodes)?)),
        }
    }

    /// Creates a store for a server from the app's own client, for example with the app's own
    /// certificates. This function does no I/O.
    pub fn with_client(client: &Client) -> Self {
        Self::new(Endpoint::server(client.get_connection_info().clone()))
    }

    /// Creates a store for a cluster from the app's own client, for example with the app's own
    /// certificates. This function does no I/O. The client must not read from replicas. The
    /// client's overall response timeout should be `None`, because the store has its own deadline.
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

    /// Sets the prefix of all keys. Default: `kycport:`. If apps of one issuer and one client use
    /// one server with equal prefixes, these apps share their sessions.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the number of replicas that must acknowledge a revocation. Default: 0.
    ///
    /// The setting also applies to writes that only delete, such as a logout. If fewer replicas
    /// acknowledge within 1 s, the operation fails with [`StoreError::Failed`]. In that case, the
    /// operation has already taken effect on the primary. Operations that wait for replicas use a
    /// separate connection.
    #[must_use]
    pub fn wait_for_replicas(mut self, count: u32) -> Self {
        self.replicas = (count > 0).then(|| Replicas {
            count,
            connector: self.connector.another(),
        });
        self
    }

    /// Applies the deadline to an operation, and logs a failure.
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
        admitted_at: Option<RevocationMark>,
    ) -> StoreFuture<'a, Written> {
        self.bounded(self.write_now(owner, writes, admitted_at))
    }

    fn revoke<'a>(
        &'a self,
        owner: &'a Owner,
        families: &'a [Family],
        keep_fence_for: Duration,
    ) -> StoreFuture<'a, RevocationMark> {
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
        // Redis removes a hash when its last record expires.
        Box::pin(std::future::ready(Ok(0)))
    }

    fn check(&self) -> StoreFuture<'_, ()> {
        self.bounded(self.check_now())
    }

    fn properties(&self) -> Properties {
        Properties::new("redis", true, true)
    }
}

/// `Debug` shows no address and no password.
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
