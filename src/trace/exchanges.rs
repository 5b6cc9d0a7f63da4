//! Which frame of a trace answers which. Text and JSON both take it from here, so that they tell
//! the same.

use std::collections::VecDeque;
use std::sync::Arc;

use k485_proto::dialect::Dialect;
use k485_proto::exchange::{Exchange, Observed, Outcome, Pairer, Seen};
use k485_proto::line::{self, Word};
use k485_proto::record::{Direction, Record, Time};
use k485_trace::tree::Child;

use super::words::Detail;

/// Bytes of noise that are shown.
const NOISE: usize = 16;

/// Frames in the order in which they were told, each with the exchange it is part of.
pub(super) struct Exchanges {
    pairer: Pairer,
    leaves: VecDeque<Leaf>,
    /// How many leaves were taken.
    taken: usize,
    /// The numbers of frames whose exchange is not complete.
    open: Vec<usize>,
}

/// What one record of a trace is.
pub(super) enum Leaf {
    /// A frame; without an exchange where it belongs to none, or is its request sent once more.
    Frame(Arc<Observed>, Option<Exchange>),
    /// Bytes that are no frame.
    Noise(Record),
    /// A call returned without a reply. Its request tells so; where that is not in the trace, this
    /// is all there is.
    Nothing(Option<Exchange>),
}

/// A line for people.
pub(super) struct Line {
    pub(super) time: Option<Time>,
    pub(super) latency: Option<i64>,
    pub(super) words: Vec<Word>,
}

impl Exchanges {
    pub(super) fn new(dialect: &'static Dialect) -> Exchanges {
        let pairer = Pairer::with_dialect(dialect);
        Exchanges { pairer, leaves: VecDeque::new(), taken: 0, open: Vec::new() }
    }

    /// The frames of one call, whatever else happened between them: a leaf for each, in their order.
    pub(super) fn among(children: &[Child], dialect: &'static Dialect) -> VecDeque<Leaf> {
        let mut all = Exchanges::new(dialect);
        for child in children {
            if let Child::Frame { record, .. } = child {
                all.push(record.clone());
            }
        }
        all.finish();
        all.leaves
    }

    pub(super) fn push(&mut self, record: Record) {
        self.leaves.push_back(Leaf::Nothing(None));
        self.pairer.push(record);
        self.pull();
    }

    /// Nothing follows: what is open ends.
    pub(super) fn finish(&mut self) {
        self.pairer.finish();
        self.pull();
        self.open.clear();
    }

    /// Whether everything is known of the first leaf.
    pub(super) fn is_settled(&self) -> bool {
        self.open.first() != Some(&self.taken)
    }

    /// The first leaf is not waited for any longer.
    pub(super) fn give_up(&mut self) {
        if let Some(Leaf::Frame(frame, _)) = self.leaves.front() {
            let bus = frame.record.bus.clone();
            self.pairer.give_up(&bus);
            self.pull();
        }
        self.open.retain(|number| *number != self.taken);
    }

    /// Takes the first leaf.
    pub(super) fn pop(&mut self) -> Option<Leaf> {
        let leaf = self.leaves.pop_front()?;
        self.taken += 1;
        Some(leaf)
    }

    fn pull(&mut self) {
        while let Some(seen) = self.pairer.pull() {
            let number = (self.taken + self.leaves.len()).saturating_sub(1);
            let leaf = match seen {
                Seen::Frame(frame) => {
                    self.open.push(number);
                    Leaf::Frame(frame, None)
                }
                Seen::Lone(frame) => {
                    self.open.retain(|open| *open != number);
                    Leaf::Frame(frame, None)
                }
                Seen::Noise(record) | Seen::Gap(record) => Leaf::Noise(record),
                Seen::Exchange(exchange) if exchange.subject().is_some() => {
                    self.settle(&exchange);
                    continue;
                }
                Seen::Exchange(exchange) => Leaf::Nothing(Some(exchange)),
            };
            if let Some(last) = self.leaves.back_mut() {
                *last = leaf;
            }
        }
    }

