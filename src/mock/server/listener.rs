//! Where connections come in, and the faults that meet them there.

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

/// A listener whose connections can be [cut](Cutter::cut) from within a request.
pub(super) struct CuttableListener {
    pub(in crate::mock) listener: TcpListener,
    pub(in crate::mock) core: Arc<Core>,
}

impl CuttableListener {
    /// The connection, unless a fault takes it.
    fn welcome(&self, stream: TcpStream) -> Option<TcpStream> {
        let fault = self.core.rules().take(Hook::Accept, |_| true);
        match fault.as_ref().map(|rule| &rule.effect) {
            Some(Effect::Accept(AcceptFault::Close)) => {
                tokio::spawn(close(stream));
                None
            }
            Some(Effect::Accept(AcceptFault::Reset)) => {
                // It is reset when it is dropped.
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
            // axum's own listener logs what cannot be accepted, and waits when files run out.
            let (stream, address) = Listener::accept(&mut self.listener).await;
            // Small answers should not wait for each other; failing that, they are only slower.
            let _ = stream.set_nodelay(true);
            if let Some(stream) = self.welcome(stream) {
                let tls = self.core.tls.as_ref().map(|tls| &tls.acceptor);
                return (CuttableStream::new(Channel::new(stream, tls)), address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// What a request knows of its connection.
#[derive(Clone)]
pub(in crate::mock) struct Connection {
    pub(in crate::mock) cutter: Cutter,
    /// The other end.
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

/// Says that nothing will come, and then reads: a connection that is dropped with unread bytes is
/// reset.
async fn close(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        let _ = copy(&mut stream, &mut sink()).await;
    }
}

/// Keeps it until the issuer stops, without reading.
async fn hold(stream: TcpStream) {
    let _stream = stream;
    std::future::pending::<()>().await;
}
