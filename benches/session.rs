//! Benchmark of a signed-in request with an in-memory store, in process and over a connection. The
//! benchmark compares five apps. The first app is a bare axum route. The second app uses the
//! session layer of the crate tower-sessions. The other three apps use this crate's session layer
//! and `SignedIn`: without encryption, with encryption, and with a guard. The apps take turns
//! within one run, and each turn is a batch of requests. Other load on the machine therefore
//! affects all apps.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark measures real time and prints it"
)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a benchmark may panic"
)]

use std::time::{Duration, Instant};

use axum::{Extension, Router, body::Body, routing::get};
use http::{Request, header::COOKIE};
use kycport::{KycTier, RelyingParty, SignedIn, mock::MockIssuer, web::SealingKeys};
use tokio::net::TcpListener;
use tower_service::Service as _;
use tower_sessions::{MemoryStore as PlainStore, Session, SessionManagerLayer};

#[path = "shared/wire.rs"]
mod wire;

use wire::Wire;

const ROUNDS: usize = 40;
const BATCH: u32 = 500;
/// Number of warm-up rounds, which the benchmark does not count.
const WARM_UP: usize = 5;

const PLAIN: &str = "/plain";
const GUARDED: &str = "/guarded";
const KEYS: &str = "bench:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// App of the comparison, with the request path and the session cookie.
struct Contender {
    name: &'static str,
    app: Router,
    path: &'static str,
    cookie: Option<String>,
}

const CONTENDERS: usize = 5;

#[tokio::main]
async fn main() {
    let contenders = [
        bare(),
        plain().await,
        ours("kycport", PLAIN, None).await,
        ours("kycport, sealed", PLAIN, Some(KEYS)).await,
        ours("kycport with a guard", GUARDED, None).await,
    ];
    println!("in process (tower), time of one request:");
    let mut times: [Vec<Duration>; CONTENDERS] = Default::default();
    for round in 0..WARM_UP + ROUNDS {
        for (contender, times) in contenders.iter().zip(&mut times) {
            let time = in_process(contender).await;
            if round >= WARM_UP {
                times.push(time);
            }
        }
    }
    report(&contenders, &mut times);

    println!("over a kept-alive loopback connection, time of one request:");
    let mut wires = Vec::new();
    for contender in &contenders {
        wires.push(connect(contender).await);
    }
    let mut times: [Vec<Duration>; CONTENDERS] = Default::default();
    for round in 0..WARM_UP + ROUNDS {
        for (wire, times) in wires.iter_mut().zip(&mut times) {
            let time = over(wire).await;
            if round >= WARM_UP {
                times.push(time);
            }
        }
    }
    report(&contenders, &mut times);
}

fn report(contenders: &[Contender], times: &mut [Vec<Duration>; CONTENDERS]) {
    let medians = times.each_mut().map(|times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    for (contender, median) in contenders.iter().zip(medians) {
        println!(
            "  {:<32} {:>8.2} us   {:.2} x bare   {:.2} x tower-sessions",
            contender.name,
            median.as_secs_f64() * 1e6,
            median.as_secs_f64() / medians[0].as_secs_f64(),
            median.as_secs_f64() / medians[1].as_secs_f64(),
        );
    }
}

fn bare() -> Contender {
    Contender {
        name: "bare axum",
        app: Router::new().route(PLAIN, get(async || "hello somebody")),
        path: PLAIN,
        cookie: None,
    }
}

async fn put(Extension(session): Extension<Session>) {
    let person = serde_json::json!({
        "issuer": "http://127.0.0.1:50000",
        "subject": "person_0123456789abcdef",
        "assurance": { "kyc_status": "verified", "kyc_tier": "t2", "aml_clear": true },
        "scopes": ["openid", "kyc"],
    });
    session.insert("person", person).await.unwrap();
}

async fn read(Extension(session): Extension<Session>) -> String {
    let person: serde_json::Value = session.get("person").await.unwrap().unwrap();
    format!("hello {}", person["subject"].as_str().unwrap())
}

/// Builds the app with tower-sessions and its defaults. The session contains the facts that a
/// session of this crate contains.
async fn plain() -> Contender {
    let layer = SessionManagerLayer::new(PlainStore::default());
    let mut app = Router::new()
        .route(PLAIN, get(read))
        .route("/put", get(put))
        .layer(layer);
    let request = Request::get("/put").body(Body::empty()).unwrap();
    let response = app.call(request).await.unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    Contender {
        name: "tower-sessions 0.14",
        cookie: cookie.split(';').next().map(str::to_owned),
        path: PLAIN,
        app,
    }
}

/// Builds the app with this crate and its in-memory store.
async fn ours(name: &'static str, path: &'static str, keys: Option<&str>) -> Contender {
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").create();
    let mut app = Router::new();
    let running = kyc
        .serve(|config| {
            let config = match keys {
                Some(keys) => config.session_keys(SealingKeys::parse(keys).unwrap()),
                None => config,
            };
            let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
            let hello = get(async |person: SignedIn| format!("hello {}", person.subject()));
            let guard = kycport.require(KycTier::T2);
            app = Router::new()
                .route(PLAIN, hello.clone())
                .route(GUARDED, hello.route_layer(guard))
                .merge(kycport.router())
                .layer(kycport.session_layer());
            app.clone()
        })
        .await
        .unwrap();
    let browser = kyc.browser();
    let page = browser
        .sign_in(running.url("/auth/login?return_to=/plain"), &ada)
        .await
        .unwrap();
    page.assert_ok();
    let key = browser.cookie(running.url("/"), "__Host-kycport").unwrap();
    Contender {
        name,
        app,
        path,
        cookie: Some(format!("__Host-kycport={key}")),
    }
}

async fn in_process(contender: &Contender) -> Duration {
    let mut app = contender.app.clone();
    let start = Instant::now();
    for _ in 0..BATCH {
        let mut request = Request::get(contender.path);
        if let Some(cookie) = &contender.cookie {
            request = request.header(COOKIE, cookie);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = app.call(request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 1024)
            .await
            .unwrap();
        assert!(body.starts_with(b"hello "));
    }
    start.elapsed() / BATCH
}

/// Serves the app, and connects to the app.
async fn connect(contender: &Contender) -> Wire {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let app = contender.app.clone();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Wire::connect(&address, contender.path, contender.cookie.as_deref()).await
}

async fn over(wire: &mut Wire) -> Duration {
    let start = Instant::now();
    wire.ask(usize::try_from(BATCH).unwrap()).await;
    start.elapsed() / BATCH
}
