//! How the time of a bus goes: the real one, faster, slower, not at all, or on to the next answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k485_link::Clock;
use k485_proto::record::Time;

/// How the time of a bus goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The bus's time.
    pub now: Time,
    /// Its time when it began.
    pub began: Time,
    /// It stands still.
    pub paused: bool,
    /// How many of its seconds a second is while it goes.
    pub speed: f64,
    /// A request takes the time on to its answer.
    pub is_virtual: bool,
}

/// A bus's time, made of the real one. Clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

/// Since when it goes as it does: then `bus` was the bus's time.
#[derive(Debug)]
struct State {
    real: Time,
    bus: Time,
    began: Time,
    paused: bool,
    speed: f64,
    is_virtual: bool,
}

impl State {
    fn at(&self, real: Time) -> Time {
        if self.paused {
            return self.bus;
        }
        let passed = real.since(self.real).max(0);
        let passed = if self.speed == 1.0 { passed } else { (passed as f64 * self.speed) as i64 };
        Time(self.bus.0.saturating_add(passed))
    }

    /// From now on it is so much, and goes on from there.
    fn set(&mut self, real: Time, bus: Time) {
        (self.real, self.bus) = (real, bus.max(self.bus));
    }
}

impl Pace {
    /// The time that the clock shows.
    pub(super) fn new(clock: Clock) -> Pace {
        let now = clock.now();
        let state =
            State { real: now, bus: now, began: now, paused: false, speed: 1.0, is_virtual: false };
        Pace { clock, state: Arc::new(Mutex::new(state)) }
    }

    /// A panic of the other thread leaves it whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bus's time.
    pub(super) fn now(&self) -> Time {
        self.lock().at(self.clock.now())
    }

    /// The bus's time at a real one.
    pub(super) fn at(&self, real: Time) -> Time {
        self.lock().at(real)
    }

    /// The real time at which the bus's is so much; `None` while it stands still.
    pub(super) fn real(&self, bus: Time) -> Option<Time> {
        let state = self.lock();
        if state.paused {
            return None;
        }
        let left = bus.since(state.bus);
        // Up, so that who is woken then is not too early.
        let left =
            if state.speed == 1.0 { left } else { (left as f64 / state.speed).ceil() as i64 };
        Some(Time(state.real.0.saturating_add(left)))
    }

    /// How long a stretch of the bus's time takes really; nothing while answers are not waited for.
    pub(super) fn stretch(&self, ns: i64) -> i64 {
        let state = self.lock();
        if state.is_virtual {
            return 0;
        }
        if state.speed == 1.0 { ns } else { (ns as f64 / state.speed) as i64 }
    }

    pub(super) fn is_virtual(&self) -> bool {
        self.lock().is_virtual
    }

    /// The bus has gone on to this time.
    pub(super) fn jump(&self, bus: Time) {
        let real = self.clock.now();
        self.lock().set(real, bus);
    }

    /// How it goes from now on.
    pub(super) fn set(&self, paused: Option<bool>, speed: Option<f64>) {
        let real = self.clock.now();
        let mut state = self.lock();
        let now = state.at(real);
        state.set(real, now);
        state.paused = paused.unwrap_or(state.paused);
        state.speed = speed.unwrap_or(state.speed);
    }

    /// It begins at `bus`, and stands still but for what requests and steps take it on.
    pub(super) fn set_virtual(&self, bus: Time) {
        let real = self.clock.now();
        let speed = self.lock().speed;
        *self.lock() = State { real, bus, began: bus, paused: true, speed, is_virtual: true };
    }

    pub(super) fn reading(&self) -> Reading {
        let state = self.lock();
        let State { began, paused, speed, is_virtual, .. } = *state;
        Reading { now: state.at(self.clock.now()), began, paused, speed, is_virtual }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pace() -> Pace {
        Pace::new(Clock::set(Time(1000 * Time::SECOND)))
    }

    #[test]
    fn it_goes_as_the_clock_does_until_it_is_told_otherwise() {
        let pace = pace();
        let began = pace.reading().began;
        let later = Time(began.0 + 1_234_567_891);
        assert_eq!((pace.at(later), pace.real(later)), (later, Some(later)));
        pace.set(Some(true), None);
        let still = pace.now();
        assert_eq!((pace.at(later), pace.real(later)), (still, None));
        pace.jump(Time(still.0 + 5));
        assert_eq!(pace.now().since(still), 5);
        // It does not go back.
        pace.jump(still);
        assert_eq!(pace.now().since(still), 5);
        pace.set_virtual(pace.now());
        assert_eq!(pace.stretch(Time::SECOND), 0);
    }

    proptest! {
        #[test]
        fn it_never_goes_back_and_wakes_nobody_too_early(
            changes in proptest::collection::vec(
                (prop::option::of(any::<bool>()), prop::option::of(0.01..1000.0_f64)), 1..10),
            ahead in 0_i64..1_000_000_000_000,
        ) {
            let pace = pace();
            let mut last = pace.now();
            for (paused, speed) in changes {
                pace.set(paused, speed);
                let now = pace.now();
                prop_assert!(now >= last);
                last = now;
                let due = Time(now.0 + ahead);
                if let Some(real) = pace.real(due) {
                    // Within what a float of that size can tell.
                    prop_assert!(pace.at(real).since(due) >= -1000, "{:?}", pace.at(real).since(due));
                }
            }
        }
    }
}
