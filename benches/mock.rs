//! Benchmark of the mock's start-up and of the parts of a login.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark measures real time and prints it"
)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    reason = "a benchmark may panic"
)]

use std::time::{Duration, Instant};

use axum::{Router, routing::get};
use kycport::{
    RelyingParty, SignedIn,
    mock::{Endpoint, MockIssuer},
};

const STARTS: usize = 50;
const LOGINS: usize = 200;

#[tokio::main]
async fn main() {
    starts().await;
    logins().await;
}

/// Measures the time from the start to the first discovery response.
async fn starts() {
    let client = reqwest::Client::new();
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let start = Instant::now();
        let kyc = MockIssuer::start().await;
        let answer = client.get(kyc.discovery_url()).send().await.unwrap();
        assert!(answer.bytes().await.unwrap().len() > 100);
        times.push(start.elapsed());
    }
    println!("start to first discovery response: {}", shown(&mut times));
}

async fn logins() {
    let kyc = MockIssuer::start().await;
    let ada = kyc.person("ada").create();
    let mut party = None;
    let app = kyc
        .serve(|config| {
            let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
            party = Some(kycport.clone());
            Router::new()
                .route(
                    "/",
                    get(async |person: SignedIn| person.subject().to_owned()),
                )
                .merge(kycport.router())
                .layer(kycport.session_layer())
        })
        .await
        .unwrap();
    let party = party.unwrap();
    let browser = kyc.browser();
    let login = app.url("/auth/login");
    let mut steps: Vec<(&str, Vec<Duration>)> = [
        "GET login (303)",
        "GET authorize page",
        "POST authorize page (303)",
        "GET callback (303)",
        "GET landing page",
        "whole login",
    ]
    .map(|name| (name, Vec::new()))
    .into();
    for round in 0..LOGINS + 10 {
        let mut times = Vec::new();
        let begin = Instant::now();
        let mut last = begin;
        let mut lap = || {
            let now = Instant::now();
            times.push(now - last);
            last = now;
        };
        let page = browser.open(&login).await.unwrap();
        lap();
        let page = browser.follow(&page).await.unwrap();
        lap();
        let form = [("person", ada.id()), ("decision", "allow")];
        let page = browser
            .request(http::Method::POST, page.url())
            .from(page.url())
            .form(&form)
            .stay()
            .send()
            .await
            .unwrap();
        lap();
        let page = browser.follow(&page).await.unwrap();
        lap();
        let page = browser.follow(&page).await.unwrap();
        lap();
        page.assert_ok();
        times.push(begin.elapsed());
        // The first logins also fetch the metadata and the keys.
        if round >= 10 {
            for ((_, all), time) in steps.iter_mut().zip(times) {
                all.push(time);
            }
        }
    }
    println!(
        "a login with sequential requests, and a new connection for each request of the browser:"
    );
    for (name, times) in &mut steps {
        println!("  {name:<28} {}", shown(times));
    }
    let all: Duration = steps.last().unwrap().1.iter().sum();
    println!("  {:.0} logins a second", LOGINS as f64 / all.as_secs_f64());

    // The benchmark measures parts of the callback separately.
    let client = reqwest::Client::new();
    let mut asks = Vec::new();
    let mut verifications = Vec::new();
    let token = kyc.mint().access_token(&ada, kyc.client()).sign();
    for _ in 0..LOGINS {
        let start = Instant::now();
        let answer = client.post(kyc.url(Endpoint::Token)).send().await.unwrap();
        drop(answer.bytes().await);
        asks.push(start.elapsed());
        let start = Instant::now();
        party.oidc().verify_access_token(&token).await.unwrap();
        verifications.push(start.elapsed());
    }
    println!(
        "  of which a request to the token endpoint {}",
        shown(&mut asks)
    );
    println!(
        "  of which, twice, a verification {}",
        shown(&mut verifications)
    );
}

fn shown(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |n: usize| times[times.len() * n / 100].as_secs_f64() * 1e6;
    format!("{:>8.0} us median, {:>8.0} us at 95 %", at(50), at(95))
}
