//! What the handlers of several processes write down on the server that they share, in its order.

use std::sync::Arc;

use fred::{clients::Pool, interfaces::LuaInterface as _};
use kycport::{
    store::{PostgresStore, Store},
    web::Delivery,
    webhook::SettleOutcome,
};
use sqlx::PgPool;

use crate::{engines, servers};

/// On which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    Postgres,
}

/// What a handler is told by the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    GoOn,
    /// Hang when the effect is not there yet, or not committed.
    StayBefore,
    /// Hang when it is, and the receiver has not remembered it.
    StayAfter,
    /// One or the other, as the event has it.
    StayEither,
}

impl Told {
    const ALL: [(Self, &'static str); 4] = [
        (Self::GoOn, "go on"),
        (Self::StayBefore, "before"),
        (Self::StayAfter, "after"),
        (Self::StayEither, "either"),
    ];

    fn word(self) -> &'static str {
        let same = |(told, _): &&(Self, &str)| *told == self;
        Self::ALL.iter().find(same).unwrap().1
    }

    fn of(word: &str) -> Self {
        let same = |(_, other): &&(Self, &str)| *other == word;
        Self::ALL.iter().find(same).map_or(Self::GoOn, |it| it.0)
    }
}

/// What a handler learns when it begins.
#[derive(Debug)]
pub(crate) struct Entered {
    /// 1 for the first that ever began with the event.
    pub(crate) attempt: i64,
    pub(crate) told: Told,
}

/// Who did what, with which event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) what: String,
    /// One life of a process.
    pub(crate) holder: String,
    pub(crate) id: String,
}

#[derive(Clone)]
pub(crate) enum Books {
    Redis(Pool, Arc<dyn Store>),
    Postgres(PgPool, PostgresStore),
}

const ENTER: &str = "
redis.call('RPUSH', 'lines', 'enter ' .. ARGV[1] .. ' ' .. ARGV[2])
return {redis.call('HINCRBY', 'attempts', ARGV[2], 1), redis.call('HGET', 'told', ARGV[1]) or ''}";

const ENTER_IN_POSTGRES: &str = "
WITH line AS (INSERT INTO lines (what, holder, id) VALUES ('enter', $1, $2))
SELECT
    (SELECT count(*) FROM lines WHERE id = $2 AND what = 'enter') + 1,
    coalesce((SELECT what FROM told WHERE holder = $1), '')";

const TABLES: &str = "
CREATE TABLE lines (seq bigserial PRIMARY KEY, what text, holder text, id text);
CREATE INDEX ON lines (id);
CREATE INDEX ON lines (what);
CREATE TABLE effects (seq bigserial PRIMARY KEY, holder text, id text);
CREATE TABLE told (holder text PRIMARY KEY, what text);";

impl Books {
    pub(crate) async fn open(kind: Kind, port: u16) -> Option<Self> {
        Some(match kind {
            Kind::Redis => {
                let store = engines::redis_store(port).await?;
                Self::Redis(servers::redis_pool(port).await, store)
            }
            Kind::Postgres => {
                let pool = servers::postgres_pool(port, 40).await;
                Self::Postgres(pool.clone(), engines::postgres_store(pool))
            }
        })
    }

