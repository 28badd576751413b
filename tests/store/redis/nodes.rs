//! Redis Cluster that the tests start.

use kycport::store::{Owner, RedisStore};

use super::{
    samples::{hash_of, random},
    server::{Server, pause},
};

const SLOTS: u16 = 16_384;
/// Maximum wait until all nodes agree, in tenths of a second.
const WAIT_TENTHS: usize = 600;

/// Cluster of three nodes.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Option<Self> {
        let nodes: Option<Vec<_>> = (0..3).map(|_| node()).collect();
        let cluster = Self { nodes: nodes? };
        let share = SLOTS.div_ceil(3);
        for (index, node) in (0_u16..).zip(&cluster.nodes) {
            let first = index * share;
            let last = (first + share - 1).min(SLOTS - 1);
            let (first, last) = (first.to_string(), last.to_string());
            node.command::<()>(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            let epoch = (index + 1).to_string();
            node.command::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        }
        for node in &cluster.nodes[1..] {
            cluster.meet(node);
        }
        cluster.wait_until_nodes_agree(3);
        Some(cluster)
    }

    fn meet(&self, node: &Server) {
        let port = node.port().to_string();
        self.nodes[0].command::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port]);
    }

    /// Adds a replica of a node.
    pub(crate) fn add_replica(&mut self, of: usize) {
        let replica = node().unwrap();
        self.meet(&replica);
        let all = self.nodes.len() + 1;
        self.nodes.push(replica);
        self.wait_until_nodes_agree(all);
        let id = self.id(of);
        let replica = self.nodes.last().unwrap();
        replica.command::<()>(&["CLUSTER", "REPLICATE", &id]);
        wait_until("a replica", || {
            let info: String = replica.command(&["INFO", "replication"]);
            info.contains("master_link_status:up")
        });
    }

    pub(crate) fn wait_until_nodes_agree(&self, count: usize) {
        for node in &self.nodes {
            wait_until("a cluster", || {
                let info: String = node.command(&["CLUSTER", "INFO"]);
                let nodes: String = node.command(&["CLUSTER", "NODES"]);
                info.contains("cluster_state:ok")
                    && info.contains("cluster_slots_ok:16384")
                    && info.contains(&format!("cluster_known_nodes:{count}"))
                    && !nodes.contains("handshake")
                    && !nodes.contains("fail")
            });
        }
    }

    pub(crate) fn url(&self) -> String {
        let [first, second, third] = [0, 1, 2].map(|it: usize| self.nodes[it].port());
        let host = "127.0.0.1";
        format!("redis+cluster://{host}:{first}?node={host}:{second}&node={host}:{third}")
    }

    pub(crate) fn store(&self) -> RedisStore {
        RedisStore::open(&self.url()).unwrap()
    }

    pub(crate) fn id(&self, node: usize) -> String {
        self.nodes[node].command(&["CLUSTER", "MYID"])
    }

    /// Returns the node that serves the owner's slot.
    pub(crate) fn node_of(owner: &Owner) -> usize {
        usize::from(slot(&hash_of(owner)) / SLOTS.div_ceil(3))
    }

    /// Returns an owner whose slot is on a node.
    pub(crate) fn owner_on(node: usize) -> Owner {
        loop {
            let owner = super::samples::owner();
            if Self::node_of(&owner) == node {
                return owner;
            }
        }
    }
}

fn node() -> Option<Server> {
    let settings = [
        ["--cluster-enabled", "yes"],
        ["--cluster-node-timeout", "2000"],
        ["--cluster-require-full-coverage", "no"],
    ];
    Server::durable(&settings.concat())
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..WAIT_TENTHS {
        if is_so() {
            return;
        }
        pause();
    }
    panic!("timed out waiting for {what}");
}

/// Returns another owner in the same slot.
pub(crate) fn owner_in_same_slot(owner: &Owner) -> Owner {
    let mut other = *owner;
    let own = slot(&hash_of(owner));
    loop {
        other.id = random();
        if slot(&hash_of(&other)) == own {
            return other;
        }
    }
}

/// Computes the slot of a key from the part in braces.
pub(crate) fn slot(key: &str) -> u16 {
    let (_, rest) = key.split_once('{').unwrap();
    let (tag, _) = rest.split_once('}').unwrap();
    let mut crc = 0_u16;
    for byte in tag.bytes() {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            let carry = crc & 0x8000 != 0;
            crc <<= 1;
            if carry {
                crc ^= 0x1021;
            }
        }
    }
    crc % SLOTS
}
