//! Benchmark of a callback. The benchmark compares the callback with the minimum cost: one token
//! request and the verification of two signatures.
//!
//! Run with `cargo bench --bench callback`. Each round measures one callback over a keep-alive
//! connection, one token request with a keep-alive client, and two bare signature verifications.
//! Other load on the machine therefore affects all three measurements. The benchmark starts the
//! logins outside the measured part.

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

use std::{
    cell::Cell,
    hint::black_box,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use http::{Request, header::COOKIE};
use kycport::{
    ConfigBuilder, RelyingParty, RunningApp,
    mock::{Endpoint, MockIssuer},
    oidc::{CallbackParams, LoginRequest},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tower_service::Service as _;
use url::Url;

const ROUNDS: usize = 600;
/// Number of warm-up rounds, which the benchmark does not count.
const WARM_UP: usize = 60;
/// Route with an empty handler. This route shows the cost of the connection and the server.
const NOTHING: &str = "/nothing";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

const ROWS: [&str; 6] = [
    "callback over a socket",
    "callback in process (tower)",
    "empty route over a socket",
    "OidcClient::finish",
    "token request",
    "two signatures",
];

/// App, issuer, and their clients.
struct CallbackBench {
    kyc: MockIssuer,
    /// Number of people created so far.
    people: Cell<u32>,
    kycport: RelyingParty,
    app: Router,
    running: RunningApp,
    socket: TcpStream,
    client: reqwest::Client,
    key: VerifyingKey,
}

#[tokio::main]
async fn main() {
    let mut setup = setup().await;
    let mut rows: [Vec<Duration>; 6] = Default::default();
    let mut ratios = Vec::new();
    for round in 0..WARM_UP + ROUNDS {
        let times = setup.round().await;
        if round < WARM_UP {
            continue;
        }
        for (row, time) in rows.iter_mut().zip(times) {
            row.push(time);
        }
        ratios.push(times[0].as_secs_f64() / (times[4] + times[5]).as_secs_f64());
    }
    for (name, times) in ROWS.iter().zip(&mut rows) {
        times.sort_unstable();
        let at = |n: usize| times[times.len() * n / 100].as_secs_f64() * 1e6;
        println!(
            "{name:<34}{:>9.1} µs median{:>9.1} µs at 95 %",
            at(50),
            at(95)
        );
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    println!("callback / (token request + two signatures): {ratio:.3}, median of {ROUNDS} rounds");
    let [socket, process, _, finish, token, signatures] =
        rows.map(|times| times[times.len() / 2].as_secs_f64());
    let sum = token + signatures;
    println!(
        "of the medians: {:.3} over a socket, {:.3} in process, {:.3} finish alone",
        socket / sum,
        process / sum,
        finish / sum
    );
}

/// Starts the app that the benchmark measures.
fn app(config: ConfigBuilder) -> (RelyingParty, Router) {
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let router = Router::new()
        .route(NOTHING, get(async || "nothing"))
        .merge(kycport.router())
        .layer(kycport.session_layer());
    (kycport, router)
}

async fn setup() -> CallbackBench {
    let kyc = MockIssuer::start().await;
    let mut made = None;
    let running = kyc
        .serve(|config| {
            let (_, router) = made.insert(app(config));
            router.clone()
        })
        .await
        .unwrap();
    let (kycport, app) = made.unwrap();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let jwks = client.get(kyc.url(Endpoint::Jwks)).send().await.unwrap();
    let jwks: Value = serde_json::from_slice(&jwks.bytes().await.unwrap()).unwrap();
    let x = URL_SAFE_NO_PAD.decode(jwks["keys"][0]["x"].as_str().unwrap());
    let address = running.url("").replace("http://", "");
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    CallbackBench {
        kyc,
        people: Cell::new(0),
        kycport,
        app,
        running,
        socket,
        client,
        key: VerifyingKey::try_from(x.unwrap().as_slice()).unwrap(),
    }
}

/// Authorization response: the callback URL, and the cookies that the browser sends with it.
struct Response {
    callback: Url,
    cookies: String,
}

impl CallbackBench {
    async fn round(&mut self) -> [Duration; 6] {
        let first = self.response().await;
        let second = self.response().await;
        let code = self.code().await;
        let socket = self.over_socket(&first, "303").await;
        let process = self.in_process(&second).await;
        let nothing = self.over_socket(&self.nothing(), "200").await;
        let finish = self.finish().await;
        let (token, answer) = self.token_request(&code).await;
        let signatures = self.signatures(&answer);
        [socket, process, nothing, finish, token, signatures]
    }

    /// Measures the OpenID Connect part of a callback, without cookies, sessions and store.
    async fn finish(&self) -> Duration {
        let oidc = self.kycport.oidc();
        let (authorize, transaction) = oidc.begin(&LoginRequest::default()).await.unwrap();
        let callback = self.allow(authorize).await;
        let params = CallbackParams::parse(callback.query().unwrap()).unwrap();
        let start = Instant::now();
        black_box(oidc.finish(transaction, params).await.unwrap());
        start.elapsed()
    }

    /// Starts a login in a new browser, and allows the login on KYCPort's page.
    async fn response(&self) -> Response {
        let browser = self.kyc.browser();
        let page = browser.open(self.running.url("/auth/login")).await.unwrap();
        let callback = self.allow(page.location().unwrap()).await;
        let cookies = browser.cookies(callback.as_str());
        let cookies = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        Response {
            cookies: cookies.collect::<Vec<_>>().join("; "),
            callback,
        }
    }

    fn nothing(&self) -> Response {
        Response {
            callback: self.running.url(NOTHING).parse().unwrap(),
            cookies: "a=b".to_owned(),
        }
    }

    /// Requests an authorization code for a PKCE verifier that the benchmark knows.
    async fn code(&self) -> String {
        let page = self.kyc.browser();
        let page = page.open(self.running.url("/auth/login")).await.unwrap();
        let mut authorize = page.location().unwrap();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let pairs: Vec<(String, String)> = authorize
            .query_pairs()
            .map(|(name, value)| match name.as_ref() {
                "code_challenge" => (name.into_owned(), challenge.clone()),
                _ => (name.into_owned(), value.into_owned()),
            })
            .collect();
        authorize.query_pairs_mut().clear().extend_pairs(pairs);
        let callback = self.allow(authorize).await;
        let code = callback.query_pairs().find(|(name, _)| name == "code");
        code.unwrap().1.into_owned()
    }

    /// Allows the login as a new person without other sessions.
    async fn allow(&self, authorize: Url) -> Url {
        self.people.set(self.people.get() + 1);
        let person = self.kyc.person(&format!("p{}", self.people.get())).create();
        let browser = self.kyc.browser();
        let page = browser.open(authorize.as_str()).await.unwrap();
        let form = [("person", person.id()), ("decision", "allow")];
        let page = browser
            .request(http::Method::POST, page.url())
            .from(page.url())
            .form(&form)
            .stay()
            .send()
            .await
            .unwrap();
        page.location().unwrap()
    }

    /// Sends the callback and reads the response. The status line must begin with `status`.
    async fn over_socket(&mut self, response: &Response, status: &str) -> Duration {
        let Response { callback, cookies } = response;
        let target = &callback[url::Position::BeforePath..];
        let host = &callback[url::Position::BeforeHost..url::Position::AfterPort];
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookies}\r\naccept: text/html\r\n\r\n"
        );
        let mut buffer = vec![0; 32 * 1024];
        let mut got = 0;
        let start = Instant::now();
        self.socket.write_all(request.as_bytes()).await.unwrap();
        while !is_whole(&buffer[..got]) {
            let n = self.socket.read(&mut buffer[got..]).await.unwrap();
            assert!(n > 0, "the server closed the connection");
            got += n;
        }
        let time = start.elapsed();
        let text = str::from_utf8(&buffer[..got]).unwrap();
        let expected = format!("HTTP/1.1 {status}");
        assert!(text.starts_with(&expected), "{text}");
        time
    }

    async fn in_process(&self, response: &Response) -> Duration {
        let target = &response.callback[url::Position::BeforePath..];
        let request = Request::get(target)
            .header(COOKIE, &response.cookies)
            .header("accept", "text/html");
        let request = request.body(Body::empty()).unwrap();
        let mut app = self.app.clone();
        let start = Instant::now();
        let response = app.call(request).await.unwrap();
        let time = start.elapsed();
        assert_eq!(response.status(), 303);
        time
    }

    async fn token_request(&self, code: &str) -> (Duration, Value) {
        let client = self.kyc.client();
        let redirect_uri = self.running.url("/auth/callback");
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect_uri),
            ("client_id", client.id()),
            ("client_secret", client.secret().unwrap()),
            ("code_verifier", VERIFIER),
        ];
        let request = self.client.post(self.kyc.url(Endpoint::Token));
        let request = request.form(&form).build().unwrap();
        let start = Instant::now();
        let answer = self.client.execute(request).await.unwrap();
        let status = answer.status();
        let body = answer.bytes().await.unwrap();
        let time = start.elapsed();
        assert_eq!(status, 200, "{body:?}");
        (time, serde_json::from_slice(&body).unwrap())
    }

    /// Verifies only the signatures of both tokens. The benchmark decodes the tokens and the keys
    /// beforehand.
    fn signatures(&self, answer: &Value) -> Duration {
        let tokens = ["id_token", "access_token"].map(|name| {
            let token = answer[name].as_str().unwrap();
            let (input, signature) = token.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            (input, Signature::from_slice(&signature).unwrap())
        });
        let start = Instant::now();
        for (input, signature) in &tokens {
            black_box(&self.key)
                .verify(black_box(input.as_bytes()), black_box(signature))
                .unwrap();
        }
        start.elapsed()
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = str::from_utf8(answer).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.unwrap_or("0").parse() == Ok(body.len())
}
