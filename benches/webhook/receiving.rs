//! How many deliveries one receiver takes in a second with each store, and what it waits for.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::{
    judging::median,
    load::{DELIVERIES, SENDERS, Spent, connect, turn},
    receiver::{Kind, Receiver},
    servers::{Disk, Server},
};

/// How often each receiver has its turn, after one that does not count.
const TURNS: usize = 15;

struct Contender {
    kind: Kind,
    receiver: Receiver,
    sockets: Vec<TcpStream>,
    walls: Vec<Duration>,
    spent: Spent,
}

impl Contender {
    /// `None` if this machine has no server for it.
    async fn start(kind: Kind, redis: Option<&Server>, postgres: Option<&Server>) -> Option<Self> {
        let server = match kind {
            Kind::Bare | Kind::Memory => None,
            Kind::Redis => Some(redis?),
            Kind::Postgres | Kind::PostgresEffect => Some(postgres?),
        };
        let receiver = Receiver::start(kind, server.map_or(0, Server::port));
        Some(Self {
            kind,
            sockets: connect(&receiver).await,
            receiver,
            walls: Vec::new(),
            spent: Spent::default(),
        })
    }
}

/// Lets the receivers work in turns and prints their medians and the ratios to the first.
pub(crate) fn print_ratios() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let redis = Server::redis();
    let postgres = Server::postgres_with(Disk::Awaited);
    runtime.block_on(compare(redis.as_ref(), postgres.as_ref()));
}

async fn compare(redis: Option<&Server>, postgres: Option<&Server>) {
    let mut contenders = Vec::new();
    for kind in Kind::ALL {
        contenders.extend(Contender::start(kind, redis, postgres).await);
    }
    for n in 0..=TURNS {
        for it in &mut contenders {
            let name = format!("{:?}_{n}", it.kind);
            let cost = turn(&it.receiver, &mut it.sockets, &name).await;
            if n > 0 {
                it.walls.push(cost.wall);
                it.spent.add(cost.spent);
            }
        }
    }
    println!("\n{SENDERS} senders on kept connections; the sender is on the same machine");
    println!(
        "{:<28}{:>13}{:>8}{:>14}{:>12}{:>12}{:>8}",
        "", "deliveries/s", "ratio", "µs: receiver", "sender", "the rest", "idle",
    );
    let mut bare = f64::NAN;
    for it in contenders {
        let rate = count(DELIVERIES) / median(it.walls).as_secs_f64();
        if it.kind == Kind::Bare {
            bare = rate;
        }
        let each = |time: Duration| time.as_secs_f64() * 1e6 / count(DELIVERIES * TURNS);
        let rest = it
            .spent
            .machine
            .saturating_sub(it.spent.receiver + it.spent.sender);
        let idle = it.spent.idle.as_secs_f64() / (it.spent.machine + it.spent.idle).as_secs_f64();
        println!(
            "{:<28}{rate:>13.0}{:>8.3}{:>14.0}{:>12.0}{:>12.0}{:>7.0}%",
            it.kind.name(),
            rate / bare,
            each(it.spent.receiver),
            each(it.spent.sender),
            each(rest),
            idle * 100.0,
        );
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}
