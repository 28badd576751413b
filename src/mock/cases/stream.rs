//! Streaming body of an upload. The body arrives in pieces, and a fault can cut or hold it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::Mutex;

use crate::mock::waits::latch::Latch;

/// A request body that is still arriving.
#[derive(Clone)]
pub(in crate::mock) struct UploadBody(Arc<Mutex<BodyState>>);

struct BodyState {
    body: BodyDataStream,
    /// Bytes that arrived but were not passed on yet.
    left: Bytes,
    seen: u64,
    cut_at: Option<u64>,
    hold: Option<(u64, Arc<Latch>)>,
    is_cut: bool,
}

impl UploadBody {
    pub(in crate::mock) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(BodyState {
            body: body.into_data_stream(),
            left: Bytes::new(),
            seen: 0,
            cut_at: None,
            hold: None,
            is_cut: false,
        })))
    }

    /// Sets the number of bytes after which the body is cut, and the number after which it is held.
    pub(in crate::mock) async fn set_faults(
        &self,
        cut_at: Option<u64>,
        hold: Option<(u64, Arc<Latch>)>,
    ) {
        let mut coming = self.0.lock().await;
        (coming.cut_at, coming.hold) = (cut_at, hold);
    }

    /// Whether the body reached the byte at which it is cut.
    pub(super) async fn is_cut(&self) -> bool {
        self.0.lock().await.is_cut
    }

    /// Returns the body as a stream for the multipart parser, which reads all available data.
    pub(in crate::mock) fn stream(
        &self,
    ) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + use<> + 'static {
        OneAtATime::new(stream::unfold(self.clone(), async |body| {
            let piece = body.next().await?;
            Some((piece, body))
        }))
    }

    /// Reads to the end of the body. Returns `false` if the body is cut or has more than `max`
    /// bytes left.
    pub(super) async fn ends_within(&self, max: usize) -> bool {
        let mut room = max;
        while let Some(piece) = self.next().await {
            let left = piece.ok().and_then(|it| room.checked_sub(it.len()));
            let Some(left) = left else { return false };
            room = left;
        }
        true
    }

    /// Reads and discards the rest of the body, up to `max` bytes.
    pub(in crate::mock) async fn drain(self, max: u64) {
        let reading = async {
            let mut coming = self.0.lock().await;
            let mut seen = 0_u64;
            while let Some(Ok(piece)) = coming.body.next().await {
                seen = seen.saturating_add(piece.len() as u64);
                if seen > max {
                    return;
                }
            }
        };
        // A client that sends more slowly loses its connection.
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, reading).await;
    }

    async fn next(&self) -> Option<Result<Bytes, axum::Error>> {
        self.0.lock().await.next().await
    }
}

impl BodyState {
    /// Returns the next piece. The piece ends at the byte where a fault applies.
    async fn next(&mut self) -> Option<Result<Bytes, axum::Error>> {
        if let Some((_, latch)) = self.hold.as_ref().filter(|(at, _)| *at <= self.seen) {
            latch.pass().await;
            self.hold = None;
        }
        if self.cut_at.is_some_and(|at| at <= self.seen) {
            self.is_cut = true;
            let cut = io::Error::from(io::ErrorKind::ConnectionReset);
            return Some(Err(axum::Error::new(cut)));
        }
        if self.left.is_empty() {
            match self.body.next().await? {
                Ok(piece) => self.left = piece,
                Err(error) => return Some(Err(error)),
            }
        }
        let stops = [self.cut_at, self.hold.as_ref().map(|(at, _)| *at)];
        let room = stops.into_iter().flatten().min();
        let room = room.map_or(u64::MAX, |at| at.saturating_sub(self.seen));
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let piece = self.left.split_to(room.min(self.left.len()));
        self.seen = self.seen.saturating_add(piece.len() as u64);
        Some(Ok(piece))
    }
}

/// Limits the multipart parser to one piece at a time.
///
/// multer reads all available data before it returns any, so a fast sender could fill the memory.
/// This stream reports `Pending` after each piece until multer polls again.
struct OneAtATime<S> {
    stream: Pin<Box<S>>,
    paused: bool,
}

impl<S> OneAtATime<S> {
    fn new(stream: S) -> Self {
        Self {
            stream: Box::pin(stream),
            paused: false,
        }
    }
}

impl<S: Stream> Stream for OneAtATime<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        if self.paused {
            self.paused = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.stream.as_mut().poll_next(cx);
        // Pause only after a piece that was ready.
        self.paused = polled.is_ready();
        polled
    }
}

/// Maximum time for discarding the rest of a body.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
