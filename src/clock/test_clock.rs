//! Clock for tests.

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;

use super::{Clock, SystemClock, Timestamp, timestamp::whole_millis};

/// Clock for tests, which a test can advance and freeze. Clones share one time.
///
/// The clock follows the system clock until a test [freezes](Self::freeze) the clock.
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
    /// Watch channel that informs waiting tasks when the clock changes.
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

    /// Stops the clock. Afterwards, only [`advance`](Self::advance) and [`jump_to`](Self::jump_to)
    /// change its time.
    pub fn freeze(&self) {
        let reading = (self.system.now(), self.system.monotonic());
        self.change(|shift| {
            shift.frozen.get_or_insert(reading);
        });
    }

    /// Restarts a [frozen](Self::freeze) clock at its current time. The monotonic clock may jump
    /// forward, but never backward.
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

    /// Advances the wall clock and the monotonic clock.
    pub fn advance(&self, by: Duration) {
        self.change(|shift| {
            shift.wall = shift.wall.saturating_add(whole_millis(by));
            shift.monotonic = shift.monotonic.saturating_add(by);
        });
    }

    /// Sets only the wall clock, as an administrator or a time server does. Does not change the
    /// monotonic clock.
    pub fn jump_to(&self, to: Timestamp) {
        let running = self.system.now();
        self.change(|shift| {
            let system = shift.frozen.map_or(running, |at| at.0);
            shift.wall = to.0.saturating_sub(system.0);
        });
    }

    /// Returns the real time until the clock reaches `moment`, if no test changes the clock.
    /// Returns `None` if the clock is frozen before `moment`.
    #[cfg(feature = "mock")]
    pub(crate) fn real_time_until(&self, moment: Timestamp) -> Option<Duration> {
        let left = moment.since(self.now());
        let runs = self.shift().frozen.is_none();
        (runs || left.is_zero()).then_some(left)
    }

    /// Subscribes to changes of the clock: time changes, freezes and restarts.
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

/// Subscription to the changes of a [`TestClock`].
#[cfg(feature = "mock")]
pub(crate) struct ClockMoves(watch::Receiver<Shift>);

#[cfg(feature = "mock")]
impl ClockMoves {
    /// Waits for the next change of the clock. Returns immediately if the clock has changed since
    /// the previous call.
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The clock was dropped, so no change can follow.
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
            () = moves.next() => unreachable!("the clock did not change"),
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
        // Later changes of the clock still take effect.
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
