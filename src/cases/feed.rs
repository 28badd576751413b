//! Backpressure for the multipart parser: the parser gets one piece at a time.

use std::{
    future::{self, Future},
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream::BoxStream};

/// Maximum number of bytes that the parser may consume without returning a part or a piece of a
/// part.
const MAX_UNPARSED: u64 = 256 * 1024;

/// Splits a body into the stream for the parser and the feed that drives the parser.
pub(super) fn split(
    stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> (Feed, OneAtATime) {
    let feed = Feed::default();
    let source = OneAtATime {
        stream: stream.boxed(),
        feed: feed.clone(),
        paused: false,
    };
    (feed, source)
}

/// Handle that runs the parser.
#[derive(Clone, Default)]
pub(super) struct Feed(Arc<Shared>);

/// State that the feed and the stream share.
#[derive(Default)]
struct Shared {
    /// Number of bytes that the parser has consumed since it last returned a part or a piece.
    unparsed: AtomicU64,
    /// Whether the stream last returned `Pending` although the next piece may be ready.
    held_back: AtomicBool,
}

impl Feed {
    /// Runs a future of the parser to completion. If the stream held back a piece, polls the future
    /// again immediately. Waking the task instead would cost a task switch for every piece.
    pub(super) async fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.unparsed.store(0, Ordering::Relaxed);
        let mut future = pin!(future);
        future::poll_fn(|cx| {
            loop {
                self.0.held_back.store(false, Ordering::Relaxed);
                let polled = future.as_mut().poll(cx);
                if polled.is_ready() || !self.0.held_back.load(Ordering::Relaxed) {
                    return polled;
                }
            }
        })
        .await
    }
}

/// Stream for the parser that returns `Pending` after each piece.
///
/// The parser multer reads all available bytes before it returns a part. A fast browser would
/// therefore fill the memory while KYCPort reads slowly. The parser also buffers bytes that are not
/// a part yet. After more than [`MAX_UNPARSED`] buffered bytes, the stream for the parser fails.
pub(super) struct OneAtATime {
    stream: BoxStream<'static, io::Result<Bytes>>,
    feed: Feed,
    paused: bool,
}

impl Stream for OneAtATime {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.paused) {
            self.feed.0.held_back.store(true, Ordering::Relaxed);
            return Poll::Pending;
        }
        let polled = self.stream.poll_next_unpin(cx);
        if let Poll::Ready(Some(Ok(piece))) = &polled {
            self.paused = true;
            let more = piece.len() as u64;
            let unparsed = self.feed.0.unparsed.fetch_add(more, Ordering::Relaxed);
            if unparsed > MAX_UNPARSED {
                return Poll::Ready(Some(Err(io::ErrorKind::InvalidData.into())));
            }
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use bytes::Bytes;
    use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
    use multer::Multipart;

    use super::split;

    const HEAD: &[u8] = b"--b\r\ncontent-disposition: form-data; name=\"document\"\r\n\r\n";

    /// Returns a body that is always ready, and the counter of the pieces that were read from it.
    fn fast(head: Bytes) -> (impl Stream<Item = std::io::Result<Bytes>>, Arc<AtomicUsize>) {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&taken);
        let more = stream::repeat(Bytes::from_static(&[b'.'; 1024])).take(2000);
        let pieces = stream::iter([head]).chain(more).map(move |piece| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(piece)
        });
        (pieces, taken)
    }

    #[test]
    fn no_piece_is_read_ahead() {
        // case 121
        let (stream, taken) = fast(Bytes::from_static(HEAD));
        let (feed, source) = split(stream);
        let mut form = Multipart::new(source, "b");
        // The body is always ready, so one poll must suffice.
        let field = feed.run(form.next_field()).now_or_never().unwrap();
        let mut field = field.unwrap().unwrap();
        for asked in 1..100 {
            let chunk = feed.run(field.chunk()).now_or_never().unwrap();
            assert!(chunk.unwrap().is_some());
            assert!(taken.load(Ordering::SeqCst) <= asked + 1);
        }
    }

    #[test]
    fn a_body_without_parts_ends() {
        // This test covers cases 121 and 125 of `guide::threats`.
        let (stream, taken) = fast(Bytes::from_static(b"--b\r\nx-endless: "));
        let (feed, source) = split(stream);
        let mut form = Multipart::new(source, "b");
        let field = feed.run(form.next_field()).now_or_never().unwrap();
        assert!(field.is_err());
        assert!(taken.load(Ordering::SeqCst) < 300, "{taken:?}");
    }
}
