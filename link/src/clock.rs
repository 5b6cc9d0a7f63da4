//! The one clock that times are taken from.

use std::time::{SystemTime, UNIX_EPOCH};

use k485_proto::record::Time;
use rustix::time::{ClockId, clock_gettime};

/// The steady clock that goes on counting while the machine sleeps. (macOS counts the sleep in its
/// monotonic clock.)
#[cfg(target_os = "linux")]
const STEADY: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const STEADY: ClockId = ClockId::Monotonic;

/// A steady clock that was set by the wall clock once, when it was made.
///
/// Its times never go back, whatever happens to the wall clock meanwhile; so they are exact against
/// each other, and as good as the wall clock was at the start. Ports that are heard together are
/// given copies of one clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// What to add to the steady clock to get the wall time, in nanoseconds.
    offset: i64,
}

impl Clock {
    /// A clock set by the wall clock now.
    #[must_use]
    pub fn new() -> Clock {
        Clock::set(wall(SystemTime::now()))
    }

    /// A clock that shows `now` now.
    #[must_use]
    pub fn set(now: Time) -> Clock {
        Clock { offset: now.0.saturating_sub(steady()) }
    }

    /// The time, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> Time {
        Time(steady().saturating_add(self.offset))
    }
}

/// As [`Clock::new`].
impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

/// The steady clock's reading in nanoseconds.
fn steady() -> i64 {
    let now = clock_gettime(STEADY);
    // The casts are for targets whose timespec has other widths than this one's.
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
    (now.tv_sec as i64).saturating_mul(Time::SECOND).saturating_add(i64::from(now.tv_nsec))
}

/// A wall clock reading as a time, before 1970 as well.
fn wall(now: SystemTime) -> Time {
    let nanos = |d: std::time::Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
    match now.duration_since(UNIX_EPOCH) {
        Ok(since) => Time(nanos(since)),
        Err(before) => Time(nanos(before.duration()).saturating_neg()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_clock_starts_at_the_wall_time_and_never_goes_back() {
        let before = wall(SystemTime::now());
        let clock = Clock::new();
        let mut last = clock.now();
        assert!(last.since(before) >= 0);
        assert!(last.since(before) < 5 * Time::SECOND, "{}", last.since(before));
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn a_clock_runs_at_one_nanosecond_a_nanosecond() {
        let clock = Clock::set(Time(5 * Time::SECOND));
        let began = std::time::Instant::now();
        std::thread::sleep(Duration::from_millis(20));
        let shown = clock.now().since(Time(5 * Time::SECOND));
        let passed = i64::try_from(began.elapsed().as_nanos()).unwrap();
        assert!(shown >= 20 * Time::MILLISECOND, "{shown}");
        assert!((passed - shown).abs() < 10 * Time::MILLISECOND, "{shown} against {passed}");
    }

    #[test]
    fn wall_times_before_the_epoch_are_negative() {
        assert_eq!(wall(UNIX_EPOCH - Duration::from_nanos(7)), Time(-7));
        assert_eq!(wall(UNIX_EPOCH + Duration::new(3, 4)), Time(3_000_000_004));
    }
}
