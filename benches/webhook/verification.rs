//! Benchmark that verifies a webhook delivery. The benchmark compares this crate with the bare
//! HMAC, standardwebhooks and svix.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use criterion::Criterion;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use kycport::{
    Clock as _, Secret, SystemClock,
    webhook::{SignatureScheme, WebhookVerifier, sign_test_delivery},
};
use sha2::Sha256;

const KEY: &[u8; 32] = b"thirty-two bytes of a secret key";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const SIZES: [(&str, usize); 2] = [("1 KiB", 1024), ("64 KiB", 64 * 1024)];

/// Function that verifies a delivery, and panics if the delivery is invalid.
type Contender = Box<dyn Fn()>;

fn contenders() -> Vec<(&'static str, Vec<(&'static str, Contender)>)> {
    let with_body = |(name, length): (&'static str, usize)| {
        // The other crates accept only text.
        let body = Bytes::from(vec![b'a'; length]);
        let signed = standard_headers(&body);
        let contenders = vec![
            ("bare HMAC", bare(&body)),
            ("kycport", ours(&body)),
            (
                "kycport, Standard Webhooks",
                ours_standard(&body, signed.clone()),
            ),
            ("standardwebhooks", standardwebhooks(&body, signed.clone())),
            ("svix", svix(&body, signed)),
        ];
        (name, contenders)
    };
    SIZES.into_iter().map(with_body).collect()
}

fn standard_secret() -> String {
    format!("whsec_{}", STANDARD.encode(KEY))
}

/// The benchmark signs with the current time, because the other crates read the machine's clock.
fn standard_headers(body: &[u8]) -> HeaderMap {
    let time = SystemClock::new().now().as_unix();
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
    mac.update(format!("{ID}.{time}.").as_bytes());
    mac.update(body);
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", ID.parse().unwrap());
    headers.insert("webhook-timestamp", time.into());
    headers.insert("webhook-signature", signature.parse().unwrap());
    headers
}

fn bare(body: &Bytes) -> Contender {
    let key = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
    let mut mac = key.clone();
    mac.update(body);
    let tag = mac.finalize().into_bytes();
    let body = body.clone();
    Box::new(move || {
        let mut mac = black_box(&key).clone();
        mac.update(black_box(&body));
        mac.verify(black_box(&tag)).unwrap();
    })
}

fn ours(body: &Bytes) -> Contender {
    let secret = Secret::new(str::from_utf8(KEY).unwrap());
    let headers = HeaderMap::from_iter([sign_test_delivery(&secret, body)]);
    let builder = WebhookVerifier::builder().secret("current", secret);
    verification(builder.build().unwrap(), headers, body)
}

fn ours_standard(body: &Bytes, headers: HeaderMap) -> Contender {
    let builder = WebhookVerifier::builder()
        .scheme(SignatureScheme::StandardWebhooks)
        .secret("current", Secret::new(standard_secret()));
    verification(builder.build().unwrap(), headers, body)
}

fn verification(verifier: WebhookVerifier, headers: HeaderMap, body: &Bytes) -> Contender {
    let body = body.clone();
    Box::new(move || {
        let judged = verifier.verify(black_box(&headers), black_box(&body).clone());
        black_box(judged.unwrap());
    })
}

fn standardwebhooks(body: &Bytes, headers: HeaderMap) -> Contender {
    let webhook = standardwebhooks::Webhook::new(&standard_secret()).unwrap();
    let body = body.clone();
    Box::new(move || {
        webhook
            .verify(black_box(&body), black_box(&headers))
            .unwrap();
    })
}

fn svix(body: &Bytes, headers: HeaderMap) -> Contender {
    let webhook = svix::webhooks::Webhook::new(&standard_secret()).unwrap();
    let body = body.clone();
    Box::new(move || {
        webhook
            .verify(black_box(&body), black_box(&headers))
            .unwrap();
    })
}

pub(crate) fn criterion_runs(c: &mut Criterion) {
    for (size, contenders) in contenders() {
        let mut group = c.benchmark_group(size);
        for (name, verify) in contenders {
            group.bench_function(name, |b| b.iter(&verify));
        }
        group.finish();
    }
}

/// Number of turns per implementation, and number of deliveries per turn.
const TURNS: usize = 1000;
const DELIVERIES_A_TURN: u32 = 8;

pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn turn(verify: &Contender) -> Duration {
    let start = Instant::now();
    for _ in 0..DELIVERIES_A_TURN {
        verify();
    }
    start.elapsed() / DELIVERIES_A_TURN
}

/// Runs the implementations in turns. Prints the median time of each implementation and its ratio
/// to the first implementation.
pub(crate) fn print_ratios() {
    println!("{:<10}{:<28}{:>12}{:>10}", "", "", "median", "ratio");
    for (size, contenders) in contenders() {
        let mut times = vec![Vec::with_capacity(TURNS); contenders.len()];
        for _ in 0..TURNS {
            for ((_, verify), times) in contenders.iter().zip(&mut times) {
                times.push(turn(verify));
            }
        }
        let medians: Vec<_> = times.into_iter().map(median).collect();
        let bare = medians.first().map_or(f64::NAN, Duration::as_secs_f64);
        for ((name, _), median) in contenders.iter().zip(&medians) {
            let ratio = median.as_secs_f64() / bare;
            let micros = median.as_secs_f64() * 1e6;
            println!("{size:<10}{name:<28}{micros:>9.2} µs{ratio:>10.3}");
        }
    }
}
