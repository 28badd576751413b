//! HTTP client for all requests of this crate. The client enforces TLS, deadlines and a maximum
//! body size. The client follows no redirects, and its errors contain no secrets.

mod bearer;
mod freshness;
mod origin;
mod pause;
mod rate_limit;
mod reason;
mod retry;
mod trust;

pub(crate) use bearer::bearer;
pub(crate) use freshness::{date, max_age};
use origin::is_loopback;
pub(crate) use origin::{Origin, is_transport_secure};
pub(crate) use pause::{DEFAULT_PAUSE, Pause};
pub(crate) use rate_limit::{RateLimit, RateLimiter};
pub(crate) use retry::{CallError, Caller, Idempotency, RetryPolicy, retry_after};
pub(crate) use trust::Trust;

use std::{
    error::Error,
    io::{self, ErrorKind},
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use reqwest::ClientBuilder;
use url::Url;

/// Error for a request to KYCPort: the request failed, or the response could not be read.
///
/// The error never contains any part of a body. The error never contains the URL, because the URL
/// may contain an authorization code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Name resolution or TCP failed, or exceeded the connect timeout. The client did not send the
    /// request.
    #[error("the connection failed; check DNS, the firewall and the proxy settings")]
    Connect,
    /// The TLS handshake failed. The certificate is untrusted, expired or for another host, or the
    /// server does not support TLS 1.2 or newer. The client did not send the request.
    #[error(
        "the TLS handshake failed; check the certificate authorities and the clock of this machine"
    )]
    Tls,
    /// The deadline passed before the response was complete.
    #[error("the request timed out")]
    Timeout,
    /// The connection was closed before the response was complete.
    #[error("the connection was closed before the response was complete")]
    Broken,
    /// The response body exceeds the size limit.
    #[error("the response is larger than {limit} bytes")]
    TooLarge {
        /// Maximum size in bytes.
        limit: usize,
    },
    /// The response is a redirect. The client follows no redirects, because a request is meant for
    /// only one host.
    #[error("the response is a redirect (status {status}); redirects are not followed")]
    Redirect {
        /// HTTP status of the response.
        status: u16,
    },
    /// The response is compressed, although the request did not accept compression.
    #[error("the response is compressed, although the request did not accept compression")]
    Encoded,
    /// The client accepts only HTTPS URLs, and plain HTTP URLs to loopback addresses. The URL is of
    /// another kind.
    #[error("the URL must be https, or http to a loopback address")]
    Insecure,
    /// The request could not be built.
    #[error("the request could not be built")]
    Request,
}

/// Time limits of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// Maximum time for name resolution, TCP and TLS together.
    pub(crate) connect: Duration,
    /// Maximum time for the whole exchange, including the last byte of the body.
    pub(crate) total: Duration,
}

/// Response with its complete body.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// HTTP client of a relying party. Clones share the connections.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient {
    clients: Arc<Clients>,
    total: Duration,
}

/// Clients by destination. TLS clients are created on first use, because reading the system's
/// certificates takes tens of milliseconds.
#[derive(Debug)]
struct Clients {
    trust: Trust,
    connect: Duration,
    /// Client for plain HTTP to loopback addresses. This client uses no proxy and no certificates.
    plain: reqwest::Client,
    /// Client for HTTPS to loopback addresses. This client uses no proxy.
    direct: OnceLock<reqwest::Client>,
    /// Client for HTTPS to other hosts. This client uses the proxy of the environment. The proxy
    /// sees only a TLS tunnel.
    external: OnceLock<reqwest::Client>,
}

impl Clients {
    fn new(trust: Trust, connect: Duration) -> Result<Self, TransportError> {
        Ok(Self {
            plain: client(&Trust::Only(Vec::new()), connect, ClientBuilder::no_proxy)?,
            trust,
            connect,
            direct: OnceLock::new(),
            external: OnceLock::new(),
        })
    }

