//! Tests of the Redis store.

mod cluster;
mod conformance;
mod damage;
mod lost_answers;
mod nodes;
mod outage;
mod proxy;
mod replicas;
mod revocation;
mod samples;
mod server;
mod tls;
mod trouble;
