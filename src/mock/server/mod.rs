//! The thread that serves, and the port while nobody does.

mod deliverer;
mod dispatch;
mod listener;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    handler::Handler as _,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use tokio::{net::TcpSocket, runtime::Builder, sync::oneshot};

use crate::mock::{admin::Admin, core::Core};
use listener::{Connection, CuttableListener};

/// Maximum number of attempts to bind a port again.
const BIND_ATTEMPTS: u32 = 300;
/// Time between two such attempts.
const BIND_INTERVAL: Duration = Duration::from_millis(10);

/// A bound port that does not listen yet: connections are refused, and no other process gets it.
pub(super) struct Port {
    socket: TcpSocket,
    address: SocketAddr,
}

impl Port {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A port whose last connections are still fading away is free.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// Binds a port again that was closed just now. Meanwhile the system can have given it to an
    /// outgoing connection, most of which are short.
    fn bind_again(address: SocketAddr) -> io::Result<Self> {
        for _ in 0..BIND_ATTEMPTS {
            match Self::bind(address) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    thread::sleep(BIND_INTERVAL);
                }
                bound => return bound,
            }
        }
        Self::bind(address)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A server that runs until it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens when this returns. The thread and its runtime are the server's own, so that it
    /// serves a test of either flavour, and one that blocks.
    pub(super) fn start(
        core: Arc<Core>,
        port: Port,
        admin: Option<Arc<Admin>>,
    ) -> io::Result<Self> {
        let address = port.address;
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("kycport-mock".to_owned())
            .spawn(move || run(core, port, admin, stopped, &tell))?;
        told.recv()
            .unwrap_or_else(|_| Err(io::Error::other("the server's thread ended")))?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Ends every connection and closes the port, then holds it.
    pub(super) fn stop(mut self) -> io::Result<Port> {
        self.end();
        Port::bind_again(self.address)
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It can only fail if the thread panicked, and then it has ended too.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(
    core: Arc<Core>,
    port: Port,
    admin: Option<Arc<Admin>>,
    stopped: oneshot::Receiver<()>,
    tell: &mpsc::SyncSender<io::Result<()>>,
) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tell.send(Err(error)).unwrap_or_default(),
    };
    runtime.block_on(async {
        let listener = match port.socket.listen(BACKLOG) {
            Ok(listener) => CuttableListener {
                listener,
                core: Arc::clone(&core),
            },
            Err(error) => return tell.send(Err(error)).unwrap_or_default(),
        };
        tell.send(Ok(())).unwrap_or_default();
        let deliveries = deliverer::run(Arc::clone(&core));
        let service = dispatch::serve.with_state(core);
        let mut service = Router::new().fallback_service(service);
        if let Some(admin) = admin {
            service = service.layer(from_fn_with_state(admin, admin_first));
        }
        let service = service.into_make_service_with_connect_info::<Connection>();
        tokio::select! {
            _ = axum::serve(listener, service) => {}
            () = deliveries => {}
            _ = stopped => {}
        }
    });
    // Dropping the runtime ends what hangs or waits.
}

/// What is the admin API's never gets to the issuer, nor into its log.
async fn admin_first(
    State(admin): State<Arc<Admin>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
    next: Next,
) -> Response {
    if Admin::has(request.uri().path()) {
        return admin.serve(connection.peer.ip(), request).await;
    }
    next.run(request).await
}

/// Connections that wait to be accepted: more than any test opens at once.
const BACKLOG: u32 = 4096;
