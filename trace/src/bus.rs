//! The bus records of a trace: the frames that the host's send function was given and gave back.
//!
//! | event of [`SEND`] | record |
//! |---|---|
//! | call | a request, bare (head and CRC are added below the traced function) |
//! | return of bytes | a response, from the wire; a noise record for each stretch that is no frame |
//! | a `frame` event outside of such calls | a request or a response, as it says |
//! | a `gap`, `dropped` or `lost` event | a gap, on every bus that was seen so far |
//! | return of `null` or of no bytes, error | verdict [`Verdict::NoReply`], direction response |
//!
//! Every record of a call carries it; its id is a running number from 1 over the whole capture, not
//! the trace's own `id`: that restarts. A request's time is that of its call, a response's that of
//! its return; what lies between is the function's, which queues calls and retries them, so the
//! order of records is not the order on the wire (a capture has overlapping neighbours by the
//! hundred).
//!
//! Nothing that the trace tells is dropped: a return without its call (the tracer's client joined
//! late, or a filter took the call away) gives its record with a number that no request has, and
//! [`Counts`] tells how many there were. A call without its return has given its request already.
//! What cannot be a record is a complaint. Only the inner telling of a doubled call (see
//! [`crate::open`]) is left out; its end is given, late, where the outer one does not come.
//!
//! Source for the method and both forms of text: captures of a real printer.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use k485_proto::deframer::spans;
use k485_proto::record::{
    Call, Complaint, Direction, Gap, GapReason, Origin, Record, Time, Verdict,
};

use crate::event::{Event, Kind, Site};
use crate::open::{Begin, End, MAX_OPEN, OpenCalls};
use crate::send::{self, Reply};

/// The method that sends a frame and gives its reply. It is the only one of the wrapper's methods
/// that stands for a transmission: `add_send_data` and `remove_send_data` are its bookkeeping.
pub const SEND: &str = "cmd_send_data_with_response";

/// The longest label that becomes a bus's name, in bytes. Real ones have twenty.
pub const MAX_LABEL: usize = 256;

/// How many inner ends wait for their outer ones.
const INNER: usize = 256;

/// How many names of buses are kept for reuse.
const NAMES: usize = 16;

/// Takes the events of a trace and gives the bus records in them.
#[derive(Debug, Clone, Default)]
pub struct BusRecords {
    calls: OpenCalls<Sent>,
    /// What inner ends of doubled calls gave, by the call's number, until the outer one comes.
    inner: BTreeMap<u64, (Came, Vec<Record>)>,
    names: VecDeque<Arc<str>>,
    counts: Counts,
    last_gap: Option<(Option<Time>, Option<Time>)>,
}

/// What a response takes over from its request.
#[derive(Debug, Clone)]
struct Sent {
    bus: Arc<str>,
    timeout_ms: Option<u32>,
}

/// What an end was.
#[derive(Debug, Clone, Copy)]
enum Came {
    Reply,
    Null,
    Raised,
}

/// What a trace held, of the send function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls; a doubled one once.
    pub calls: u64,
    /// Returns of bytes.
    pub replies: u64,
    /// Returns of `null` or of no bytes.
    pub nulls: u64,
    /// Exceptions.
    pub errors: u64,
    /// How many of those three came without their call.
    pub orphans: u64,
    /// Frames told beside the calls, but for those of open calls of the send function.
    pub frames: u64,
    /// Second tellings, of calls and of their ends, that were left out.
    pub doubled: u64,
    /// Calls that were given up because a new session began or too many were open; their returns,
    /// if they came, are among the orphans.
    pub given_up: u64,
    /// Calls and returns from which no record could be made; each is a complaint.
    pub unreadable: u64,
}

/// Where an event is, for its records and complaints.
struct Place<'a> {
    file: &'a str,
    event: &'a Event<'a>,
}

impl Place<'_> {
    fn complaint(&self, what: String) -> Complaint {
        let place = format!("{}:{}", self.file, self.event.line);
        Complaint { place, what, fatal: false }
    }

    fn record(&self, dir: Direction, bus: Arc<str>, call: Option<Call>) -> Record {
        Record {
            time: self.event.time,
            bus,
            dir: Some(dir),
            offset: self.event.offset,
            bytes: Vec::new(),
            origin: Origin::Wire,
            verdict: Verdict::NoReply,
            call,
        }
    }
}

impl Counts {
    fn of(&mut self, came: Came) -> &mut u64 {
        match came {
            Came::Reply => &mut self.replies,
            Came::Null => &mut self.nulls,
            Came::Raised => &mut self.errors,
        }
    }
}

