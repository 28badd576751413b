//! A connection with or without TLS.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};

pub(in crate::mock) enum Channel {
    Plain(TcpStream),
    /// A TLS handshake in progress. The task of the connection performs the handshake on the first
    /// read. A silent client therefore does not block other clients.
    Shaking(Box<Accept<TcpStream>>),
    Tls(Box<TlsStream<TcpStream>>),
    /// The TLS handshake failed.
    Rejected,
}

impl Channel {
    pub(in crate::mock) fn new(stream: TcpStream, tls: Option<&TlsAcceptor>) -> Self {
        match tls {
            Some(tls) => Self::Shaking(Box::new(tls.accept(stream))),
            None => Self::Plain(stream),
        }
    }

    /// Returns the TCP connection, or `None` if the handshake failed.
    pub(super) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Shaking(accept) => accept.get_ref(),
            Self::Tls(stream) => Some(stream.get_ref().0),
            Self::Rejected => None,
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Open<'_>>> {
        if let Self::Shaking(accept) = self {
            let shaken = ready!(Pin::new(accept.as_mut()).poll(cx));
            // Do not poll a completed `Accept` again.
            *self = Self::Rejected;
            *self = Self::Tls(Box::new(shaken?));
        }
        Poll::Ready(match self {
            Self::Plain(stream) => Ok(Pin::new(stream)),
            Self::Tls(stream) => Ok(Pin::new(stream.as_mut())),
            Self::Shaking(_) | Self::Rejected => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

type Open<'a> = Pin<&'a mut dyn Stream>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl AsyncRead for Channel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_shutdown(cx)
    }
}
