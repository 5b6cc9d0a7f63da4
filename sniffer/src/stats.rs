//! What a capture holds in figures: by device and function, by bus, by kind of noise.
//!
//! [`Stats`] takes what a [`Pairer`](k485_proto::exchange::Pairer) gives, in its order, and ends in
//! a [`Report`]. It keeps a bounded amount however long the capture is: [`MAX_ROWS`] rows,
//! [`MAX_REQUESTS`] different requests, [`MAX_BUSES`] buses, quantiles as a
//! [`Spread`](spread::Spread) has them. What is beyond a bound is counted, and the report says so.
//!
//! What a source cannot tell is `None`, never 0: latencies and periods without times, retries
//! inside of a traced call, the load of a bus whose bytes were not seen on the wire.

pub mod line;
pub mod report;
pub mod row;
pub mod spread;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use k485_proto::exchange::{Exchange, Observed, Outcome, Seen};
use k485_proto::record::{Direction, Record, Time, Verdict};

use line::Line;
use report::{Bus, Implausible, NeverAnswered, Noise, Report, Totals};
use row::{Key, Row};

/// The baud rate of these buses, for the load.
pub const BAUD: u32 = 230_400;
/// How many pairs of device and function have a row of their own.
pub const MAX_ROWS: usize = 1024;
/// How many different requests are followed for their periods.
pub const MAX_REQUESTS: usize = 4096;
/// How many buses are told apart; the last one stands for all others.
pub const MAX_BUSES: usize = 64;

/// Counts what is seen. Push it in its order.
#[derive(Debug)]
pub struct Stats {
    baud: u32,
    totals: Totals,
    first: Option<Time>,
    last: Option<Time>,
    /// The first and the last time of this input.
    span: Option<(Time, Time)>,
    duration_ns: Option<i64>,
    buses: Vec<BusStats>,
    rows: BTreeMap<Key, Row>,
    other: Row,
    /// When each request was last made, in this input.
    made: HashMap<(Key, u64), Time>,
}

/// What is counted of one bus.
#[derive(Debug)]
struct BusStats {
    name: Arc<str>,
    frames: u64,
    gaps: u64,
    line: Line,
    /// By reason: places and bytes.
    noise: BTreeMap<&'static str, (u64, u64)>,
    /// By ADDR.
    asked: BTreeMap<u8, Asked>,
    implausible: BTreeMap<u8, u64>,
}

/// How often an address was asked, and whether it was heard.
#[derive(Debug, Default)]
struct Asked {
    device: String,
    times: u64,
    heard: bool,
}

impl Default for Stats {
    fn default() -> Self {
        Self::new()
    }
}

impl Stats {
    /// Nothing counted, on buses of [`BAUD`] baud.
    #[must_use]
    pub fn new() -> Self {
        Self::with_baud(BAUD)
    }

    /// Nothing counted, on buses of this baud rate (8 data bits, no parity, 1 stop bit).
    #[must_use]
    pub fn with_baud(baud: u32) -> Self {
        Stats {
            baud,
            totals: Totals::default(),
            first: None,
            last: None,
            span: None,
            duration_ns: None,
            buses: Vec::new(),
            rows: BTreeMap::new(),
            other: Row::default(),
            made: HashMap::new(),
        }
    }

    /// Tells that another capture begins, whose times do not go on where the last one ended.
    pub fn next_input(&mut self) {
        if let Some((first, last)) = self.span.take() {
            let so_far = self.duration_ns.unwrap_or(0);
            self.duration_ns = Some(so_far.saturating_add(last.since(first)));
        }
        self.made.clear();
        self.buses.iter_mut().for_each(|bus| bus.line.cut());
    }

    /// Takes the next thing seen.
    pub fn push(&mut self, seen: &Seen) {
        match seen {
            Seen::Frame(frame) => self.frame(frame),
            Seen::Noise(record) => self.noise(record),
            Seen::Gap(record) => self.gap(record),
            Seen::Exchange(exchange) => self.exchange(exchange),
            Seen::Lone(frame) => self.lone(frame),
        }
    }

