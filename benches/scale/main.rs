//! Cost of signed-in requests with each store, and size of sessions there.
//!
//! Run with `cargo bench --bench scale`, or one half of it with `-- requests` or `-- sessions`;
//! `count=100000` sets the number of sessions.
//!
//! `requests`: apps as processes of their own, asked over connections that are kept alive. They take
//! turns within one run, so that whatever slows the machine slows all of them. For each store there
//! is this crate unsealed and sealed, tower-sessions, and an app that reads one record. The
//! processor time of a request, the app's and the store's, and `idle`, the share of the machine that
//! had nothing to do, tell what bounds each. The clients are on the same machine.
//!
//! `sessions`: so many sign-ins, with a new browser each, and so many logins that are started and
//! left; what they occupy in the app and in the store, and what is left after they have expired. The
//! lifetime of sessions is set to what the sign-ins take, by the pace of the first ones.
//!
//! A server that is not installed is skipped.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a bench measures real time, reports to its reader, and may fail loudly"
)]

#[path = "../../tests/it/app_process.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod app_process;
mod machine;
mod peers;
mod requests;
#[path = "../../tests/it/servers.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod servers;
mod sessions;
#[path = "../../tests/it/sqlite_file.rs"]
mod sqlite_file;
mod stage;
#[path = "../../tests/it/visitor.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod visitor;
#[path = "../shared/wire.rs"]
mod wire;

const COUNT: usize = 100_000;

fn main() {
    if app_process::was_asked_for() || peers::was_asked_for() {
        return;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let count = arguments
        .iter()
        .find_map(|argument| argument.strip_prefix("count=")?.parse().ok())
        .unwrap_or(COUNT);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("load average at the start: {:.2}\n", machine::load());
    if named("requests") || !named("sessions") {
        runtime.block_on(requests::print());
    }
    if named("sessions") || !named("requests") {
        runtime.block_on(sessions::print(count));
    }
}
