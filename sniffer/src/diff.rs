//! What differs between two captures, exchange by exchange and in figures.
//!
//! Exchanges of the two sides are aligned by what was asked: bus, device, function and the
//! request's data. What is aligned is compared: how it ended, the reply's STATUS and fields, how
//! often it was sent, its latency. Buses are matched in the order of their first records, whatever
//! their names. Polls repeat without end and at no fixed times, so they are compared in figures, if
//! nothing else is [asked for](Polls). Traced calls that returned nothing and began before the trace
//! name neither device nor function; they are only counted.
//!
//! A [`Diff`] is given both captures at the same pace: it [`wants`](Diff::wants) the next thing of
//! one side, and keeps at most [`WINDOW`] exchanges a side. So it finds the way back to the common
//! sequence wherever one side has up to [`SHIFT`] exchanges more than the other at a place, and
//! mostly up to twice that; behind a longer piece that only one side has, the rest may be told as
//! missing here and added there.

mod align;
pub(crate) mod compare;
pub mod summary;

use std::collections::VecDeque;
use std::sync::Arc;

use k485_proto::exchange::{Exchange, Observed, Outcome, Seen};
use k485_proto::record::Time;

pub use crate::fields::Shown;
use crate::stats::Stats;
use crate::stats::row::is_polled;
pub use compare::Change;
use summary::{Summary, Tally};

/// How many exchanges of each side are aligned at once.
pub const WINDOW: usize = 4096;
/// A piece of up to so many exchanges that one side lacks never spoils the alignment behind it.
pub const SHIFT: usize = WINDOW / 4;

/// One of the two captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// What is done with polls: A1, A2, A3 on any address, and 0A to boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Polls {
    /// Their figures are compared.
    #[default]
    Count,
    /// They are aligned one by one, as everything else.
    Align,
    /// They are left out.
    Skip,
}

/// What counts as a difference.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is done with polls.
    pub polls: Polls,
    /// Names that do not count: fields of replies (`odometer`; a group's part as `group.part`), and
    /// `outcome`, `status`, `attempts`, `latency`, `data` (bytes that no field takes), `noise`.
    pub ignore: Vec<String>,
    /// How far latencies may be apart, in nanoseconds.
    pub latency_ns: i64,
}

impl Default for Options {
    fn default() -> Self {
        Options { polls: Polls::default(), ignore: Vec::new(), latency_ns: LATENCY }
    }
}

/// How far latencies may be apart if nothing else is said, in nanoseconds: more than the jitter of
/// a host that queues its calls, less than the time of any motion.
pub const LATENCY: i64 = 50 * Time::MILLISECOND;

impl Options {
    fn ignores(&self, name: &str) -> bool {
        self.ignore.iter().any(|ignored| ignored == name)
    }
}

/// What is aligned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An exchange.
    Exchange(Box<Exchange>),
    /// A frame that belongs to none, since its direction is not known.
    Lone(Arc<Observed>),
}

/// One difference.
#[derive(Debug, Clone)]
pub enum Difference {
    /// Both sides have it, with these changes.
    Changed {
        /// In the first capture.
        a: Item,
        /// In the second capture.
        b: Item,
        /// What differs; never empty.
        changes: Vec<Change>,
    },
    /// One side has it.
    Only {
        /// Which side.
        side: Side,
        /// What it has.
        item: Item,
    },
}

impl Item {
    /// The frame that names device and function.
    #[must_use]
    pub fn subject(&self) -> Option<&Observed> {
        match self {
            Item::Exchange(exchange) => exchange.subject(),
            Item::Lone(frame) => Some(frame),
        }
    }

    /// The request, where there is one.
    #[must_use]
    pub fn request(&self) -> Option<&Observed> {
        match self {
            Item::Exchange(exchange) => exchange.request.as_deref(),
            Item::Lone(_) => None,
        }
    }

    /// The reply, or the frame that may be one.
    #[must_use]
    pub fn reply(&self) -> Option<&Observed> {
        match self {
            Item::Exchange(exchange) => exchange.response.as_deref(),
            Item::Lone(frame) => Some(frame),
        }
    }

    /// When it was.
    #[must_use]
    pub fn time(&self) -> Option<Time> {
        match self {
            Item::Exchange(exchange) => exchange.time,
            Item::Lone(frame) => frame.record.time,
        }
    }

    fn bus(&self) -> &Arc<str> {
        match self {
            Item::Exchange(exchange) => &exchange.bus,
            Item::Lone(frame) => &frame.record.bus,
        }
    }