    /// The figures.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.next_input();
        let several = self.buses.len() > 1;
        let names: Vec<Arc<str>> = self.buses.iter().map(|bus| bus.name.clone()).collect();
        let name_of = |key: &Key| names.get(usize::from(key.bus)).cloned().unwrap_or_default();
        let functions = self.rows.iter().map(|(key, row)| row.report(name_of(key), Some(key)));
        let other = (self.other.count() > 0).then(|| self.other.report("".into(), None));
        Report {
            r#type: "stats",
            v: report::VERSION,
            first: self.first,
            last: self.last,
            duration_ns: self.duration_ns,
            baud: self.baud,
            several_buses: several,
            totals: self.totals,
            functions: functions.collect(),
            other,
            never_answered: self.buses.iter().flat_map(BusStats::never_answered).collect(),
            implausible: self.buses.iter().flat_map(BusStats::implausible).collect(),
            buses: self.buses.iter().map(|bus| bus.report(self.baud)).collect(),
        }
    }

    /// The place of a bus among those known.
    pub(crate) fn bus_at(&mut self, name: &Arc<str>) -> usize {
        if let Some(at) = self.buses.iter().position(|bus| bus.name == *name) {
            return at;
        }
        if self.buses.len() >= MAX_BUSES {
            let last = self.buses.len() - 1;
            self.buses[last].name = "(others)".into();
            return last;
        }
        self.buses.push(BusStats::new(name.clone()));
        self.buses.len() - 1
    }

    fn time(&mut self, time: Option<Time>) {
        let Some(time) = time else { return };
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = self.last.max(Some(time));
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
    }

    fn record(&mut self, record: &Record) -> &mut BusStats {
        self.time(record.time);
        let at = self.bus_at(&record.bus);
        let bus = &mut self.buses[at];
        bus.line.add(record);
        bus
    }

    fn frame(&mut self, frame: &Observed) {
        self.totals.frames += 1;
        self.totals.frame_bytes += frame.record.bytes.len() as u64;
        self.totals.implausible += u64::from(frame.implausible);
        match frame.dir {
            Some(Direction::Request) => self.totals.requests += 1,
            Some(Direction::Response) => self.totals.responses += 1,
            None => self.totals.unknown_direction += 1,
        }
        let bus = self.record(&frame.record);
        bus.frames += 1;
        if frame.implausible {
            *bus.implausible.entry(frame.frame().addr().0).or_default() += 1;
        }
    }

    fn noise(&mut self, record: &Record) {
        let size = record.bytes.len() as u64;
        self.totals.noise_places += 1;
        self.totals.noise_bytes += size;
        let bus = self.record(record);
        if let Verdict::Noise(reason) = record.verdict {
            let (places, bytes) = bus.noise.entry(reason.name()).or_default();
            *places += 1;
            *bytes += size;
        }
    }

    /// What lies on both sides of a gap is not on one timeline: neither the load nor a period can be
    /// told across it.
    fn gap(&mut self, record: &Record) {
        let Verdict::Gap(gap) = record.verdict else { return };
        self.totals.gaps += 1;
        if let Some(ns) = gap.ns {
            self.totals.gap_ns = Some(self.totals.gap_ns.unwrap_or(0).saturating_add(ns));
        }
        if let Some(bytes) = gap.bytes {
            let so_far = self.totals.lost_bytes.unwrap_or(0);
            self.totals.lost_bytes = Some(so_far.saturating_add(bytes));
        }
        self.time(record.time);
        let at = self.bus_at(&record.bus);
        self.buses[at].gaps += 1;
        self.buses[at].line.cut();
        self.made.retain(|(key, _), _| usize::from(key.bus) != at);
    }

    fn exchange(&mut self, exchange: &Exchange) {
        // A late reply ends no exchange: its request timed out and was counted then.
        let counted = exchange.outcome != Outcome::Unsolicited;
        self.totals.exchanges += u64::from(counted);
        let Some(subject) = exchange.subject() else {
            self.totals.returns_without_call += 1;
            return;
        };
        let at = self.bus_at(&exchange.bus);
        self.buses[at].asked(exchange);
        let key = Key::of(at, subject);
        let period = if counted { self.period(key, exchange) } else { None };
        let row = self.row(key, subject);
        row.push(exchange);
        if let Some(period) = period {
            row.period(period);
        }
    }

    fn lone(&mut self, frame: &Observed) {
        let at = self.bus_at(&frame.record.bus);
        // It may be an answer.
        self.buses[at].address(frame).heard = true;
        self.row(Key::of(at, frame), frame).lone();
    }

    /// The row of a device and function.
    fn row(&mut self, key: Key, subject: &Observed) -> &mut Row {
        if !self.rows.contains_key(&key) && self.rows.len() >= MAX_ROWS {
            return &mut self.other;
        }
        self.rows.entry(key).or_insert_with(|| Row::new(subject))
    }

    /// How long ago the same was asked of the same device, in nanoseconds.
    fn period(&mut self, key: Key, exchange: &Exchange) -> Option<i64> {
        let (request, time) = (exchange.request.as_deref()?, exchange.time?);
        let mut hasher = DefaultHasher::new();
        request.frame().data().hash(&mut hasher);
        let key = (key, hasher.finish());
        if self.made.len() >= MAX_REQUESTS && !self.made.contains_key(&key) {
            self.totals.requests_not_followed += 1;
            return None;
        }
        let last = self.made.insert(key, time)?;
        // Traced calls that overlap are told in the order in which they return.
        (time >= last).then(|| time.since(last))
    }
}

