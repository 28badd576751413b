//! Listener that applies faults to new connections.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncWriteExt as _, copy, sink},
    net::{TcpListener, TcpStream},
};

use crate::mock::{
    core::{
        Core,
        rules::{Effect, Hook},
    },
    http::{
        broken_response::AcceptFault,
        channel::Channel,
        socket::{CuttableStream, Cutter},
    },
};

/// Listener whose connections a handler can [cut](Cutter::cut) while it processes a request.
pub(super) struct CuttableListener {
    pub(in crate::mock) listener: TcpListener,
    pub(in crate::mock) core: Arc<Core>,
}

impl CuttableListener {
    /// Applies a fault to a new connection. Returns the connection, or `None` if the fault closed
    /// or keeps it.
    fn apply_fault(&self, stream: TcpStream) -> Option<TcpStream> {
        let fault = self.core.rules().take(Hook::Accept, |_| true);
        match fault.as_ref().map(|rule| &rule.effect) {
            Some(Effect::Accept(AcceptFault::Close)) => {
                tokio::spawn(close(stream));
                None
            }
            Some(Effect::Accept(AcceptFault::Reset)) => {
                // Dropping the stream then resets the connection.
                let _ = stream.set_zero_linger();
                None
            }
            Some(Effect::Accept(AcceptFault::Hang)) => {
                tokio::spawn(hold(stream));
                None
            }
            _ => Some(stream),
        }
    }
}

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (CuttableStream, SocketAddr) {
        loop {
            // axum's listener logs accept errors. The listener waits if the process has no free
            // file descriptor.
            let (stream, address) = Listener::accept(&mut self.listener).await;
            // Nagle's algorithm would delay small responses. If `set_nodelay` fails, small
            // responses are only slower.
            let _ = stream.set_nodelay(true);
            if let Some(stream) = self.apply_fault(stream) {
                let tls = self.core.tls.as_ref().map(|tls| &tls.acceptor);
                return (CuttableStream::new(Channel::new(stream, tls)), address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Connection data that a request handler can read.
#[derive(Clone)]
pub(in crate::mock) struct Connection {
    pub(in crate::mock) cutter: Cutter,
    /// Address of the client.
    pub(in crate::mock) peer: SocketAddr,
}

impl Connected<IncomingStream<'_, CuttableListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        Self {
            cutter: stream.io().cutter.clone(),
            peer: *stream.remote_addr(),
        }
    }
}

/// Closes the sending side of the connection, then reads until the client closes it. Dropping a
/// connection with unread bytes would reset the connection.
async fn close(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        let _ = copy(&mut stream, &mut sink()).await;
    }
}

/// Keeps the connection open until the issuer stops, and never reads from it.
async fn hold(stream: TcpStream) {
    let _stream = stream;
    std::future::pending::<()>().await;
}
