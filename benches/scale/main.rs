//! Benchmark of signed-in requests with each store, and of the size of sessions in each store.
//!
//! Run with `cargo bench --bench scale`. `-- requests` or `-- sessions` runs one half of the
//! benchmark. `count=100000` sets the number of sessions.
//!
//! `requests` sends requests over keep-alive connections to apps in separate processes. The apps
//! take turns within one run. Other load on the machine therefore affects all apps. Each store has
//! four apps: this crate without encryption, this crate with encryption, tower-sessions, and an app
//! that reads one record. The table shows the processor time per request of the app and of the
//! store. `idle` is the idle share of the machine. These values show the limit of each app. The
//! clients run on the same machine.
//!
//! `sessions` creates sessions, each in a new browser, and abandoned logins. `sessions` reports the
//! size of the sessions in the app and in the store. With `lifetime=300` the sessions live for 300
//! s. This lifetime must be longer than the creation of all sessions. The benchmark then also
//! reports the size that remains after the sessions have expired.
//!
//! The benchmark skips servers that are not installed.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a benchmark measures real time, prints its results, and may panic"
)]

#[path = "../../tests/it/app_process.rs"]
#[expect(dead_code, reason = "the tests use the other items")]
mod app_process;
mod apps;
mod machine;
mod peers;
mod requests;
#[path = "../../tests/it/servers.rs"]
#[expect(dead_code, reason = "the tests use the other items")]
mod servers;
mod sessions;
#[path = "../../tests/it/sqlite_file.rs"]
mod sqlite_file;
#[path = "../../tests/it/visitor.rs"]
#[expect(dead_code, reason = "the tests use the other items")]
mod visitor;
#[path = "../shared/wire.rs"]
mod wire;

use std::time::Duration;

const COUNT: usize = 100_000;

fn main() {
    if app_process::ran_as_app() || peers::ran_as_peer() {
        return;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let number = |name: &str| {
        let value = arguments.iter().find_map(|it| it.strip_prefix(name));
        value.map(|value| value.parse::<u32>().unwrap())
    };
    let count = number("count=").map_or(COUNT, |count| count as usize);
    let lifetime = number("lifetime=").map(|seconds| Duration::from_secs(seconds.into()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("load average at the start: {:.2}\n", machine::load());
    if named("requests") || !named("sessions") {
        runtime.block_on(requests::print());
    }
    if named("sessions") || !named("requests") {
        runtime.block_on(sessions::print(count, lifetime));
    }
}