    /// The store of the receivers, on the same server.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Redis(_, store) => Arc::clone(store),
            Self::Postgres(_, store) => Arc::new(store.clone()),
        }
    }

    /// The tables, on a server that has none.
    pub(crate) async fn make(&self) {
        if let Self::Postgres(pool, store) = self {
            store.migrate().await.unwrap();
            sqlx::raw_sql(TABLES).execute(pool).await.unwrap();
        }
    }

    /// From now on each handler of this holder learns it when it begins.
    pub(crate) async fn tell(&self, holder: &str, told: Told) {
        let told = told.word();
        match self {
            Self::Redis(pool, _) => {
                let script = "return redis.call('HSET', 'told', ARGV[1], ARGV[2])";
                let arguments = vec![holder, told];
                let _: i64 = pool.eval(script, (), arguments).await.unwrap();
            }
            Self::Postgres(pool, _) => {
                let insert = sqlx::query("INSERT INTO told VALUES ($1, $2)");
                let insert = insert.bind(holder).bind(told).execute(pool);
                insert.await.unwrap();
            }
        }
    }

    pub(crate) async fn enter(&self, holder: &str, id: &str) -> Entered {
        let (attempt, word): (i64, String) = match self {
            Self::Redis(pool, _) => pool.eval(ENTER, (), vec![holder, id]).await.unwrap(),
            Self::Postgres(pool, _) => {
                let query = sqlx::query_as(ENTER_IN_POSTGRES).bind(holder).bind(id);
                query.fetch_one(pool).await.unwrap()
            }
        };
        let told = Told::of(&word);
        Entered { attempt, told }
    }

    pub(crate) async fn write(&self, what: &str, holder: &str, id: &str) {
        match self {
            Self::Redis(pool, _) => {
                let script = "return redis.call('RPUSH', 'lines', ARGV[1])";
                let line = vec![format!("{what} {holder} {id}")];
                let _: i64 = pool.eval(script, (), line).await.unwrap();
            }
            Self::Postgres(pool, _) => {
                let insert =
                    sqlx::query("INSERT INTO lines (what, holder, id) VALUES ($1, $2, $3)");
                let insert = insert.bind(what).bind(holder).bind(id).execute(pool);
                insert.await.unwrap();
            }
        }
    }

    /// The effect of an event. In Postgres it is there if, and only if, the event is done.
    /// `uncommitted` runs before that is so.
    pub(crate) async fn take_effect(
        &self,
        holder: &str,
        delivery: &Delivery,
        uncommitted: impl Future<Output = ()>,
    ) -> Result<(), &'static str> {
        let id = &delivery.event().id;
        match self {
            Self::Redis(..) => {
                uncommitted.await;
                self.write("effect", holder, id).await;
            }
            Self::Postgres(pool, store) => {
                let mut transaction = pool.begin().await.unwrap();
                let insert = sqlx::query("INSERT INTO effects (holder, id) VALUES ($1, $2)");
                let insert = insert.bind(holder).bind(id).execute(&mut *transaction);
                insert.await.unwrap();
                let settled = delivery.lease().complete_in(store, &mut *transaction).await;
                if settled != Ok(SettleOutcome::Applied) {
                    return Err("another has it");
                }
                uncommitted.await;
                transaction.commit().await.unwrap();
            }
        }
        Ok(())
    }

    /// All that was written down.
    pub(crate) async fn lines(&self) -> Vec<Line> {
        match self {
            Self::Redis(pool, _) => {
                let script = "return redis.call('LRANGE', 'lines', 0, -1)";
                let lines: Vec<String> = pool.eval(script, (), Vec::<String>::new()).await.unwrap();
                lines.iter().map(|line| parsed(line)).collect()
            }
            Self::Postgres(pool, _) => {
                let query = sqlx::query_as("SELECT what, holder, id FROM lines ORDER BY seq");
                let lines: Vec<(String, String, String)> = query.fetch_all(pool).await.unwrap();
                let line = |(what, holder, id)| Line { what, holder, id };
                lines.into_iter().map(line).collect()
            }
        }
    }

    /// Each effect: of which event, and by whom.
    pub(crate) async fn effects(&self) -> Vec<(String, String)> {
        match self {
            Self::Redis(..) => {
                let lines = self.lines().await.into_iter();
                let effects = lines.filter(|line| line.what == "effect");
                effects.map(|line| (line.id, line.holder)).collect()
            }
            Self::Postgres(pool, _) => {
                let query = sqlx::query_as("SELECT id, holder FROM effects ORDER BY seq");
                query.fetch_all(pool).await.unwrap()
            }
        }
    }

    /// Waits until handlers hang in each of these ways.
    pub(crate) async fn until(&self, ways: &[&str]) {
        loop {
            let lines = self.lines().await;
            if ways
                .iter()
                .all(|way| lines.iter().any(|it| it.what == *way))
            {
                return;
            }
        }
    }
}

fn parsed(line: &str) -> Line {
    let mut words = line.split(' ').map(str::to_owned);
    let mut word = || words.next().unwrap();
    Line {
        what: word(),
        holder: word(),
        id: word(),
    }
}
