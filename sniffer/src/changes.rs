//! What changes on a bus: one row for each thing that is asked, with its fields, and when each of
//! them changed. It is what `cansniffer` is for CAN, with fields instead of bytes where they are
//! known.
//!
//! A row is a bus, a device, a function and a request's data. What came back is its cells: the
//! outcome, the STATUS, and each field of the reply (of bytes without a known meaning each byte). A
//! cell can be [notched](Changes::notch): it goes on being followed, and its changes are not news.
//!
//! [`Changes`] is a model without a face. It keeps [`MAX_ROWS`] rows; beyond it the one that was
//! silent for longest goes, and is counted. `now` is the clock of whoever watches, which is that of
//! the bus only where both are live.

mod cell;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use k485_proto::exchange::{Exchange, Observed, Outcome, Seen};
use k485_proto::filter::Filter;
use k485_proto::frame::Frame;
use k485_proto::line::{self, Word};
use k485_proto::record::Time;

use crate::fields::Shown;
pub use cell::{Cell, What};

/// How many rows there are at most.
pub const MAX_ROWS: usize = 1024;
/// How long what changed counts as changing, in nanoseconds.
pub const HOT: i64 = 3 * Time::SECOND / 2;
/// A row that was silent for this long is quiet, in nanoseconds, unless its period is long.
const QUIET: i64 = 5 * Time::SECOND;
/// And for so many of its periods.
const QUIET_PERIODS: i64 = 4;
/// The weight of all former distances against the newest, in a period.
const INERTIA: i64 = 7;

/// The order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By bus, address, function and request.
    #[default]
    Device,
    /// What changed last comes first; notched cells do not count.
    Changed,
    /// What there was most often comes first.
    Count,
    /// What comes in the shortest distances comes first.
    Period,
}

impl Order {
    /// Every order.
    pub const ALL: [Order; 4] = [Order::Device, Order::Changed, Order::Count, Order::Period];

    /// The order in a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Order::Device => "device",
            Order::Changed => "changed",
            Order::Count => "count",
            Order::Period => "period",
        }
    }

    /// The one after it, round and round.
    #[must_use]
    pub fn next(self) -> Order {
        let at = Self::ALL.iter().position(|order| *order == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

/// What a row is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The bus's name.
    pub bus: Arc<str>,
    /// ADDR of the request, or of the reply where that is all.
    pub addr: u8,
    /// FUNC.
    pub func: u8,
    /// The request's data; `None` where no request was seen.
    pub asked: Option<Vec<u8>>,
}

/// What was asked, and what comes back.
#[derive(Debug, Clone)]
pub struct Row {
    /// What it is of.
    pub key: Key,
    /// The device's name.
    pub device: String,
    /// The function's name, if it has one.
    pub function: Option<&'static str>,
    /// What the request's payload says.
    pub arguments: Vec<Word>,
    /// How often.
    pub count: u64,
    /// The mean distance, the newest weighing most, in nanoseconds; `None` without times.
    pub period_ns: Option<i64>,
    /// The last latency, in nanoseconds.
    pub latency_ns: Option<i64>,
    /// How often the last request was seen.
    pub attempts: Option<u32>,
    /// The time of the last exchange, in its capture.
    pub time: Option<Time>,
    /// When it was first seen.
    pub first: Time,
    /// When it was last seen.
    pub heard: Time,
    /// What came back: the outcome, the STATUS, the fields of the last reply in their order, then
    /// fields that only former replies had.
    pub cells: Vec<Cell>,
    last: Seen,
}

/// One field that changed.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// `outcome`, `status`, or the field's name; `data` for bytes that no field takes.
    pub name: String,
    /// What it was; `None` where there was none.
    pub old: Option<Shown>,
    /// What it is.
    pub new: Shown,
    /// The unit of both; empty where there is none.
    pub unit: &'static str,
}

/// News of a row.
#[derive(Debug)]
pub struct Change<'a> {
    /// The row as it is now.
    pub row: &'a Row,
    /// Whether it is new.
    pub is_first: bool,
    /// What changed; never empty, unless the row is new. Of a new row everything.
    pub fields: Vec<FieldChange>,
}

