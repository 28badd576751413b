//! HTTP client for the admin API of a mock in another process.

use std::time::Duration;

use reqwest::{Certificate, Client, Method};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use url::Url;

use crate::mock::{http::segment, overview::ADMIN_PATH};

/// Error for a failed request to a mock in another process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The environment variable `KYCPORT_MOCK_URL` is not set.
    #[error("`KYCPORT_MOCK_URL` is not set: start `kycport-mock` and set the variable to its URL")]
    MissingUrl,
    /// No server responds at the URL.
    #[error("no kycport-mock responds at {url}: start one with `kycport-mock`, or correct the URL")]
    Unreachable {
        /// The URL of the mock.
        url: String,
    },
    /// The server at the URL is not a mock, or has another version.
    #[error("the server at {url} is not a kycport-mock of this version")]
    NotAMock {
        /// The URL of the mock.
        url: String,
    },
    /// The mock rejected the request.
    #[error("the mock rejected the request: {message} ({status})")]
    Rejected {
        /// The HTTP status of the response.
        status: u16,
        /// The reason of the rejection.
        message: String,
    },
    /// The mock did not finish some deliveries in time.
    #[error("the deliveries were not finished in time: {0}")]
    Unsettled(String),
}

/// Client for the admin API of one issuer.
#[derive(Clone)]
pub(in crate::mock) struct AdminClient {
    http: Client,
    /// The issuer's origin, without a trailing slash and without the token.
    origin: String,
    token: Option<String>,
}

impl AdminClient {
    /// Creates a client for the issuer at `origin`.
    ///
    /// If the mock requires the admin token, `origin` contains the token as its password. For a
    /// mock with TLS, the client trusts only the certificate `root_pem`.
    pub(in crate::mock) fn new(origin: &str, root_pem: Option<&str>) -> Result<Self, RemoteError> {
        let (origin, token) = split_token(origin);
        let origin = origin.as_str();
        let not_a_mock = |_| RemoteError::NotAMock {
            url: origin.to_owned(),
        };
        // Use no proxy, because the mock usually runs on this machine.
        let mut builder = Client::builder().no_proxy().timeout(REQUEST_TIMEOUT);
        builder = match root_pem {
            Some(root) => {
                let root = Certificate::from_pem(root.as_bytes()).map_err(not_a_mock)?;
                builder.tls_certs_only([root])
            }
            // Load no certificates for plain HTTP, because loading the system's certificates takes
            // time.
            None if origin.starts_with("http:") => builder.tls_certs_only([]),
            None => builder,
        };
        Ok(Self {
            http: builder.build().map_err(not_a_mock)?,
            origin: origin.to_owned(),
            token,
        })
    }

    pub(in crate::mock) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<T, RemoteError> {
        self.send(Method::GET, path, None::<&Value>).await
    }

    pub(in crate::mock) async fn delete(&self, path: &str) -> Result<Value, RemoteError> {
        self.send(Method::DELETE, path, None::<&Value>).await
    }

    pub(in crate::mock) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RemoteError> {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(in crate::mock) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RemoteError> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, RemoteError> {
        let url = || self.origin.clone();
        let unreachable = |_| RemoteError::Unreachable { url: url() };
        let mut request = self
            .http
            .request(method, format!("{}{ADMIN_PATH}{path}", url()));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            let body = serde_json::to_vec(body).unwrap_or_default();
            request = request
                .header("content-type", "application/json")
                .body(body);
        }
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            let not_a_mock = |_| RemoteError::NotAMock { url: url() };
            return serde_json::from_slice(&body).map_err(not_a_mock);
        }
        // A server that is not a mock sends errors in another format.
        match serde_json::from_slice(&body) {
            Ok(ErrorBody { message }) => Err(RemoteError::Rejected {
                status: status.as_u16(),
                message,
            }),
            Err(_) => Err(RemoteError::NotAMock { url: url() }),
        }
    }
}

/// Removes the password from an origin. No error message then contains the password.
fn split_token(origin: &str) -> (String, Option<String>) {
    let mut bare = origin.trim_end_matches('/').to_owned();
    let Ok(mut url) = Url::parse(origin) else {
        return (bare, None);
    };
    let token = url.password().and_then(segment::decode);
    if token.is_some() && url.set_password(None).is_ok() && url.set_username("").is_ok() {
        url.as_str().trim_end_matches('/').clone_into(&mut bare);
    }
    (bare, token)
}

/// Returns the origin with the token as its password.
pub(super) fn with_token(origin: &str, token: &str) -> String {
    match origin.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://:{}@{host}", segment::encode(token)),
        None => origin.to_owned(),
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    message: String,
}

/// Maximum time for a request. The limit is longer than the maximum time that the mock waits for
/// deliveries.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);
