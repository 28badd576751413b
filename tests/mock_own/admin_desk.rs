//! Client of the admin API, which sends plain HTTP requests like a script in another language.

use kycport::mock::MockIssuer;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

pub(crate) struct AdminClient {
    pub(crate) kyc: MockIssuer,
    http: Client,
}

impl AdminClient {
    pub(crate) async fn new() -> Self {
        Self::with(MockIssuer::builder().admin().start().await.unwrap())
    }

    pub(crate) fn with(kyc: MockIssuer) -> Self {
        Self {
            kyc,
            // Opens a new connection for each request. The client therefore does not reuse a
            // connection to a stopped server.
            http: Client::builder()
                .no_proxy()
                .pool_max_idle_per_host(0)
                .build()
                .unwrap(),
        }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = format!("{}/__mock{path}", self.kyc.origin());
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.http.request(method, url)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        good(self.request("GET", path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Value {
        good(self.request("DELETE", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        good(with(self.request("POST", path), body)).await
    }

    /// Sends a POST request without a body.
    pub(crate) async fn step(&self, path: &str) -> Value {
        good(self.request("POST", path)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Value {
        good(with(self.request("PATCH", path), body)).await
    }

    /// Sends a request that the admin API must reject. Returns the status, the error code and the
    /// message.
    pub(crate) async fn rejection(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> (u16, String, String) {
        let request = self.request(method, path);
        let request = if body.is_null() {
            request
        } else {
            with(request, body)
        };
        let (status, body) = answer(request).await;
        let keys: Vec<_> = body.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["error", "message"], "{body}");
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        (status, text("error"), text("message"))
    }
}

pub(crate) fn with(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request
        .header("content-type", "application/json")
        .body(body.to_string())
}

pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.text().await.unwrap();
    let json = serde_json::from_str(&body).unwrap_or_else(|_| json!({ "not JSON": body }));
    (status, json)
}

async fn good(request: RequestBuilder) -> Value {
    let (status, body) = answer(request).await;
    assert!((200..300).contains(&status), "{status} {body}");
    body
}