impl BusStats {
    fn new(name: Arc<str>) -> Self {
        BusStats {
            name,
            frames: 0,
            gaps: 0,
            line: Line::default(),
            noise: BTreeMap::new(),
            asked: BTreeMap::new(),
            implausible: BTreeMap::new(),
        }
    }

    fn address(&mut self, frame: &Observed) -> &mut Asked {
        let addr = frame.frame().addr();
        self.asked.entry(addr.0).or_insert_with(|| Asked {
            device: frame.dialect.device(addr).into_owned(),
            ..Asked::default()
        })
    }

    fn asked(&mut self, exchange: &Exchange) {
        if let Some(request) = &exchange.request {
            let asked = self.address(request);
            asked.heard |= exchange.response.is_some();
            asked.times +=
                u64::from(matches!(exchange.outcome, Outcome::Answered | Outcome::Timeout));
        }
        if let Some(response) = &exchange.response {
            self.address(response).heard = true;
        }
    }

    fn never_answered(&self) -> impl Iterator<Item = NeverAnswered> {
        let silent = self.asked.iter().filter(|(_, asked)| asked.times > 0 && !asked.heard);
        silent.map(|(addr, asked)| NeverAnswered {
            bus: self.name.clone(),
            addr: *addr,
            device: asked.device.clone(),
            asked: asked.times,
        })
    }

    fn implausible(&self) -> impl Iterator<Item = Implausible> {
        let name = &self.name;
        self.implausible.iter().map(move |(addr, frames)| Implausible {
            bus: name.clone(),
            addr: *addr,
            frames: *frames,
        })
    }

    fn report(&self, baud: u32) -> Bus {
        let noise = self.noise.iter().map(|(reason, (places, bytes))| Noise {
            reason,
            places: *places,
            bytes: *bytes,
        });
        Bus {
            name: self.name.clone(),
            frames: self.frames,
            gaps: self.gaps,
            load_percent: self.line.load_percent(baud),
            peak_load_percent: self.line.peak_percent(baud),
            noise: noise.collect(),
        }
    }
}

#[cfg(test)]
mod tests;