    /// What is the same in both captures for items that belong together.
    fn key(&self, bus: usize) -> Vec<u8> {
        let kind = match self {
            // A late reply's request is there a second time.
            Item::Exchange(exchange) if exchange.outcome == Outcome::Unsolicited => 1,
            Item::Exchange(_) => 0,
            Item::Lone(_) => 2,
        };
        let asked = u8::from(self.request().is_some());
        let mut key = vec![kind, asked, u8::try_from(bus).unwrap_or(u8::MAX)];
        if let Some(subject) = self.subject() {
            let frame = subject.frame();
            key.extend([frame.addr().0, frame.func()]);
            key.extend(self.request().map(|request| request.frame().data()).unwrap_or_default());
        }
        key
    }
}

/// One side's exchanges that are not aligned yet.
#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    keys: VecDeque<Vec<u8>>,
    ended: bool,
}

impl Waiting {
    fn is_ready(&self) -> bool {
        self.ended || self.items.len() >= WINDOW
    }
}

/// Compares two captures.
#[derive(Debug)]
pub struct Diff {
    options: Options,
    a: Waiting,
    b: Waiting,
    stats_a: Stats,
    stats_b: Stats,
    tally: Tally,
    out: VecDeque<Difference>,
}

impl Diff {
    /// Nothing compared yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Diff {
            options,
            a: Waiting::default(),
            b: Waiting::default(),
            stats_a: Stats::new(),
            stats_b: Stats::new(),
            tally: Tally::default(),
            out: VecDeque::new(),
        }
    }

    /// The side whose next thing is needed; `None` when both have ended.
    #[must_use]
    pub fn wants(&self) -> Option<Side> {
        if !self.a.is_ready() {
            return Some(Side::A);
        }
        (!self.b.is_ready()).then_some(Side::B)
    }

    /// Takes the next thing of one side, the one that is [wanted](Self::wants).
    pub fn push(&mut self, side: Side, seen: &Seen) {
        let item = match seen {
            Seen::Exchange(exchange) => Some(Item::Exchange(Box::new(exchange.clone()))),
            Seen::Lone(frame) => Some(Item::Lone(frame.clone())),
            Seen::Frame(_) | Seen::Noise(_) | Seen::Gap(_) => None,
        };
        let polled = item.as_ref().and_then(Item::subject).is_some_and(is_polled);
        if polled && self.options.polls == Polls::Skip {
            return;
        }
        let (waiting, stats) = match side {
            Side::A => (&mut self.a, &mut self.stats_a),
            Side::B => (&mut self.b, &mut self.stats_b),
        };
        stats.push(seen);
        let aligned = |item: &Item| {
            // A return without a reply whose call is not in the trace tells nothing to align by.
            item.subject().is_some() && (!polled || self.options.polls == Polls::Align)
        };
        if let Some(item) = item.filter(aligned) {
            waiting.keys.push_back(item.key(stats.bus_at(item.bus())));
            waiting.items.push_back(item);
        }
        self.align();
    }

    /// Tells that one side has ended.
    pub fn end(&mut self, side: Side) {
        match side {
            Side::A => self.a.ended = true,
            Side::B => self.b.ended = true,
        }
        self.align();
    }

    /// The next difference; `None` until more is pushed.
    pub fn pull(&mut self) -> Option<Difference> {
        self.out.pop_front()
    }

    /// What it comes to, when both sides have ended and every difference was pulled.
    #[must_use]
    pub fn finish(self) -> Summary {
        self.tally.finish(&self.options, self.stats_a.finish(), self.stats_b.finish())
    }

    fn align(&mut self) {
        while self.a.is_ready()
            && self.b.is_ready()
            && !(self.a.items.is_empty() && self.b.items.is_empty())
        {
            let last = self.a.ended && self.b.ended;
            let last = last && self.a.items.len() <= WINDOW && self.b.items.len() <= WINDOW;
            let steps =
                align::align(self.a.keys.make_contiguous(), self.b.keys.make_contiguous(), last);
            for step in steps {
                self.step(step);
            }
        }
    }

    fn step(&mut self, step: align::Step) {
        let take = |waiting: &mut Waiting| {
            waiting.keys.pop_front();
            waiting.items.pop_front()
        };
        match step {
            align::Step::Both => {
                if let (Some(a), Some(b)) = (take(&mut self.a), take(&mut self.b)) {
                    let bus = self.stats_a.bus_at(a.bus());
                    let changes = compare::compare(&a, &b, &self.options);
                    self.tally.pair(bus, &a, &changes);
                    if !changes.is_empty() {
                        self.out.push_back(Difference::Changed { a, b, changes });
                    }
                }
            }
            align::Step::Only(side) => {
                let (waiting, stats) = match side {
                    Side::A => (&mut self.a, &mut self.stats_a),
                    Side::B => (&mut self.b, &mut self.stats_b),
                };
                if let Some(item) = take(waiting) {
                    self.tally.only(stats.bus_at(item.bus()), side, &item);
                    self.out.push_back(Difference::Only { side, item });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
