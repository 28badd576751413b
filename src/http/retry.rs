//! Asking again: only what can be asked twice, only when it may help, and never in a crowd (K44).

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use rand::RngExt as _;
use tokio::sync::Semaphore;

use super::{Answer, TransportError};
use crate::{
    clock::{Clock, Timestamp},
    observe::{self, Reason as _},
};

/// How often, how soon, and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// Attempts in all.
    pub(crate) attempts: u32,
    /// The longest first pause; each further one is twice as long. How much of it is waited is
    /// left to chance, so that callers who failed together do not come back together.
    pub(crate) first_pause: Duration,
    /// No pause is longer.
    pub(crate) longest_pause: Duration,
    /// For all attempts and pauses together.
    pub(crate) total: Duration,
}

impl RetryPolicy {
    pub(crate) const DEFAULT: Self = Self {
        attempts: 3,
        first_pause: Duration::from_millis(200),
        longest_pause: Duration::from_secs(5),
        total: Duration::from_secs(20),
    };
}

/// So many calls are under way at once; more wait for their turn.
const MOST_AT_ONCE: usize = 64;
/// The budget for retries, of all calls together …
const BUDGET: u32 = 100;
/// … of which each costs so much …
const RETRY_COST: u32 = 10;
/// … and each success gives back so much.
const SUCCESS_REFUND: u32 = 1;
/// A call waits so often for a 429 to be over.
const MOST_WAITS: u32 = 3;
/// A longer `Retry-After` is taken for this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Why a call brought no answer to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallError {
    /// It could not be asked.
    Transport(TransportError),
    /// KYCPort wants to be left alone for so long, which is longer than this call may take.
    RateLimited { retry_after: Duration },
}

/// What may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// A question: it may arrive more than once.
    Question,
    /// What does something: again only while it is certain that nothing of it was sent.
    Deed,
}

impl Repeat {
    fn is_worth_another(self, result: &Result<Answer, TransportError>) -> bool {
        match (self, result) {
            (_, Err(TransportError::Connect))
            | (Self::Question, Err(TransportError::Timeout | TransportError::Broken)) => true,
            (Self::Question, Ok(answer)) => is_not_now(answer.status),
            (Self::Deed, Ok(_)) | (_, Err(_)) => false,
        }
    }
}

/// One service's calls: they share a gate, a budget and a limit.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    policy: RetryPolicy,
    clock: Arc<dyn Clock>,
    turns: Arc<Semaphore>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    budget: AtomicU32,
    /// Closed by a 429 until then, for everybody.
    closed_until: Mutex<Duration>,
}

impl Caller {
    pub(crate) fn new(policy: RetryPolicy, clock: Arc<dyn Clock>) -> Self {
        Self {
            policy,
            clock,
            turns: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            shared: Arc::new(Shared {
                budget: AtomicU32::new(BUDGET),
                closed_until: Mutex::new(Duration::ZERO),
            }),
        }
    }

    /// For calls that take up to `total`: with turns of their own, so that short ones need not wait
    /// for them, and with the same gate and budget.
    pub(crate) fn for_long_calls(&self, total: Duration) -> Self {
        Self {
            policy: RetryPolicy {
                total,
                ..self.policy
            },
            turns: Arc::new(Semaphore::new(MOST_AT_ONCE)),
            ..self.clone()
        }
    }

    /// Sends what `send` sends, again if that may help and `repeat` permits.
    pub(crate) async fn call<F>(
        &self,
        repeat: Repeat,
        send: impl Fn() -> F,
    ) -> Result<Answer, CallError>
    where
        F: Future<Output = Result<Answer, TransportError>>,
    {
        tokio::time::timeout(self.policy.total, self.attempts(repeat, send))
            .await
            .unwrap_or(Err(CallError::Transport(TransportError::Timeout)))
    }

