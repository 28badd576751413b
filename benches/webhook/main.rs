//! Benchmark of the verification and the reception of a webhook delivery.
//!
//! Run with `cargo bench --bench webhook`. The first table shows the ratios to the bare HMAC. The
//! benchmark hashes the key of the bare HMAC beforehand. The second table shows the deliveries per
//! second of one receiver with each store. The second table also shows the ratios to an axum route
//! that reads the body and verifies its HMAC. The rows of a table take turns within one run. Other
//! load on the machine therefore affects all rows.
//!
//! For the second table, each receiver runs in a separate process. The process runs this binary,
//! and an environment variable selects its role. The tests use the same servers
//! (`tests/it/servers.rs`): the `redis-server` and `postgres` of this machine, on free loopback
//! ports. The benchmark removes the directories of the servers when this process exits, and skips
//! servers that are not installed.
//!
//! | server | durability |
//! |---|---|
//! | Redis | writes each change to its log and does not wait for the disk |
//! | Postgres, first server | does not wait for the disk (`fsync=off`), which shows the work |
//! | Postgres, second server | waits for the disk at each commit, as by default |
//! | SQLite | waits for the disk |
//!
//! The microseconds of processor time per delivery, of all cores together, show what limits a
//! receiver. The table lists the receiver, the sender, and the rest of the machine, which includes
//! the server. `idle` is the share of time in which the machine was idle or waited for the disk. If
//! `idle` is near zero, the processors are the limit.

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a benchmark may panic"
)]

mod load;
mod receiver;
mod receiving;
#[expect(dead_code, reason = "the tests use the other items")]
#[path = "../../tests/it/servers.rs"]
mod servers;
#[path = "../../tests/it/sqlite_file.rs"]
mod sqlite_file;
mod verification;

use std::time::Duration;

use criterion::{Criterion, criterion_group};

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = verification::criterion_runs
}

fn main() {
    if receiver::ran_as_receiver() {
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    let asked = |name: &str| std::env::args().any(|arg| arg == name);
    if asked("--bench") && !asked("--profile-time") {
        verification::print_ratios();
        receiving::print_ratios();
    }
}
