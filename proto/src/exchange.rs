//! Requests paired with their replies, their retries or their time-out.
//!
//! A [`Pairer`] takes the records of a capture in their order and gives each frame with its
//! direction, and each exchange when it is complete. It follows the vendor's host
//! ([`host`](crate::host)): one request is open on a bus at a time, the same request again is a retry where that
//! host retries, another request ends the wait for the first, and a reply belongs to the open
//! request by address and function. Records of traced calls carry their call, which pairs them
//! whatever overlaps.
//!
//! A frame that may be a request or a reply and answers no open request waits for the next record: if
//! that is a frame of its bus that answers it, it was the request.
//!
//! It keeps a bounded amount: one open request and one such frame a bus and the last few requests
//! that timed out, of so many buses, and the calls that have not returned.

mod bus;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bus::Bus;

use crate::dialect::{Dialect, K2};
use crate::direction::{self, Source};
use crate::frame::Frame;
use crate::host::Policy;
use crate::message::Message;
use crate::record::{Direction, Gap, Record, Time, Verdict};

/// How many traced calls may be open at once; the oldest is given up beyond that.
const OPEN_CALLS: usize = 1024;

/// How many buses are followed at once; one of them is given up for the next beyond that. A capture
/// names its buses, and a damaged one may name any number.
const BUSES: usize = 256;

/// A frame as observed, with what the sequence says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What was observed.
    pub record: Record,
    /// The frame's bytes, head to CRC.
    wire: Vec<u8>,
    /// The direction; `None` where it is not known.
    pub dir: Option<Direction>,
    /// How the direction is known.
    pub dir_source: Source,
    /// Whether the address is probably damaged (ADDR is outside the CRC).
    pub implausible: bool,
    /// The request that this frame answers, where it was seen.
    pub request: Option<Arc<Observed>>,
    /// The dialect that it is read in.
    pub dialect: &'static Dialect,
}

impl Observed {
    /// The frame.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        Frame::checked_before(&self.wire)
    }

    /// What the frame says.
    #[must_use]
    pub fn message(&self) -> Message<'_> {
        let request = self.request.as_deref().map(Observed::frame);
        self.dialect.decode(&self.frame(), self.dir, request.as_ref())
    }
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Outcome {
    /// The reply came.
    Answered,
    /// No reply came before the host went on, or the traced call returned without one.
    Timeout,
    /// Nobody answers such a request.
    NoReplyExpected,
    /// A reply that nobody waited for: late, or one too many.
    Unsolicited,
    /// A reply whose request is not in the capture: it was lost in noise, or came before the start.
    RequestNotSeen,
    /// The capture ends, or has a gap, while the host may still wait.
    Unfinished,
}

impl Outcome {
    /// The outcome as JSON and filters name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Timeout => "timeout",
            Outcome::NoReplyExpected => "no_reply_expected",
            Outcome::Unsolicited => "unsolicited",
            Outcome::RequestNotSeen => "request_not_seen",
            Outcome::Unfinished => "unfinished",
        }
    }
}

/// What a latency is measured between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum LatencySource {
    /// The last transmission's end and the reply's end, as seen on the wire.
    Wire,
    /// A traced call and its return: queueing behind other calls and all retries included.
    Call,
}

/// A request with its reply, its retries or its time-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The bus's name.
    pub bus: Arc<str>,
    /// The request, at its first transmission.
    pub request: Option<Arc<Observed>>,
    /// The reply.
    pub response: Option<Arc<Observed>>,
    /// How it ended.
    pub outcome: Outcome,
    /// From the request (its last transmission) to the reply, in nanoseconds.
    pub latency_ns: Option<i64>,
    /// What the latency is measured between.
    pub latency_source: Option<LatencySource>,
    /// How often the request was seen; `None` where the source hides it (a traced call).
    pub attempts: Option<u32>,
    /// The time of the exchange: its request's, or else its reply's.
    pub time: Option<Time>,
}

