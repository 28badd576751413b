//! The one HTTP client: TLS, deadlines, no redirects, capped bodies, nothing secret in an error.

mod freshness;
mod origin;
mod reason;
mod retry;
mod trust;

pub(crate) use freshness::{date, max_age};
use origin::is_loopback;
pub(crate) use origin::{Origin, is_transport_secure};
pub(crate) use retry::{CallError, Caller, Repeat, RetryPolicy, retry_after};
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

/// Why KYCPort could not be asked, or its answer could not be read.
///
/// Never carries the URL, which may hold a code, nor anything of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No connection: name resolution or TCP failed, or it took too long. Nothing was sent.
    #[error("no connection could be made")]
    Connect,
    /// No connection under TLS: the certificate is not trusted, out of date or another host's, or
    /// TLS is older than 1.2. Nothing was sent.
    #[error("no safe TLS connection could be made")]
    Tls,
    /// The deadline passed before the whole answer was there.
    #[error("the deadline passed")]
    Timeout,
    /// The connection broke before the whole answer was there.
    #[error("the connection broke")]
    Broken,
    /// The answer is larger than is read; the limit is in bytes.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The answer points elsewhere. Redirects are not followed, for what is sent is meant for one
    /// host.
    #[error("the answer is a redirect ({status}), which is not followed")]
    Redirect {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is compressed, which was not asked for.
    #[error("the answer is compressed, which was not asked for")]
    Encoded,
    /// The address is neither HTTPS nor plain HTTP to a loopback address.
    #[error("the address is neither HTTPS nor loopback")]
    Insecure,
    /// The request could not be built.
    #[error("the request could not be built")]
    Request,
}

/// Time limits of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// For name resolution, TCP and TLS together.
    pub(crate) connect: Duration,
    /// For the whole exchange, the body's last byte included.
    pub(crate) total: Duration,
}

/// An answer with its whole body.
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

/// Clients by destination. Those that speak TLS are made when they are first used, because reading
/// the system's certificates takes tens of milliseconds.
#[derive(Debug)]
struct Clients {
    trust: Trust,
    connect: Duration,
    /// For plain HTTP to a loopback address. It ignores proxies and has no certificates.
    plain: reqwest::Client,
    /// For HTTPS to a loopback address, which no proxy knows.
    direct: OnceLock<reqwest::Client>,
    /// For HTTPS to other hosts. A proxy that the environment names is used: it sees a tunnel.
    tunnelled: OnceLock<reqwest::Client>,
}

impl Clients {
    fn new(trust: Trust, connect: Duration) -> Result<Self, TransportError> {
        Ok(Self {
            plain: client(&Trust::Only(Vec::new()), connect, ClientBuilder::no_proxy)?,
            trust,
            connect,
            direct: OnceLock::new(),
            tunnelled: OnceLock::new(),
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
            &self.tunnelled
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

    /// Makes the client for this URL now, so that a failure to set up TLS is noticed at start.
    pub(crate) fn prepare(&self, url: &Url) -> Result<(), TransportError> {
        self.clients.of(url).map(|_| ())
    }

    /// How long a request may take, up to the answer's last byte.
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

    /// Sends `request` and reads the answer, up to `limit` bytes of body.
    pub(crate) async fn send(
        &self,
        request: http::Request<impl Into<reqwest::Body>>,
        limit: usize,
    ) -> Result<Answer, TransportError> {
        self.send_within(self.total, request, limit).await
    }

    /// The same with a deadline of its own, for what takes long to send.
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
    // First, for a connection that took too long is still one that was never made: nothing was sent.
    if error.is_connect() && is_below::<rustls::Error>(error, |_| true) {
        TransportError::Tls
    } else if error.is_connect() {
        TransportError::Connect
    } else if error.is_timeout()
        || is_below::<io::Error>(error, |it| it.kind() == ErrorKind::TimedOut)
    {
        TransportError::Timeout
    } else if error.is_builder() {
        TransportError::Request
    } else {
        TransportError::Broken
    }
}

/// Whether such an error lies below.
fn is_below<T: Error + 'static>(error: &dyn Error, is: impl Fn(&T) -> bool) -> bool {
    let mut below = error.source();
    while let Some(error) = below {
        if error.downcast_ref().is_some_and(&is) {
            return true;
        }
        // An I/O error passes over what it wraps when it is asked for its source.
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
