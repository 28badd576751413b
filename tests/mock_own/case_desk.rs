//! Helpers for the tests of the case engine. The client sends each request as raw bytes.

use kycport::{
    KycStatus, KycTier,
    cases::CaseStatus,
    mock::{CaseSnapshot, MockIssuer, Person, Tenant, samples},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

pub(crate) const CASES: &str = "/api/v1/verification/cases/";
pub(crate) const MULTIPART: &str = "multipart/form-data; boundary=b";

pub(crate) struct CaseClient {
    pub(crate) kyc: MockIssuer,
    pub(crate) ada: Person,
    http: reqwest::Client,
}

impl CaseClient {
    pub(crate) async fn new() -> Self {
        Self::with(MockIssuer::start().await)
    }

    pub(crate) fn with(kyc: MockIssuer) -> Self {
        let ada = kyc.person("ada").status(KycStatus::Unverified);
        let ada = ada.tier(KycTier::T0).create();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { kyc, ada, http }
    }

    pub(crate) fn person(&self, slug: &str) -> Person {
        let person = self.kyc.person(slug).status(KycStatus::Unverified);
        person.tier(KycTier::T0).create()
    }

    pub(crate) fn request(&self, method: &str, path: &str, tenant: &Tenant) -> Request {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{path}", self.kyc.origin());
        Request(self.http.request(method, url).bearer_auth(tenant.api_key()))
    }

    pub(crate) async fn open_as(&self, tenant: &Tenant, person: &Person) -> String {
        let body = json!({ "person_id": person.id(), "level": "t2" });
        let request = self.request("POST", CASES, tenant);
        let (status, received) = request.body("application/json", body.to_string()).await;
        assert_eq!(status, 201);
        received["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn open(&self, person: &Person) -> String {
        self.open_as(self.kyc.tenant(), person).await
    }

    pub(crate) async fn upload_as(
        &self,
        tenant: &Tenant,
        case: &str,
        parts: &[Part],
    ) -> (u16, Value) {
        let path = format!("{CASES}{case}/upload/");
        let request = self.request("POST", &path, tenant);
        request.body(MULTIPART, form(parts)).await
    }

    pub(crate) async fn upload(&self, case: &str, parts: &[Part]) -> (u16, Value) {
        self.upload_as(self.kyc.tenant(), case, parts).await
    }

    pub(crate) async fn decide(&self, case: &str) -> (u16, Value) {
        let path = format!("{CASES}{case}/decide/");
        self.request("POST", &path, self.kyc.tenant()).send().await
    }

    pub(crate) async fn read(&self, case: &str) -> Value {
        let path = format!("{CASES}{case}/");
        let request = self.request("GET", &path, self.kyc.tenant());
        request.send().await.1
    }

    pub(crate) fn now(&self, case: &str) -> CaseSnapshot {
        self.kyc.cases().find(case).unwrap()
    }

    pub(crate) fn assert_untouched(&self, case: &str, why: &str) {
        let now = self.now(case);
        let found = (now.status, now.files.len(), now.texts.len());
        assert_eq!(found, (CaseStatus::Opened, 0, 0), "{why}");
    }

    /// Sends the headers of an upload with this content length, and does not send the body.
    pub(crate) async fn begin_upload(&self, case: &str, length: usize) -> TcpStream {
        let address = self.kyc.origin().strip_prefix("http://").unwrap();
        let mut socket = TcpStream::connect(address).await.unwrap();
        let key = self.kyc.tenant().api_key();
        let head = format!(
            "POST {CASES}{case}/upload/ HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
             content-type: {MULTIPART}\r\ncontent-length: {length}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
    }
}

pub(crate) struct Request(reqwest::RequestBuilder);

impl Request {
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub(crate) async fn body(
        self,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> (u16, Value) {
        let request = self.0.header("content-type", content_type).body(body);
        Self(request).send().await
    }

    /// Sends the request. Returns the status and the JSON body, or `null` if the body is not JSON.
    pub(crate) async fn send(self) -> (u16, Value) {
        let answer = self.0.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_default())
    }
}

/// Name, content type and content of a part. The content type of a text part is empty.
pub(crate) type Part = (&'static str, &'static str, Vec<u8>);

pub(crate) fn form(parts: &[Part]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content_type, content) in parts {
        let file = if content_type.is_empty() {
            String::new()
        } else {
            format!("; filename=\"f\"\r\ncontent-type: {content_type}")
        };
        let head = format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b--\r\n");
    body
}

pub(crate) fn pictures(seed: &str) -> [Part; 2] {
    let selfie = ("selfie", "image/png", samples::selfie(seed));
    [("document", "image/png", samples::document(seed)), selfie]
}

pub(crate) fn error_body(error: &str) -> Value {
    json!({ "error": error })
}

/// Reads until the response contains `end`, or until the connection closes.
pub(crate) async fn answer(socket: &mut TcpStream, end: &str) -> String {
    let mut received = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&received).contains(end) {
        match socket.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(read) => received.extend(piece.iter().take(read)),
        }
    }
    String::from_utf8(received).unwrap()
}
