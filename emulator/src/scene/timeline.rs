//! What happens when: events at their times and on what the bus carries, climates that drift.

use std::collections::BTreeMap;

use k485_proto::exchange::Seen;
use k485_proto::filter::Filter;
use k485_proto::record::Time;

use super::{Layout, When};
use crate::hand::Hand;

/// An hour, in nanoseconds.
const HOUR: f64 = 3_600e9;

/// What is due, in order of time. It is told what the bus carries, and gives hands.
#[derive(Debug, Clone)]
pub struct Timeline {
    start: Time,
    /// By time, then in the order of the file.
    due: BTreeMap<(Time, u64), Hand>,
    count: u64,
    triggers: Vec<Trigger>,
    drifts: Vec<Drift>,
    /// The time from which all is counted, while that is still to be put off.
    waits: Option<Time>,
}

/// An event that waits for something.
#[derive(Debug, Clone)]
struct Trigger {
    filter: Filter,
    due: When,
    hand: Hand,
    seen: u32,
}

/// A climate that changes by itself.
#[derive(Debug, Clone)]
struct Drift {
    unit: usize,
    since: Time,
    /// Degrees and percent at `since`, and their change in an hour.
    from: [f64; 2],
    rates: [f64; 2],
    told: [i8; 2],
}

fn later(time: Time, ns: i64) -> Time {
    Time(time.0.saturating_add(ns))
}

/// The least and the most that a box can measure.
const RANGES: [(f64, f64); 2] = [(-40.0, 120.0), (0.0, 100.0)];

impl Drift {
    /// When a value will next be another one.
    fn edge(&self, i: usize) -> Option<Time> {
        let (rate, (least, most)) = (self.rates[i], RANGES[i]);
        let edge = f64::from(self.told[i]) + 0.5 * rate.signum();
        if rate == 0.0 || !(least..=most).contains(&edge) {
            return None;
        }
        let hours = ((edge - self.from[i]) / rate).max(0.0);
        // Casts of floats saturate.
        Some(Time(self.since.0.saturating_add((hours * HOUR) as i64)))
    }

    /// When either value will be.
    fn next(&self) -> Option<Time> {
        [self.edge(0), self.edge(1)].into_iter().flatten().min()
    }

    /// Goes on to the next values, where one is due; whether any was.
    fn step(&mut self, now: Time) -> bool {
        let due = [0, 1].map(|i| self.edge(i).is_some_and(|at| at <= now));
        for i in [0, 1].into_iter().filter(|i| due[*i]) {
            self.told[i] += self.rates[i].signum() as i8;
        }
        due.contains(&true)
    }
}

impl Timeline {
    pub(super) fn new(layout: &Layout, filters: &[Option<Filter>], start: Time) -> Timeline {
        let mut timeline = Timeline {
            start,
            due: BTreeMap::new(),
            count: 0,
            triggers: Vec::new(),
            drifts: Vec::new(),
            waits: None,
        };
        for (unit, one) in layout.boxes.iter().enumerate() {
            if let Some(at) = one.plug_at {
                timeline.add(later(start, at.0.0), Hand::Plug { unit: unit + 1 });
            }
            let climate = one.climate.over(&layout.climate);
            let rates = [climate.temperature_drift, climate.humidity_drift];
            if climate.answers && rates != [0.0, 0.0] {
                let told = [climate.temperature, climate.humidity];
                let from = told.map(f64::from);
                timeline.drifts.push(Drift { unit: unit + 1, since: start, from, rates, told });
            }
        }
        for (event, filter) in layout.events.0.iter().zip(filters) {
            match (filter, event.due.at) {
                (Some(filter), _) => timeline.triggers.push(Trigger {
                    filter: filter.clone(),
                    due: event.due.clone(),
                    hand: event.hand.clone(),
                    seen: 0,
                }),
                (None, at) => {
                    timeline.add(later(start, at.map_or(0, |at| at.0.0)), event.hand.clone());
                }
            }
        }
        timeline
    }

    fn add(&mut self, at: Time, hand: Hand) {
        self.due.insert((at, self.count), hand);
        self.count += 1;
    }

    /// The same, counted from the first request that is heard ([`Timeline::begin`]): a capture whose
    /// host is replayed later then meets what happened in it.
    #[must_use]
    pub fn from_first_request(mut self) -> Timeline {
        self.waits = Some(self.start);
        self
    }

    /// Somebody asks something. The first time, all that is to happen is put off to count from now, if
    /// it was to.
    pub fn begin(&mut self, now: Time) {
        let Some(start) = self.waits.take() else { return };
        let off = now.since(start);
        let due = std::mem::take(&mut self.due);
        self.due = due.into_iter().map(|((at, n), hand)| ((later(at, off), n), hand)).collect();
        for drift in &mut self.drifts {
            drift.since = later(drift.since, off);
        }
    }

    /// Whether nothing will happen any more but what the bus brings about.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.due.is_empty()
    }

    /// When something is due next, as far as that is known.
    #[must_use]
    pub fn next_event(&self) -> Option<Time> {
        if self.waits.is_some() {
            return None;
        }
        let event = self.due.keys().next().map(|(at, _)| *at);
        self.drifts.iter().filter_map(Drift::next).chain(event).min()
    }

    /// Tells what was seen on the bus, at `now`.
    pub fn observe(&mut self, seen: &Seen, now: Time) {
        let mut fits = Vec::new();
        for trigger in &mut self.triggers {
            if trigger.filter.matches(seen) {
                trigger.seen = trigger.seen.saturating_add(1);
                if trigger.due.nth == 0 || trigger.due.nth == trigger.seen {
                    fits.push((later(now, trigger.due.after.0.0), trigger.hand.clone()));
                }
            }
        }
        self.triggers.retain(|trigger| trigger.due.nth == 0 || trigger.seen < trigger.due.nth);
        for (at, hand) in fits {
            self.add(at, hand);
        }
    }

    /// Takes what is due until `now`, in order of time.
    pub fn due(&mut self, now: Time) -> Vec<Hand> {
        let mut hands = Vec::new();
        while let Some(at) = self.next_event().filter(|at| *at <= now) {
            for drift in &mut self.drifts {
                if drift.step(at) {
                    let [temperature, humidity] = drift.told.map(Some);
                    hands.push(Hand::Climate { unit: drift.unit, temperature, humidity });
                }
            }
            while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= at) {
                let hand = entry.remove();
                self.rebase(&hand, at);
                hands.push(hand);
            }
        }
        hands
    }

    /// A climate that is set drifts from there.
    fn rebase(&mut self, hand: &Hand, at: Time) {
        let Hand::Climate { unit, temperature, humidity } = *hand else { return };
        for drift in self.drifts.iter_mut().filter(|drift| drift.unit == unit) {
            drift.since = at;
            let [t, h] = drift.told;
            drift.told = [temperature.unwrap_or(t), humidity.unwrap_or(h)];
            drift.from = drift.told.map(f64::from);
        }
        if temperature.is_none() && humidity.is_none() {
            // Its sensor does not answer any more.
            self.drifts.retain(|drift| drift.unit != unit);
        }
    }
}