    fn of(&self, url: &Url) -> Result<&reqwest::Client, TransportError> {
        let is_loopback = is_loopback(url);
        if is_loopback && url.scheme() == "http" {
            return Ok(&self.plain);
        }
        let made = if is_loopback {
            &self.direct
        } else {
            &self.external
        };
        if let Some(client) = made.get() {
            return Ok(client);
        }
        let proxy = |builder: ClientBuilder| {
            if is_loopback {
                builder.no_proxy()
            } else {
                builder
            }
        };
        let client = client(&self.trust, self.connect, proxy)?;
        Ok(made.get_or_init(|| client))
    }
}

fn client(
    trust: &Trust,
    connect: Duration,
    proxy: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<reqwest::Client, TransportError> {
    let builder = trust
        .apply(reqwest::Client::builder())
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(connect)
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .user_agent(concat!("kycport-rust/", env!("CARGO_PKG_VERSION")));
    proxy(builder).build().map_err(|_| TransportError::Request)
}

impl HttpClient {
    pub(crate) fn new(deadlines: Deadlines, trust: Trust) -> Result<Self, TransportError> {
        Ok(Self {
            clients: Arc::new(Clients::new(trust, deadlines.connect)?),
            total: deadlines.total,
        })
    }

    /// Creates the client for this URL immediately. If the TLS setup fails, the app gets the error
    /// at start.
    pub(crate) fn prepare(&self, url: &Url) -> Result<(), TransportError> {
        self.clients.of(url).map(|_| ())
    }

    /// Returns the maximum duration of a request, including the last byte of the response.
    #[cfg(feature = "web")]
    pub(crate) fn deadline(&self) -> Duration {
        self.total
    }

    pub(crate) async fn get(&self, url: &Url, limit: usize) -> Result<Answer, TransportError> {
        let request = http::Request::builder()
            .method(Method::GET)
            .uri(url.as_str())
            .header(http::header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| TransportError::Request)?;
        self.send(request, limit).await
    }

    /// Sends `request` and reads the response, with at most `limit` bytes of body.
    pub(crate) async fn send(
        &self,
        request: http::Request<impl Into<reqwest::Body>>,
        limit: usize,
    ) -> Result<Answer, TransportError> {
        self.send_within(self.total, request, limit).await
    }

    /// Sends `request` with a separate deadline, for large uploads.
    pub(crate) async fn send_within(
        &self,
        total: Duration,
        request: http::Request<impl Into<reqwest::Body>>,
        limit: usize,
    ) -> Result<Answer, TransportError> {
        let mut request =
            reqwest::Request::try_from(request).map_err(|_| TransportError::Request)?;
        if !is_transport_secure(request.url()) {
            return Err(TransportError::Insecure);
        }
        *request.timeout_mut() = Some(total);
        let client = self.clients.of(request.url())?;
        let mut response = client.execute(request).await.map_err(|e| kind(&e))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(TransportError::Redirect {
                status: status.as_u16(),
            });
        }
        if is_encoded(response.headers()) {
            return Err(TransportError::Encoded);
        }
        let body = read_capped(&mut response, limit).await?;
        Ok(Answer {
            status,
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }
}

async fn read_capped(
    response: &mut reqwest::Response,
    limit: usize,
) -> Result<Bytes, TransportError> {
    let too_large = TransportError::TooLarge { limit };
    if response.content_length().is_some_and(|n| n > limit as u64) {
        return Err(too_large);
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| kind(&e))? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Err(too_large);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(http::header::CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn kind(error: &reqwest::Error) -> TransportError {
    // Check for connect errors first. If the connection attempt timed out, the client did not send
    // the request.
    if error.is_connect() && has_source::<rustls::Error>(error, |_| true) {
        TransportError::Tls
    } else if error.is_connect() {
        TransportError::Connect
    } else if error.is_timeout()
        || has_source::<io::Error>(error, |it| it.kind() == ErrorKind::TimedOut)
    {
        TransportError::Timeout
    } else if error.is_builder() {
        TransportError::Request
    } else {
        TransportError::Broken
    }
}

/// Returns whether the chain of sources contains a matching error of type `T`.
fn has_source<T: Error + 'static>(error: &dyn Error, is: impl Fn(&T) -> bool) -> bool {
    let mut below = error.source();
    while let Some(error) = below {
        if error.downcast_ref().is_some_and(&is) {
            return true;
        }
        // `io::Error::source` skips the wrapped error itself.
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        below = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    false
}
