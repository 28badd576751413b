//! Lua scripts that the server executes atomically.

use std::{sync::LazyLock, time::Duration};

use redis::{Cmd, Pipeline, Value};

use super::{connection::Link, failure::Failure, key::Key, reply};

/// Number of arguments for which a call reserves capacity, without bodies.
const ARGUMENTS: usize = 32;
/// Number of bytes that a call reserves for its arguments, without bodies.
const SIZE: usize = 512;

pub(super) static WRITE: LazyLock<Script> = script(|| Script::new(include_str!("write.lua")));
pub(super) static REVOKE: LazyLock<Script> = script(|| Script::new(include_str!("revoke.lua")));
pub(super) static COUNTER: LazyLock<Script> = script(|| Script::new(include_str!("counter.lua")));
pub(super) static ACQUIRE: LazyLock<Script> = script(|| Script::new(include_str!("acquire.lua")));
pub(super) static SETTLE: LazyLock<Script> = script(|| Script::new(include_str!("settle.lua")));

const fn script(new: fn() -> Script) -> LazyLock<Script> {
    LazyLock::new(new)
}

/// Script and its hash on the server.
pub(super) struct Script {
    code: &'static str,
    hash: String,
}

/// Function that appends the arguments of a call.
type Fill<'a> = &'a (dyn Fn(&mut Cmd) + Sync);

impl Script {
    fn new(code: &'static str) -> Self {
        let hash = redis::Script::new(code).get_hash().to_owned();
        Self { code, hash }
    }

    /// Executes the script on one key.
    pub(super) async fn run(
        &self,
        link: &Link,
        key: Key<'_>,
        fill: Fill<'_>,
    ) -> Result<Value, Failure> {
        match link.command(&self.by_hash(key, fill)).await {
            // The server does not know the script after a restart, a failover or a flush of
            // scripts. The server did not run the script.
            Err(failure) if failure.is_unknown_script() => {
                link.command(&self.by_code(key, fill)).await
            }
            reply => reply,
        }
    }

    /// Executes the script on one key. After the script, waits at most `limit` until `replicas`
    /// replicas have all writes of the connection.
    pub(super) async fn run_on_replicas(
        &self,
        link: &Link,
        key: Key<'_>,
        fill: Fill<'_>,
        replicas: u32,
        limit: Duration,
    ) -> Result<Value, Failure> {
        let with_wait = |call| {
            let mut pipeline = Pipeline::with_capacity(2);
            pipeline.add_command(call);
            let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            pipeline.cmd("WAIT").arg(replicas).arg(limit);
            pipeline
        };
        let replies = match link.pipeline(&with_wait(self.by_hash(key, fill))).await {
            Err(failure) if failure.is_unknown_script() => {
                link.pipeline(&with_wait(self.by_code(key, fill))).await
            }
            replies => replies,
        };
        let mut replies = replies?.into_iter();
        let (reply, acknowledged) = (replies.next(), replies.next());
        let acknowledged = reply::number(&acknowledged.unwrap_or(Value::Nil))?;
        if acknowledged < u64::from(replicas) {
            return Err(Failure::not_replicated());
        }
        reply.ok_or_else(Failure::damaged)
    }

    fn by_hash(&self, key: Key<'_>, fill: Fill<'_>) -> Cmd {
        call("EVALSHA", &self.hash, key, fill)
    }

    fn by_code(&self, key: Key<'_>, fill: Fill<'_>) -> Cmd {
        call("EVAL", self.code, key, fill)
    }
}

fn call(name: &str, script: &str, key: Key<'_>, fill: Fill<'_>) -> Cmd {
    let mut command = Cmd::with_capacity(ARGUMENTS, SIZE);
    command.arg(name).arg(script).arg(1).arg(key);
    fill(&mut command);
    command
}
