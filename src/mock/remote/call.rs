//! Asking a mock in another process.

use std::{fmt::Write as _, time::Duration};

use reqwest::{Certificate, Client, Method};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use url::Url;

use crate::mock::{http::segment::decode, overview::ADMIN_PATH};

/// Why a mock in another process could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// Nothing says where it is.
    #[error("`KYCPORT_MOCK_URL` is not set: start `kycport-mock`, and name its address there")]
    NoUrl,
    /// Nobody answers there.
    #[error(
        "no kycport-mock answers at {url}: start one with `kycport-mock`, or say where it runs"
    )]
    NobodyThere {
        /// Where it was looked for.
        url: String,
    },
    /// What answers there is no mock of this version.
    #[error("what answers at {url} is no kycport-mock of this version")]
    Stranger {
        /// Where it was looked for.
        url: String,
    },
    /// It said no.
    #[error("the mock said no: {message} ({status})")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// Why.
        message: String,
    },
    /// Not everything was delivered in time.
    #[error("the deliveries did not settle: {0}")]
    Unsettled(String),
}

/// The admin API of one issuer.
#[derive(Clone)]
pub(in crate::mock) struct Admin {
    http: Client,
    /// Without a slash at the end.
    origin: String,
    token: Option<String>,
}

impl Admin {
    /// `origin` is where the issuer is, with the admin token as password if it asks for it; whose
    /// certificate is to be trusted alone, if it speaks TLS.
    pub(in crate::mock) fn new(origin: &str, root_pem: Option<&str>) -> Result<Self, RemoteError> {
        let (origin, token) = split(origin);
        let origin = origin.as_str();
        let stranger = |_| RemoteError::Stranger {
            url: origin.to_owned(),
        };
        // It is on this machine, and no proxy is.
        let mut builder = Client::builder().no_proxy().timeout(PATIENCE);
        builder = match root_pem {
            Some(root) => {
                let root = Certificate::from_pem(root.as_bytes()).map_err(stranger)?;
                builder.tls_certs_only([root])
            }
            // Plain HTTP needs none, and reading the machine's takes its time.
            None if origin.starts_with("http:") => builder.tls_certs_only([]),
            None => builder,
        };
        Ok(Self {
            http: builder.build().map_err(stranger)?,
            origin: origin.to_owned(),
            token,
        })
    }

    pub(in crate::mock) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<T, RemoteError> {
        self.ask(Method::GET, path, None::<&Value>).await
    }

    pub(in crate::mock) async fn delete(&self, path: &str) -> Result<Value, RemoteError> {
        self.ask(Method::DELETE, path, None::<&Value>).await
    }

    pub(in crate::mock) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RemoteError> {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub(in crate::mock) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RemoteError> {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, RemoteError> {
        let url = || self.origin.clone();
        let nobody = |_| RemoteError::NobodyThere { url: url() };
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
        let answer = request.send().await.map_err(nobody)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(nobody)?;
        if status.is_success() {
            let stranger = |_| RemoteError::Stranger { url: url() };
            return serde_json::from_slice(&body).map_err(stranger);
        }
        // A mock without this API says no in another way.
        match serde_json::from_slice(&body) {
            Ok(No { message }) => Err(RemoteError::Rejected {
                status: status.as_u16(),
                message,
            }),
            Err(_) => Err(RemoteError::Stranger { url: url() }),
        }
    }
}

/// Takes the password out of an origin: it stands in no error.
fn split(origin: &str) -> (String, Option<String>) {
    let mut bare = origin.trim_end_matches('/').to_owned();
    let Ok(mut url) = Url::parse(origin) else {
        return (bare, None);
    };
    let token = url.password().and_then(decode);
    if token.is_some() && url.set_password(None).is_ok() && url.set_username("").is_ok() {
        url.as_str().trim_end_matches('/').clone_into(&mut bare);
    }
    (bare, token)
}

/// The origin with this token as its password.
pub(super) fn with_token(origin: &str, token: &str) -> String {
    match origin.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://:{}@{host}", segment(token)),
        None => origin.to_owned(),
    }
}

#[derive(Deserialize)]
struct No {
    message: String,
}

/// As one segment of a path, whatever is in it.
pub(in crate::mock) fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            all.push(char::from(byte));
        } else {
            let _ = write!(all, "%{byte:02X}");
        }
        all
    })
}

/// Longer than the mock itself waits for deliveries.
const PATIENCE: Duration = Duration::from_secs(90);
