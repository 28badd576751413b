//! Benchmark of token verification. The benchmark compares this crate with the bare signature
//! verification, jsonwebtoken and openidconnect.
//!
//! Run with `cargo bench --bench tokens`. The final table shows the ratios to the bare signature.
//! The implementations take turns within one run. Before each turn of an implementation, the
//! benchmark runs a turn of the bare signature and computes the ratio of the two times. Other load
//! therefore affects both times. The table shows the median ratio.

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark may panic"
)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use criterion::{Criterion, criterion_group};
use ed25519_dalek::{Signature, Signer as _, SigningKey, Verifier as _, VerifyingKey};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use kycport::{
    Secret, Timestamp,
    oidc::{
        AlgorithmNames, ExpectedAccessToken, ExpectedIdToken, KeySet, verify_access_token,
        verify_id_token,
    },
};
use openidconnect::{
    ClientId, IssuerUrl, JsonWebKeySet, Nonce,
    core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

const ISSUER: &str = "https://www.kycport.com";
const CLIENT: &str = "7b1f8a52-client";
const NONCE: &str = "n-0S6_WzA2MjN0S6_WzA2MjN0S6_WzA2MjN0S6_WzA2";
const KID: &str = "kyc-2026-01";
const IAT: i64 = 1_700_000_000;
/// The tokens expire in the year 2100, because the other crates read the machine's clock.
const EXP: i64 = 4_102_444_800;
const SUBJECT: &str = "4c2f1c1e-6b0a-4f0e-9d0e-5f3f0c7e9a11";

/// Function that verifies a token, and panics if the token is invalid.
type Contender = Box<dyn Fn()>;

fn contenders() -> Vec<(&'static str, Vec<(&'static str, Contender)>)> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let access = sign(&key, "at+jwt", &access_claims());
    let id = sign(&key, "JWT", &id_claims(&access));
    let id_expected = ExpectedIdToken::new(ISSUER, CLIENT, Secret::new(NONCE));
    let mut hash_expected = id_expected.clone();
    hash_expected.access_token = Some(Secret::new(access.clone()));
    vec![
        (
            "ID token",
            vec![
                ("bare signature", bare(&key, &id)),
                ("verify_strict", strict(&key, &id)),
                ("AWS-LC", aws_lc(&key, &id)),
                ("kycport", ours_id(&key, &id, id_expected)),
                ("kycport, at_hash too", ours_id(&key, &id, hash_expected)),
                ("jsonwebtoken", theirs::<IdClaims>(&key, &id)),
                ("openidconnect", openidconnect(&key, &id)),
            ],
        ),
        (
            "access token",
            vec![
                ("bare signature", bare(&key, &access)),
                ("verify_strict", strict(&key, &access)),
                ("AWS-LC", aws_lc(&key, &access)),
                ("kycport", ours_access(&key, &access)),
                ("jsonwebtoken", theirs::<AccessClaims>(&key, &access)),
            ],
        ),
    ]
}

fn access_claims() -> Value {
    json!({
        "iss": ISSUER, "aud": CLIENT, "sub": SUBJECT, "client_id": CLIENT, "iat": IAT, "exp": EXP,
        "jti": "0f8fad5b-d9cb-469f-a165-70867728950e", "scope": "openid profile email kyc",
    })
}

fn id_claims(access_token: &str) -> Value {
    json!({
        "iss": ISSUER, "aud": CLIENT, "sub": SUBJECT, "nonce": NONCE, "iat": IAT, "exp": EXP,
        "auth_time": IAT, "acr": "t2", "email": "ann@example.com", "email_verified": true,
        "name": "Ann Example", "kyc_status": "verified", "kyc_tier": "t2", "aml_clear": true,
        "at_hash": URL_SAFE_NO_PAD.encode(&Sha512::digest(access_token)[..32]),
    })
}

fn sign(key: &SigningKey, typ: &str, claims: &Value) -> String {
    let header = json!({"alg": "EdDSA", "kid": KID, "typ": typ}).to_string();
    let [header, claims] = [header, claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
    let input = format!("{header}.{claims}");
    let signature = key.sign(input.as_bytes()).to_bytes();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn jwks(key: &SigningKey) -> String {
    let x = URL_SAFE_NO_PAD.encode(key.verifying_key().to_bytes());
    json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": KID, "x": x},
    ]})
    .to_string()
}

/// Returns the signed part of a token and the decoded signature.
fn signed(token: &str) -> (String, Vec<u8>) {
    let (input, signature) = token.rsplit_once('.').unwrap();
    (input.to_owned(), URL_SAFE_NO_PAD.decode(signature).unwrap())
}

/// Verifies only the signature, with `verify` like this crate. The benchmark decodes the token and
/// the key beforehand.
fn bare(key: &SigningKey, token: &str) -> Contender {
    dalek(key, token, |key, input, signature| {
        key.verify(input, signature).unwrap();
    })
}

/// Verifies only the signature with `verify_strict`.
fn strict(key: &SigningKey, token: &str) -> Contender {
    dalek(key, token, |key, input, signature| {
        key.verify_strict(input, signature).unwrap();
    })
}

fn dalek(
    key: &SigningKey,
    token: &str,
    verify: impl Fn(&VerifyingKey, &[u8], &Signature) + 'static,
) -> Contender {
    let (input, signature) = signed(token);
    let signature = Signature::from_slice(&signature).unwrap();
    let key = key.verifying_key();
    Box::new(move || {
        verify(
            black_box(&key),
            black_box(input.as_bytes()),
            black_box(&signature),
        );
    })
}