/// The rows, and what is counted beside them.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    rows: HashMap<Key, Row>,
    /// The order of [`rows`](Self::rows).
    pub order: Order,
    /// Only rows whose last exchange this holds for.
    pub filter: Option<Filter>,
    /// Frames that were seen.
    pub frames: u64,
    /// Places of noise.
    pub noise: u64,
    /// Bytes of noise.
    pub noise_bytes: u64,
    /// How many rows had to go.
    pub forgotten: u64,
}

impl Changes {
    /// No rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next thing seen, and tells what it changed.
    pub fn push(&mut self, seen: &Seen, now: Time) -> Option<Change<'_>> {
        match seen {
            Seen::Frame(_) => self.frames += 1,
            Seen::Noise(record) => {
                self.noise += 1;
                self.noise_bytes += record.bytes.len() as u64;
            }
            // The capture's end is no change.
            Seen::Exchange(exchange) if exchange.outcome != Outcome::Unfinished => {
                let subject = exchange.subject()?;
                let key = Key::of(&exchange.bus, subject, exchange.request.as_deref());
                return self.update(key, subject, seen, now);
            }
            Seen::Lone(frame) => {
                return self.update(Key::of(&frame.record.bus, frame, None), frame, seen, now);
            }
            // A gap holds nothing that could change.
            Seen::Exchange(_) | Seen::Gap(_) => {}
        }
        None
    }

    fn update(
        &mut self,
        key: Key,
        subject: &Observed,
        seen: &Seen,
        now: Time,
    ) -> Option<Change<'_>> {
        let is_first = !self.rows.contains_key(&key);
        if is_first && self.rows.len() >= MAX_ROWS {
            let oldest = self.rows.values().min_by_key(|row| row.heard).map(|row| row.key.clone());
            oldest.and_then(|oldest| self.rows.remove(&oldest));
            self.forgotten += 1;
        }
        let row = self
            .rows
            .entry(key)
            .or_insert_with_key(|key| Row::new(key.clone(), subject, seen, now));
        let fields = row.push(seen, is_first, now);
        (is_first || !fields.is_empty()).then_some(Change { row, is_first, fields })
    }

    /// The rows that the filter lets through, in their order.
    #[must_use]
    pub fn rows(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.values().filter(|row| self.shows(row)).collect();
        match self.order {
            Order::Device => rows.sort_by_key(|row| &row.key),
            Order::Changed => rows.sort_by_key(|row| (Reverse(row.changed()), &row.key)),
            Order::Count => rows.sort_by_key(|row| (Reverse(row.count), &row.key)),
            Order::Period => {
                rows.sort_by_key(|row| (row.period_ns.unwrap_or(i64::MAX), &row.key));
            }
        }
        rows
    }

    /// How many rows there are, whatever the filter.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn shows(&self, row: &Row) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches(&row.last))
    }

    /// Notches every cell that is shown and [changing](Cell::is_hot). Returns how many.
    pub fn notch(&mut self, now: Time) -> usize {
        let Changes { rows, filter, .. } = self;
        let is_shown =
            |row: &&mut Row| filter.as_ref().is_none_or(|filter| filter.matches(&row.last));
        let cells = rows.values_mut().filter(is_shown).flat_map(|row| &mut row.cells);
        let mut count = 0;
        for cell in cells.filter(|cell| cell.is_hot(now)) {
            cell.notched = true;
            count += 1;
        }
        count
    }

    /// Takes all notches away. Returns how many there were.
    pub fn clear_notches(&mut self) -> usize {
        let cells = self.rows.values_mut().flat_map(|row| &mut row.cells);
        cells.map(|cell| usize::from(std::mem::take(&mut cell.notched))).sum()
    }

    /// Notches what is notched in another state of the same rows.
    pub fn notch_as(&mut self, other: &Changes) {
        for row in self.rows.values_mut() {
            let Some(theirs) = other.rows.get(&row.key) else { continue };
            for cell in &mut row.cells {
                cell.notched |= theirs.cells.iter().any(|old| old.notched && old.is_as(cell));
            }
        }
    }

    /// How many cells are notched.
    #[must_use]
    pub fn notches(&self) -> usize {
        self.rows.values().flat_map(|row| &row.cells).filter(|cell| cell.notched).count()
    }
}

