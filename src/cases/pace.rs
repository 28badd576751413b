//! Minimum rate of a browser's upload.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::Instant;

/// Minimum rate of an upload, in bytes per second.
const MIN_BYTES_PER_SECOND: u32 = 4 * 1024;
/// Time for which an upload may stay below the minimum rate, for example while a phone changes its
/// network.
const GRACE: Duration = Duration::from_secs(10);

/// Enforces the minimum rate on a body. If the browser sends more slowly, the body fails
/// with [`io::ErrorKind::TimedOut`]. The rate includes only the time spent waiting for the browser,
/// and not the time in which KYCPort reads slowly.
pub(super) fn at_minimum_rate(
    body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let start = Some((body.boxed(), GRACE));
    stream::unfold(start, |state| async move {
        let (mut body, left) = state?;
        let asked = Instant::now();
        match tokio::time::timeout(left, body.next()).await {
            Ok(Some(Ok(piece))) => {
                let bought = Duration::from_secs(piece.len() as u64);
                let bought = bought.checked_div(MIN_BYTES_PER_SECOND).unwrap_or_default();
                let left = left.saturating_sub(asked.elapsed());
                let left = left.saturating_add(bought).min(GRACE);
                Some((Ok(piece), Some((body, left))))
            }
            Ok(Some(Err(error))) => Some((Err(error), None)),
            Ok(None) => None,
            Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a body that sends a piece of `bytes` bytes every `seconds` seconds, for ten minutes.
    async fn outcome(bytes: usize, seconds: u64) -> Result<(), io::ErrorKind> {
        let piece = Bytes::from(vec![0; bytes]);
        let body = stream::unfold(0_u64, move |sent| {
            let piece = piece.clone();
            async move {
                let pause = Duration::from_secs(seconds);
                let _ = tokio::time::timeout(pause, std::future::pending::<()>()).await;
                (sent < 600).then(|| (Ok(piece), sent.saturating_add(seconds)))
            }
        });
        let mut body = Box::pin(at_minimum_rate(body));
        while let Some(piece) = body.next().await {
            piece.map_err(|error| error.kind())?;
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_below_the_minimum_rate_ends() {
        for (bytes, seconds, expected) in [
            (5 * 1024, 1, Ok(())),
            (64 * 1024, 9, Ok(())),
            (1024, 1, Err(io::ErrorKind::TimedOut)),
            // After a burst of bytes, a pause must not exceed `GRACE`.
            (16 * 1024 * 1024, 11, Err(io::ErrorKind::TimedOut)),
        ] {
            assert_eq!(outcome(bytes, seconds).await, expected, "{bytes}/{seconds}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_body_is_not_polled_does_not_count() {
        let body = stream::repeat_with(|| Ok(Bytes::from_static(b"x"))).take(10);
        let mut body = Box::pin(at_minimum_rate(body));
        while let Some(piece) = body.next().await {
            assert!(piece.is_ok());
            tokio::time::advance(Duration::from_secs(60)).await;
        }
    }
}
