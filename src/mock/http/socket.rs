//! Connections that a fault can close, reset or slow down.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::channel::Channel;
use crate::mock::waits::pause::wait;

/// Handle with which a request handler controls the connection of its request.
#[derive(Clone, Default)]
pub(in crate::mock) struct Cutter(Arc<Mutex<WriteState>>);

#[derive(Clone, Copy, Default)]
enum WriteState {
    #[default]
    Unlimited,
    Closed,
    Reset,
    /// The connection writes this many bytes and then no more.
    StallsAfter(usize),
    /// The connection writes one byte per this duration.
    ByteEvery(Duration),
}

impl Cutter {
    /// Closes the connection without writing another byte.
    pub(in crate::mock) fn cut(&self) {
        *self.state() = WriteState::Closed;
    }

    /// Resets the connection. The client's operating system then reports a reset.
    pub(in crate::mock) fn reset(&self) {
        *self.state() = WriteState::Reset;
    }

    /// Writes this many bytes and then no more. The connection stays open.
    pub(super) fn stall_after(&self, after: usize) {
        *self.state() = WriteState::StallsAfter(after);
    }

    /// Writes byte by byte, with this pause before each byte.
    pub(in crate::mock) fn dribble(&self, every: Duration) {
        *self.state() = WriteState::ByteEvery(every);
    }

    fn state(&self) -> MutexGuard<'_, WriteState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record_written(&self, written: usize) {
        if let WriteState::StallsAfter(left) = &mut *self.state() {
            *left = left.saturating_sub(written);
        }
    }
}

/// A connection, and the state that controls its writes.
pub(in crate::mock) struct CuttableStream {
    channel: Channel,
    pub(in crate::mock) cutter: Cutter,
    /// The pause before the next byte, if the connection writes slowly.
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl CuttableStream {
    pub(in crate::mock) fn new(channel: Channel) -> Self {
        Self {
            channel,
            cutter: Cutter::default(),
            pause: None,
        }
    }

    /// Returns the number of bytes that the connection may write now.
    fn poll_allowance(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let state = *self.cutter.state();
        match state {
            WriteState::Unlimited => Poll::Ready(Ok(usize::MAX)),
            WriteState::Closed => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            WriteState::Reset => {
                // With a linger time of zero, closing the socket resets the connection and discards
                // unsent data.
                self.channel
                    .tcp()
                    .map_or(Ok(()), TcpStream::set_zero_linger)?;
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            // No waker is registered. The connection therefore does not write any bytes until the
            // client closes the connection.
            WriteState::StallsAfter(0) => Poll::Pending,
            WriteState::StallsAfter(left) => Poll::Ready(Ok(left)),
            WriteState::ByteEvery(every) => {
                let pause = self.pause.get_or_insert_with(|| Box::pin(wait(every)));
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
                Poll::Ready(Ok(1))
            }
        }
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_read(cx, buf)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let allowed = ready!(self.poll_allowance(cx))?.min(buf.len());
        let (now, _) = buf.split_at(allowed);
        let written = ready!(Pin::new(&mut self.channel).poll_write(cx, now))?;
        self.cutter.record_written(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(*self.cutter.state(), WriteState::Closed | WriteState::Reset) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.channel).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_shutdown(cx)
    }
}
