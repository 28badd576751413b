//! Streaming body of an upload. The body arrives in pieces. A fault can cut the connection or hold
//! the body.

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
    /// Bytes that have arrived but that the parser has not read yet.
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

    /// Sets the byte at which the mock cuts the connection, and the byte at which it holds the
    /// body.
    pub(in crate::mock) async fn set_faults(
        &self,
        cut_at: Option<u64>,
        hold: Option<(u64, Arc<Latch>)>,
    ) {
        let mut coming = self.0.lock().await;
        (coming.cut_at, coming.hold) = (cut_at, hold);
    }

    /// Returns whether the body has reached the byte at which the mock cuts the connection.
    pub(super) async fn is_cut(&self) -> bool {
        self.0.lock().await.is_cut
    }

    /// Returns the body as a stream for the multipart parser.
    pub(in crate::mock) fn stream(
        &self,
    ) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + use<> + 'static {
        OneAtATime::new(stream::unfold(self.clone(), async |body| {
            let piece = body.next().await?;
            Some((piece, body))
        }))
    }

    /// Reads to the end of the body. Returns `false` if a fault cuts the body or if more than `max`
    /// bytes are left.
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
        // After `DRAIN_TIMEOUT`, the mock closes the connection of a slow client.
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, reading).await;
    }

    async fn next(&self) -> Option<Result<Bytes, axum::Error>> {
        self.0.lock().await.next().await
    }
}

impl BodyState {
    /// Returns the next piece of the body. A piece ends at the byte at which a fault applies.
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
/// multer reads all available data before it returns the first part, so a fast client could fill
/// the memory. Therefore `OneAtATime` returns `Pending` after each piece, and wakes multer for the
/// next poll.
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
        // Return `Pending` only after a piece that was ready.
        self.paused = polled.is_ready();
        polled
    }
}

/// Maximum time in which the mock discards the rest of a body.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
