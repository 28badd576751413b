//! What everything that is kept on a server has in common: a deadline, whole milliseconds, and what
//! the log may hear of an error.

use std::{future::Future, time::Duration};

/// How long one operation may take. A server that is slower is not there.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);
/// Ten years: what is longer is as good as for ever, and overflows nothing.
const LONGEST: u64 = 10 * 365 * 24 * 3600 * 1000;

/// The server does not work, or not in time; the log knows more.
#[derive(Debug)]
pub(crate) struct NotAvailable;

/// Whole milliseconds, one at least.
pub(crate) fn millis(duration: Duration) -> i64 {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(LONGEST);
    i64::try_from(millis.clamp(1, LONGEST)).unwrap_or(i64::MAX)
}

/// The answer of `what`, if it comes in time. Of what went wrong the log gets a code.
pub(crate) async fn in_time<T, E: Coded>(
    what: &'static str,
    operation: impl Future<Output = Result<T, E>>,
) -> Result<T, NotAvailable> {
    let answer = tokio::time::timeout(DEADLINE, operation).await;
    let code = match answer {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error.code(),
        Err(_) => "timeout".to_owned(),
    };
    crate::observe::backend_unavailable(what, &code);
    Err(NotAvailable)
}

/// An error that can be told by a code; never by its text, which may hold what was sent.
pub(crate) trait Coded {
    fn code(&self) -> String;
}

/// The `SQLSTATE`, or what sqlx calls the kind.
#[cfg(feature = "postgres")]
impl Coded for sqlx::Error {
    fn code(&self) -> String {
        match self {
            Self::Database(error) => error.code().unwrap_or_default().into_owned(),
            Self::Io(error) => error.kind().to_string(),
            Self::PoolTimedOut => "pool timed out".to_owned(),
            Self::PoolClosed => "pool closed".to_owned(),
            _ => "other".to_owned(),
        }
    }
}

#[cfg(feature = "redis")]
impl Coded for fred::error::Error {
    fn code(&self) -> String {
        format!("{:?}", self.kind())
    }
}