impl Key {
    fn of(bus: &Arc<str>, subject: &Observed, request: Option<&Observed>) -> Key {
        let frame = subject.frame();
        Key {
            bus: bus.clone(),
            addr: frame.addr().0,
            func: frame.func(),
            asked: request.map(|request| request.frame().data().to_vec()),
        }
    }
}

impl Row {
    fn new(key: Key, subject: &Observed, seen: &Seen, now: Time) -> Row {
        let frame = subject.frame();
        let dialect = subject.dialect;
        Row {
            device: dialect.device(frame.addr()).into_owned(),
            function: dialect.find(frame.addr(), frame.func()).map(|found| found.name),
            arguments: key.asked.as_ref().map_or_else(Vec::new, |_| line::payload(subject)),
            key,
            count: 0,
            period_ns: None,
            latency_ns: None,
            attempts: None,
            time: None,
            first: now,
            heard: now,
            cells: Vec::new(),
            last: seen.clone(),
        }
    }

    /// Takes the row's next exchange, and gives what it changed.
    fn push(&mut self, seen: &Seen, is_first: bool, now: Time) -> Vec<FieldChange> {
        let (time, exchange) = match seen {
            Seen::Exchange(exchange) => (exchange.time, Some(exchange)),
            Seen::Lone(frame) => (frame.record.time, None),
            Seen::Frame(_) | Seen::Noise(_) | Seen::Gap(_) => return Vec::new(),
        };
        // A late reply is no exchange of its own: its request was counted when it timed out.
        let is_late =
            exchange.is_some_and(|e| e.outcome == Outcome::Unsolicited && e.request.is_some());
        if !is_late {
            self.count += 1;
            let distance = time.zip(self.time).map(|(time, last)| time.since(last));
            if let Some(distance) = distance.filter(|distance| *distance >= 0) {
                let mean = |old: i64| (old.saturating_mul(INERTIA) + distance) / (INERTIA + 1);
                self.period_ns = Some(self.period_ns.map_or(distance, mean));
            }
            self.time = time.or(self.time);
            self.attempts = exchange.and_then(|exchange| exchange.attempts);
        }
        self.latency_ns = exchange.and_then(|exchange| exchange.latency_ns).or(self.latency_ns);
        self.heard = now;
        let is_same = !is_first && came(&self.last) == came(seen);
        self.last = seen.clone();
        // Most is the same to the last byte, and so says the same.
        if is_same { Vec::new() } else { cell::update(&mut self.cells, seen, is_first, now) }
    }

    /// The function's name, or its number in words.
    #[must_use]
    pub fn function_name(&self) -> String {
        match self.function {
            Some(name) => name.to_owned(),
            None => format!("function 0x{:02X}", self.key.func),
        }
    }

    /// When a cell that is not notched last changed.
    #[must_use]
    pub fn changed(&self) -> Option<Time> {
        self.cells.iter().filter(|cell| !cell.notched).filter_map(|cell| cell.changed).max()
    }

    /// Whether it has not been seen for long.
    #[must_use]
    pub fn is_quiet(&self, now: Time) -> bool {
        let usual = self.period_ns.unwrap_or(0).saturating_mul(QUIET_PERIODS);
        now.since(self.heard) > usual.max(QUIET)
    }

    /// Whether it has just appeared.
    #[must_use]
    pub fn is_new(&self, now: Time) -> bool {
        (0..HOT).contains(&now.since(self.first))
    }
}

/// What decides about the cells.
fn came(seen: &Seen) -> (Option<Outcome>, Option<Frame<'_>>) {
    match seen {
        Seen::Exchange(Exchange { outcome, response, .. }) => {
            (Some(*outcome), response.as_deref().map(Observed::frame))
        }
        Seen::Lone(frame) | Seen::Frame(frame) => (None, Some(frame.frame())),
        Seen::Noise(_) | Seen::Gap(_) => (None, None),
    }
}

#[cfg(test)]
mod tests;