impl Exchange {
    /// The frame that names device and function: the request, or else the reply.
    #[must_use]
    pub fn subject(&self) -> Option<&Observed> {
        self.request.as_deref().or(self.response.as_deref())
    }
}

/// What the pairer gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A frame, as soon as it is seen; one that may be a request or a reply, and that answers nothing,
    /// when the next record is.
    Frame(Arc<Observed>),
    /// Noise, as soon as it is seen.
    Noise(Record),
    /// A place where bytes are missing, as soon as it is seen.
    Gap(Record),
    /// An exchange that is complete.
    Exchange(Exchange),
    /// A frame that belongs to no exchange, since its direction is not known.
    Lone(Arc<Observed>),
}

impl Seen {
    /// When it was: an exchange's request (else its reply), a frame's or noise's last byte, a gap's
    /// end.
    #[must_use]
    pub fn time(&self) -> Option<Time> {
        match self {
            Seen::Frame(frame) | Seen::Lone(frame) => frame.record.time,
            Seen::Noise(record) | Seen::Gap(record) => record.time,
            Seen::Exchange(exchange) => exchange.time,
        }
    }
}

/// Pairs the records of a capture. Push records in their order, pull what comes of them.
#[derive(Debug)]
pub struct Pairer {
    dialect: &'static Dialect,
    buses: BTreeMap<String, Bus>,
    calls: BTreeMap<u64, Arc<Observed>>,
    /// The call that returned last: more of its bytes may follow.
    returned: Option<u64>,
    /// The bus on which a frame waits for the next record.
    held: Option<Arc<str>>,
    out: VecDeque<Seen>,
    /// The latest time of any record.
    now: Option<Time>,
}

impl Default for Pairer {
    fn default() -> Self {
        Self::new()
    }
}

impl Pairer {
    /// A pairer at the start of a capture of the K2 dialect.
    #[must_use]
    pub fn new() -> Self {
        Self::with_dialect(&K2)
    }

    /// A pairer at the start of a capture of this dialect.
    #[must_use]
    pub fn with_dialect(dialect: &'static Dialect) -> Self {
        Pairer {
            dialect,
            buses: BTreeMap::new(),
            calls: BTreeMap::new(),
            returned: None,
            held: None,
            out: VecDeque::new(),
            now: None,
        }
    }

    /// Takes the next record.
    pub fn push(&mut self, record: Record) {
        self.now = self.now.max(record.time);
        // What is seen keeps the order of the records, whatever their buses.
        let goes_on = record.call.is_none().then_some(&record.bus);
        if let Some(held) = self.held.take_if(|held| Some(&*held) != goes_on)
            && let Some(bus) = self.buses.get_mut(&*held)
        {
            bus.settle(&mut self.out);
        }
        match (record.verdict, record.call) {
            (Verdict::Noise(_), _) => self.noise(record),
            (Verdict::Gap(gap), _) => self.gap(record, gap),
            (Verdict::NoReply, _) => self.returned_without(record),
            (Verdict::Frame, Some(call)) => self.traced(record, call.id),
            (Verdict::Frame, None) => self.frame(record),
        }
    }

    /// The next thing seen; `None` until more is pushed.
    pub fn pull(&mut self) -> Option<Seen> {
        self.out.pop_front()
    }

    /// The request that is open on the bus of that name: its host may still wait for the reply.
    #[must_use]
    pub fn open(&self, bus: &str) -> Option<&Arc<Observed>> {
        self.buses.get(bus)?.pending.as_ref().map(|pending| &pending.first)
    }

    /// Tells how the open request's host waits, where that is not the vendor's.
    pub fn set_policy(&mut self, bus: &str, policy: Policy) {
        if let Some(pending) = self.buses.get_mut(bus).and_then(|bus| bus.pending.as_mut()) {
            pending.policy = policy;
        }
    }

