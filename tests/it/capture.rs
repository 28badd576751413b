//! Tests that the app forwards an upload from a browser to the mock. Other tests cover the effect
//! of a decision on a session.

use std::{io, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::Path,
    routing::{get, post},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use kycport::{
    Assurance, ConfigBuilder, KycStatus, KycTier, RelyingParty, RunningApp, SignedIn,
    cases::{Case, CaseStatus, Outcome},
    mock::{Browser, Endpoint, MockIssuer, Page, Person, samples},
    web::{CaptureError, CaptureUpload},
};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

struct CaptureTest {
    kyc: MockIssuer,
    app: RunningApp,
    party: RelyingParty,
    ada: Person,
    browser: Browser,
    case: Case,
}

impl CaptureTest {
    async fn new() -> Self {
        Self::with(|config| config).await
    }

    async fn with(more: impl FnOnce(ConfigBuilder) -> ConfigBuilder) -> Self {
        let kyc = MockIssuer::start().await;
        let ada = kyc
            .person("ada")
            .status(KycStatus::Unverified)
            .tier(KycTier::T0)
            .create();
        let mut party = None;
        let app = kyc
            .serve(|config| {
                let kycport = RelyingParty::new(more(config).build().unwrap()).unwrap();
                party = Some(kycport.clone());
                Router::new()
                    .route("/upload/{case}", post(upload))
                    .route("/decide/{case}", post(decide))
                    .route("/assurance", get(assurance))
                    .route(
                        "/guarded",
                        get(async || "in").route_layer(kycport.require(KycTier::T2)),
                    )
                    .merge(kycport.router())
                    .layer(Extension(kycport.clone()))
                    .layer(kycport.session_layer())
            })
            .await
            .unwrap();
        let party = party.unwrap();
        let browser = kyc.browser();
        browser
            .sign_in(&app.url("/auth/login"), &ada)
            .await
            .unwrap();
        let case = party.cases().open(ada.id(), &KycTier::T2).await.unwrap();
        Self {
            kyc,
            app,
            party,
            ada,
            browser,
            case,
        }
    }

    fn cookie(&self) -> String {
        cookies(&self.browser, &self.app)
    }

    fn upload_path(&self) -> String {
        format!("/upload/{}", self.case.id)
    }

    /// Sends a form like the page's script, with the session cookie and from the same origin.
    async fn send(&self, form: Form) -> (u16, Value) {
        let boundary = form.boundary().to_owned();
        let body = reqwest::Body::wrap_stream(form.into_stream());
        self.send_raw(&format!("multipart/form-data; boundary={boundary}"), body)
            .await
    }

    async fn send_raw(&self, content_type: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let answer = reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .post(self.app.url(&self.upload_path()))
            .header("cookie", self.cookie())
            .header("sec-fetch-site", "same-origin")
            .header("content-type", content_type)
            .body(body)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    fn status(&self) -> CaseStatus {
        self.kyc.cases().find(&self.case.id).unwrap().status
    }

    async fn decide(&self) -> Page {
        let url = self.app.url(&format!("/decide/{}", self.case.id));
        self.browser.post_form(&url, &[]).await.unwrap()
    }

    async fn get(&self, path: &str) -> Page {
        self.browser.fetch(&self.app.url(path)).await.unwrap()
    }
}

fn cookies(browser: &Browser, app: &RunningApp) -> String {
    let cookies = browser.cookies(app.url("/"));
    let pairs = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("; ")
}

async fn upload(
    Extension(kycport): Extension<RelyingParty>,
    Path(case): Path<String>,
    person: SignedIn,
    upload: CaptureUpload,
) -> Result<Json<Value>, CaptureError> {
    let relayed = upload.forward(kycport.cases(), &person, &case).await?;
    Ok(Json(
        json!({ "received": relayed.received, "dropped": relayed.dropped }),
    ))
}

async fn decide(
    Extension(kycport): Extension<RelyingParty>,
    Path(case): Path<String>,
    _: SignedIn,
) -> Result<String, CaptureError> {
    let decision = kycport.cases().decide(&case).await?;
    Ok(decision.outcome.to_string())
}

async fn assurance(person: SignedIn) -> Json<Assurance> {
    Json(person.assurance().clone())
}

fn file(bytes: impl Into<reqwest::Body>, name: &'static str) -> Part {
    Part::stream(bytes).file_name(name)
}

fn document() -> Part {
    file(samples::document("ada"), "my passport.png")
}

fn good() -> Form {
    Form::new()
        .part("document", document())
        .part("selfie", file(samples::selfie("ada"), "me.PNG"))
}

#[tokio::test]
async fn texts_and_names_as_browsers_send_them_are_accepted() {
    // Covers threat case 123.
    let setup = CaptureTest::new().await;
    let form = Form::new()
        .text("liveness_mode", "Active")
        .text("applicant_address", "1 Main St\r\n\r\n  Springfield\r\n")
        .part(
            "document",
            file(samples::document("ada"), "Dr. Smith passport"),
        )
        .part("selfie", file(samples::selfie("ada"), "scan 12.03.2024"));
    let (status, body) = setup.send(form).await;
    assert_eq!(status, 200, "{body}");
    let kept = setup.kyc.cases().find(&setup.case.id).unwrap();
    assert_eq!(kept.texts["liveness_mode"], "active");
    assert_eq!(kept.texts["applicant_address"], "1 Main St, Springfield");
}

#[tokio::test]
async fn the_client_determines_names_and_media_types_itself() {
    // Covers threat case 123.
    let setup = CaptureTest::new().await;
    let form = good()
        .text("outcome", "approved")
        .text("applicant_risk_level", "low")
        .text("applicant_given_name", "Ada")
        .text("liveness_mode", "active")
        .text("csrf", "x")
        .text("\u{202e}".to_owned() + &"x".repeat(100), "x")
        .part(
            "document_back",
            file(samples::document_back("ada"), "the back.png"),
        )
        .percent_encode_noop();
    let (status, body) = setup.send(form).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        body["dropped"],
        json!([
            "outcome",
            "applicant_risk_level",
            "csrf",
            // The relay escapes and shortens a name, because logs and terminals show the name.
            "\\u{202e}".to_owned() + &"x".repeat(63),
        ])
    );
    let kept = setup.kyc.cases().find(&setup.case.id).unwrap();
    assert_eq!(kept.status, CaseStatus::DocumentsReceived);
    assert_eq!(kept.texts.len(), 2);
    assert_eq!(kept.texts["applicant_given_name"], "Ada");
    // The app does not forward the name of the file on the person's machine.
    assert_eq!(
        kept.files["document"].file_name.as_deref(),
        Some("document.png")
    );
    assert_eq!(
        kept.files["document_back"].file_name.as_deref(),
        Some("document_back.png")
    );
    assert_eq!(
        kept.files["document"].size,
        samples::document("ada").len() as u64
    );
}

#[tokio::test]
async fn an_invalid_upload_is_rejected_and_does_not_change_the_case() {
    // Covers threat cases 121, 123, 125.
    let setup = CaptureTest::new().await;
    let selfie = || file(samples::selfie("ada"), "me.png");
    let large = || samples::document_of_size("ada", 20 << 20);
    let with = |document: Part| {
        Form::new()
            .part("document", document)
            .part("selfie", selfie())
    };
    for (form, status, code) in [
        (with(file(Vec::new(), "a.png")), 400, "file_empty"),
        (with(file(large(), "a.png")), 413, "file_too_large"),
        (
            with(file("GIF89a, a picture", "a.gif")),
            415,
            "unsupported_media_type",
        ),
        (
            with(file(samples::document("ada"), "a.pdf")),
            415,
            "unsupported_media_type",
        ),
        (
            Form::new().part("document", document()),
            400,
            "part_missing",
        ),
        (Form::new(), 400, "malformed_upload"),
        (good().part("document", document()), 400, "part_twice"),
        (good().text("liveness_mode", "asleep"), 400, "invalid_field"),
        (good().text("applicant_Name", "Ada"), 400, "invalid_field"),
        (
            good().text("applicant_name", "x".repeat(2000)),
            400,
            "invalid_field",
        ),
        (
            good().text("applicant_name", "x".repeat(64 << 20)),
            400,
            "invalid_field",
        ),
        (
            good().text("junk", "x".repeat(64 << 20)),
            413,
            "upload_too_large",
        ),
    ] {
        let (answered, body) = setup.send(form).await;
        assert_eq!(
            (answered, body["code"].as_str()),
            (status, Some(code)),
            "{body}"
        );
        if code == "invalid_field" {
            let field = body["part"].as_str().unwrap();
            assert!(["liveness_mode", "applicant_Name", "applicant_name"].contains(&field));
        }
        assert_eq!(setup.status(), CaseStatus::Opened, "{code}");
    }
    let multipart = "multipart/form-data; boundary=b";
    let part = "--b\r\ncontent-disposition: form-data; name=\"x\"\r\n\r\nx\r\n";
    let (answered, body) = setup.send_raw(multipart, part.repeat(10_000)).await;
    assert_eq!(
        (answered, body["code"].as_str()),
        (413, Some("too_many_parts"))
    );
    let endless_head = vec![b'x'; 1 << 20];
    let endless_head = [b"--b\r\nx-head: ".as_slice(), &endless_head].concat();
    for (content_type, body) in [
        ("", Vec::new()),
        ("application/json", b"{}".to_vec()),
        ("multipart/form-data", b"--b--".to_vec()),
        (multipart, Vec::new()),
        (multipart, b"--b\r\n\r\n".to_vec()),
        (
            multipart,
            b"--b\r\ncontent-disposition: form-data; name=\"document\"\r\n\r\nhalf".to_vec(),
        ),
        (multipart, endless_head),
    ] {
        let (answered, body) = setup.send_raw(content_type, body).await;
        assert_eq!(answered, 400, "{content_type}: {body}");
        assert_eq!(setup.status(), CaseStatus::Opened);
    }
    let (answered, _) = setup.send(good()).await;
    assert_eq!(answered, 200);
}

#[tokio::test]
async fn a_rejected_file_is_explained_in_the_response() {
    let setup = CaptureTest::new().await;
    let form = |document: Part| {
        Form::new()
            .part("document", document)
            .part("selfie", file(samples::selfie("ada"), "me.png"))
    };
    for (document, detail) in [
        (
            file(samples::document("ada"), "a.pdf"),
            "The document is image/png by its content, but its file name says something else.",
        ),
        (
            file("GIF89a, a picture", "a.gif"),
            "The document must be one of these types: JPEG, PNG, WebP, PDF.",
        ),
        (
            file(samples::document_of_size("ada", 20 << 20), "a.png"),
            "The document is larger than 20 MiB.",
        ),
    ] {
        let (_, body) = setup.send(form(document)).await;
        assert_eq!(
            (&body["part"], &body["detail"]),
            (&json!("document"), &json!(detail))
        );
    }
    let back = file(samples::document_back("ada"), "a.pdf");
    let (_, body) = setup.send(good().part("document_back", back)).await;
    assert_eq!(body["part"], "document_back");
    let back = "The back of the document is image/png";
    assert!(body["detail"].as_str().unwrap().starts_with(back), "{body}");
}

#[tokio::test]
async fn an_upload_that_conflicts_with_the_state_of_the_case_gets_409() {
    // Covers threat case 124.
    let setup = CaptureTest::new().await;
    let status_and_code = |page: &Page| (page.status(), page.json()["code"].clone());
    let conflict = |code: &str| (409, json!(code));
    assert_eq!(
        status_and_code(&setup.decide().await),
        conflict("documents_missing")
    );
    // KYCPort counts two parallel copies of an upload as one upload.
    let (first, second) = tokio::join!(setup.send(good()), setup.send(good()));
    assert_eq!((first.0, second.0), (200, 200));
    assert_eq!(setup.kyc.cases().all().len(), 1);
    setup.kyc.cases().next_outcome(Outcome::Review);
    assert_eq!(setup.decide().await.body(), "review");
    assert_eq!(
        status_and_code(&setup.decide().await),
        conflict("decision_pending")
    );
    let (status, no) = setup.send(good()).await;
    assert_eq!((status, no["code"].clone()), conflict("case_not_open"));
    let cases = setup.kyc.cases();
    cases.review(&setup.case.id, &Outcome::Approved).unwrap();
    assert_eq!(
        status_and_code(&setup.decide().await),
        conflict("already_decided")
    );
}

#[tokio::test]
async fn an_empty_file_input_is_treated_as_absent() {
    let setup = CaptureTest::new().await;
    let nothing = || {
        file(Vec::new(), "")
            .mime_str("application/octet-stream")
            .unwrap()
    };
    let (status, body) = setup.send(good().part("document_back", nothing())).await;
    assert_eq!((status, &body["dropped"]), (200, &json!([])));
    let kept = setup.kyc.cases().find(&setup.case.id).unwrap();
    assert!(!kept.files.contains_key("document_back"));
    let form = Form::new()
        .part("document", document())
        .part("selfie", nothing());
    let (status, body) = setup.send(form).await;
    assert_eq!(
        (status, &body["code"], &body["part"]),
        (400, &json!("part_missing"), &json!("selfie"))
    );
}

#[tokio::test]
async fn an_upload_to_another_persons_case_is_rejected() {
    // Covers threat case 124.
    let mut setup = CaptureTest::new().await;
    let bob = setup.kyc.person("bob").create();
    let cases = setup.party.cases();
    setup.case = cases.open(bob.id(), &KycTier::T2).await.unwrap();
    setup.kyc.forget_requests();
    let (status, body) = setup.send(good()).await;
    assert_eq!(
        (status, body["code"].as_str()),
        (404, Some("case_not_found"))
    );
    // The client sent no request to KYCPort.
    setup.kyc.requests(Endpoint::UploadCase).assert_count(0);
    setup.case.id = "case_of_nobody".to_owned();
    let (status, again) = setup.send(good()).await;
    assert_eq!((status, &again["code"]), (404, &body["code"]));
}

#[tokio::test]
async fn an_error_of_kycport_reaches_a_browser_that_is_still_sending() {
    // Covers threat cases 121, 122.
    let setup = CaptureTest::new().await;
    let large = || {
        let document = file(samples::document_of_size("ada", 19 << 20), "a.png");
        Form::new()
            .part("document", document)
            .part("selfie", file(samples::selfie("ada"), "me.png"))
    };
    setup
        .kyc
        .switch(|switches| switches.max_upload_file_bytes = 1 << 20);
    let (status, body) = setup.send(large()).await;
    assert_eq!(
        (status, body["code"].as_str()),
        (502, Some("kycport_rejected"))
    );
    let limit = 20 << 20;
    let set = |switches: &mut kycport::mock::Switches| switches.max_upload_file_bytes = limit;
    setup.kyc.switch(set);
    let fault = setup.kyc.on(Endpoint::UploadCase).cut_after(1 << 20).once();
    let (status, body) = setup.send(large()).await;
    assert_eq!(
        (status, body["code"].as_str()),
        (504, Some("outcome_unknown"))
    );
    drop(fault);
    let _fault = setup.kyc.on(Endpoint::ReadCase).fail(500).times(3);
    let (status, body) = setup.send(large()).await;
    assert_eq!(
        (status, body["code"].as_str()),
        (503, Some("kycport_unavailable"))
    );
}

#[tokio::test]
async fn a_client_that_reads_only_after_sending_gets_the_error() {
    // Covers threat case 121.
    let setup = CaptureTest::new().await;
    let part =
        "--b\r\ncontent-disposition: form-data; name=\"document\"; filename=\"a.gif\"\r\n\r\n";
    let body = [part.as_bytes(), b"GIF89a", &vec![b'.'; 32 << 20]].concat();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: app\r\nconnection: close\r\ncookie: {}\r\n\
         sec-fetch-site: same-origin\r\ncontent-type: multipart/form-data; boundary=b\r\n\
         content-length: {}\r\n\r\n",
        setup.upload_path(),
        setup.cookie(),
        body.len()
    );
    let request = [head.as_bytes(), &body].concat();
    let answer = crate::support::raw(&setup.app, &request).await;
    assert!(answer.starts_with("HTTP/1.1 415"), "{answer}");
    assert!(answer.contains("unsupported_media_type"), "{answer}");
}

