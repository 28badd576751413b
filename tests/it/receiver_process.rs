//! Webhook receiver in a separate process, which tests can kill and restart. The test binary starts
//! itself again and runs only the test that is the receiver.

use std::{
    future::pending,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    time::Duration,
};

use axum::Router;
use kycport::{
    Clock as _, Secret, SystemClock,
    web::{Delivery, WebhookReceiver},
    webhook::{DeliveryPolicy, WebhookVerifier},
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    handler_log::{HandlerLog, Instruction, Kind},
    test_handler::{SECRET, signed},
};

/// Time between the handler's deadline and the end of the lease.
const MARGIN: Duration = Duration::from_secs(2);
const RETENTION: Duration = Duration::from_secs(97 * 3600);

/// Receiver process. Dropping this value kills the process.
pub(crate) struct ReceiverProcess {
    child: Child,
    url: String,
}

impl ReceiverProcess {
    /// Starts the receiver process. `holder` is the name of this run of the process. `lease` is the
    /// time for which a killed process still has the lease on its event. The deadline of the
    /// handlers is 2 s shorter than the lease.
    pub(crate) fn start(kind: Kind, port: u16, holder: &str, lease: Duration) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "receiver_process::a_receiver"])
            .arg("--nocapture")
            .env("RECEIVER_HOLDER", holder)
            .env("RECEIVER_LEASE", lease.as_secs().to_string())
            .env("RECEIVER_STORE", format!("{kind:?}"))
            .env("RECEIVER_STORE_PORT", port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let own = lines
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once("RECEIVER_PORT=")?.1.to_owned()))
            .expect("the receiver did not start");
        let url = format!("http://127.0.0.1:{own}/webhooks/kycport");
        Self { child, url }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Kills the process with `SIGKILL`. When this function returns, no thread of the process runs.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for ReceiverProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns whether the handler fails on the first delivery of this event. The handler fails for one
/// event in five.
pub(crate) fn fails_on_first_delivery(id: &str) -> bool {
    hash(id).is_multiple_of(5)
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Returns the body of an event with the current time.
pub(crate) fn event(id: &str) -> Vec<u8> {
    let event = json!({
        "id": id, "type": "kyc.status_changed", "created_at": SystemClock::new().now().as_unix(),
        "data": {"person_id": "p", "kyc_status": "verified", "kyc_tier": "t2", "aml_clear": true},
    });
    event.to_string().into_bytes()
}

/// Delivers a signed event.
pub(crate) async fn deliver(
    client: &reqwest::Client,
    url: &str,
    id: &str,
) -> reqwest::Result<reqwest::Response> {
    let body = event(id);
    client
        .post(url)
        .headers(signed(&body))
        .body(body)
        .send()
        .await
}

#[test]
#[ignore = "other tests start this process"]
fn a_receiver() {
    let Ok(holder) = std::env::var("RECEIVER_HOLDER") else {
        return;
    };
    let kind = match std::env::var("RECEIVER_STORE").unwrap().as_str() {
        "Redis" => Kind::Redis,
        _ => Kind::Postgres,
    };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let port = number("RECEIVER_STORE_PORT").try_into().unwrap();
    let lease = Duration::from_secs(number("RECEIVER_LEASE"));
    // The process ends when its parent process ends, even if the parent process is killed.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(serve(kind, port, holder, lease));
}

#[expect(clippy::print_stdout, reason = "the parent process reads the output")]
async fn serve(kind: Kind, port: u16, holder: String, lease: Duration) {
    let log = HandlerLog::open(kind, port).await.unwrap();
    let verifier = WebhookVerifier::builder().secret("current", Secret::new(SECRET));
    let handler = {
        let log = log.clone();
        move |delivery| handle(log.clone(), holder.clone(), delivery)
    };
    let policy = DeliveryPolicy {
        handler_timeout: lease.saturating_sub(MARGIN),
        lease,
        retention: RETENTION,
        ..DeliveryPolicy::default()
    };
    let receiver = WebhookReceiver::builder(verifier.build().unwrap(), handler)
        .policy(policy)
        .store(log.store())
        .name("acme");
    let app = Router::new().route_service("/webhooks/kycport", receiver.build().unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    println!("\nRECEIVER_PORT={port}");
    axum::serve(listener, app).await.unwrap();
}

async fn handle(log: HandlerLog, holder: String, delivery: Delivery) -> Result<(), &'static str> {
    let id = &delivery.event().id;
    let entered = log.enter(&holder, id).await;
    if entered.attempt == 1 && fails_on_first_delivery(id) {
        log.write("leave", &holder, id).await;
        return Err("the handler fails on the first delivery");
    }
    let instruction = match entered.instruction {
        Instruction::BlockEither if hash(id).is_multiple_of(2) => Instruction::BlockBefore,
        Instruction::BlockEither => Instruction::BlockAfter,
        instruction => instruction,
    };
    let stay = async |when: Instruction, word: &str| {
        if instruction == when {
            log.write(word, &holder, id).await;
            pending::<()>().await;
        }
    };
    let uncommitted = stay(Instruction::BlockBefore, "before");
    let effect = log.take_effect(&holder, &delivery, uncommitted).await;
    stay(Instruction::BlockAfter, "after").await;
    log.write("leave", &holder, id).await;
    effect
}
