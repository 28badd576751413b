//! Time as an argument: the one place that reads the machine's clocks.

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// A source of time.
///
/// Everything in this crate that depends on time asks the clock of its
/// [`Config`](crate::Config), so that a test moves time instead of waiting for it.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The wall clock, to judge `exp`, `iat` and every stored time limit.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start, never going backwards, to age caches and back-offs.
    fn monotonic(&self) -> Duration;
}

/// A moment, to the millisecond. Tokens speak in whole seconds (`NumericDate`, RFC 7519 section 2);
/// what is asked twice within one is told apart by the rest. Stored as milliseconds since
/// 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `seconds` after the epoch (before it, if negative).
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// The moment `millis` milliseconds after the epoch (before it, if negative).
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Whole seconds since the epoch.
    pub const fn as_unix(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Whole milliseconds since the epoch.
    pub const fn as_unix_millis(self) -> i64 {
        self.0
    }

    /// This moment and `duration` more, stopping at the end of time.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// This moment less `duration`, stopping at the beginning of time.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// The machine's own clocks.
#[derive(Clone)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// The machine's own clocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clocks"
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
        reason = "the one place that reads the machine's clocks"
    )]
    fn now(&self) -> Timestamp {
        Timestamp(match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => whole_millis(since),
            Err(before) => whole_millis(before.duration()).saturating_neg(),
        })
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that a test moves. Clones share the same time.
///
/// It runs with the system clock until it is [frozen](Self::freeze).
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
    /// Watched, so that who waits for a moment learns that the clock was moved.
    shift: Arc<watch::Sender<Shift>>,
}

#[derive(Clone, Copy, Default)]
struct Shift {
    /// Added to the wall clock, in milliseconds.
    wall: i64,
    /// Added to the monotonic clock.
    monotonic: Duration,
    /// The system's readings at which both clocks stand still.
    frozen: Option<(Timestamp, Duration)>,
}

impl TestClock {
    /// A clock that shows the system's time and runs.
    pub fn new() -> Self {
        Self {
            system: SystemClock::new(),
            shift: Arc::new(watch::Sender::new(Shift::default())),
        }
    }

    /// Stops the clock: from here it moves only when told.
    pub fn freeze(&self) {
        let reading = (self.system.now(), self.system.monotonic());
        self.change(|shift| {
            shift.frozen.get_or_insert(reading);
        });
    }

    /// Lets a [frozen](Self::freeze) clock run on from what it shows. The monotonic clock may leap
    /// ahead, and never goes back.
    pub fn resume(&self) {
        let (wall, monotonic) = (self.system.now(), self.system.monotonic());
        self.change(|shift| {
            if let Some(at) = shift.frozen.take() {
                let stood = wall.0.saturating_sub(at.0.0);
                shift.wall = shift.wall.saturating_sub(stood);
                let shown = at.1.saturating_add(shift.monotonic);
                shift.monotonic = shown.saturating_sub(monotonic);
            }
        });
    }

    /// Whether it stands still.
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

    /// Sets the wall clock alone, as an administrator or a time server would: the monotonic clock
    /// takes no notice.
    pub fn jump_to(&self, to: Timestamp) {
        let running = self.system.now();
        self.change(|shift| {
            let system = shift.frozen.map_or(running, |at| at.0);
            shift.wall = to.0.saturating_sub(system.0);
        });
    }

    /// How long it is in real time until the clock shows `moment`, if nobody moves it; none while
    /// it stands still before that.
    #[cfg(feature = "mock")]
    pub(crate) fn real_time_until(&self, moment: Timestamp) -> Option<Duration> {
        let left = moment.since(self.now());
        let runs = self.shift().frozen.is_none();
        (runs || left.is_zero()).then_some(left)
    }

    /// Tells of every time that the clock is moved or stopped from here.
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

/// The moves of a [`TestClock`].
#[cfg(feature = "mock")]
pub(crate) struct ClockMoves(watch::Receiver<Shift>);

#[cfg(feature = "mock")]
impl ClockMoves {
    /// Waits until the clock is moved, or was since this was called last.
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // Whoever could move it is gone.
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

#[cfg(all(test, feature = "mock"))]
mod tests {
    use std::time::Duration;

    use super::{Clock as _, TestClock, Timestamp};

    #[tokio::test]
    async fn every_move_is_told_even_to_one_who_asks_later() {
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
            () = moves.next() => unreachable!("nobody moved it"),
            () = std::future::ready(()) => {}
        }
    }

    #[test]
    fn a_clock_that_stands_gets_nowhere() {
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
        // It moves when it is told, as before.
        clock.advance(Duration::from_secs(100));
        assert!(clock.now().since(shown) >= Duration::from_secs(100));
        assert!(clock.monotonic() >= monotonic.saturating_add(Duration::from_secs(100)));
    }

    #[test]
    fn a_clock_at_its_end_comes_back() {
        let clock = TestClock::new();
        let before = clock.now();
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Timestamp::from_unix_millis(i64::MAX));
        clock.jump_to(before);
        assert!(clock.now().since(before) < Duration::from_secs(10));
    }

    #[test]
    fn a_clock_that_runs_is_left_alone() {
        let clock = TestClock::new();
        clock.advance(Duration::from_secs(100));
        let before = clock.now();
        clock.resume();
        assert!(clock.now().since(before) < Duration::from_secs(10));
        assert!(clock.now() >= before);
    }
}