/// Verifies only the signature with AWS-LC. The benchmark parses the key beforehand.
fn aws_lc(key: &SigningKey, token: &str) -> Contender {
    let (input, signature) = signed(token);
    let key = ParsedPublicKey::new(&ED25519, key.verifying_key().to_bytes()).unwrap();
    Box::new(move || {
        black_box(&key)
            .verify_sig(black_box(input.as_bytes()), black_box(&signature))
            .unwrap();
    })
}

fn ours_id(key: &SigningKey, token: &str, expected: ExpectedIdToken) -> Contender {
    let keys = KeySet::from_json(jwks(key).as_bytes(), AlgorithmNames::default()).unwrap();
    let token = token.to_owned();
    let now = Timestamp::from_unix(IAT);
    Box::new(move || {
        black_box(verify_id_token(black_box(&token), &keys, &expected, now).unwrap());
    })
}

fn ours_access(key: &SigningKey, token: &str) -> Contender {
    let keys = KeySet::from_json(jwks(key).as_bytes(), AlgorithmNames::default()).unwrap();
    let expected = ExpectedAccessToken::new(ISSUER, CLIENT);
    let token = token.to_owned();
    let now = Timestamp::from_unix(IAT);
    Box::new(move || {
        black_box(verify_access_token(black_box(&token), &keys, &expected, now).unwrap());
    })
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the fields are unused but must be deserialized")]
struct IdClaims {
    iss: String,
    aud: String,
    sub: String,
    nonce: String,
    iat: i64,
    exp: i64,
    auth_time: Option<i64>,
    acr: Option<String>,
    at_hash: Option<String>,
    email: Option<String>,
    email_verified: Option<bool>,
    name: Option<String>,
    kyc_status: Option<String>,
    kyc_tier: Option<String>,
    aml_clear: Option<bool>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the fields are unused but must be deserialized")]
struct AccessClaims {
    iss: String,
    aud: String,
    sub: String,
    client_id: String,
    jti: String,
    scope: String,
    iat: i64,
    exp: i64,
}

/// Verifies with jsonwebtoken and all its checks.
fn theirs<C: serde::de::DeserializeOwned + 'static>(key: &SigningKey, token: &str) -> Contender {
    let x = URL_SAFE_NO_PAD.encode(key.verifying_key().to_bytes());
    let key = DecodingKey::from_ed_components(&x).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[CLIENT]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    let token = token.to_owned();
    Box::new(move || {
        black_box(jsonwebtoken::decode::<C>(black_box(&token), &key, &validation).unwrap());
    })
}

/// Verifies with openidconnect, starting from the token's text.
fn openidconnect(key: &SigningKey, token: &str) -> Contender {
    let keys: CoreJsonWebKeySet = serde_json::from_str(&jwks(key)).unwrap();
    let verifier = CoreIdTokenVerifier::new_public_client(
        ClientId::new(CLIENT.to_owned()),
        IssuerUrl::new(ISSUER.to_owned()).unwrap(),
        JsonWebKeySet::new(keys.keys().clone()),
    )
    .set_allowed_algs([CoreJwsSigningAlgorithm::EdDsa]);
    let nonce = Nonce::new(NONCE.to_owned());
    let token = token.to_owned();
    Box::new(move || {
        let token: CoreIdToken = black_box(&token).parse().expect("an ID token");
        black_box(token.claims(&verifier, &nonce).unwrap());
    })
}

fn criterion_runs(c: &mut Criterion) {
    for (token, contenders) in contenders() {
        let mut group = c.benchmark_group(token);
        for (name, verify) in contenders {
            group.bench_function(name, |b| b.iter(&verify));
        }
        group.finish();
    }
}

/// Number of turns per implementation, and number of tokens per turn.
const TURNS: usize = 2000;
const TOKENS_A_TURN: u32 = 8;
const STACK_DEPTHS: usize = 40;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Calls `act` from a stack that is this number of frames deeper. The stack address changes the
/// time by up to a fifth, because loads and stores of vector code can collide. Each turn uses
/// another depth, so no implementation has an advantage.
#[inline(never)]
fn deeper<R>(frames: usize, act: &dyn Fn() -> R) -> R {
    let frame = black_box([0_u8; 176]);
    let result = match frames.checked_sub(1) {
        Some(frames) => deeper(frames, act),
        None => act(),
    };
    black_box(frame);
    result
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn turn(verify: &Contender) -> f64 {
    // Warm up without a measurement: the CPU caches still contain the code and the tables of the
    // implementation that ran in the previous turn.
    verify();
    let start = Instant::now();
    for _ in 0..TOKENS_A_TURN {
        verify();
    }
    start.elapsed().as_secs_f64() / f64::from(TOKENS_A_TURN)
}

/// Runs the implementations in turns, and prints the medians of their times and ratios.
fn print_ratios() {
    println!("{:<14}{:<24}{:>12}{:>10}", "", "", "median", "ratio");
    for (token, contenders) in contenders() {
        let mut times = vec![Vec::with_capacity(TURNS); contenders.len()];
        let mut ratios = times.clone();
        for frames in (0..STACK_DEPTHS).cycle().take(TURNS) {
            let bare = &contenders[0].1;
            for (n, (_, verify)) in contenders.iter().enumerate() {
                let reference = deeper(frames, &|| turn(bare));
                let time = deeper(frames, &|| turn(verify));
                times[n].push(time);
                ratios[n].push(time / reference);
            }
        }
        for ((name, _), (times, ratios)) in contenders.iter().zip(times.into_iter().zip(ratios)) {
            let (micros, ratio) = (median(times) * 1e6, median(ratios));
            println!("{token:<14}{name:<24}{micros:>9.2} µs{ratio:>10.3}");
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = criterion_runs
}

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    let asked = |name: &str| std::env::args().any(|arg| arg == name);
    if asked("--bench") && !asked("--profile-time") {
        print_ratios();
    }
}
