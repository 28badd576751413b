//! What a delivery costs: to judge it, and to receive it.
//!
//! Run with `cargo bench --bench webhook`. The first table has the ratios to the bare HMAC, whose
//! key is hashed ahead; the second the deliveries a second of one receiver with each store, and the
//! ratios to a route of axum that reads the body and judges its HMAC. Both come from measurements
//! taken in turns within one run, so that what slows the machine slows all contenders alike.
//!
//! For the second, each receiver is a process of its own: this one, started again with what it
//! shall be in its environment. The servers are those of the tests (`tests/it/servers.rs`):
//! `redis-server` and `postgres` of this machine, on free ports of loopback, in folders that go when
//! this process ends. Redis writes each change to its log and does not wait for the disk. Of
//! Postgres there are two: one that does not either (`fsync=off`), which shows the work, and one that
//! waits for the disk at each commit, as it does by default. SQLite waits for the disk. A server that
//! is not installed is skipped.
//!
//! What bounds a receiver is read from the microseconds that a delivery costs the processors, all
//! cores together: the receiver, the sender, and the rest of the machine, which is the server, and
//! whatever else runs. `idle` is how much of the machine had nothing to do, or waited for the disk:
//! near zero the processors are the bound.

#![expect(clippy::print_stdout, reason = "a bench reports to its reader")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a bench may fail loudly"
)]

mod judging;
mod load;
mod receiver;
mod receiving;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../../tests/it/servers.rs"]
mod servers;
#[path = "../../tests/it/sqlite_file.rs"]
mod sqlite_file;

use std::time::Duration;

use criterion::{Criterion, criterion_group};

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = judging::criterion_runs
}

fn main() {
    if receiver::was_asked_for() {
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    let asked = |name: &str| std::env::args().any(|arg| arg == name);
    if asked("--bench") && !asked("--profile-time") {
        judging::print_ratios();
        receiving::print_ratios();
    }
}
