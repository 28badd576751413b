//! Generator of deliveries, and counters for the cost on this machine.

use std::time::{Duration, Instant};

use kycport::{Clock as _, Secret, SystemClock, webhook::sign_test_delivery};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::receiver::{Receiver, SECRET};

/// Number of keep-alive connections. Each connection sends one delivery at a time.
pub(crate) const SENDERS: usize = 32;

/// Elapsed time, and the processor time of all cores together during this time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) spent: Spent,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) receiver: Duration,
    pub(crate) sender: Duration,
    /// Processor time during which the whole machine was busy.
    pub(crate) machine: Duration,
    pub(crate) idle: Duration,
}

impl Spent {
    /// Returns the values since the start of the machine and of the processes.
    fn so_far(receiver: &Receiver) -> Self {
        let (machine, idle) = of_machine();
        Self {
            receiver: of_process(&receiver.process().to_string()),
            sender: of_process("self"),
            machine,
            idle,
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            receiver: self.receiver.saturating_sub(before.receiver),
            sender: self.sender.saturating_sub(before.sender),
            machine: self.machine.saturating_sub(before.machine),
            idle: self.idle.saturating_sub(before.idle),
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.receiver += other.receiver;
        self.sender += other.sender;
        self.machine += other.machine;
        self.idle += other.idle;
    }
}

/// Delivers this number of events. The events are new to the receiver.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) async fn turn(
    receiver: &Receiver,
    sockets: &mut [TcpStream],
    deliveries: usize,
    turn: usize,
) -> Cost {
    let each = deliveries / sockets.len();
    let requests: Vec<Vec<_>> = (0..sockets.len())
        .map(|sender| {
            (0..each)
                .map(|n| request(&format!("{}_{turn}_{sender}_{n}", receiver.port)))
                .collect()
        })
        .collect();
    let before = Spent::so_far(receiver);
    let start = Instant::now();
    let senders = sockets
        .iter_mut()
        .zip(&requests)
        .map(|(socket, requests)| async move {
            for request in requests {
                deliver(socket, request).await;
            }
        });
    futures_util::future::join_all(senders).await;
    let wall = start.elapsed();
    Cost {
        wall,
        spent: Spent::so_far(receiver).since(before),
    }
}

pub(crate) async fn connect(receiver: &Receiver) -> Vec<TcpStream> {
    let mut sockets = Vec::new();
    for _ in 0..SENDERS {
        let socket = TcpStream::connect(("127.0.0.1", receiver.port))
            .await
            .unwrap();
        socket.set_nodelay(true).unwrap();
        sockets.push(socket);
    }
    sockets
}

fn request(id: &str) -> Vec<u8> {
    let body = json!({
        "id": id, "type": "kyc.status_changed", "created_at": SystemClock::new().now().as_unix(),
        "data": {"person_id": "p", "kyc_status": "verified", "kyc_tier": "t2", "aml_clear": true},
    });
    let body = body.to_string();
    let (name, value) = sign_test_delivery(&Secret::new(SECRET), body.as_bytes());
    let length = body.len();
    let value = value.to_str().unwrap();
    format!(
        "POST / HTTP/1.1\r\nhost: receiver\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{name}: {value}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The response of the receiver has no body.
async fn deliver(socket: &mut TcpStream, request: &[u8]) {
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::with_capacity(512);
    while !answer.ends_with(b"\r\n\r\n") {
        assert_ne!(socket.read_buf(&mut answer).await.unwrap(), 0);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

/// Sums clock ticks of 10 ms.
fn ticks<'a>(numbers: impl Iterator<Item = &'a str>) -> Duration {
    let ticks: u64 = numbers.map(|it| it.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Returns the processor time of a process: `utime` and `stime`.
fn of_process(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    ticks(after_name.split_whitespace().skip(11).take(2))
}

/// Returns the busy time and the idle time (`idle` and `iowait`) of all cores.
fn of_machine() -> (Duration, Duration) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let numbers = || stat.lines().next().unwrap().split_whitespace().skip(1);
    let idle = ticks(numbers().skip(3).take(2));
    (ticks(numbers().take(8)).saturating_sub(idle), idle)
}