/// Begins an upload as this person without sending any form data. Returns when the app starts to
/// read the body.
async fn begin_slow_upload(app: &RunningApp, cookie: &str, path: &str) -> tokio::net::TcpStream {
    let (socket, answer) = begin_upload(app, cookie, path).await;
    assert!(answer.starts_with("HTTP/1.1 100"), "{answer}");
    socket
}

/// Starts an upload that waits for permission to send its body. Returns the start of the response.
async fn begin_upload(
    app: &RunningApp,
    cookie: &str,
    path: &str,
) -> (tokio::net::TcpStream, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = app.url("").replace("http://", "");
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: app\r\ncookie: {cookie}\r\n\
         sec-fetch-site: same-origin\r\ncontent-type: multipart/form-data; boundary=b\r\n\
         content-length: 1048576\r\nexpect: 100-continue\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 64];
    let read = socket.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    (socket, answer)
}

#[tokio::test]
async fn slow_uploads_do_not_block_other_people() {
    // Covers threat case 122.
    let setup = CaptureTest::new().await;
    let mut slow = Vec::new();
    for person in 0..16 {
        let person = setup.kyc.person(&format!("slow{person}")).create();
        let browser = setup.kyc.browser();
        let login = setup.app.url("/auth/login");
        browser.sign_in(&login, &person).await.unwrap();
        let case = setup.party.cases().open(person.id(), &KycTier::T2).await;
        let path = format!("/upload/{}", case.unwrap().id);
        let cookie = cookies(&browser, &setup.app);
        for _ in 0..4 {
            slow.push(begin_slow_upload(&setup.app, &cookie, &path).await);
        }
    }
    // Ada also has one slow upload. In this upload, the app has received the first bytes of a file.
    let mut own = begin_slow_upload(&setup.app, &setup.cookie(), &setup.upload_path()).await;
    let part =
        b"--b\r\ncontent-disposition: form-data; name=\"document\"; filename=\"a.png\"\r\n\r\n";
    let begun = [part.as_slice(), &samples::document("ada")].concat();
    tokio::io::AsyncWriteExt::write_all(&mut own, &begun)
        .await
        .unwrap();
    let sent = tokio::time::timeout(Duration::from_secs(8), setup.send(good()));
    let (status, told) = sent.await.expect("slow uploads block another person");
    assert_eq!(status, 200, "{told}");
}

