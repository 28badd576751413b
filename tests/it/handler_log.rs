//! Log of webhook handlers that run in several processes. The processes write the log, in order, to
//! a shared server.

use std::sync::Arc;

use fred::{clients::Pool, interfaces::LuaInterface as _};
use kycport::{
    store::{PostgresStore, Store},
    web::Delivery,
    webhook::SettleOutcome,
};
use sqlx::PgPool;

use crate::{engines, servers};

/// Server that stores the handlers' log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    Postgres,
}

/// Instruction that the test gives to a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instruction {
    Continue,
    /// Block before the effect, or before the commit of the effect.
    BlockBefore,
    /// Block after the effect, and before the receiver records the event as done.
    BlockAfter,
    /// Block before or after the effect. The event selects the point.
    BlockEither,
}

impl Instruction {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Continue, "go on"),
        (Self::BlockBefore, "before"),
        (Self::BlockAfter, "after"),
        (Self::BlockEither, "either"),
    ];

    fn word(self) -> &'static str {
        let same = |(instruction, _): &&(Self, &str)| *instruction == self;
        Self::ALL.iter().find(same).unwrap().1
    }

    fn of(word: &str) -> Self {
        let same = |(_, other): &&(Self, &str)| *other == word;
        Self::ALL
            .iter()
            .find(same)
            .map_or(Self::Continue, |it| it.0)
    }
}

/// State that a handler reads when it starts.
#[derive(Debug)]
pub(crate) struct Entered {
    /// Number of the attempt to handle the event. The first attempt is 1.
    pub(crate) attempt: i64,
    pub(crate) instruction: Instruction,
}

/// Entry in the log of a webhook handler: the step, the process, and the event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogEntry {
    pub(crate) what: String,
    /// Identifier of one run of a process.
    pub(crate) holder: String,
    pub(crate) id: String,
}

#[derive(Clone)]
pub(crate) enum HandlerLog {
    Redis(Pool, Arc<dyn Store>),
    Postgres(PgPool, PostgresStore),
}

const ENTER: &str = "
redis.call('RPUSH', 'lines', 'enter ' .. ARGV[1] .. ' ' .. ARGV[2])
return {redis.call('HINCRBY', 'attempts', ARGV[2], 1), redis.call('HGET', 'instruction', ARGV[1]) or ''}";

const ENTER_IN_POSTGRES: &str = "
WITH line AS (INSERT INTO lines (what, holder, id) VALUES ('enter', $1, $2))
SELECT
    (SELECT count(*) FROM lines WHERE id = $2 AND what = 'enter') + 1,
    coalesce((SELECT what FROM instruction WHERE holder = $1), '')";

const TABLES: &str = "
CREATE TABLE lines (seq bigserial PRIMARY KEY, what text, holder text, id text);
CREATE INDEX ON lines (id);
CREATE INDEX ON lines (what);
CREATE TABLE effects (seq bigserial PRIMARY KEY, holder text, id text);
CREATE TABLE instruction (holder text PRIMARY KEY, what text);";

impl HandlerLog {
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

    /// Returns the store of the receivers, which is on the same server as the log.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Redis(_, store) => Arc::clone(store),
            Self::Postgres(_, store) => Arc::new(store.clone()),
        }
    }

    /// Creates the tables of the log in Postgres. Redis needs no tables.
    pub(crate) async fn make(&self) {
        if let Self::Postgres(pool, store) = self {
            store.migrate().await.unwrap();
            sqlx::raw_sql(TABLES).execute(pool).await.unwrap();
        }
    }

    /// Sets the instruction that each later handler of this holder reads when
    /// it starts.
    pub(crate) async fn tell(&self, holder: &str, instruction: Instruction) {
        let instruction = instruction.word();
        match self {
            Self::Redis(pool, _) => {
                let script = "return redis.call('HSET', 'instruction', ARGV[1], ARGV[2])";
                let arguments = vec![holder, instruction];
                let _: i64 = pool.eval(script, (), arguments).await.unwrap();
            }
            Self::Postgres(pool, _) => {
                let insert = sqlx::query("INSERT INTO instruction VALUES ($1, $2)");
                let insert = insert.bind(holder).bind(instruction).execute(pool);
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
        let instruction = Instruction::of(&word);
        Entered {
            attempt,
            instruction,
        }
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

    /// Applies the effect of an event. In Postgres, one transaction commits the effect and the
    /// completion of the event. This function calls `uncommitted` before the commit.
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
                    return Err("another handler holds the event");
                }
                uncommitted.await;
                transaction.commit().await.unwrap();
            }
        }
        Ok(())
    }

    /// Returns all log entries in order.
    pub(crate) async fn lines(&self) -> Vec<LogEntry> {
        match self {
            Self::Redis(pool, _) => {
                let script = "return redis.call('LRANGE', 'lines', 0, -1)";
                let lines: Vec<String> = pool.eval(script, (), Vec::<String>::new()).await.unwrap();
                lines.iter().map(|line| parsed(line)).collect()
            }
            Self::Postgres(pool, _) => {
                let query = sqlx::query_as("SELECT what, holder, id FROM lines ORDER BY seq");
                let lines: Vec<(String, String, String)> = query.fetch_all(pool).await.unwrap();
                let line = |(what, holder, id)| LogEntry { what, holder, id };
                lines.into_iter().map(line).collect()
            }
        }
    }

    /// Returns the event id and the holder of each effect.
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

    /// Waits until a handler blocks in each of these states.
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

fn parsed(line: &str) -> LogEntry {
    let mut words = line.split(' ').map(str::to_owned);
    let mut word = || words.next().unwrap();
    LogEntry {
        what: word(),
        holder: word(),
        id: word(),
    }
}
