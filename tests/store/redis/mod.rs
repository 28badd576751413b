//! Tests that the Redis store follows the rules of `Store`.

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
