//! Fault injection with two instances of an app and simulated users. The scenario of
//! `tests/it/chaos` runs for a longer time.
//!
//! Run with `cargo bench --bench chaos`. After `--`, `seconds=60` sets the length of each run. The
//! arguments `redis`, `redis-sealed`, `postgres`, `postgres-sealed`, `sqlite` and `sqlite-sealed`
//! select runs. Default: all runs, one after the other. The benchmark prints a table, and fails if
//! the clients report a violation.
//!
//! The servers are the `redis-server` and `postgres` of this machine, on free loopback ports. The
//! servers acknowledge a write after it is on disk (`appendfsync always`, `fsync=on`).

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a benchmark prints its results and may panic"
)]

#[expect(dead_code, reason = "other targets use the other items")]
#[path = "../../tests/it/app_process.rs"]
mod app_process;
#[path = "../../tests/it/chaos/mod.rs"]
mod chaos;
#[expect(dead_code, reason = "the tests use the other items")]
#[path = "../../tests/it/servers.rs"]
mod servers;
#[path = "../../tests/it/sqlite_file.rs"]
mod sqlite_file;
#[expect(dead_code, reason = "the tests use the other items")]
#[path = "../../tests/it/visitor.rs"]
mod visitor;

use std::{process::ExitCode, time::Duration};

use app_process::Sealing;
use chaos::{Count, Plan, Report, StoreEngine};

const RUNS: [(&str, StoreEngine, Sealing); 6] = [
    ("redis", StoreEngine::Redis, Sealing::Open),
    ("redis-sealed", StoreEngine::Redis, Sealing::Sealed),
    ("postgres", StoreEngine::Postgres, Sealing::Open),
    ("postgres-sealed", StoreEngine::Postgres, Sealing::Sealed),
    ("sqlite", StoreEngine::Sqlite, Sealing::Open),
    ("sqlite-sealed", StoreEngine::Sqlite, Sealing::Sealed),
];
const SECONDS: u64 = 60;

fn main() -> ExitCode {
    if app_process::ran_as_app() {
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = arguments
        .iter()
        .find_map(|argument| argument.strip_prefix("seconds=")?.parse().ok())
        .unwrap_or(SECONDS);
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let is_all = !RUNS.iter().any(|(name, ..)| named(name));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut reports = Vec::new();
    for (name, engine, sealing) in RUNS {
        if !is_all && !named(name) {
            continue;
        }
        let plan = Plan {
            engine,
            sealing,
            length: Duration::from_secs(seconds),
            arguments: &[],
        };
        if let Some(report) = runtime.block_on(chaos::run(plan)) {
            reports.push((name, report));
        }
    }
    print(seconds, &reports);
    let is_good = |report: &Report| report.violated == 0 && report.of(Count::Kills) > 0;
    if reports.iter().all(|(_, report)| is_good(report)) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print(seconds: u64, reports: &[(&str, Report)]) {
    let names: Vec<_> = reports.iter().map(|(name, _)| *name).collect();
    println!("| {seconds} s each | {} |", names.join(" | "));
    println!("|---|{}", "--:|".repeat(names.len()));
    let columns: Vec<_> = reports.iter().map(|(_, report)| report.rows()).collect();
    let most = columns.iter().map(Vec::len).max().unwrap_or_default();
    for at in 0..most {
        let cells = columns
            .iter()
            .map(|rows| rows.get(at).map_or("", |it| &it.1));
        let cells: Vec<_> = cells.collect();
        let name = columns.iter().find_map(|rows| rows.get(at));
        let name = name.map_or("", |row| &row.0);
        println!("| {name} | {} |", cells.join(" | "));
    }
    for (name, report) in reports {
        for violation in &report.violations {
            println!("\n{name}: {violation}");
        }
    }
}
