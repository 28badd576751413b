//! What a parser is fed with: one piece at a time.

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

/// So much is read without a part, or a piece of one, coming of it.
const MOST_IN_VAIN: u64 = 256 * 1024;

/// What is fed to the parser, and what asks the parser for more.
pub(super) fn of(
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

#[derive(Clone, Default)]
pub(super) struct Feed(Arc<Known>);

/// What the source and whoever asks the parser know of each other.
#[derive(Default)]
struct Known {
    /// Bytes that the parser was given since it last gave something.
    in_vain: AtomicU64,
    /// Whether the parser was last told that there is nothing, without having looked.
    held_back: AtomicBool,
}

impl Feed {
    /// Feeds the parser until it gives what is asked of it. It is polled again at once where it
    /// waits for a piece that was held back: to be woken for that would be a task switch for every
    /// piece.
    pub(super) async fn until<T>(&self, asked: impl Future<Output = T>) -> T {
        self.0.in_vain.store(0, Ordering::Relaxed);
        let mut asked = pin!(asked);
        future::poll_fn(|cx| {
            loop {
                self.0.held_back.store(false, Ordering::Relaxed);
                let polled = asked.as_mut().poll(cx);
                if polled.is_ready() || !self.0.held_back.load(Ordering::Relaxed) {
                    return polled;
                }
            }
        })
        .await
    }
}

/// multer takes all that is ready before it hands any of it on, so that a fast browser would fill
/// the memory while KYCPort is slow: here nothing is ready after each piece, until multer comes
/// again. And it keeps what is no part yet: here that ends.
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
            let in_vain = self.feed.0.in_vain.fetch_add(more, Ordering::Relaxed);
            if in_vain > MOST_IN_VAIN {
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

    use super::of;

    const HEAD: &[u8] = b"--b\r\ncontent-disposition: form-data; name=\"document\"\r\n\r\n";

    /// A browser that has everything ready, and how many pieces were taken from it.
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
    fn no_more_is_taken_than_is_asked_for() {
        // case 121
        let (stream, taken) = fast(Bytes::from_static(HEAD));
        let (feed, source) = of(stream);
        let mut form = Multipart::new(source, "b");
        // Nothing is ever waited for, so that one poll of each must do.
        let field = feed.until(form.next_field()).now_or_never().unwrap();
        let mut field = field.unwrap().unwrap();
        for asked in 1..100 {
            let chunk = feed.until(field.chunk()).now_or_never().unwrap();
            assert!(chunk.unwrap().is_some());
            assert!(taken.load(Ordering::SeqCst) <= asked + 1);
        }
    }

    #[test]
    fn what_is_no_part_ends() {
        // cases 121, 125
        let (stream, taken) = fast(Bytes::from_static(b"--b\r\nx-endless: "));
        let (feed, source) = of(stream);
        let mut form = Multipart::new(source, "b");
        let field = feed.until(form.next_field()).now_or_never().unwrap();
        assert!(field.is_err());
        assert!(taken.load(Ordering::SeqCst) < 300, "{taken:?}");
    }
}