    async fn attempts<F>(&self, repeat: Repeat, send: impl Fn() -> F) -> Result<Answer, CallError>
    where
        F: Future<Output = Result<Answer, TransportError>>,
    {
        let Ok(_turn) = self.turns.acquire().await else {
            return Err(CallError::Transport(TransportError::Request));
        };
        let began = self.clock.monotonic();
        let mut attempt = 1;
        loop {
            self.pass_gate(began).await?;
            let result = send().await;
            let wanted = result.as_ref().ok().and_then(|it| self.wanted_pause(it));
            if matches!(&result, Ok(it) if it.status == StatusCode::TOO_MANY_REQUESTS) {
                self.close_gate(wanted.unwrap_or(self.policy.first_pause));
            }
            if !repeat.is_worth_another(&result) {
                if result.as_ref().is_ok_and(|it| !is_not_now(it.status)) {
                    self.refund();
                }
                return result.map_err(CallError::Transport);
            }
            let pause = wanted.unwrap_or_else(|| self.chance_pause(attempt));
            if attempt >= self.policy.attempts || !self.spend() {
                return result.map_err(CallError::Transport);
            }
            if self.left(began) <= pause {
                return match wanted {
                    Some(retry_after) => Err(CallError::RateLimited { retry_after }),
                    None => result.map_err(CallError::Transport),
                };
            }
            observe::retried(attempt, reason(&result), pause);
            wait(pause).await;
            attempt = attempt.saturating_add(1);
        }
    }

    /// Waits until a 429 is over or, if that takes longer than this call may, gives up at once.
    async fn pass_gate(&self, began: Duration) -> Result<(), CallError> {
        // Others were told at the same moment, and each answer says a little later than the one
        // before; whoever is told to wait on again and again is not kept.
        for _ in 0..MOST_WAITS {
            let closed_for = self.closed_for();
            if closed_for.is_zero() {
                return Ok(());
            }
            if self.left(began) <= closed_for {
                break;
            }
            wait(closed_for).await;
        }
        match self.closed_for() {
            Duration::ZERO => Ok(()),
            retry_after => Err(CallError::RateLimited { retry_after }),
        }
    }

    /// Whether a 429 closed the gate, and it has not been open for longer than `age` since.
    #[cfg(feature = "web")]
    pub(crate) fn was_rate_limited_within(&self, age: Duration) -> bool {
        let until = self.closed_until();
        !until.is_zero() && self.clock.monotonic() < until.saturating_add(age)
    }

    fn closed_for(&self) -> Duration {
        self.closed_until().saturating_sub(self.clock.monotonic())
    }

    fn closed_until(&self) -> Duration {
        *self
            .shared
            .closed_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn close_gate(&self, pause: Duration) {
        observe::gate_closed(pause);
        let until = self.clock.monotonic().saturating_add(pause);
        let mut closed_until = self
            .shared
            .closed_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *closed_until = until.max(*closed_until);
    }

    fn left(&self, began: Duration) -> Duration {
        let spent = self.clock.monotonic().saturating_sub(began);
        self.policy.total.saturating_sub(spent)
    }

    fn wanted_pause(&self, answer: &Answer) -> Option<Duration> {
        let heeds = matches!(
            answer.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        heeds.then(|| retry_after(&answer.headers, self.clock.now()))?
    }

    fn chance_pause(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let most = self
            .policy
            .first_pause
            .saturating_mul(doubled)
            .min(self.policy.longest_pause);
        most.mul_f64(rand::rng().random_range(0.0..=1.0))
    }

    fn spend(&self) -> bool {
        self.shared
            .budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(RETRY_COST)
            })
            .is_ok()
    }

    fn refund(&self) {
        let back = |left: u32| Some(left.saturating_add(SUCCESS_REFUND).min(BUDGET));
        // Never `Err`: the closure always has a value.
        let _ = self
            .shared
            .budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, back);
    }
}

/// Why an attempt was not the last.
fn reason(result: &Result<Answer, TransportError>) -> &'static str {
    match result {
        Err(error) => error.reason(),
        Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => "rate_limited",
        Ok(_) => "unavailable",
    }
}

/// Statuses that say "not now".
fn is_not_now(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3), one hour at most; a date that
/// is past is now.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        // Digits that do not fit are many seconds.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        let since_epoch = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let date = Timestamp::from_unix(i64::try_from(since_epoch.as_secs()).ok()?);
        date.since(now)
    };
    Some(pause.min(LONGEST_RETRY_AFTER))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a pause between two attempts is a pause and waits for nothing"
)]
async fn wait(pause: Duration) {
    tokio::time::sleep(pause).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};

    use super::retry_after;
    use crate::clock::Timestamp;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        // case 115
        let now = Timestamp::from_unix(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, seconds) in [
            ("2", Some(2)),
            (" 120 ", Some(120)),
            ("0", Some(0)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(3600)),
            ("86400", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            assert_eq!(
                retry_after(&headers, now),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        }
    }
}