    /// Tells that the host waits no longer: the open request ends.
    pub fn give_up(&mut self, bus: &str) {
        if let Some(bus) = self.buses.get_mut(bus) {
            bus.give_up(&mut self.out);
        }
    }

    /// Tells the time of a live bus on which nothing is heard: a request whose host has given up by
    /// now ends.
    pub fn tick(&mut self, now: Time) {
        for bus in self.buses.values_mut() {
            bus.settle_if_late(now, &mut self.out);
            if bus.pending.as_ref().is_some_and(|pending| pending.expired(Some(now))) {
                bus.give_up(&mut self.out);
            }
        }
    }

    /// Tells of the capture's end: what is open ends.
    pub fn finish(&mut self) {
        let now = self.now;
        for bus in self.buses.values_mut() {
            bus.settle(&mut self.out);
            if bus.pending.as_ref().is_some_and(|pending| pending.expired(now)) {
                bus.give_up(&mut self.out);
            } else if let Some(pending) = bus.pending.take() {
                self.out.push_back(Seen::Exchange(pending.end(Outcome::Unfinished)));
            }
        }
        for (_, request) in core::mem::take(&mut self.calls) {
            self.out.push_back(Seen::Exchange(of_call(request, None, Outcome::Unfinished)));
        }
    }

    fn noise(&mut self, record: Record) {
        match record.call {
            // What a call returned is no frame; the call is over all the same.
            Some(call) => {
                if let Some(request) = self.calls.remove(&call.id) {
                    let exchange = of_call(request, call.duration_ns, Outcome::Timeout);
                    self.out.push_back(Seen::Exchange(exchange));
                }
                self.returned = Some(call.id);
            }
            None => {
                let time = record.time;
                let bus = bus(&mut self.buses, &record.bus, self.dialect, &mut self.out);
                bus.settle(&mut self.out);
                bus.in_step = false;
                // A wait that is over is told before what came after it.
                if bus.pending.as_ref().is_some_and(|pending| pending.expired(time)) {
                    bus.give_up(&mut self.out);
                }
            }
        }
        self.out.push_back(Seen::Noise(record));
    }

    /// Nothing before a gap is paired with what follows it: the reply, the next request, a retry
    /// may all be in it.
    fn gap(&mut self, record: Record, gap: Gap) {
        let began = record.time.map(|time| Time(time.0.saturating_sub(gap.ns.unwrap_or(0))));
        let bus = bus(&mut self.buses, &record.bus, self.dialect, &mut self.out);
        bus.settle(&mut self.out);
        bus.gap(began, &mut self.out);
        self.out.push_back(Seen::Gap(record));
    }

    fn returned_without(&mut self, record: Record) {
        let Some(call) = record.call else { return };
        self.returned = Some(call.id);
        let exchange = match self.calls.remove(&call.id) {
            Some(request) => of_call(request, call.duration_ns, Outcome::Timeout),
            None => Exchange {
                bus: record.bus.clone(),
                request: None,
                response: None,
                outcome: Outcome::RequestNotSeen,
                latency_ns: call.duration_ns,
                latency_source: call.duration_ns.map(|_| LatencySource::Call),
                attempts: None,
                time: record.time,
            },
        };
        self.out.push_back(Seen::Exchange(exchange));
    }

