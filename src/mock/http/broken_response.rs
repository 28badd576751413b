//! Broken responses that a fault sends.

use std::{
    convert::Infallible,
    future::pending,
    io::{self, Read as _, Write as _},
    iter, mem,
    time::Duration,
};

use axum::{
    body::Body,
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::Response,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::{StreamExt as _, stream};

use super::{answer::Answer, socket::Cutter};
use crate::mock::waits::pause::wait;

/// Kind of broken response.
pub(in crate::mock) enum BrokenResponse {
    Answer {
        status: StatusCode,
        content_type: String,
        body: Bytes,
    },
    Hang,
    /// Sends the first headers of the regular response and then no more bytes.
    HangHeaders,
    HangBody,
    /// Sends the regular response with this pause between two bytes of the body.
    Dribble(Duration),
    /// Sends the regular response with this pause between two bytes of the headers and the body.
    DribbleHeaders(Duration),
    Endless,
    /// Sends half of the regular response.
    Truncate,
    Huge(u64),
    GzipBomb(u64),
    Drop,
    Reset,
}

/// Fault of a connection, which acts before the server reads from the connection.
pub(in crate::mock) enum AcceptFault {
    Close,
    Reset,
    Hang,
}

impl BrokenResponse {
    /// Sends the broken response. `real` is the regular response, if the endpoint processed the
    /// request.
    pub(in crate::mock) async fn respond(&self, real: Option<Answer>, cutter: &Cutter) -> Response {
        match self {
            Self::Answer {
                status,
                content_type,
                body,
            } => {
                let mut response = Response::new(Body::from(body.clone()));
                *response.status_mut() = *status;
                if let Ok(value) = HeaderValue::from_str(content_type) {
                    response.headers_mut().insert(CONTENT_TYPE, value);
                }
                response
            }
            Self::Hang => pending().await,
            Self::HangHeaders => {
                cutter.stall_after(HALF_A_HEADER);
                split(real).0
            }
            Self::HangBody => {
                let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{"))]);
                json(Body::from_stream(first.chain(stream::pending())))
            }
            Self::Dribble(every) => dribble(real, *every),
            Self::DribbleHeaders(every) => {
                cutter.dribble(*every);
                let (mut response, _) = split(real);
                // Close the connection. The next request then uses a new connection.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
                response
            }
            Self::Endless => json(Body::from_stream(
                stream::iter([Bytes::from_static(OPEN)])
                    .chain(stream::repeat(filler(CHUNK)))
                    .map(Ok::<_, Infallible>),
            )),
            Self::Truncate => truncate(real),
            Self::Huge(size) => huge(*size),
            Self::GzipBomb(size) => {
                let pieces = stream::iter(gzip(*size)).then(async |piece| {
                    // Compression takes time, so let other tasks run between two pieces.
                    tokio::task::yield_now().await;
                    Ok::<_, Infallible>(piece)
                });
                let mut response = json(Body::from_stream(pieces));
                let gzip = HeaderValue::from_static("gzip");
                response.headers_mut().insert(CONTENT_ENCODING, gzip);
                response
            }
            Self::Drop => {
                cutter.cut();
                Response::new(Body::empty())
            }
            Self::Reset => {
                cutter.reset();
                Response::new(Body::empty())
            }
        }
    }
}

fn dribble(real: Option<Answer>, every: Duration) -> Response {
    let (response, body) = split(real);
    let bytes = stream::iter(body).then(move |byte| async move {
        wait(every).await;
        Ok::<_, Infallible>(Bytes::from(vec![byte]))
    });
    response.map(|_| Body::from_stream(bytes))
}

fn truncate(real: Option<Answer>) -> Response {
    let (mut response, body) = split(real);
    // Announce one byte for an empty body, because the mock needs a byte to cut.
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(body.len().max(1)));
    let half = body.slice(..body.len().div_euclid(2));
    let cut = stream::once(async {
        // The runtime sends the first half before the connection closes.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    response.map(|_| Body::from_stream(stream::iter([Ok(half)]).chain(cut)))
}

fn huge(size: u64) -> Response {
    let fill = fill_size(size);
    let chunk = u64::try_from(CHUNK).unwrap_or(u64::MAX);
    let chunks = fill.checked_div(chunk).unwrap_or(0);
    let rest = usize::try_from(fill.checked_rem(chunk).unwrap_or(0)).unwrap_or(0);
    let whole = filler(CHUNK);
    let body = stream::iter([Bytes::from_static(OPEN)])
        .chain(stream::iter((0..chunks).map(move |_| whole.clone())))
        .chain(stream::iter([filler(rest), Bytes::from_static(CLOSE)]))
        .map(Ok::<_, Infallible>);
    json(Body::from_stream(body))
}

/// Compresses JSON of this size. Each item is one piece of the gzip stream, so the memory use does
/// not depend on `size`. The whole stream is valid. A client therefore stops the decompression only
/// if it enforces a limit.
fn gzip(size: u64) -> impl Iterator<Item = Bytes> {
    let fill = io::repeat(b'a').take(fill_size(size));
    let mut json = OPEN.chain(fill).chain(CLOSE);
    let mut open = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    iter::from_fn(move || {
        let mut encoder = open.take()?;
        // Reading and writing cannot fail, because both ends are in memory.
        let read = io::copy(&mut json.by_ref().take(PLAIN_PIECE), &mut encoder).ok()?;
        if read == 0 {
            return encoder.finish().ok().map(Bytes::from);
        }
        encoder.flush().ok()?;
        let piece = mem::take(encoder.get_mut());
        open = Some(encoder);
        Some(piece.into())
    })
}

/// Returns the number of bytes between [`OPEN`] and [`CLOSE`].
fn fill_size(size: u64) -> u64 {
    let frame = OPEN.len().saturating_add(CLOSE.len());
    size.saturating_sub(u64::try_from(frame).unwrap_or(u64::MAX))
}

fn split(real: Option<Answer>) -> (Response, Bytes) {
    let real = real.unwrap_or_else(|| Answer::new(StatusCode::OK, "text/plain", Bytes::new()));
    let body = real.bytes();
    (real.into_response(), body)
}

fn json(body: Body) -> Response {
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn filler(size: usize) -> Bytes {
    vec![b'a'; size].into()
}

const OPEN: &[u8] = b"{\"padding\":\"";
const CLOSE: &[u8] = b"\"}";

/// Number of bytes after which the mock stops within the headers. The status line of HTTP/1.1 has
/// at least 15 bytes.
const HALF_A_HEADER: usize = 24;

/// Size of one piece of the body, in bytes.
const CHUNK: usize = 16 * 1024;

/// Size of the JSON in one piece of a gzip stream.
const PLAIN_PIECE: u64 = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::gzip;

    #[test]
    fn a_bomb_decompresses_to_json_of_its_size_and_has_small_pieces() {
        for size in [0, 100, 1 << 18, 3_000_000] {
            let pieces: Vec<_> = gzip(size).collect();
            assert!(pieces.iter().all(|it| (1..=4096).contains(&it.len())));
            let mut json = String::new();
            let bomb = pieces.concat();
            let read = GzDecoder::new(bomb.as_slice()).read_to_string(&mut json);
            // The frame of the JSON is 14 bytes.
            assert_eq!(read.unwrap() as u64, size.max(14));
            assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
            assert!(
                size < 1 << 18 || bomb.len() as u64 * 150 < size,
                "{}",
                bomb.len()
            );
        }
    }
}
