//! Clocks and timestamps. Only this module reads the machine's clocks.

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Source of time.
///
/// All code in this crate that depends on time reads the clock of its [`Config`](crate::Config). A
/// test can therefore move time instead of waiting.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the wall-clock time. It is compared with `exp`, `iat` and stored expiry times.
    fn now(&self) -> Timestamp;

    /// Returns the time since an arbitrary start. It never goes backwards, and measures the age of
    /// caches and back-offs.
    fn monotonic(&self) -> Duration;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }
}

/// Point in time with millisecond precision, stored as milliseconds since 1970-01-01T00:00:00Z.
///
/// Tokens use whole seconds (`NumericDate`, RFC 7519 section 2). The milliseconds order events
/// within one second.
///
/// `Display` writes the time in RFC 3339 format, in UTC. Milliseconds are written unless they are
/// zero. RFC 3339 has no times outside the years 0 to 9999. `Display` writes such a time as `@` and
/// the seconds since the epoch.
///
/// With serde, a timestamp is an integer: the milliseconds since the epoch.
///
/// ```
/// use std::time::SystemTime;
/// use kycport::Timestamp;
///
/// let timestamp = Timestamp::from_unix_millis(1_700_000_000_250);
/// assert_eq!(timestamp.to_string(), "2023-11-14T22:13:20.250Z");
/// assert_eq!(Timestamp::from(SystemTime::from(timestamp)), timestamp);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Creates a timestamp from seconds since the epoch. Negative values are before the epoch.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Creates a timestamp from milliseconds since the epoch. Negative values are before the epoch.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns the whole seconds since the epoch.
    pub const fn as_unix(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_unix_millis(self) -> i64 {
        self.0
    }

    /// Returns the timestamp `duration` later. Saturates at the maximum timestamp.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// Returns the timestamp `duration` earlier. Saturates at the minimum timestamp.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }

    /// Returns the time that passed since `earlier`, or zero if `earlier` is in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = DateTime::<Utc>::from_timestamp_millis(self.0);
        if let Some(date) = date.filter(|date| (0..=9999).contains(&date.year())) {
            return f.write_str(&date.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        let millis = self.0.unsigned_abs();
        write!(f, "@{sign}{}", millis / 1000)?;
        match millis % 1000 {
            0 => Ok(()),
            millis => write!(f, ".{millis:03}"),
        }
    }
}

/// Rounds down to whole milliseconds. Saturates at the minimum and maximum timestamp.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(since) => whole_millis(since),
            Err(before) => {
                let before = before.duration();
                let millis = whole_millis(before);
                let is_whole = before.subsec_nanos().is_multiple_of(1_000_000);
                millis.saturating_neg().saturating_sub(i64::from(!is_whole))
            }
        })
    }
}

/// Saturates at the years 1601 and 30828 on systems whose time has no larger range, such as
/// Windows.
impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        let exact = |millis: i64| {
            let distance = Duration::from_millis(millis.unsigned_abs());
            if millis < 0 {
                UNIX_EPOCH.checked_sub(distance)
            } else {
                UNIX_EPOCH.checked_add(distance)
            }
        };
        let limited = timestamp.0.clamp(FIRST_MILLIS, LAST_MILLIS);
        let time = exact(timestamp.0).or_else(|| exact(limited));
        time.unwrap_or(UNIX_EPOCH)
    }
}

/// 1601-01-01T00:00:00Z, the first `SystemTime` of Windows, in milliseconds since the epoch.
const FIRST_MILLIS: i64 = -11_644_473_600_000;
/// 30828-01-01T00:00:00Z, in the last year of a Windows `SystemTime`, in milliseconds since the
/// epoch.
const LAST_MILLIS: i64 = 910_670_515_200_000;

/// Clock of the operating system.
#[derive(Clone)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Creates a clock of the operating system.
    #[expect(
        clippy::disallowed_methods,
        reason = "only this module reads the machine's clocks"
    )]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Debug for SystemClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemClock")
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "only this module reads the machine's clocks"
    )]
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Clock for tests, which a test can move. Clones share the same time.
///
/// It follows the system clock until it is [frozen](Self::freeze).
///
/// ```
/// use std::time::Duration;
/// use kycport::{Clock, TestClock};
///
/// let clock = TestClock::new();
/// clock.freeze();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now().since(before), Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct TestClock {
    system: SystemClock,
    /// A watch channel, so that waiting tasks learn when the clock moves.
    shift: Arc<watch::Sender<Shift>>,
}