#[tokio::test]
async fn a_person_has_at_most_four_uploads_in_progress() {
    // Covers threat case 122.
    let setup = CaptureTest::new().await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(begin_slow_upload(&setup.app, &setup.cookie(), &setup.upload_path()).await);
    }
    let (status, told) = setup.send(good()).await;
    assert_eq!(
        (status, told["code"].as_str()),
        (429, Some("too_many_uploads"))
    );
    // The app does not read the body of a rejected upload.
    let (socket, answer) = begin_upload(&setup.app, &setup.cookie(), &setup.upload_path()).await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    drop(socket);
    // Another upload can start after an upload was aborted.
    drop(slow);
    for _ in 0..10_000 {
        if setup.send(good()).await.0 == 200 {
            return;
        }
    }
    panic!("the cancelled uploads still use capacity");
}

#[tokio::test]
async fn a_disconnected_browser_cancels_its_upload() {
    // Covers threat case 122.
    let setup = CaptureTest::new().await;
    let size = 3 << 20;
    let document = samples::document_of_size("ada", size);
    let head =
        b"--b\r\ncontent-disposition: form-data; name=\"document\"; filename=\"a.png\"\r\n\r\n";
    for third in [1, size / 2, size] {
        let begun = Bytes::from([head.as_slice(), &document[..third]].concat());
        let broken = stream::iter([Ok(begun)]).chain(stream::once(async {
            Err(io::Error::from(io::ErrorKind::BrokenPipe))
        }));
        let sent = reqwest::Client::new()
            .post(setup.app.url(&setup.upload_path()))
            .header("cookie", setup.cookie())
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "multipart/form-data; boundary=b")
            .body(reqwest::Body::wrap_stream(broken))
            .send()
            .await;
        sent.unwrap_err();
        assert_eq!(setup.status(), CaseStatus::Opened);
    }
    let (status, _) = setup.send(good()).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_decision_updates_the_active_session_immediately() {
    let setup = CaptureTest::new().await;
    let before = setup.get("/guarded").await;
    assert_ne!(before.status(), 200);
    let (status, _) = setup.send(good()).await;
    assert_eq!(status, 200);
    setup.kyc.cases().next_outcome(Outcome::Review);
    assert_eq!(setup.decide().await.body(), "review");
    assert_eq!(
        setup.get("/assurance").await.json()["kyc_status"],
        "pending"
    );
    setup
        .kyc
        .cases()
        .review(&setup.case.id, &Outcome::Approved)
        .unwrap();
    let waiting = setup.party.cases();
    waiting
        .wait_until_decided(&setup.case.id, Duration::from_secs(30))
        .await
        .unwrap();
    let assurance = setup.get("/assurance").await.json();
    assert_eq!(
        (&assurance["kyc_status"], &assurance["kyc_tier"]),
        (&json!("verified"), &json!("t2"))
    );
    assert_eq!(setup.get("/guarded").await.status(), 200);
}

#[tokio::test]
async fn only_a_negative_decision_applies_without_the_status_endpoint() {
    for (outcome, status, guarded) in [
        (Outcome::Rejected, "rejected", 503),
        (Outcome::Review, "pending", 503),
        (Outcome::Approved, "verified", 200),
    ] {
        let setup = CaptureTest::new().await;
        setup.ada.verify(KycTier::T2);
        assert_eq!(setup.get("/guarded").await.status(), 200);
        let (sent, _) = setup.send(good()).await;
        assert_eq!(sent, 200);
        let _fault = setup.kyc.on(Endpoint::Status).fail(500).optional().always();
        setup.kyc.cases().next_outcome(outcome.clone());
        setup.party.cases().decide(&setup.case.id).await.unwrap();
        let assurance = setup.get("/assurance").await.json();
        assert_eq!(assurance["kyc_status"], status, "{outcome}");
        // The guard requests the status if the stored result is not positive, and this request
        // fails.
        assert_eq!(setup.get("/guarded").await.status(), guarded, "{outcome}");
    }
}