    fn traced(&mut self, record: Record, id: u64) {
        let duration_ns = record.call.and_then(|call| call.duration_ns);
        let dialect = self.dialect;
        let Some(mut observed) = observe(record, dialect, |frame| direction::alone(frame, dialect))
        else {
            return;
        };
        if observed.dir != Some(Direction::Response) {
            let observed = Arc::new(observed);
            self.out.push_back(Seen::Frame(observed.clone()));
            // An id that comes again, as where two captures were joined, ends the call before it.
            let again = self.calls.insert(id, observed);
            let crowded = (self.calls.len() > OPEN_CALLS).then(|| self.calls.pop_first()).flatten();
            for request in again.into_iter().chain(crowded.map(|(_, request)| request)) {
                self.out.push_back(Seen::Exchange(of_call(request, None, Outcome::Unfinished)));
            }
            return;
        }
        let request = self.calls.remove(&id);
        observed.request = request.clone();
        let observed = Arc::new(observed);
        self.out.push_back(Seen::Frame(observed.clone()));
        let exchange = match request {
            Some(request) => Exchange {
                response: Some(observed),
                ..of_call(request, duration_ns, Outcome::Answered)
            },
            None => {
                let extra = self.returned == Some(id);
                let outcome = if extra { Outcome::Unsolicited } else { Outcome::RequestNotSeen };
                Exchange {
                    latency_ns: duration_ns,
                    latency_source: duration_ns.map(|_| LatencySource::Call),
                    ..alone(observed, outcome)
                }
            }
        };
        self.returned = Some(id);
        self.out.push_back(Seen::Exchange(exchange));
    }

    fn frame(&mut self, record: Record) {
        let bus = bus(&mut self.buses, &record.bus, self.dialect, &mut self.out);
        let time = record.time;
        let mut answers_held = false;
        if let Some(next) = record.wire().as_deref().and_then(|wire| Frame::from_bytes(wire).ok()) {
            answers_held = bus.settle_before(&next, record.dir, time, &mut self.out);
        }
        let found = observe(record, self.dialect, |frame| match bus.infer(frame, time) {
            (_, source) if answers_held && source != Source::Certain => {
                (Some(Direction::Response), Source::Inferred)
            }
            found => found,
        });
        let Some(observed) = found else { return };
        if bus.may_be_either(&observed) {
            self.held = Some(observed.record.bus.clone());
            bus.held = Some(observed);
        } else {
            bus.place(observed, &mut self.out);
        }
    }
}

/// The state of the bus of that name.
fn bus<'b>(
    buses: &'b mut BTreeMap<String, Bus>,
    name: &str,
    dialect: &'static Dialect,
    out: &mut VecDeque<Seen>,
) -> &'b mut Bus {
    if buses.len() >= BUSES
        && !buses.contains_key(name)
        && let Some((_, mut given_up)) = buses.pop_first()
    {
        given_up.settle(out);
        if let Some(pending) = given_up.pending {
            out.push_back(Seen::Exchange(pending.end(Outcome::Unfinished)));
        }
    }
    buses.entry(String::from(name)).or_insert_with(|| Bus::new(dialect))
}

/// A frame's record with its direction: the capture's, the frame's own, or what `infer` says.
fn observe(
    record: Record,
    dialect: &'static Dialect,
    infer: impl FnOnce(&Frame<'_>) -> (Option<Direction>, Source),
) -> Option<Observed> {
    let wire = record.wire()?.into_owned();
    let frame = Frame::from_bytes(&wire).ok()?;
    let (dir, dir_source) = match record.dir {
        Some(dir) => (Some(dir), Source::Given),
        None => infer(&frame),
    };
    let implausible = direction::is_implausible(&frame, dialect);
    Some(Observed { record, wire, dir, dir_source, implausible, request: None, dialect })
}

/// An exchange that has only a reply.
fn alone(response: Arc<Observed>, outcome: Outcome) -> Exchange {
    Exchange {
        bus: response.record.bus.clone(),
        time: response.record.time,
        request: None,
        response: Some(response),
        outcome,
        latency_ns: None,
        latency_source: None,
        attempts: None,
    }
}

/// The exchange of a traced call, so far without a reply.
fn of_call(request: Arc<Observed>, duration_ns: Option<i64>, outcome: Outcome) -> Exchange {
    Exchange {
        bus: request.record.bus.clone(),
        time: request.record.time,
        request: Some(request),
        response: None,
        outcome,
        latency_ns: duration_ns,
        latency_source: duration_ns.map(|_| LatencySource::Call),
        attempts: None,
    }
}

#[cfg(test)]
mod tests;
