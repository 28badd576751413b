//! Retries, rate limits and concurrency limits of calls (K44).
//!
//! The client retries idempotent requests. The client retries other requests only if no connection
//! was established.

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

/// Limits for retries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// Maximum number of attempts, including the first attempt.
    pub(crate) attempts: u32,
    /// Maximum pause after the first attempt. The maximum doubles with each attempt. The actual
    /// pause is random between zero and the maximum. A random pause prevents that many callers
    /// retry simultaneously.
    pub(crate) first_pause: Duration,
    /// Maximum pause between two attempts.
    pub(crate) longest_pause: Duration,
    /// Maximum time for all attempts and pauses together.
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

/// Maximum number of concurrent calls. Further calls wait.
const MAX_CONCURRENT_CALLS: usize = 64;
/// Initial and maximum retry budget. All calls share the budget.
const RETRY_BUDGET: u32 = 100;
/// Amount that one retry takes from the budget.
const RETRY_COST: u32 = 10;
/// Amount that one successful call adds to the budget.
const SUCCESS_REFUND: u32 = 1;
/// Maximum number of times that one call waits for the end of a rate limit.
const MAX_RATE_LIMIT_WAITS: u32 = 3;
/// Maximum value of `Retry-After`. Longer values are reduced to the maximum.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Error for a call without a usable response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The request failed.
    Transport(TransportError),
    /// KYCPort rate-limits this client, and the limit lasts longer than the call may take.
    RateLimited { retry_after: Duration },
}

/// Whether the client may repeat a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idempotency {
    /// The request is idempotent, so the client may send the request more than once.
    Idempotent,
    /// The request has side effects. The client repeats the request only if no part of the request
    /// was sent.
    NonIdempotent,
}

impl Idempotency {
    fn permits_retry(self, result: &Result<Answer, TransportError>) -> bool {
        match (self, result) {
            (_, Err(TransportError::Connect))
            | (Self::Idempotent, Err(TransportError::Timeout | TransportError::Broken)) => true,
            (Self::Idempotent, Ok(answer)) => is_temporary(answer.status),
            (Self::NonIdempotent, Ok(_)) | (_, Err(_)) => false,
        }
    }
}

/// Client of one service. Clones of the client share the rate limit, the retry budget and the
/// concurrency limit.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    policy: RetryPolicy,
    clock: Arc<dyn Clock>,
    permits: Arc<Semaphore>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    budget: AtomicU32,
    /// Time until which KYCPort rate-limits all calls, after a 429.
    limited_until: Mutex<Duration>,
}

