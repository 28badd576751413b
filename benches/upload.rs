//! Benchmark of the memory and time of an upload of 64 MiB. A browser uploads through this crate's
//! relay to KYCPort, and a server uploads a file from its disk with this crate's client. The
//! benchmark compares both uploads with plain reqwest and the same file.
//!
//! Run with `cargo bench --bench upload`. The tenant's app runs in a separate process, so its peak
//! memory (`VmHWM`, Linux) contains only the memory of the relay. A sink that discards each upload
//! replaces KYCPort, because the mock hashes uploads. The sink reads either as fast as possible or
//! slowly. The upload paths take turns within one run. Other load on the machine therefore affects
//! all paths.

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
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    routing::{get, post},
};
use bytes::BytesMut;
use futures_util::{StreamExt as _, future, stream};
use kycport::{
    Config, KycTier, RelyingParty, SignedIn,
    cases::{CaptureFile, Upload},
    mock::{MockIssuer, samples},
    web::{CaptureError, CaptureUpload},
};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tokio::{fs::File, io::AsyncReadExt as _, net::TcpListener};

const SIZE: usize = 64 << 20;
const ROUNDS: usize = 31;
/// Number of warm-up rounds, which the benchmark does not count.
const WARM_UP: usize = 4;
const CASE: &str = "case_of_the_bench";
/// Environment variable that makes the process run the app.
const IS_APP: &str = "KYCPORT_BENCH_UPLOAD_APP";

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if env::var_os(IS_APP).is_some() {
        return runtime.block_on(tenant());
    }
    let folder = env::temp_dir().join(format!("kycport-upload-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    runtime.block_on(measure(&folder.join("document.png")));
    fs::remove_dir_all(&folder).unwrap();
}

async fn measure(file: &Path) {
    fs::write(file, samples::document_of_size("ada", SIZE)).unwrap();
    let kyc = MockIssuer::start().await;
    let sink = Sink::start();
    memory(&kyc, &sink, file).await;
    let setup = UploadBench::start(&kyc, &sink, file).await;
    println!("upload of 64 MiB from a browser, time per upload:");
    let ways = [
        ("reqwest to the sink", Way::Direct),
        ("reqwest through a pipe to the sink", Way::Piped),
        (
            "reqwest through the relay to the sink",
            Way::ForwardedUpload,
        ),
    ];
    compare(&setup, &ways).await;
    println!("upload of a server's own file, time per upload:");
    let ways = [
        ("reqwest, Part::file", Way::DirectFile),
        ("reqwest, pieces of 64 KiB", Way::Direct),
        ("cases().upload", Way::Own),
    ];
    compare(&setup, &ways).await;
}

/// Path of an upload.
#[derive(Clone, Copy)]
enum Way {
    /// From this process to the sink, with bytes in memory.
    Direct,
    /// From this process to the sink, with the file read by reqwest.
    DirectFile,
    /// Through an app that forwards the body without reading it. This path shows the cost of a hop.
    Piped,
    /// Through an app that uses `CaptureUpload::forward`.
    ForwardedUpload,
    /// With `CaseClient::upload` in this process.
    Own,
}

async fn compare(setup: &UploadBench, ways: &[(&str, Way)]) {
    let mut times = vec![Vec::with_capacity(ROUNDS); ways.len()];
    for round in 0..WARM_UP + ROUNDS {
        for ((_, way), times) in ways.iter().zip(&mut times) {
            let start = Instant::now();
            setup.upload(*way).await;
            if round >= WARM_UP {
                times.push(start.elapsed().as_secs_f64());
            }
        }
    }
    // Each round gives separate ratios. The benchmark reports the median ratio.
    let ratio_to = |other: usize, own: usize| {
        let ratios = times[other].iter().zip(&times[own]);
        median(ratios.map(|(other, own)| other / own).collect())
    };
    for (own, (name, _)) in ways.iter().enumerate() {
        let time = median(times[own].clone());
        print!(
            "  {name:<38} {:>7.1} ms {:>7.0} MiB/s",
            time * 1e3,
            64.0 / time
        );
        for (other, (name, _)) in ways.iter().enumerate().take(own) {
            print!("   {:.3} of {name}", ratio_to(other, own));
        }
        println!();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Starts a new app process for each path, and measures its peak memory above its idle memory.
async fn memory(kyc: &MockIssuer, sink: &Sink, file: &Path) {
    println!("peak memory of the app's process above its idle memory, for uploads of 64 MiB:");
    for (name, way, is_slow, at_once) in [
        ("the relay", Way::ForwardedUpload, false, 1),
        ("the relay, KYCPort slow", Way::ForwardedUpload, true, 1),
        ("the relay, 8 in parallel", Way::ForwardedUpload, false, 8),
        (
            "the relay, 8 in parallel, KYCPort slow",
            Way::ForwardedUpload,
            true,
            8,
        ),
        ("a pipe", Way::Piped, false, 1),
        ("a pipe, KYCPort slow", Way::Piped, true, 1),
        ("cases().upload", Way::Own, false, 1),
        ("cases().upload, KYCPort slow", Way::Own, true, 1),
    ] {
        let setup = UploadBench::start(kyc, sink, file).await;
        // The idle memory includes the code and tables that the first upload loads.
        setup.warm_up(way).await;
        let idle = setup.app.memory("reset").await;
        sink.is_slow.store(is_slow, Ordering::Relaxed);
        let uploads = (0..at_once).map(|_| setup.upload_in_app(way));
        future::join_all(uploads).await;
        sink.is_slow.store(false, Ordering::Relaxed);
        let peak = setup.app.memory("read").await;
        println!(
            "  {name:<38} {:>10} bytes, idle at {}",
            peak.peak - idle.now,
            idle.now
        );
    }
}

/// The tenant's app, and the values that a browser needs for an upload.
struct UploadBench {
    app: App,
    party: RelyingParty,
    client: reqwest::Client,
    cookie: String,
    sink: String,
    file: PathBuf,
}

impl UploadBench {
    async fn start(kyc: &MockIssuer, sink: &Sink, file: &Path) -> Self {
        let app = App::start(kyc, sink);
        let ada = kyc.find_person("ada");
        let ada = ada.unwrap_or_else(|| kyc.person("ada").create());
        sink.person.set(ada.id().to_owned()).ok();
        let browser = kyc.browser();
        let login = format!("{}/auth/login", app.origin);
        browser.sign_in(&login, &ada).await.unwrap();
        let key = browser.cookie(&app.origin, "__Host-kycport").unwrap();
        let config = kyc
            .config("http://127.0.0.1:1/auth/callback")
            .api_base_url(&sink.origin)
            .max_upload_file_bytes(2 * SIZE as u64);
        Self {
            app,
            party: RelyingParty::new(config.build().unwrap()).unwrap(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            cookie: format!("__Host-kycport={key}"),
            sink: sink.url(),
            file: file.to_owned(),
        }
    }

    async fn upload(&self, way: Way) {
        match way {
            Way::Own => own_upload(&self.party, &self.file).await,
            Way::DirectFile => self.send(way, form_of_a_file(&self.file).await).await,
            other => self.send(other, form(&self.file).await).await,
        }
    }

    /// Performs an upload. For `Own`, the app itself sends the file, because the benchmark measures
    /// the memory of the app.
    async fn upload_in_app(&self, way: Way) {
        match way {
            Way::Own => {
                let url = format!("{}/own?file={}", self.app.origin, self.file.display());
                let answer = self.client.post(url).send().await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK);
            }
            other => self.send(other, form(&self.file).await).await,
        }
    }

    async fn warm_up(&self, way: Way) {
        let small = self.file.with_file_name("small.png");
        fs::write(&small, samples::document("ada")).unwrap();
        for _ in 0..3 {
            match way {
                Way::Own => {
                    let url = format!("{}/own?file={}", self.app.origin, small.display());
                    self.client.post(url).send().await.unwrap();
                }
                other => self.send(other, form(&small).await).await,
            }
        }
    }

    async fn send(&self, way: Way, form: Form) {
        let url = match way {
            Way::Piped => format!("{}/pipe", self.app.origin),
            Way::ForwardedUpload => format!("{}/relay", self.app.origin),
            Way::Direct | Way::DirectFile | Way::Own => self.sink.clone(),
        };
        let request = self.client.post(url).multipart(form);
        let request = request
            .header("cookie", &self.cookie)
            .header("sec-fetch-site", "same-origin");
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{body}");
    }
}

/// Reads the file like reqwest, in pieces of 4 KiB. Reading takes longer than sending.
async fn form_of_a_file(file: &Path) -> Form {
    form_with(Part::file(file).await.unwrap())
}

/// Reads the file in pieces of 64 KiB, as fast as a browser.
async fn form(file: &Path) -> Form {
    let file = File::open(file).await.unwrap();
    let length = file.metadata().await.unwrap().len();
    let pieces = stream::try_unfold(file, |mut file| async {
        let mut piece = BytesMut::with_capacity(64 * 1024);
        let read = file.read_buf(&mut piece).await?;
        Ok::<_, io::Error>((read > 0).then(|| (piece.freeze(), file)))
    });
    let body = reqwest::Body::wrap_stream(pieces);
    form_with(Part::stream_with_length(body, length).file_name("document.png"))
}

fn form_with(document: Part) -> Form {
    let selfie = Part::bytes(samples::selfie("ada")).file_name("selfie.png");
    Form::new()
        .part("document", document)
        .part("selfie", selfie)
}

async fn own_upload(kycport: &RelyingParty, file: &Path) {
    let selfie = CaptureFile::bytes(samples::selfie("ada"));
    let upload = Upload::new(CaptureFile::path(file), selfie);
    kycport.cases().upload(CASE, upload).await.unwrap();
}

/// Substitute for KYCPort's case API. The substitute has one case, and reads each upload to its
/// end.
struct Sink {
    origin: String,
    person: Arc<OnceLock<String>>,
    is_slow: Arc<AtomicBool>,
}

impl Sink {
    fn start() -> Self {
        let person = Arc::new(OnceLock::<String>::new());
        let is_slow = Arc::new(AtomicBool::new(false));
        let (whose, slow) = (Arc::clone(&person), Arc::clone(&is_slow));
        let case = format!("/api/v1/verification/cases/{CASE}/");
        let app = Router::new()
            .route(
                &case,
                get(async move || {
                    let person = whose.get().cloned();
                    let level = KycTier::T2;
                    Json(json!({ "id": CASE, "person_id": person, "level": level, "status": "opened" }))
                }),
            )
            .route(
                &format!("{case}upload/"),
                post(async move |body: Body| {
                    let mut body = body.into_data_stream();
                    while let Some(piece) = body.next().await {
                        piece.unwrap();
                        if slow.load(Ordering::Relaxed) {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }
                    }
                    Json(json!({ "received": ["document", "selfie"] }))
                }),
            );
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await
        });
        Self {
            origin,
            person,
            is_slow,
        }
    }

    fn url(&self) -> String {
        format!("{}/api/v1/verification/cases/{CASE}/upload/", self.origin)
    }
}

/// Process of the tenant's app.
struct App {
    origin: String,
    child: Child,
}

struct Memory {
    now: u64,
    peak: u64,
}

impl App {
    fn start(kyc: &MockIssuer, sink: &Sink) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .env(IS_APP, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let origin = line.trim().to_owned();
        let environment = kyc.environment(format!("{origin}/auth/callback"));
        let mut settings: BTreeMap<_, _> = environment.into_iter().collect();
        settings.insert("KYCPORT_API_BASE_URL", sink.origin.clone());
        settings.insert("SINK", sink.url());
        let settings = serde_json::to_string(&settings).unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{settings}").unwrap();
        Self { origin, child }
    }

    async fn memory(&self, what: &str) -> Memory {
        let answer = reqwest::get(format!("{}/memory/{what}", self.origin));
        let text = answer.await.unwrap().text().await.unwrap();
        let said: Value = serde_json::from_str(&text).unwrap();
        Memory {
            now: said["now"].as_u64().unwrap(),
            peak: said["peak"].as_u64().unwrap(),
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[derive(Clone)]
struct Tenant {
    kycport: RelyingParty,
    client: reqwest::Client,
    sink: String,
}

/// Runs the tenant's app in the other process.
async fn tenant() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    let mut line = String::new();
    io::stdin().read_line(&mut line).unwrap();
    let settings: BTreeMap<String, String> = serde_json::from_str(&line).unwrap();
    let given = |name: &str| settings[name].clone();
    let config = Config::builder(given("KYCPORT_CLIENT_ID"), given("KYCPORT_REDIRECT_URI"))
        .issuer(given("KYCPORT_ISSUER"))
        .discovery_url(given("KYCPORT_DISCOVERY_URL"))
        .api_base_url(given("KYCPORT_API_BASE_URL"))
        .client_secret(given("KYCPORT_CLIENT_SECRET"))
        .tenant_api_key(given("KYCPORT_TENANT_API_KEY"))
        .max_upload_file_bytes(2 * SIZE as u64);
    let kycport = RelyingParty::new(config.build().unwrap()).unwrap();
    let app = Router::new()
        .route("/relay", post(relay))
        .route("/pipe", post(pipe))
        .route("/own", post(own))
        .route("/memory/reset", get(async || memory_now(true)))
        .route("/memory/read", get(async || memory_now(false)))
        .merge(kycport.router())
        .layer(kycport.session_layer())
        .with_state(Tenant {
            kycport,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            sink: given("SINK"),
        });
    axum::serve(listener, app).await.unwrap();
}

async fn relay(
    State(tenant): State<Tenant>,
    person: SignedIn,
    upload: CaptureUpload,
) -> Result<(), CaptureError> {
    let cases = tenant.kycport.cases();
    upload.forward(cases, &person, CASE).await.map(drop)
}

async fn pipe(State(tenant): State<Tenant>, headers: HeaderMap, body: Body) {
    let body = reqwest::Body::wrap_stream(body.into_data_stream());
    let request = tenant.client.post(&tenant.sink).body(body);
    let request = request.header(CONTENT_TYPE, &headers[CONTENT_TYPE]);
    let answer = request.send().await.unwrap();
    answer.error_for_status().unwrap().text().await.unwrap();
}

async fn own(State(tenant): State<Tenant>, Query(what): Query<BTreeMap<String, String>>) {
    own_upload(&tenant.kycport, Path::new(&what["file"])).await;
}

/// Returns the current and the peak memory of this process in bytes. `reset` sets the peak to the
/// current value.
fn memory_now(reset: bool) -> Json<Value> {
    if reset {
        fs::write("/proc/self/clear_refs", "5").unwrap();
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    };
    Json(json!({ "now": bytes("VmRSS:"), "peak": bytes("VmHWM:") }))
}
