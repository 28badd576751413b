//! Instance of an app in a separate process. A test can kill, restart and measure the process. The
//! process runs the test binary. Environment variables configure the app.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderValue, StatusCode},
    middleware::map_response,
    response::Response,
    routing::{get, post},
};
use kycport::{
    Config, KycTier, MemoryStore, RelyingParty, SignedIn, TestClock,
    store::{Family, StoreError},
    web::Sessions,
};
use tokio::net::TcpListener;

/// Response header that contains the name of the instance.
pub(crate) const MARK: &str = "x-instance";

/// URL of an in-memory store.
pub(crate) const MEMORY: &str = "memory:";

/// Capacity of an in-memory store in records. No benchmark creates more records.
const CAPACITY: usize = 2_000_000;

const KEYS: &str = "process:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Whether an app encrypts its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sealing {
    Open,
    Sealed,
}

/// Configuration of an app.
#[derive(Debug, Clone)]
pub(crate) struct AppSpec {
    /// Store URL.
    pub(crate) store: String,
    pub(crate) sealing: Sealing,
    /// Environment variables that configure an app for this issuer.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Lifetime of sessions. `None` means the default lifetime.
    pub(crate) session_lifetime: Option<Duration>,
    /// Command-line arguments that make the test binary run the app.
    pub(crate) arguments: &'static [&'static str],
}

/// A running app. Dropping this value kills the process.
pub(crate) struct AppProcess {
    child: Child,
    port: u16,
}

impl AppProcess {
    /// Starts an app. The app also starts if its store is unreachable.
    pub(crate) fn start(spec: &AppSpec) -> Self {
        let mut command = this_binary();
        command
            .args(spec.arguments)
            .env("APP", "1")
            .env("KYCPORT_STORE", &spec.store)
            .envs(spec.environment.iter().map(|(name, value)| (name, value)));
        if spec.sealing == Sealing::Sealed {
            command.env("KYCPORT_SESSION_KEYS", KEYS);
        }
        if let Some(lifetime) = spec.session_lifetime {
            command.env("APP_SESSION_LIFETIME", lifetime.as_secs().to_string());
        }
        Self::spawn(command)
    }

    /// Runs a command that calls [`serve`].
    pub(crate) fn spawn(mut command: Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once("APP_PORT=")?.1.parse().ok())
            .unwrap();
        Self { child, port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Returns whether the process has exited although the test did not kill the process.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills the process with `SIGKILL` and waits until it has exited.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for AppProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns a command that runs the test binary again. The command's environment contains no
/// variables for stores and keys.
pub(crate) fn this_binary() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .env_remove("KYCPORT_STORE")
        .env_remove("KYCPORT_SESSION_KEYS");
    command
}

/// Returns whether this process was started as an app. In that case, the app has run and stopped
/// before this function returns.
pub(crate) fn ran_as_app() -> bool {
    if std::env::var_os("APP").is_none() {
        return false;
    }
    run(async { app() });
    true
}

/// Serves an app until the parent process exits for any reason.
pub(crate) fn run(app: impl Future<Output = Router>) {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { serve(app.await).await });
}

#[expect(clippy::print_stdout, reason = "the parent process reads the output")]
async fn serve(app: Router) {
    let marked = app.layer(map_response(async |mut answer: Response| {
        let mark = HeaderValue::from_static("1");
        answer.headers_mut().insert(MARK, mark);
        answer
    }));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    println!("\nAPP_PORT={port}");
    axum::serve(listener, marked).await.unwrap();
}

/// Builds the app from the environment. The app gives an in-memory store the capacity that a
/// benchmark needs, and prints the size of this store. The name of the session cookie is the name
/// that apps at the mock use.
fn app() -> Router {
    let clock = TestClock::new();
    let mut config = Config::builder_from_env()
        .unwrap()
        .cookie_name("kycport")
        .clock(clock.clone());
    let memory = (std::env::var("KYCPORT_STORE").as_deref() == Ok(MEMORY))
        .then(|| MemoryStore::new(CAPACITY, Arc::new(clock.clone())));
    if let Some(memory) = &memory {
        config = config.store(memory.clone());
    }
    if let Ok(seconds) = std::env::var("APP_SESSION_LIFETIME") {
        let lifetime = Duration::from_secs(seconds.parse().unwrap());
        config = config
            .session_idle_timeout(lifetime)
            .session_lifetime(lifetime);
    }
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let webhooks = kycport.webhooks(async |_| Ok::<(), std::io::Error>(()));
    let subject = async |person: SignedIn| person.subject().to_owned();
    let tier = kycport.require(KycTier::T2);
    let app = Router::new()
        .route("/", get(async || "home"))
        .route("/hello", get(subject))
        .route("/guarded", get(subject).route_layer(tier.clone()))
        .route("/sensitive", get(subject).route_layer(tier.fresh()))
        .merge(kycport.router())
        .layer(kycport.session_layer())
        .route("/people/{subject}/end", post(revoke_all))
        .with_state(kycport.sessions())
        .route_service("/webhooks/kycport", webhooks.build().unwrap());
    let advance = async move |Path(seconds): Path<u64>| clock.advance(Duration::from_secs(seconds));
    let app = app.route("/clock/{seconds}", post(advance));
    match memory {
        Some(store) => app.route("/records", get(async move || records(&store).to_string())),
        None => app,
    }
}

fn records(store: &MemoryStore) -> usize {
    Family::ALL.map(|family| store.count(family)).iter().sum()
}

/// Revokes all sessions of a person, like a support page.
async fn revoke_all(
    State(sessions): State<Sessions>,
    Path(subject): Path<String>,
) -> Result<StatusCode, StoreError> {
    sessions.revoke_all(&subject).await?;
    Ok(StatusCode::NO_CONTENT)
}
