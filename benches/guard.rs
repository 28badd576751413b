//! Benchmark of a guard. The benchmark compares three routes. The first route has only `SignedIn`.
//! The second route also has an empty layer. The third route has `require(KycTier::T2)` and a
//! cached result. Batches of the three routes take turns within one run. Other load on the machine
//! therefore affects all routes. Each round gives the ratios to the route without a layer. The
//! benchmark reports the median ratio. The empty layer shows the cost of axum, because axum wraps
//! each layer of a route in a service.

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

use axum::{
    Router,
    body::Body,
    routing::{Route, get},
};
use http::{Request, header::COOKIE};
use kycport::{
    KycTier, RelyingParty, RunningApp, SignedIn,
    mock::{Endpoint, MockIssuer},
};
use tower_layer::layer_fn;
use tower_service::Service as _;

#[path = "shared/wire.rs"]
mod wire;

use wire::Wire;

const ROUNDS: usize = 200;
const BATCH: u32 = 200;
/// Number of warm-up rounds, which the benchmark does not count.
const WARM_UP: usize = 20;
const PATHS: [&str; 3] = ["/plain", "/layer", "/guarded"];

/// App, and the cookie of a session.
struct GuardBench {
    kyc: MockIssuer,
    app: Router,
    running: RunningApp,
    cookie: String,
}

#[tokio::main]
async fn main() {
    let setup = setup().await;
    setup.kyc.forget_requests();

    let mut rounds = Rounds::default();
    for round in 0..WARM_UP + ROUNDS {
        let times = [
            in_process(&setup, PATHS[0]).await,
            in_process(&setup, PATHS[1]).await,
            in_process(&setup, PATHS[2]).await,
        ];
        if round >= WARM_UP {
            rounds.push(times);
        }
    }
    rounds.report("in process (tower)");

    let mut wires = [
        connect(&setup, PATHS[0]).await,
        connect(&setup, PATHS[1]).await,
        connect(&setup, PATHS[2]).await,
    ];
    let mut rounds = Rounds::default();
    for round in 0..WARM_UP + ROUNDS {
        let times = [
            over(&mut wires[0]).await,
            over(&mut wires[1]).await,
            over(&mut wires[2]).await,
        ];
        if round >= WARM_UP {
            rounds.push(times);
        }
    }
    rounds.report("over a kept-alive loopback connection");

    setup.kyc.requests(Endpoint::Status).assert_count(0);
    setup.kyc.requests(Endpoint::Userinfo).assert_count(0);
    println!("requests to KYCPort: {}", setup.kyc.all_requests().len());
}

#[derive(Default)]
struct Rounds {
    times: [Vec<Duration>; 3],
    ratios: [Vec<f64>; 3],
}

impl Rounds {
    fn push(&mut self, times: [Duration; 3]) {
        let plain = times[0].as_secs_f64();
        for (ratios, time) in self.ratios.iter_mut().zip(times) {
            ratios.push(plain / time.as_secs_f64());
        }
        for (all, time) in self.times.iter_mut().zip(times) {
            all.push(time);
        }
    }

    fn report(mut self, how: &str) {
        println!("{how}, median of {ROUNDS} rounds:");
        for (path, (times, ratios)) in PATHS
            .iter()
            .zip(self.times.iter_mut().zip(&mut self.ratios))
        {
            times.sort_unstable();
            let median = times[times.len() / 2].as_secs_f64() * 1e6;
            ratios.sort_unstable_by(f64::total_cmp);
            let ratio = ratios[ratios.len() / 2];
            println!(
                "  {path:<10} {median:>8.2} us   throughput {ratio:.3} of that of {}",
                PATHS[0]
            );
        }
    }
}

async fn setup() -> GuardBench {
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").create();
    let mut app = Router::new();
    let running = kyc
        .serve(|config| {
            let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
            let handler = get(async |person: SignedIn| format!("hello {}", person.subject()));
            let guard = kycport.require(KycTier::T2);
            app = Router::new()
                .route(PATHS[0], handler.clone())
                .route(
                    PATHS[1],
                    handler.clone().route_layer(layer_fn(|inner: Route| inner)),
                )
                .route(PATHS[2], handler.route_layer(guard))
                .merge(kycport.router())
                .layer(kycport.session_layer());
            app.clone()
        })
        .await
        .unwrap();
    let browser = kyc.browser();
    let login = running.url("/auth/login?return_to=/guarded");
    browser.sign_in(login, &ada).await.unwrap().assert_ok();
    let key = browser.cookie(running.url("/"), "__Host-kycport").unwrap();
    GuardBench {
        kyc,
        app,
        running,
        cookie: format!("__Host-kycport={key}"),
    }
}

async fn in_process(setup: &GuardBench, path: &str) -> Duration {
    let mut app = setup.app.clone();
    let start = Instant::now();
    for _ in 0..BATCH {
        let request = Request::get(path).header(COOKIE, &setup.cookie);
        let request = request.body(Body::empty()).unwrap();
        let response = app.call(request).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 1024)
            .await
            .unwrap();
        assert!(body.starts_with(b"hello "));
    }
    start.elapsed() / BATCH
}

async fn connect(setup: &GuardBench, path: &str) -> Wire {
    let address = setup.running.url("").replace("http://", "");
    Wire::connect(&address, path, Some(&setup.cookie)).await
}

async fn over(wire: &mut Wire) -> Duration {
    let start = Instant::now();
    wire.ask(usize::try_from(BATCH).unwrap()).await;
    start.elapsed() / BATCH
}