    /// Tells the frames of an exchange that it is complete.
    fn settle(&mut self, exchange: &Exchange) {
        let (taken, leaves) = (self.taken, &mut self.leaves);
        self.open.retain(|number| {
            let leaf = number.checked_sub(taken).and_then(|at| leaves.get_mut(at));
            let Some(Leaf::Frame(frame, of)) = leaf else { return false };
            if is(exchange.request.as_ref(), frame) || is(exchange.response.as_ref(), frame) {
                *of = Some(exchange.clone());
                return false;
            }
            // The request is told once, with how often it was sent.
            let is_again = |first: &Arc<Observed>| {
                frame.record.call.is_none()
                    && frame.dir == Some(Direction::Request)
                    && (&first.record.bus, &first.record.bytes)
                        == (&frame.record.bus, &frame.record.bytes)
            };
            !exchange.request.as_ref().is_some_and(is_again)
        });
    }
}

/// The lines of an exchange.
pub(super) fn lines(exchange: &Exchange, time: Option<Time>, detail: Detail) -> Vec<Line> {
    let words = line::exchange(exchange);
    let mut lines = vec![Line { time, latency: exchange.latency_ns, words }];
    if detail.whole {
        let frames = [&exchange.request, &exchange.response].into_iter().flatten();
        let detail = |frame| Line { time, latency: None, words: line::detail(frame) };
        lines.extend(frames.map(|frame| detail(frame)));
    }
    lines
}

/// The line of bytes that are no frame, or that are missing.
pub(super) fn noise(record: &Record) -> Line {
    let words = [line::noise(record, NOISE), line::gap(record)].concat();
    Line { time: record.time, latency: None, words }
}

fn is(one: Option<&Arc<Observed>>, other: &Arc<Observed>) -> bool {
    one.is_some_and(|one| Arc::ptr_eq(one, other))
}

impl Leaf {
    /// The lines of text that stand in its place: an exchange stands where its request is.
    pub(super) fn lines(&self, detail: Detail) -> Vec<Line> {
        let (time, exchange) = match self {
            Leaf::Frame(frame, Some(exchange)) if self.is_told_by(exchange) => {
                (frame.record.time, exchange)
            }
            Leaf::Frame(_, Some(_)) | Leaf::Nothing(None) => return Vec::new(),
            Leaf::Nothing(Some(exchange)) => (exchange.time, exchange),
            Leaf::Frame(frame, None) => {
                return vec![Line {
                    time: frame.record.time,
                    latency: None,
                    words: line::frame(frame),
                }];
            }
            Leaf::Noise(record) => return vec![noise(record)],
        };
        lines(exchange, time, detail)
    }

    /// The record of its bytes; `None` where there were none.
    pub(super) fn record(&self) -> Option<&Record> {
        match self {
            Leaf::Frame(frame, _) => Some(&frame.record),
            Leaf::Noise(record) => Some(record),
            Leaf::Nothing(_) => None,
        }
    }

    /// How the exchange ended that it is part of.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match self {
            Leaf::Frame(_, exchange) | Leaf::Nothing(exchange) => exchange.as_ref(),
            Leaf::Noise(_) => None,
        }
        .map(|exchange| exchange.outcome)
    }

    /// What it says itself. What a reply says depends on its request.
    pub(super) fn words(&self) -> Vec<Word> {
        match self {
            Leaf::Frame(_, Some(exchange)) if exchange.outcome != Outcome::Answered => {
                line::exchange(exchange)
            }
            Leaf::Frame(_, Some(exchange)) if self.is_told_by(exchange) => {
                line::exchange(&Exchange { response: None, ..exchange.clone() })
            }
            Leaf::Frame(_, Some(exchange)) => {
                line::exchange(&Exchange { request: None, attempts: None, ..exchange.clone() })
            }
            Leaf::Frame(frame, None) => line::frame(frame),
            Leaf::Noise(record) => [line::noise(record, NOISE), line::gap(record)].concat(),
            Leaf::Nothing(_) => Vec::new(),
        }
    }

    /// Whether the exchange is told in the place of this frame: in that of the request, or of a
    /// reply that nobody waited for (its request has ended before).
    fn is_told_by(&self, exchange: &Exchange) -> bool {
        let Leaf::Frame(frame, _) = self else { return false };
        is(exchange.request.as_ref(), frame) || exchange.outcome != Outcome::Answered
    }
}
