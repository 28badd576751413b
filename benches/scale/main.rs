//! What signed-in requests cost an app with each session store, and what sessions weigh there.
//!
//! Run with `cargo bench --bench scale`, or one half of it with `-- requests` or `-- sessions`; with
//! `count=100000` it is said how many sessions.
//!
//! `requests`: apps as processes of their own, one for each store, asked over connections that are
//! kept alive. They take turns within one run, so that what slows the machine slows all alike. What
//! bounds each is read from the processor time of a request, the app's and the store's, and from
//! `idle`: how much of the machine had nothing to do. Whoever asks is on the same machine.
//!
//! `sessions`: that many times one of a thousand people signs in through the mock, with another
//! browser each time, and that many logins are begun and left;
//! what that weighs in the app and in the store, and what is left when it has expired. Servers expire
//! by their own clocks, so the app's and the mock's stand still at a moment from which all that is
//! kept expires soon: when, is reckoned from how fast the first people sign in.
//!
//! The servers are `redis-server` and `postgres` of this machine, on free ports of loopback; they do
//! not wait for the disk.

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
mod requests;
#[path = "../../tests/it/servers.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod servers;
mod sessions;
mod stage;
#[path = "../../tests/it/visitor.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod visitor;
#[path = "../shared/wire.rs"]
mod wire;

const COUNT: usize = 100_000;

fn main() {
    if app_process::was_asked_for() {
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
