//! Connections that a fault can cut, reset or choke.

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

/// Decides, from within a request, what becomes of its connection.
#[derive(Clone, Default)]
pub(in crate::mock) struct Cutter(Arc<Mutex<Fate>>);

#[derive(Clone, Copy, Default)]
enum Fate {
    #[default]
    Whole,
    Cut,
    Reset,
    /// So many bytes are still written.
    Chokes(usize),
    /// One byte in this time is written.
    Dribbles(Duration),
}

impl Cutter {
    /// Not a byte is written any more, and the connection ends.
    pub(in crate::mock) fn cut(&self) {
        *self.fate() = Fate::Cut;
    }

    /// The same, and the client's system says that the connection was reset.
    pub(in crate::mock) fn reset(&self) {
        *self.fate() = Fate::Reset;
    }

    /// So many bytes are written and no more, and the connection does not end.
    pub(super) fn choke(&self, after: usize) {
        *self.fate() = Fate::Chokes(after);
    }

    /// Byte by byte is written, with this time before each.
    pub(in crate::mock) fn dribble(&self, every: Duration) {
        *self.fate() = Fate::Dribbles(every);
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrote(&self, written: usize) {
        if let Fate::Chokes(left) = &mut *self.fate() {
            *left = left.saturating_sub(written);
        }
    }
}

/// A connection and what decides about it.
pub(in crate::mock) struct CuttableStream {
    channel: Channel,
    pub(in crate::mock) cutter: Cutter,
    /// Before the next byte, while it dribbles.
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

    /// How many bytes may be written now.
    fn poll_allowance(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let fate = *self.cutter.fate();
        match fate {
            Fate::Whole => Poll::Ready(Ok(usize::MAX)),
            Fate::Cut => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Fate::Reset => {
                // Closing is then a reset, which throws away what is still to be sent.
                self.channel
                    .tcp()
                    .map_or(Ok(()), TcpStream::set_zero_linger)?;
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
            // Nobody wakes it: it stays so until the client is gone.
            Fate::Chokes(0) => Poll::Pending,
            Fate::Chokes(left) => Poll::Ready(Ok(left)),
            Fate::Dribbles(every) => {
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
        self.cutter.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(*self.cutter.fate(), Fate::Cut | Fate::Reset) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.channel).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.channel).poll_shutdown(cx)
    }
}