impl BusRecords {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was seen so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let given_up = self.calls.given_up() + self.calls.crowded_out();
        Counts { given_up, ..self.counts }
    }

    /// How many calls still wait for their return.
    #[must_use]
    pub fn open(&self) -> usize {
        self.calls.open()
    }

    /// Whether [`BusRecords::take`] could do anything with the event; it does nothing with any
    /// other.
    #[must_use]
    pub fn concerns(event: &Event<'_>) -> bool {
        match &event.kind {
            Kind::Connected { .. } => true,
            Kind::Call { site, .. } => site.method == SEND,
            // The short documented form: it may end a call of the send function.
            Kind::Return { site, .. } | Kind::Error { site, .. } => {
                site.method == SEND || site.method.is_empty()
            }
            Kind::Frame { .. } | Kind::Gap { .. } | Kind::Dropped { .. } | Kind::Lost { .. } => {
                true
            }
            _ => false,
        }
    }

    /// Takes the next event and puts what it gives behind `out`. Events of several files may be
    /// mixed: `source` tells them apart, `file` is the file's name for complaints.
    pub fn take(
        &mut self,
        source: usize,
        file: &str,
        event: &Event<'_>,
        out: &mut VecDeque<Result<Record, Complaint>>,
    ) {
        if !Self::concerns(event) {
            return;
        }
        let place = Place { file, event };
        match &event.kind {
            Kind::Connected { schema, .. } => self.calls.connected(source, *schema),
            Kind::Call { id, site, args, .. } => self.call(source, &place, *id, site, args, out),
            Kind::Return { id, site, result, duration } => {
                let reply = send::reply(result);
                self.end(source, &place, (*id, *duration), site, result, reply, out);
            }
            Kind::Error { id, site, error, duration, .. } => {
                let reply = Ok(Reply::Raised);
                self.end(source, &place, (*id, *duration), site, error, reply, out);
            }
            Kind::Frame { site, direction, bytes } => {
                self.frame(source, &place, site, *direction, bytes, out);
            }
            // Every file of a capture has it.
            Kind::Gap { from, to, .. }
                if self.last_gap.replace((*from, *to)) != Some((*from, *to)) =>
            {
                let ns = to.zip(*from).map(|(to, from)| to.since(from));
                self.gap(&place, GapReason::Disconnected, ns, out);
            }
            Kind::Dropped { .. } | Kind::Lost { .. } => {
                self.gap(&place, GapReason::Dropped, None, out)
            }
            _ => {}
        }
    }

    /// Nothing follows: gives what waits for an outer end.
    pub fn finish(&mut self, out: &mut VecDeque<Result<Record, Complaint>>) {
        for inner in std::mem::take(&mut self.inner).into_values() {
            self.give(inner, out);
        }
    }

    /// Events are missing: frames of any bus may be among them.
    fn gap(
        &self,
        place: &Place<'_>,
        reason: GapReason,
        ns: Option<i64>,
        out: &mut VecDeque<Result<Record, Complaint>>,
    ) {
        let gap = Gap { reason, ns, bytes: None };
        out.extend(self.names.iter().map(|name| {
            let record = Record::of_gap(gap, place.event.time, Arc::clone(name));
            Ok(Record { offset: place.event.offset, ..record })
        }));
    }

    /// A frame that the tracer tells beside the calls. Those of an open call of [`SEND`] are told
    /// by the call itself.
    fn frame(
        &mut self,
        source: usize,
        place: &Place<'_>,
        site: &Site<'_>,
        direction: Direction,
        digits: &str,
        out: &mut VecDeque<Result<Record, Complaint>>,
    ) {
        let parent = place.event.context.parent;
        if parent.is_some_and(|parent| self.calls.is_open(source, parent)) {
            return;
        }
        self.counts.frames += 1;
        let bus = self.name(&site.object);
        match send::frame(digits, direction) {
            Ok(parts) => out.extend(parts.into_iter().map(|(bytes, origin, verdict)| {
                let record = place.record(direction, Arc::clone(&bus), None);
                Ok(Record { bytes, origin, verdict, ..record })
            })),
            Err(error) => {
                self.counts.unreadable += 1;
                out.push_back(Err(place.complaint(format!("the frame is left out: {error}"))));
            }
        }
    }

    fn call(
        &mut self,
        source: usize,
        place: &Place<'_>,
        id: u64,
        site: &Site<'_>,
        args: &str,
        out: &mut VecDeque<Result<Record, Complaint>>,
    ) {
        let request = send::request(args);
        let timeout_ms = request.as_ref().ok().and_then(|request| request.timeout_ms);
        let bus = self.name(&site.object);
        let sent = Sent { bus: bus.clone(), timeout_ms };
        let crowded_out = self.calls.crowded_out();
        let begin = self.calls.call(source, place.event, id, site, args, sent);
        if self.calls.crowded_out() > crowded_out {
            out.push_back(Err(place.complaint(format!(
                "more than {MAX_OPEN} calls without return: the oldest is taken for lost"
            ))));
        }
        let Begin::Call { number } = begin else {
            self.counts.doubled += 1;
            return;
        };
        self.counts.calls += 1;
        out.push_back(match request {
            Ok(request) => {
                let call = Call { id: number, timeout_ms, duration_ns: None };
                let mut record = place.record(Direction::Request, bus, Some(call));
                record.bytes = request.bytes;
                record.origin = request.origin;
                record.verdict = Verdict::Frame;
                Ok(record)
            }
            Err(error) => {
                self.counts.unreadable += 1;
                Err(place.complaint(format!("the call's frame is left out: {error}")))
            }
        });
    }

    #[expect(clippy::too_many_arguments, reason = "one event's parts, for one caller")]
    fn end(
        &mut self,
        source: usize,
        place: &Place<'_>,
        (id, duration_ns): (u64, Option<i64>),
        site: &Site<'_>,
        text: &str,
        reply: Result<Reply, send::ReplyError>,
        out: &mut VecDeque<Result<Record, Complaint>>,
    ) {
        let mut is_inner = false;
        let (number, sent) = match self.calls.end(source, place.event, id, site, text) {
            End::Of { number, value } => {
                self.counts.doubled += u64::from(self.inner.remove(&number).is_some());
                (number, value)
            }
            End::Inner { number, value } => {
                is_inner = true;
                (number, value)
            }
            End::Again { .. } => {
                self.counts.doubled += 1;
                return;
            }
            // Some other method's, in the short form.
            End::Orphan { .. } if site.method.is_empty() => return,
            End::Orphan { number } => {
                self.counts.orphans += 1;
                (number, Sent { bus: self.name(&site.object), timeout_ms: None })
            }
        };
        let call = Call { id: number, timeout_ms: sent.timeout_ms, duration_ns };
        let record = place.record(Direction::Response, sent.bus, Some(call));
        let (came, records) = match reply {
            Ok(Reply::Nothing) => (Came::Null, vec![record]),
            Ok(Reply::Raised) => (Came::Raised, vec![record]),
            // Mostly one frame; two frames glued together were seen in a vendor's host.
            Ok(Reply::Bytes(bytes)) => {
                let parts = spans(&bytes).map(|span| {
                    let Record { bytes, verdict, .. } = Record::of_span(&span);
                    Record { bytes, verdict, ..record.clone() }
                });
                (Came::Reply, parts.collect())
            }
            Err(error) => {
                self.counts.unreadable += 1;
                out.push_back(Err(place.complaint(format!("the return is left out: {error}"))));
                return;
            }
        };
        if is_inner {
            self.inner.insert(number, (came, records));
            let is_full = self.inner.len() > INNER;
            if let Some((_, inner)) = is_full.then(|| self.inner.pop_first()).flatten() {
                self.give(inner, out);
            }
            return;
        }
        self.give((came, records), out);
    }

    fn give(
        &mut self,
        (came, records): (Came, Vec<Record>),
        out: &mut VecDeque<Result<Record, Complaint>>,
    ) {
        *self.counts.of(came) += 1;
        out.extend(records.into_iter().map(Ok));
    }

    /// The bus's name of a label, shared between records.
    fn name(&mut self, label: &str) -> Arc<str> {
        let label = shortened(label);
        if let Some(name) = self.names.iter().find(|name| ***name == *label) {
            return Arc::clone(name);
        }
        let name: Arc<str> = Arc::from(&*label);
        if self.names.len() == NAMES {
            self.names.pop_front();
        }
        self.names.push_back(Arc::clone(&name));
        name
    }
}

/// A label of at most [`MAX_LABEL`] bytes; a longer one ends in `…`.
fn shortened(label: &str) -> Cow<'_, str> {
    if label.len() <= MAX_LABEL {
        return Cow::Borrowed(label);
    }
    // The mark takes three bytes.
    let end = (0..=MAX_LABEL - 3).rev().find(|end| label.is_char_boundary(*end)).unwrap_or(0);
    Cow::Owned(format!("{}…", &label[..end]))
}

#[cfg(test)]
mod tests;
