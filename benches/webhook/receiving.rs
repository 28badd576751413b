//! Throughput of one receiver with each store, and the limit of this throughput.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::{
    load::{SENDERS, Spent, connect, turn},
    receiver::{Kind, Receiver},
    servers::{Disk, Server},
    sqlite_file::SqliteFile,
    verification::median,
};

/// Number of turns per receiver, after a warm-up turn.
const TURNS: usize = 15;

/// Number of deliveries per turn.
const DELIVERIES: usize = 2048;
/// Number of deliveries per turn if each delivery waits for the disk.
const DELIVERIES_TO_DISK: usize = 256;

struct Contender {
    name: &'static str,
    deliveries: usize,
    receiver: Receiver,
    sockets: Vec<TcpStream>,
    walls: Vec<Duration>,
    spent: Spent,
}

impl Contender {
    async fn start(name: &'static str, kind: Kind, url: &str) -> Self {
        let receiver = Receiver::start(kind, url);
        Self {
            name,
            deliveries: DELIVERIES,
            sockets: connect(&receiver).await,
            receiver,
            walls: Vec::new(),
            spent: Spent::default(),
        }
    }

    fn waiting_for_disk(self) -> Self {
        Self {
            deliveries: DELIVERIES_TO_DISK,
            ..self
        }
    }
}

/// Runs the receivers in turns, and prints their medians and the ratios to the first receiver.
pub(crate) fn print_ratios() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let redis = Server::redis();
    let postgres = Server::postgres();
    let on_disk = Server::postgres_with(Disk::Awaited);
    let sqlite = SqliteFile::new();
    runtime.block_on(async {
        let start = Contender::start;
        let mut contenders = vec![
            start("bare route", Kind::Bare, "").await,
            start("memory", Kind::Memory, "").await,
        ];
        if let Some(url) = redis.as_ref().map(Server::url) {
            contenders.push(start("Redis", Kind::Redis, &url).await);
        }
        if let Some(url) = postgres.as_ref().map(Server::url) {
            contenders.extend([
                start("Postgres", Kind::Postgres, &url).await,
                start("  with the effect", Kind::PostgresEffect, &url).await,
            ]);
        }
        let mut on_the_disk = Vec::new();
        if let Some(url) = on_disk.as_ref().map(Server::url) {
            on_the_disk.extend([
                start("Postgres, on disk", Kind::Postgres, &url).await,
                start("  with the effect", Kind::PostgresEffect, &url).await,
            ]);
        }
        on_the_disk.extend([
            start("SQLite, on disk", Kind::Sqlite, &sqlite.url()).await,
            start("  with the effect", Kind::SqliteEffect, &sqlite.url()).await,
        ]);
        contenders.extend(on_the_disk.into_iter().map(Contender::waiting_for_disk));
        compare(contenders).await;
    });
}

async fn compare(mut contenders: Vec<Contender>) {
    for n in 0..=TURNS {
        for it in &mut contenders {
            let cost = turn(&it.receiver, &mut it.sockets, it.deliveries, n).await;
            if n > 0 {
                it.walls.push(cost.wall);
                it.spent.add(cost.spent);
            }
        }
    }
    println!("\n{SENDERS} senders on keep-alive connections, on the same machine");
    println!(
        "{:<28}{:>13}{:>8}{:>14}{:>12}{:>12}{:>8}",
        "", "deliveries/s", "ratio", "µs: receiver", "sender", "the rest", "idle",
    );
    let mut bare = None;
    for it in contenders {
        let rate = count(it.deliveries) / median(it.walls).as_secs_f64();
        let bare = *bare.get_or_insert(rate);
        let each = |time: Duration| time.as_secs_f64() * 1e6 / count(it.deliveries * TURNS);
        let rest = it
            .spent
            .machine
            .saturating_sub(it.spent.receiver + it.spent.sender);
        let idle = it.spent.idle.as_secs_f64() / (it.spent.machine + it.spent.idle).as_secs_f64();
        println!(
            "{:<28}{rate:>13.0}{:>8.4}{:>14.0}{:>12.0}{:>12.0}{:>7.0}%",
            it.name,
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