#[derive(Clone, Copy, Default)]
struct Shift {
    /// Offset of the wall clock, in milliseconds.
    wall: i64,
    /// Offset of the monotonic clock.
    monotonic: Duration,
    /// Readings of the system clocks at the time of the freeze, if the clock is frozen.
    frozen: Option<(Timestamp, Duration)>,
}

impl TestClock {
    /// Creates a running clock with the system's time.
    pub fn new() -> Self {
        Self {
            system: SystemClock::new(),
            shift: Arc::new(watch::Sender::new(Shift::default())),
        }
    }

    /// Stops the clock. Afterwards only [`advance`](Self::advance) and [`jump_to`](Self::jump_to)
    /// move it.
    pub fn freeze(&self) {
        let reading = (self.system.now(), self.system.monotonic());
        self.change(|shift| {
            shift.frozen.get_or_insert(reading);
        });
    }

    /// Lets a [frozen](Self::freeze) clock run on from its current time. The monotonic clock may
    /// jump forward, but never backward.
    pub fn resume(&self) {
        let (wall, monotonic) = (self.system.now(), self.system.monotonic());
        self.change(|shift| {
            if let Some(at) = shift.frozen.take() {
                let frozen_for = wall.0.saturating_sub(at.0.0);
                shift.wall = shift.wall.saturating_sub(frozen_for);
                let shown = at.1.saturating_add(shift.monotonic);
                shift.monotonic = shown.saturating_sub(monotonic);
            }
        });
    }

    /// Returns whether the clock is frozen.
    pub fn is_frozen(&self) -> bool {
        self.shift().frozen.is_some()
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        self.change(|shift| {
            shift.wall = shift.wall.saturating_add(whole_millis(by));
            shift.monotonic = shift.monotonic.saturating_add(by);
        });
    }

    /// Sets only the wall clock, as an administrator or a time server does. The monotonic clock is
    /// not affected.
    pub fn jump_to(&self, to: Timestamp) {
        let running = self.system.now();
        self.change(|shift| {
            let system = shift.frozen.map_or(running, |at| at.0);
            shift.wall = to.0.saturating_sub(system.0);
        });
    }

    /// Returns the real time until the clock reaches `moment`, if no test moves it. Returns `None`
    /// if the clock is frozen before `moment`.
    #[cfg(feature = "mock")]
    pub(crate) fn real_time_until(&self, moment: Timestamp) -> Option<Duration> {
        let left = moment.since(self.now());
        let runs = self.shift().frozen.is_none();
        (runs || left.is_zero()).then_some(left)
    }

    /// Subscribes to moves, freezes and resumes of the clock.
    #[cfg(feature = "mock")]
    pub(crate) fn moves(&self) -> ClockMoves {
        ClockMoves(self.shift.subscribe())
    }

    fn change(&self, change: impl FnOnce(&mut Shift)) {
        self.shift.send_modify(change);
    }

    fn shift(&self) -> Shift {
        *self.shift.borrow()
    }
}

/// Subscription to the moves of a [`TestClock`].
#[cfg(feature = "mock")]
pub(crate) struct ClockMoves(watch::Receiver<Shift>);

#[cfg(feature = "mock")]
impl ClockMoves {
    /// Waits for the next move of the clock. Returns immediately if the clock has moved since the
    /// previous call.
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The clock was dropped, so no move can follow.
            std::future::pending::<()>().await;
        }
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestClock").field(&self.now()).finish()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let shift = self.shift();
        let system = shift.frozen.map_or_else(|| self.system.now(), |at| at.0);
        Timestamp(system.0.saturating_add(shift.wall))
    }

    fn monotonic(&self) -> Duration {
        let shift = self.shift();
        let system = shift
            .frozen
            .map_or_else(|| self.system.monotonic(), |at| at.1);
        system.saturating_add(shift.monotonic)
    }
}

fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod timestamp_tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::Timestamp;

    #[test]
    fn display_is_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (1_700_000_000_000, "2023-11-14T22:13:20Z"),
            (1_700_000_000_250, "2023-11-14T22:13:20.250Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00Z"),
            (-62_167_219_200_001, "@-62167219200.001"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "@253402300800"),
            (i64::MAX, "@9223372036854775.807"),
            (i64::MIN, "@-9223372036854775.808"),
        ] {
            assert_eq!(Timestamp::from_unix_millis(millis).to_string(), text);
        }
    }

    #[test]
    fn a_system_time_is_converted_and_back() {
        for millis in [
            0,
            1,
            -1,
            1_700_000_000_250,
            -11_644_473_600_000,
            910_670_515_200_000,
        ] {
            let timestamp = Timestamp::from_unix_millis(millis);
            assert_eq!(Timestamp::from(SystemTime::from(timestamp)), timestamp);
        }
        // For extreme values, the range of the system applies.
        let max = Timestamp::from(SystemTime::from(Timestamp::from_unix_millis(i64::MAX)));
        assert!(max.as_unix_millis() >= 910_670_515_200_000, "{max}");
        let min = Timestamp::from(SystemTime::from(Timestamp::from_unix_millis(i64::MIN)));
        assert!(min.as_unix_millis() <= -11_644_473_600_000, "{min}");
    }

    #[test]
    fn a_system_time_is_rounded_down() {
        let half = Duration::from_micros(1500);
        for (time, millis) in [
            (UNIX_EPOCH.checked_add(half), 1),
            (UNIX_EPOCH.checked_sub(half), -2),
        ] {
            let timestamp = time.map(Timestamp::from);
            assert_eq!(timestamp.map(Timestamp::as_unix_millis), Some(millis));
        }
    }
}

#[cfg(all(test, feature = "mock"))]
mod tests {
    use std::time::Duration;

    use super::{Clock as _, TestClock, Timestamp};

    #[tokio::test]
    async fn moves_report_every_change() {
        let clock = TestClock::new();
        let mut moves = clock.moves();
        let second = Duration::from_secs(1);
        clock.advance(second);
        clock.clone().advance(second);
        moves.next().await;
        clock.freeze();
        moves.next().await;
        clock.jump_to(clock.now().saturating_add(second));
        moves.next().await;
        tokio::select! {
            biased;
            () = moves.next() => unreachable!("the clock did not move"),
            () = std::future::ready(()) => {}
        }
    }

    #[test]
    fn a_frozen_clock_does_not_reach_a_later_time() {
        let clock = TestClock::new();
        let hour = Duration::from_secs(3600);
        let later = clock.now().saturating_add(hour);
        let left = clock.real_time_until(later);
        assert!(
            left.is_some_and(|left| left <= hour && left > hour / 2),
            "{left:?}"
        );
        clock.freeze();
        assert_eq!(clock.real_time_until(later), None);
        clock.advance(hour);
        assert_eq!(clock.real_time_until(later), Some(Duration::ZERO));
    }

    #[test]
    fn a_frozen_clock_runs_on_from_what_it_shows() {
        let clock = TestClock::new();
        clock.freeze();
        clock.jump_to(Timestamp::from_unix(1_000));
        let (shown, monotonic) = (clock.now(), clock.monotonic());
        clock.resume();
        assert!(!clock.is_frozen());
        assert!(clock.now().since(shown) < Duration::from_secs(10));
        assert!(clock.monotonic() >= monotonic);
        // Further moves take effect as before.
        clock.advance(Duration::from_secs(100));
        assert!(clock.now().since(shown) >= Duration::from_secs(100));
        assert!(clock.monotonic() >= monotonic.saturating_add(Duration::from_secs(100)));
    }

    #[test]
    fn a_clock_at_the_maximum_can_jump_back() {
        let clock = TestClock::new();
        let before = clock.now();
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::from_unix_millis(i64::MAX));
        clock.jump_to(before);
        assert!(clock.now().since(before) < Duration::from_secs(10));
    }

    #[test]
    fn resume_does_not_change_a_running_clock() {
        let clock = TestClock::new();
        clock.advance(Duration::from_secs(100));
        let before = clock.now();
        clock.resume();
        assert!(clock.now().since(before) < Duration::from_secs(10));
        assert!(clock.now() >= before);
    }
}
