//! The program `kycport-mock`: the mock issuer for tests in any language and for local development.
//!
//! ```text
//! cargo install kycport --features mock-cli
//! kycport-mock --sample-persons
//! kycport-mock trigger person.rejected --person ada
//! ```

mod config;
mod duration;
mod serve;
mod shutdown;
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

use crate::mock::start::values::{StatusValue, TierValue};

/// Runs the program until it ends. The first item of `args` is the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let program = match Program::try_parse_from(args) {
        Ok(program) => program,
        Err(answer) => {
            // clap prints help to stdout and errors to stderr. Ignore an error of `print`, because
            // the program cannot report this error.
            let _ = answer.print();
            return ExitCode::from(if answer.use_stderr() { 2 } else { 0 });
        }
    };
    let done = match program.command {
        None => serve::serve(&program.serve),
        Some(Command::Trigger(trigger)) => trigger::trigger(&trigger),
        Some(Command::Person(person)) => trigger::person(person),
        Some(Command::Verify(what)) => return exit_code(verify::verify(&what)),
    };
    exit_code(done.map(|()| ExitCode::SUCCESS))
}

fn exit_code(done: Result<ExitCode, CliError>) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "kycport-mock: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Error that the program prints to the user.
type CliError = Box<dyn std::error::Error + Send + Sync>;

/// A strict mock of KYCPort. Without a command, the program runs the mock until Ctrl-C.
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
    /// Triggers an event at a running mock.
    Trigger(Trigger),
    /// Creates a person at a running mock. Replaces an existing person with the same short name.
    Person(NewPerson),
    /// Checks a live issuer against the contract. The check sends only requests that change no
    /// data, and needs no credentials.
    ///
    /// Exit codes: 0 if every check matches, 1 if a check differs, 2 if the issuer did not respond
    /// to a check.
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Verify {
    /// Origin of the issuer to check, such as `https://www.kycport.com`.
    #[arg(long, value_name = "URL")]
    against: String,
    /// Expected issuer in the metadata (K2). Default: the origin.
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
struct Serve {
    /// Address to listen on. Port 0 selects a free port.
    #[arg(long, default_value = "127.0.0.1:9710", value_name = "ADDRESS")]
    bind: SocketAddr,
    /// Allows an address that other machines can reach. Anyone who can reach the mock can sign in
    /// as any person.
    #[arg(long)]
    danger_bind_any: bool,
    /// TOML file with tenants, clients, persons, webhooks and switches.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Origin at which browsers and apps reach the mock. Default: the listening address.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Issuer identifier. Default: the origin.
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Creates five persons: ada and grace (verified), alan (pending), mary (rejected), edgar
    /// (expired).
    #[arg(long)]
    sample_persons: bool,
    /// Signs in the person in `login_hint` without showing the sign-in page.
    #[arg(long)]
    auto_consent: bool,
    /// Serves TLS with a generated certificate authority.
    #[arg(long)]
    tls: bool,
    /// Token that the admin API and the console require from other machines. Default: a random
    /// token.
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
    /// Callback URL of your app. The mock registers this URL.
    #[arg(
        long,
        value_name = "URI",
        default_value = "http://localhost:3000/auth/callback"
    )]
    redirect_uri: String,
    /// Format of the output that the program prints when it starts.
    #[arg(long, value_enum, default_value_t = Print::Text)]
    print: Print,
    /// Does not print requests.
    #[arg(long)]
    quiet: bool,
    /// Stops the mock when standard input ends. The mock then stops together with the script that
    /// started it.
    #[arg(long)]
    until_stdin_ends: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Print {
    /// Text for people, with environment variables to paste.
    Text,
    /// One line of JSON on stdout, including secrets. The program prints requests to stderr.
    Json,
}

/// Mock that receives the command.
#[derive(Debug, Args)]
struct Target {
    /// Origin of the mock. If the mock runs on another machine, the URL contains the admin token as
    /// its password: `http://:TOKEN@host:9710`.
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
    /// Event to trigger.
    #[arg(value_enum)]
    event: Event,
    /// Short name, ID or email address of the person.
    #[arg(long)]
    person: Option<String>,
    /// Tier for `person.verified` and `person.pending`.
    #[arg(long, value_enum)]
    tier: Option<TierValue>,
    /// Duration for `clock.advanced` and `person.expires`, such as `90s`, `15m`, `1h` or `2d`.
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    by: Option<u64>,
    /// Event ID for `webhook.repeated`. Default: the last delivered event.
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    #[command(flatten)]
    at: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Event {
    /// The person is verified.
    #[value(name = "person.verified")]
    PersonVerified,
    /// The person's verification is pending.
    #[value(name = "person.pending")]
    PersonPending,
    /// The person's verification is rejected.
    #[value(name = "person.rejected")]
    PersonRejected,
    /// The person is not verified.
    #[value(name = "person.unverified")]
    PersonUnverified,
    /// The person's verification has expired.
    #[value(name = "person.expired")]
    PersonExpired,
    /// The person's verification will expire after `--by`.
    #[value(name = "person.expires")]
    PersonExpires,
    /// The person has an AML hit.
    #[value(name = "person.aml_flagged")]
    PersonAmlFlagged,
    /// The person's AML check passed.
    #[value(name = "person.aml_cleared")]
    PersonAmlCleared,
    /// Every response omits the person's AML result.
    #[value(name = "person.aml_unknown")]
    PersonAmlUnknown,
    /// The mock publishes the next signing key but does not sign with it yet.
    #[value(name = "keys.published")]
    KeysPublished,
    /// The mock signs with the next signing key.
    #[value(name = "keys.promoted")]
    KeysPromoted,
    /// The mock removes the old signing keys from the key set.
    #[value(name = "keys.retired")]
    KeysRetired,
    /// The mock publishes a new signing key, signs with it, and removes the old keys.
    #[value(name = "keys.rotated")]
    KeysRotated,
    /// The clock advances by `--by`.
    #[value(name = "clock.advanced")]
    ClockAdvanced,
    /// The clock stops.
    #[value(name = "clock.frozen")]
    ClockFrozen,
    /// The clock runs again.
    #[value(name = "clock.resumed")]
    ClockResumed,
    /// The mock delivers an event again.
    #[value(name = "webhook.repeated")]
    WebhookRepeated,
    /// The mock rotates the webhook secret.
    #[value(name = "webhook_secret.rotated")]
    WebhookSecretRotated,
    /// The mock ends all browser sessions.
    #[value(name = "sessions.ended")]
    SessionsEnded,
    /// The mock restores its initial state.
    #[value(name = "mock.reset")]
    MockReset,
}

#[derive(Debug, Args)]
struct NewPerson {
    /// Short name. The mock derives the person ID from this name.
    slug: String,
    /// Verification tier.
    #[arg(long, value_enum)]
    tier: Option<TierValue>,
    /// Verification status.
    #[arg(long, value_enum)]
    status: Option<StatusValue>,
    /// Whether the person's AML check passed.
    #[arg(long)]
    aml_clear: Option<bool>,
    /// Email address.
    #[arg(long)]
    email: Option<String>,
    /// Full name.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    at: Target,
}