impl Caller {
    pub(crate) fn new(policy: RetryPolicy, clock: Arc<dyn Clock>) -> Self {
        Self {
            policy,
            clock,
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT_CALLS)),
            shared: Arc::new(Shared {
                budget: AtomicU32::new(RETRY_BUDGET),
                limited_until: Mutex::new(Duration::ZERO),
            }),
        }
    }

    /// Returns a client for long calls. `total` is the maximum duration of a call. The client has a
    /// separate concurrency limit, because long calls must not delay short calls. This client and
    /// the new client share the rate limit and the retry budget.
    pub(crate) fn for_long_calls(&self, total: Duration) -> Self {
        Self {
            policy: RetryPolicy {
                total,
                ..self.policy
            },
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT_CALLS)),
            ..self.clone()
        }
    }

    /// Sends a request, and retries it if a retry may help and `idempotency` permits it.
    pub(crate) async fn call<F>(
        &self,
        idempotency: Idempotency,
        send: impl Fn() -> F,
    ) -> Result<Answer, CallError>
    where
        F: Future<Output = Result<Answer, TransportError>>,
    {
        tokio::time::timeout(self.policy.total, self.attempts(idempotency, send))
            .await
            .unwrap_or(Err(CallError::Transport(TransportError::Timeout)))
    }

    async fn attempts<F>(
        &self,
        idempotency: Idempotency,
        send: impl Fn() -> F,
    ) -> Result<Answer, CallError>
    where
        F: Future<Output = Result<Answer, TransportError>>,
    {
        let Ok(_permit) = self.permits.acquire().await else {
            return Err(CallError::Transport(TransportError::Request));
        };
        let started = self.clock.monotonic();
        let mut attempt = 1;
        loop {
            self.wait_for_rate_limit(started).await?;
            let result = send().await;
            let requested = result.as_ref().ok().and_then(|it| self.requested_pause(it));
            if matches!(&result, Ok(it) if it.status == StatusCode::TOO_MANY_REQUESTS) {
                self.set_rate_limit(requested.unwrap_or(self.policy.first_pause));
            }
            if !idempotency.permits_retry(&result) {
                if result.as_ref().is_ok_and(|it| !is_temporary(it.status)) {
                    self.refund_budget();
                }
                return result.map_err(CallError::Transport);
            }
            let pause = requested.unwrap_or_else(|| self.random_pause(attempt));
            if attempt >= self.policy.attempts || !self.spend_budget() {
                return result.map_err(CallError::Transport);
            }
            if self.remaining(started) <= pause {
                return match requested {
                    Some(retry_after) => Err(CallError::RateLimited { retry_after }),
                    None => result.map_err(CallError::Transport),
                };
            }
            observe::retried(attempt, reason(&result), pause);
            wait(pause).await;
            attempt = attempt.saturating_add(1);
        }
    }

    /// Waits until the rate limit ends. Fails immediately if the rate limit lasts longer than the
    /// remaining time of this call.
    async fn wait_for_rate_limit(&self, started: Duration) -> Result<(), CallError> {
        // Concurrent calls may extend the rate limit while this call waits. The maximum number of
        // waits prevents an endless wait.
        for _ in 0..MAX_RATE_LIMIT_WAITS {
            let limited_for = self.limited_for();
            if limited_for.is_zero() {
                return Ok(());
            }
            if self.remaining(started) <= limited_for {
                break;
            }
            wait(limited_for).await;
        }
        match self.limited_for() {
            Duration::ZERO => Ok(()),
            retry_after => Err(CallError::RateLimited { retry_after }),
        }
    }

    /// Returns whether a rate limit of KYCPort is in force, or ended less than `age` ago.
    #[cfg(feature = "web")]
    pub(crate) fn was_rate_limited_within(&self, age: Duration) -> bool {
        let until = self.limited_until();
        !until.is_zero() && self.clock.monotonic() < until.saturating_add(age)
    }

    fn limited_for(&self) -> Duration {
        self.limited_until().saturating_sub(self.clock.monotonic())
    }

    fn limited_until(&self) -> Duration {
        *self
            .shared
            .limited_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn set_rate_limit(&self, pause: Duration) {
        observe::rate_limited(pause);
        let until = self.clock.monotonic().saturating_add(pause);
        let mut limited_until = self
            .shared
            .limited_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *limited_until = until.max(*limited_until);
    }

    fn remaining(&self, started: Duration) -> Duration {
        let spent = self.clock.monotonic().saturating_sub(started);
        self.policy.total.saturating_sub(spent)
    }

    fn requested_pause(&self, answer: &Answer) -> Option<Duration> {
        let honored = matches!(
            answer.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        honored.then(|| retry_after(&answer.headers, self.clock.now()))?
    }

    fn random_pause(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let limit = self
            .policy
            .first_pause
            .saturating_mul(doubled)
            .min(self.policy.longest_pause);
        limit.mul_f64(rand::rng().random_range(0.0..=1.0))
    }

    fn spend_budget(&self) -> bool {
        self.shared
            .budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(RETRY_COST)
            })
            .is_ok()
    }

    fn refund_budget(&self) {
        let refund = |left: u32| Some(left.saturating_add(SUCCESS_REFUND).min(RETRY_BUDGET));
        // The result is never `Err`, because the closure always returns a value.
        let _ = self
            .shared
            .budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, refund);
    }
}

/// Returns the code of the reason for a retry.
fn reason(result: &Result<Answer, TransportError>) -> &'static str {
    match result {
        Err(error) => error.reason(),
        Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => "rate_limited",
        Ok(_) => "unavailable",
    }
}

/// Returns whether the status means that a retry may succeed.
fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// Parses `Retry-After`, in seconds or as a date (RFC 9110 section 10.2.3). Limits the result to
/// one hour, and returns zero for a date in the past.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        // Treat a number that is too large for `u64` as the maximum.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(value).ok()?;
        let since_epoch = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let date = Timestamp::from_unix(i64::try_from(since_epoch.as_secs()).ok()?);
        date.since(now)
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a pause between two attempts depends on no clock"
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
    fn retry_after_is_parsed_in_both_forms() {
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
