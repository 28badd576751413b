//! HTTP client that sends requests slowly and writes directly to a socket.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use url::Url;

use super::{delivery::DeliveryOutcome, draft::Outgoing, send_plan::Pace};
use crate::mock::waits::pause::wait;

/// Sends a delivery over plain HTTP at this pace. Returns after the response, or after `limit`.
pub(super) async fn send(
    url: &Url,
    outgoing: &Outgoing,
    pace: Pace,
    limit: Duration,
) -> DeliveryOutcome {
    let host = url.host_str().filter(|_| url.scheme() == "http");
    let (Some(host), Some(port)) = (host, url.port_or_known_default()) else {
        return DeliveryOutcome::NoConnection;
    };
    let host = host.trim_matches(['[', ']']);
    let Ok(Ok(mut stream)) = timeout(limit, TcpStream::connect((host, port))).await else {
        return DeliveryOutcome::NoConnection;
    };
    let (mut reading, mut writing) = stream.split();
    let exchange = async {
        tokio::select! {
            biased;
            status = status(&mut reading) => status.unwrap_or(DeliveryOutcome::Broken),
            () = write(&mut writing, url, outgoing, pace) => DeliveryOutcome::TimedOut,
        }
    };
    timeout(limit, exchange)
        .await
        .unwrap_or(DeliveryOutcome::TimedOut)
}

/// Writes the request. Returns only after `pace` aborts the attempt. With other paces, the future
/// stays pending, and the caller waits for the response.
async fn write(to: &mut (impl AsyncWrite + Unpin), url: &Url, outgoing: &Outgoing, pace: Pace) {
    let head = head(url, outgoing);
    let half = |bytes: &[u8]| bytes.len().div_euclid(2);
    let written = match pace {
        Pace::HangInHead(time) => {
            let part = head.get(..half(&head)).unwrap_or_default();
            let written = to.write_all(part).await;
            wait(time).await;
            return written.unwrap_or_default();
        }
        Pace::HangInBody(time) => {
            let body = &outgoing.body;
            let part = body.get(..half(body)).unwrap_or_default();
            let written = to.write_all(&[&head, part].concat()).await;
            wait(time).await;
            return written.unwrap_or_default();
        }
        Pace::Plain => {
            to.write_all(&[&head, outgoing.body.as_ref()].concat())
                .await
        }
        Pace::Dribble(every) => dribble(to, &head, &outgoing.body, every).await,
    };
    // Ignore a write error, because the endpoint may send a response before it closes the
    // connection.
    drop(written);
    std::future::pending::<()>().await;
}

async fn dribble(
    to: &mut (impl AsyncWrite + Unpin),
    head: &[u8],
    body: &[u8],
    every: Duration,
) -> io::Result<()> {
    to.write_all(head).await?;
    for byte in body {
        wait(every).await;
        to.write_all(&[*byte]).await?;
        to.flush().await?;
    }
    Ok(())
}

fn head(url: &Url, outgoing: &Outgoing) -> Vec<u8> {
    let authority = url.authority();
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let length = outgoing.body.len();
    let mut head = format!(
        "POST {target} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\
         content-length: {length}\r\n"
    )
    .into_bytes();
    for (name, value) in &outgoing.headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Reads the status of the response, such as `HTTP/1.1 204`. Ignores the headers and the body of
/// the response.
async fn status(from: &mut (impl AsyncRead + Unpin)) -> io::Result<DeliveryOutcome> {
    let mut begin = [0; 12];
    from.read_exact(&mut begin).await?;
    let digits = begin.strip_prefix(b"HTTP/1.1 ").unwrap_or_default();
    let status = std::str::from_utf8(digits)
        .ok()
        .and_then(|it| it.parse().ok());
    let status = status.ok_or(ErrorKind::InvalidData)?;
    Ok(DeliveryOutcome::Answered(status))
}
