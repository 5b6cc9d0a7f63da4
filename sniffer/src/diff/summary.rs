//! What a comparison comes to, function by function.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Change, Item, Options, Polls, Side};
use crate::stats::MAX_ROWS;
use crate::stats::report::{Function, Report, Totals};
use crate::stats::row::Key;

/// How many differences of numbers a median is taken of.
const SAMPLE: usize = 512;

/// What the differences come to.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Whether there is any difference.
    pub differs: bool,
    /// Sums over the first capture.
    pub a: Totals,
    /// Sums over the second capture.
    pub b: Totals,
    /// Whether noise differs (and counts).
    pub noise_differs: bool,
    /// A row for each device and function of either.
    pub functions: Vec<Row>,
}

/// One function of one device.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Whether it was only counted, as a poll.
    pub counted: bool,
    /// Whether anything differs.
    pub differs: bool,
    /// Exchanges that were aligned.
    pub pairs: u64,
    /// Those of them without a change.
    pub same: u64,
    /// Exchanges that only the first capture has.
    pub only_a: u64,
    /// Exchanges that only the second capture has.
    pub only_b: u64,
    /// What changed in the others, by name.
    pub changes: Vec<ChangeCount>,
    /// The median latency of the second by that of the first.
    pub latency_ratio: Option<f64>,
    /// The figures of the first capture, where it has any.
    pub a: Option<Function>,
    /// The figures of the second capture, where it has any.
    pub b: Option<Function>,
}

/// How often one thing changed.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeCount {
    /// As in [`Change::name`].
    pub name: String,
    /// Pairs in which it changed.
    pub pairs: u64,
    /// The median of how much more the second is, for numbers (of a thinned sample where there are
    /// more than 512).
    pub median_delta: Option<f64>,
}

impl Row {
    /// The figures of one side, for the names.
    #[must_use]
    pub fn subject(&self) -> Option<&Function> {
        self.a.as_ref().or(self.b.as_ref())
    }
}

/// The summary in the making.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rows: BTreeMap<Key, Counts>,
    differs: bool,
}

#[derive(Debug, Default)]
struct Counts {
    pairs: u64,
    same: u64,
    only_a: u64,
    only_b: u64,
    changes: BTreeMap<String, (u64, Sample)>,
}

impl Tally {
    pub(super) fn pair(&mut self, bus: usize, a: &Item, changes: &[Change]) {
        self.differs |= !changes.is_empty();
        let Some(row) = self.row(bus, a) else { return };
        row.pairs += 1;
        row.same += u64::from(changes.is_empty());
        for change in changes {
            let (count, sample) = row.changes.entry(change.name.clone()).or_default();
            *count += 1;
            if let Some(delta) = change.delta {
                sample.add(delta);
            }
        }
    }

    pub(super) fn only(&mut self, bus: usize, side: Side, item: &Item) {
        self.differs = true;
        let Some(row) = self.row(bus, item) else { return };
        match side {
            Side::A => row.only_a += 1,
            Side::B => row.only_b += 1,
        }
    }

    /// The row of a device and function; `None` beyond the bound, where there are no figures either.
    fn row(&mut self, bus: usize, item: &Item) -> Option<&mut Counts> {
        let key = Key::of(bus, item.subject()?);
        if !self.rows.contains_key(&key) && self.rows.len() >= 2 * MAX_ROWS {
            return None;
        }
        Some(self.rows.entry(key).or_default())
    }

    pub(super) fn finish(mut self, options: &Options, a: Report, b: Report) -> Summary {
        let noise = |report: &Report| (report.totals.noise_places, report.totals.noise_bytes);
        let noise_differs = noise(&a) != noise(&b) && !options.ignores("noise");
        let totals = (a.totals.clone(), b.totals.clone());
        let (mut mine, mut theirs) = (by_key(a), by_key(b));
        let mut keys: Vec<Key> = mine.keys().chain(theirs.keys()).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        let functions: Vec<Row> = keys
            .iter()
            .map(|key| {
                let counts = self.rows.remove(key).unwrap_or_default();
                counts.finish(options, mine.remove(key), theirs.remove(key))
            })
            .collect();
        Summary {
            differs: self.differs || noise_differs || functions.iter().any(|row| row.differs),
            a: totals.0,
            b: totals.1,
            noise_differs,
            functions,
        }
    }
}

