//! The program `kycport-mock`: the same issuer, for tests in other languages and for a desk.
//!
//! ```text
//! cargo install kycport --features mock-cli
//! kycport-mock --sample-persons
//! kycport-mock trigger person.rejected --person ada
//! ```

mod config;
mod ending;
mod length;
mod serve;
mod trigger;
mod verify;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::mock::start::words::{StatusWord, TierWord};

/// Runs the program with these arguments, the first of which is its name, until it ends.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let program = match Program::try_parse_from(args) {
        Ok(program) => program,
        Err(answer) => {
            // Help is an answer, and goes to stdout; failing that, nobody listens.
            let _ = answer.print();
            return ExitCode::from(if answer.use_stderr() { 2 } else { 0 });
        }
    };
    let done = match program.command {
        None => serve::serve(&program.serve),
        Some(Command::Trigger(trigger)) => trigger::trigger(&trigger),
        Some(Command::Person(person)) => trigger::person(person),
        Some(Command::Verify(what)) => return ended(verify::verify(&what)),
    };
    ended(done.map(|()| ExitCode::SUCCESS))
}

fn ended(done: Result<ExitCode, Sentence>) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "kycport-mock: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What went wrong, in a sentence for whoever typed.
type Sentence = Box<dyn std::error::Error + Send + Sync>;

/// A strict mock of KYCPort. Without a command it serves, until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "kycport-mock", version, args_conflicts_with_subcommands = true)]
struct Program {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes something happen at a mock that runs.
    Trigger(Trigger),
    /// Creates a person at a mock that runs; one of the same name is overwritten.
    Person(NewPerson),
    /// Holds a live issuer against the contract, by reading alone and without a credential.
    ///
    /// Ends with 0 if all that was asked for matches, with 1 if something differs, and with 2 if
    /// something was not reached.
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Verify {
    /// The origin, such as `https://www.kycport.com`.
    #[arg(long, value_name = "URL")]
    against: String,
    /// The issuer that its metadata is to name, if that is not the origin (K2).
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent flags, each named where it is given"
)]
struct Serve {
    /// The address to listen on; port 0 for one that is free.
    #[arg(long, default_value = "127.0.0.1:9710", value_name = "ADDRESS")]
    bind: SocketAddr,
    /// Takes an address that others can reach. Whoever reaches it can sign in as anyone.
    #[arg(long)]
    danger_bind_any: bool,
    /// A TOML file with tenants, clients, persons, webhooks and switches.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The origin that browsers and apps reach it by, if that is another one than it binds.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The issuer that it claims to be, instead of its origin.
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Creates five persons: ada and grace (verified), alan (pending), mary (rejected), edgar
    /// (expired).
    #[arg(long)]
    sample_persons: bool,
    /// Signs in without the page whoever `login_hint` names.
    #[arg(long)]
    auto_consent: bool,
    /// Speaks TLS, with a certificate authority of its own.
    #[arg(long)]
    tls: bool,
    /// The token that the admin API and the console ask other machines for; a random one, if nothing
    /// is said.
    #[arg(
        long,
        env = "KYCPORT_MOCK_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    admin_token: Option<String>,
    /// Lets the admin API subscribe webhook endpoints on other machines.
    #[arg(long)]
    danger_webhooks_anywhere: bool,
    /// The callback of your app, to be registered.
    #[arg(
        long,
        value_name = "URI",
        default_value = "http://localhost:3000/auth/callback"
    )]
    redirect_uri: String,
    /// What is printed at the start: for a person, or one line for a script.
    #[arg(long, value_enum, default_value_t = Print::Text)]
    print: Print,
    /// Prints no line for each request.
    #[arg(long)]
    quiet: bool,
    /// Ends when its standard input does: it does not outlive the script that started it.
    #[arg(long)]
    until_stdin_ends: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Print {
    /// What to paste.
    Text,
    /// One line of JSON on stdout, secrets and all; requests go to stderr.
    Json,
}

/// The mock that is meant.
#[derive(Debug, Args)]
struct Where {
    /// The origin of the mock; on another machine, with the admin token as password:
    /// `http://:TOKEN@host:9710`.
    #[arg(
        long,
        env = "KYCPORT_MOCK_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9710"
    )]
    url: String,
}

#[derive(Debug, Args)]
struct Trigger {
    /// What happens.
    #[arg(value_enum)]
    event: Event,
    /// To whom, by short name, id or email address.
    #[arg(long)]
    person: Option<String>,
    /// The tier, of `person.verified` and `person.pending`.
    #[arg(long, value_enum)]
    tier: Option<TierWord>,
    /// How long, such as `90s`, `15m`, `1h` or `2d`: of `clock.advanced`, and of `person.expires`.
    #[arg(long, value_name = "TIME", value_parser = length::parse)]
    by: Option<u64>,
    /// Which event, of `webhook.repeated`; the last, if nothing is said.
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Event {
    /// Their verification passed.
    #[value(name = "person.verified")]
    PersonVerified,
    /// Their verification is under way.
    #[value(name = "person.pending")]
    PersonPending,
    /// Their verification failed.
    #[value(name = "person.rejected")]
    PersonRejected,
    /// They were never verified.
    #[value(name = "person.unverified")]
    PersonUnverified,
    /// Their verification is over.
    #[value(name = "person.expired")]
    PersonExpired,
    /// Their verification will be over, in the time that `--by` says.
    #[value(name = "person.expires")]
    PersonExpires,
    /// Something is known against them.
    #[value(name = "person.aml_flagged")]
    PersonAmlFlagged,
    /// Nothing is known against them.
    #[value(name = "person.aml_cleared")]
    PersonAmlCleared,
    /// Whether something is known is left out of every answer.
    #[value(name = "person.aml_unknown")]
    PersonAmlUnknown,
    /// The next signing key is in the set, and does not sign yet.
    #[value(name = "keys.published")]
    KeysPublished,
    /// The next signing key signs.
    #[value(name = "keys.promoted")]
    KeysPromoted,
    /// The old signing keys are out of the set.
    #[value(name = "keys.retired")]
    KeysRetired,
    /// All three.
    #[value(name = "keys.rotated")]
    KeysRotated,
    /// The time that `--by` says is over.
    #[value(name = "clock.advanced")]
    ClockAdvanced,
    /// The clock stands still.
    #[value(name = "clock.frozen")]
    ClockFrozen,
    /// The clock runs on.
    #[value(name = "clock.resumed")]
    ClockResumed,
    /// An event is delivered once more.
    #[value(name = "webhook.repeated")]
    WebhookRepeated,
    /// The secret of deliveries is another one.
    #[value(name = "webhook_secret.rotated")]
    WebhookSecretRotated,
    /// Every browser is signed out of the mock.
    #[value(name = "sessions.ended")]
    SessionsEnded,
    /// Everything is as it was at the start.
    #[value(name = "mock.reset")]
    MockReset,
}

#[derive(Debug, Args)]
struct NewPerson {
    /// A short name. The person's id follows from it.
    slug: String,
    /// The tier.
    #[arg(long, value_enum)]
    tier: Option<TierWord>,
    /// The status.
    #[arg(long, value_enum)]
    status: Option<StatusWord>,
    /// Whether nothing is known against them.
    #[arg(long)]
    aml_clear: Option<bool>,
    /// The email address.
    #[arg(long)]
    email: Option<String>,
    /// The full name.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    at: Where,
}
