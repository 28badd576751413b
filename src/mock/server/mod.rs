//! Server thread, and the port that stays reserved while the server is stopped.

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

/// Maximum number of attempts to rebind a port.
const BIND_ATTEMPTS: u32 = 300;
/// Pause between two attempts to rebind a port.
const BIND_INTERVAL: Duration = Duration::from_millis(10);

/// Bound port that does not listen yet. The system refuses connections, and no other process can
/// bind the port.
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
        // With `SO_REUSEADDR`, the mock can bind a port whose last connections are still in
        // TIME_WAIT.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// Rebinds a port that the mock has just closed. Retries, because the system may have assigned
    /// the port to an outgoing connection.
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

/// Server that runs until it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts the server. The server listens when this function returns. The server has a separate
    /// thread and runtime. Async tests and blocking tests can therefore use the server.
    pub(super) fn start(
        core: Arc<Core>,
        port: Port,
        admin: Option<Arc<Admin>>,
    ) -> io::Result<Self> {
        let address = port.address;
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("kycport-mock".to_owned())
            .spawn(move || run(core, port, admin, stopped, &ready))?;
        is_ready
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the server's thread ended")))?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Closes every connection and stops listening, but keeps the port reserved.
    pub(super) fn stop(mut self) -> io::Result<Port> {
        self.end();
        Port::bind_again(self.address)
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // `join` fails only if the thread panicked. A thread that panicked has also ended.
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
    ready: &mpsc::SyncSender<io::Result<()>>,
) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ready.send(Err(error)).unwrap_or_default(),
    };
    runtime.block_on(async {
        let listener = match port.socket.listen(BACKLOG) {
            Ok(listener) => CuttableListener {
                listener,
                core: Arc::clone(&core),
            },
            Err(error) => return ready.send(Err(error)).unwrap_or_default(),
        };
        ready.send(Ok(())).unwrap_or_default();
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
    // Dropping the runtime cancels all tasks.
}

/// Sends admin requests to the admin API. Admin requests therefore do not reach the issuer, and the
/// request log does not contain them.
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

/// Maximum number of connections that wait for `accept`. No test opens more connections
/// simultaneously.
const BACKLOG: u32 = 4096;
