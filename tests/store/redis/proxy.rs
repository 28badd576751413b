//! Proxy in front of a server that loses replies and delays requests.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use kycport::store::RedisStore;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// Proxy of one server. The proxy counts replies after a test has requested this.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<State>,
}

struct State {
    /// Number of replies until the proxy drops a reply and its connection.
    lost: AtomicUsize,
    /// Number of replies that the proxy forwards before it delays requests.
    held: AtomicUsize,
    holds: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            lost: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            holds: watch::Sender::new(false),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await;
                let Ok(server) = server else { continue };
                tokio::spawn(serve(client, server, Arc::clone(&shared)));
            }
        });
        Self { port, state }
    }

    pub(crate) fn store(&self) -> RedisStore {
        RedisStore::open(&format!("redis://127.0.0.1:{}", self.port)).unwrap()
    }

    /// Loses the reply with this number. The next reply has the number 1.
    pub(crate) fn lose_reply(&self, number: usize) {
        self.state.lost.store(number, Ordering::SeqCst);
    }

    /// Delays requests after the reply with this number.
    pub(crate) fn hold_after_reply(&self, number: usize) {
        self.state.held.store(number, Ordering::SeqCst);
    }

    /// Waits until requests are delayed.
    pub(crate) async fn is_holding(&self) {
        let mut holds = self.state.holds.subscribe();
        holds.wait_for(|it| *it).await.unwrap();
    }

    pub(crate) fn release(&self) {
        self.state.holds.send_replace(false);
    }
}

async fn serve(client: TcpStream, server: TcpStream, state: Arc<State>) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Ends both directions when one direction ends.
    tokio::select! {
        _ = requests(from_client, to_server, &state) => {}
        _ = replies(from_server, to_client, &state) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &State,
) -> io::Result<()> {
    let mut holds = state.holds.subscribe();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        holds.wait_for(|it| !*it).await.unwrap();
        to.write_all(&buffer[..length]).await?;
    }
}

async fn replies(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 || is_due(&state.lost) {
            return Ok(());
        }
        if is_due(&state.held) {
            state.holds.send_replace(true);
        }
        to.write_all(&buffer[..length]).await?;
    }
}

fn is_due(count: &AtomicUsize) -> bool {
    let next = |it: usize| it.checked_sub(1);
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next) == Ok(1)
}
