//! A scene out of recorded exchanges: which devices there were, what they are, what was in their
//! slots, and what must have happened to them.
//!
//! What devices say of themselves is taken as it is. The rest is inferred: filament from the
//! sensors, lengths from the odometer, hands and extruder from what changed between two answers.
//! Each inference is a comment in the scene. The same exchanges give the same scene.
//!
//! No reply is kept: a scene has no field that could hold one.

mod facts;
mod happened;
mod layout;
mod speeds;

use std::collections::{BTreeMap, BTreeSet};

use k485_proto::address::{Address, Class};
use k485_proto::dialect::Dialect;
use k485_proto::exchange::{Exchange, LatencySource, Outcome};
use k485_proto::record::Time;

use crate::hand::Hand;
use crate::scene::{Event, Firmware, Layout, Notes, When};
use crate::table::{Length, Parsed};
use facts::BoxFacts;
use happened::Printer;
use speeds::Latencies;

/// From one exchange to the next, where a capture has no times.
const UNTIMED: i64 = 20 * Time::MILLISECOND;

/// What 10/00 takes beside the way to the hub's sensor: the hub motor's run and what is before it.
pub(crate) const TO_HUB: i64 = 3_749 * Time::MILLISECOND;

/// What was learned so far.
#[derive(Debug, Clone, Default)]
pub struct Learner {
    boxes: BTreeMap<u8, BoxFacts>,
    motors: BTreeMap<u8, MotorFacts>,
    belts: BTreeSet<u8>,
    rack: Option<Option<String>>,
    printer: Printer,
    latencies: Latencies,
    /// How long 10/00 took, each time that it only had to bring a slot to the hub.
    to_hub: Vec<i64>,
    /// What happened since the start, with its comment.
    events: Vec<(Event, String)>,
    clock: Clock,
    exchanges: u64,
    /// What the dialect says of the boxes, where it is not K2's.
    firmware: Option<Firmware>,
}

/// Whose boxes a dialect is about.
fn firmware(dialect: &'static Dialect) -> Option<Firmware> {
    let mut bases = std::iter::successors(Some(dialect), |dialect| dialect.base);
    bases.find_map(|dialect| match dialect.name {
        "hi" => Some(Firmware::Hi),
        "k1" => Some(Firmware::K1),
        _ => None,
    })
}

/// What is known of a motor.
#[derive(Debug, Clone, Default)]
struct MotorFacts {
    /// Firmware and the four other versions.
    versions: Option<[u8; 12]>,
    /// The protection's words, at the start and now.
    first: Option<(u32, u32)>,
    last: Option<(u32, u32)>,
}

/// When things are, and what an event can be tied to.
#[derive(Debug, Clone, Default)]
struct Clock {
    /// The first exchange's time.
    start: Option<i64>,
    /// The latest exchange's request and end.
    request: i64,
    end: i64,
    /// The end of the one before.
    before: i64,
    /// Whether the capture has times.
    timed: bool,
    /// How often each function of each device was asked since the start.
    counts: BTreeMap<(u8, u8), u32>,
    last: Option<(u8, u8)>,
}

/// What one exchange says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    pub(crate) addr: u8,
    pub(crate) func: u8,
    /// The request's data.
    pub(crate) asked: &'a [u8],
    /// The reply's STATUS and data, where there is one.
    pub(crate) reply: Option<(u8, &'a [u8])>,
    /// When the request was sent and when the reply was there.
    pub(crate) request: i64,
    pub(crate) end: i64,
}

impl Told<'_> {
    /// The reply's data where all went well.
    pub(crate) fn ok(&self) -> Option<&[u8]> {
        self.reply.filter(|(status, _)| *status == 0).map(|(_, data)| data)
    }

    /// A byte of the request's data.
    pub(crate) fn arg(&self, n: usize) -> u8 {
        self.asked.get(n).copied().unwrap_or_default()
    }

    /// The slot that the request names, 0 to 3.
    pub(crate) fn slot(&self) -> Option<usize> {
        let mask = self.arg(0);
        (mask.count_ones() == 1 && mask < 16).then(|| mask.trailing_zeros() as usize)
    }
}

/// What was learned, ready to be written.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The scene.
    pub layout: Layout,
    /// How each part of it is known.
    pub notes: Notes,
}

impl Learned {
    /// The scene's file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        crate::scene::write(&self.layout, &self.notes)
    }
}

impl Learner {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new() -> Learner {
        Learner::default()
    }

    /// How many exchanges with a device it was given.
    #[must_use]
    pub fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// Takes the next exchange, in order of time.
    pub fn push(&mut self, exchange: &Exchange) {
        let Some(request) = &exchange.request else { return };
        if exchange.outcome == Outcome::Unsolicited {
            return;
        }
        self.firmware = self.firmware.or_else(|| firmware(request.dialect));
        let frame = request.frame();
        let response = exchange.response.as_ref();
        let reply = response.map(|reply| (reply.frame().status().0, reply.frame().data().to_vec()));
        let from = response.map_or(frame.addr(), |reply| reply.frame().addr());
        self.tick(exchange, response.and_then(|reply| reply.record.time));
        let told = Told {
            // A new address answers to itself.
            addr: if frame.func() == 0xa0 { from.0 } else { frame.addr().0 },
            func: frame.func(),
            asked: frame.data(),
            reply: reply.as_ref().map(|(status, data)| (*status, data.as_slice())),
            request: self.clock.request,
            end: self.clock.end,
        };
        if reply.is_some() {
            self.exchanges += 1;
            if let Some(ns) = exchange.latency_ns {
                let wire = exchange.latency_source == Some(LatencySource::Wire);
                self.latencies.add(told.func, ns, wire, told.reply.map_or(0, |(_, d)| d.len() + 6));
            }
        }
        let took = told.end.saturating_sub(told.request);
        let is_to_hub = told.func == 0x10 && told.arg(1) == 0 && told.ok().is_some();
        if is_to_hub && (TO_HUB..TO_HUB + 2 * Time::SECOND).contains(&took) {
            self.to_hub.push(took);
        }
        self.learn(&told);
        *self.clock.counts.entry((told.addr, told.func)).or_default() += 1;
        self.clock.last = Some((frame.addr().0, told.func));
    }