/// The rows of a report; buses by their order.
fn by_key(report: Report) -> BTreeMap<Key, Function> {
    let buses: Vec<_> = report.buses.iter().map(|bus| bus.name.clone()).collect();
    let key = |row: &Function| {
        let bus = buses.iter().position(|name| *name == row.bus).unwrap_or(0);
        Some(Key { bus: u16::try_from(bus).ok()?, addr: row.addr?, func: row.func? })
    };
    report.functions.into_iter().filter_map(|row| Some((key(&row)?, row))).collect()
}

impl Counts {
    fn finish(self, options: &Options, a: Option<Function>, b: Option<Function>) -> Row {
        let median = |row: &Option<Function>| Some(row.as_ref()?.latency.as_ref()?.median_ns);
        let medians = median(&a).zip(median(&b));
        let ratio = medians.filter(|(a, _)| *a > 0).map(|(a, b)| b as f64 / a as f64);
        let polled = a.as_ref().or(b.as_ref()).is_some_and(|row| row.polled);
        let counted = polled && options.polls == Polls::Count;
        let slower =
            medians.is_some_and(|(a, b)| a.abs_diff(b) > options.latency_ns.unsigned_abs());
        let slower = slower && !options.ignores("latency");
        let differs = match counted {
            true => figures(&a) != figures(&b) || slower,
            false => self.same != self.pairs || self.only_a + self.only_b > 0,
        };
        let changes = self.changes.into_iter().map(|(name, (pairs, sample))| ChangeCount {
            name,
            pairs,
            median_delta: sample.median(),
        });
        Row {
            counted,
            differs,
            pairs: self.pairs,
            same: self.same,
            only_a: self.only_a,
            only_b: self.only_b,
            changes: changes.collect(),
            latency_ratio: ratio,
            a,
            b,
        }
    }
}

/// What is compared of polls that are counted.
fn figures(row: &Option<Function>) -> [u64; 6] {
    row.as_ref().map_or([0; 6], |row| {
        let replies = row.late + row.unsolicited;
        [row.exchanges, row.answered, row.timeouts, row.errors, replies, row.unknown_direction]
    })
}

/// Numbers of which every so-manieth is kept, in their order.
#[derive(Debug, Default)]
struct Sample {
    kept: Vec<f64>,
    seen: u64,
    /// One of 2 to this power is kept.
    thinned: u32,
}

impl Sample {
    fn add(&mut self, number: f64) {
        if self.seen.trailing_zeros() >= self.thinned.min(63) {
            self.kept.push(number);
        }
        self.seen += 1;
        if self.kept.len() > SAMPLE {
            let mut at = 0;
            self.kept.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.thinned += 1;
        }
    }

    fn median(mut self) -> Option<f64> {
        self.kept.sort_unstable_by(f64::total_cmp);
        self.kept.get(self.kept.len().checked_sub(1)? / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_bounded_and_even() {
        let mut sample = Sample::default();
        (0..100_000).for_each(|n| sample.add(f64::from(n)));
        assert!(sample.kept.len() <= SAMPLE && sample.kept.len() >= SAMPLE / 2);
        let step = sample.kept[1] - sample.kept[0];
        assert!(sample.kept.windows(2).all(|pair| pair[1] - pair[0] == step));
        let median = sample.median().unwrap();
        assert!((median - 50_000.0).abs() <= 512.0, "{median}");
        assert_eq!(Sample::default().median(), None);
    }
}
