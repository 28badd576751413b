//! The body of an upload as it comes: one piece at a time, cut or held where a fault says so.

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

/// A body that is still coming.
#[derive(Clone)]
pub(in crate::mock) struct UploadBody(Arc<Mutex<Coming>>);

struct Coming {
    body: BodyDataStream,
    /// Came, and was not handed on.
    left: Bytes,
    seen: u64,
    cut_at: Option<u64>,
    hold: Option<(u64, Arc<Latch>)>,
    is_cut: bool,
}

impl UploadBody {
    pub(in crate::mock) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Coming {
            body: body.into_data_stream(),
            left: Bytes::new(),
            seen: 0,
            cut_at: None,
            hold: None,
            is_cut: false,
        })))
    }

    /// Says after how many bytes it breaks off, and after how many it waits.
    pub(in crate::mock) async fn disturb(
        &self,
        cut_at: Option<u64>,
        hold: Option<(u64, Arc<Latch>)>,
    ) {
        let mut coming = self.0.lock().await;
        (coming.cut_at, coming.hold) = (cut_at, hold);
    }

    /// Whether it got to where it breaks off.
    pub(super) async fn is_cut(&self) -> bool {
        self.0.lock().await.is_cut
    }

    /// For a parser that takes all that is ready.
    pub(in crate::mock) fn stream(
        &self,
    ) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + use<> + 'static {
        OneAtATime::new(stream::unfold(self.clone(), async |body| {
            let piece = body.next().await?;
            Some((piece, body))
        }))
    }

    /// Reads to the end. False if it breaks off, or if there are more than `most` bytes.
    pub(super) async fn ends_within(&self, most: usize) -> bool {
        let mut room = most;
        while let Some(piece) = self.next().await {
            let left = piece.ok().and_then(|it| room.checked_sub(it.len()));
            let Some(left) = left else { return false };
            room = left;
        }
        true
    }

    /// Reads what is left, up to `most` bytes, and forgets it.
    pub(in crate::mock) async fn read_out(self, most: u64) {
        let reading = async {
            let mut coming = self.0.lock().await;
            let mut seen = 0_u64;
            while let Some(Ok(piece)) = coming.body.next().await {
                seen = seen.saturating_add(piece.len() as u64);
                if seen > most {
                    return;
                }
            }
        };
        // Whoever is slower than that goes without.
        let _ = tokio::time::timeout(READ_OUT, reading).await;
    }

    async fn next(&self) -> Option<Result<Bytes, axum::Error>> {
        self.0.lock().await.next().await
    }
}

impl Coming {
    /// The next piece, which ends at the byte where something is to happen.
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

/// multer takes all that is ready before it hands any of it on, so a fast sender would fill the
/// memory: here nothing is ready after each piece, until multer comes again.
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
        // Only what was ready is followed by a pause.
        self.paused = polled.is_ready();
        polled
    }
}

/// So long what nobody reads any more is read out.
const READ_OUT: Duration = Duration::from_secs(10);