    fn tick(&mut self, exchange: &Exchange, replied: Option<Time>) {
        let clock = &mut self.clock;
        clock.before = clock.end;
        match exchange.time {
            Some(time) => {
                clock.timed = true;
                clock.request = time.0;
                let latency = exchange.latency_ns.unwrap_or_default();
                clock.end = replied.map_or(time.0.saturating_add(latency), |time| time.0);
            }
            None => {
                clock.request = clock.end.saturating_add(UNTIMED);
                clock.end = clock.request;
            }
        }
        clock.start.get_or_insert(clock.request);
    }

    /// The scene starts now: what came before is how it was at the start.
    pub fn start_here(&mut self) {
        self.events.clear();
        let now = self.clock.end;
        self.clock.start = Some(now);
        self.clock.counts.clear();
        self.clock.last = None;
        self.printer.start_here();
        for facts in self.boxes.values_mut() {
            facts.start_here(now);
        }
        for motor in self.motors.values_mut() {
            motor.first = motor.last;
        }
    }

    fn learn(&mut self, told: &Told<'_>) {
        match Address(told.addr).class() {
            _ if matches!(told.addr, 1..=4) => self.learn_box(told),
            Some(Class::Motor) if matches!(told.addr, 0x80..=0x88) && told.reply.is_some() => {
                self.learn_motor(told);
            }
            Some(Class::Belt) if matches!(told.addr, 0x21..=0x22) && told.reply.is_some() => {
                self.belts.insert(told.addr);
            }
            Some(Class::Rack) => {
                if let Some(data) = told.ok() {
                    let tag = std::str::from_utf8(data).ok().filter(|text| text.len() == 40);
                    self.rack = Some(tag.map(str::to_owned));
                }
            }
            _ => {}
        }
    }

    fn learn_box(&mut self, told: &Told<'_>) {
        if told.reply.is_none() && !self.boxes.contains_key(&told.addr) {
            return;
        }
        let mut happened = Vec::new();
        let facts = self.boxes.entry(told.addr).or_default();
        facts.learn(told, self.clock.before, &mut happened);
        let (known, before) = (self.events.len(), self.clock.before);
        // A Hi's 05 is no buffer.
        if self.firmware != Some(Firmware::Hi) || told.func != 0x05 {
            happened::between(told, facts, &mut self.printer, before, known, &mut happened);
        }
        facts.remember(told);
        // Events name boxes by their places: those that come in front may still be unknown, so the
        // places are set at the end.
        for (at, hand, why) in happened {
            self.event(at, hand, why);
        }
        if let Some((n, mm)) = self.printer.correction.take()
            && let Some((Event { hand: Hand::Extrude { mm: said, .. }, .. }, _)) =
                self.events.get_mut(n)
        {
            *said = mm;
        }
    }

    fn learn_motor(&mut self, told: &Told<'_>) {
        let motor = self.motors.entry(told.addr).or_default();
        match (told.func, told.ok()) {
            (0x0f, Some(data)) => motor.versions = data.try_into().ok().or(motor.versions),
            // Two words, low byte first: errors, warnings.
            (0x0c, Some(data)) if told.arg(0) == 0x0b && data.len() == 8 => {
                let word = |at: usize| {
                    u32::from_le_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]])
                };
                let words = (word(0), word(4));
                motor.first.get_or_insert(words);
                if motor.last.replace(words).is_some_and(|last| last != words) {
                    let (errors, warnings) = words;
                    let hand = Hand::Motor { address: told.addr, errors, warnings };
                    self.event(
                        told.request.saturating_sub(1),
                        hand,
                        "its protection's words changed".to_owned(),
                    );
                }
            }
            _ => {}
        }
    }

    /// Adds an event at a time of the capture, or behind the last exchange where it has none.
    fn event(&mut self, at: i64, hand: Hand, why: String) {
        let clock = &self.clock;
        let due = match (clock.timed, clock.last) {
            (false, Some((addr, func))) => When {
                when: Some(format!("exchange && addr==0x{addr:02x} && func==0x{func:02x}")),
                nth: clock.counts.get(&(addr, func)).copied().unwrap_or(1).max(1),
                ..When::default()
            },
            _ => {
                let start = clock.start.unwrap_or_default();
                // To the microsecond, as captures have it.
                let ns = at.saturating_sub(start).max(0) / 1_000 * 1_000;
                When { at: Some(Parsed(Length(ns))), ..When::default() }
            }
        };
        self.events.push((Event { due, hand }, why));
    }
}
