//! The bus records of a trace: the frames that the host's send function was given and gave back.
//!
//! | event of [`SEND`] | record |
//! |---|---|
//! | call | a request, bare (head and CRC are added below the traced function) |
//! | return of bytes | a response, from the wire; a noise record for each stretch that is no frame |
//! | return of `null` or of no bytes, error | verdict [`Verdict::NoReply`], direction response |
//!
//! Every record carries its call, whose id is a running number from 1 over the whole capture, not
//! the trace's own `id`: that restarts. A request's time is that of its call, a response's that of
//! its return; what lies between is the function's, which queues calls and retries them, so the
//! order of records is not the order on the wire (a capture has overlapping neighbours by the
//! hundred).
//!
//! Nothing that the trace tells is dropped: a return without its call (the tracer's client joined
//! late, or a filter took the call away) gives its record with a number that no request has, and
//! [`Counts`] tells how many there were. A call without its return has given its request already.
//! What cannot be a record is a complaint. Only the second telling of a doubled call (see
//! [`crate::open`]) is left out.
//!
//! Source for the method and both forms of text: captures of a real printer.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use k485_proto::deframer::spans;
use k485_proto::record::{Call, Complaint, Direction, Origin, Record, Verdict};

use crate::event::{Event, Kind, Site};
use crate::open::{Begin, End, MAX_OPEN, OpenCalls};
use crate::send::{self, Reply};

/// The method that sends a frame and gives its reply. It is the only one of the wrapper's methods
/// that stands for a transmission: `add_send_data` and `remove_send_data` are its bookkeeping.
pub const SEND: &str = "cmd_send_data_with_response";

/// The longest label that becomes a bus's name, in bytes. Real ones have twenty.
pub const MAX_LABEL: usize = 256;

/// How many names of buses are kept for reuse.
const NAMES: usize = 16;

/// Takes the events of a trace and gives the bus records in them.
#[derive(Debug, Clone, Default)]
pub struct BusRecords {
    calls: OpenCalls<Sent>,
    names: VecDeque<Arc<str>>,
    counts: Counts,
}

/// What a response takes over from its request.
#[derive(Debug, Clone)]
struct Sent {
    bus: Arc<str>,
    timeout_ms: Option<u32>,
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

    fn record(&self, dir: Direction, bus: Arc<str>, call: Call) -> Record {
        Record {
            time: self.event.time,
            bus,
            dir: Some(dir),
            offset: self.event.offset,
            bytes: Vec::new(),
            origin: Origin::Wire,
            verdict: Verdict::NoReply,
            call: Some(call),
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
            Kind::AttrRead { .. } | Kind::Other(_) => false,
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
            Kind::Connected { .. } => self.calls.restart(source),
            Kind::Call { id, site, args } => self.call(source, &place, *id, site, args, out),
            Kind::Return { id, site, result, duration } => {
                let reply = send::reply(result);
                self.end(source, &place, (*id, *duration), site, result, reply, out);
            }
            Kind::Error { id, site, error, duration, .. } => {
                let reply = Ok(Reply::Raised);
                self.end(source, &place, (*id, *duration), site, error, reply, out);
            }
            Kind::AttrRead { .. } | Kind::Other(_) => {}
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
        let begin = self.calls.call(source, id, place.event.time, site, args, sent);
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
                let mut record = place.record(Direction::Request, bus, call);
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
        let (number, sent) = match self.calls.end(source, id, site, text) {
            End::Of { number, value } => (number, value),
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
        let record = place.record(Direction::Response, sent.bus, call);
        let bytes = match reply {
            Ok(Reply::Bytes(bytes)) => bytes,
            Ok(Reply::Nothing) => {
                self.counts.nulls += 1;
                out.push_back(Ok(record));
                return;
            }
            Ok(Reply::Raised) => {
                self.counts.errors += 1;
                out.push_back(Ok(record));
                return;
            }
            Err(error) => {
                self.counts.unreadable += 1;
                out.push_back(Err(place.complaint(format!("the return is left out: {error}"))));
                return;
            }
        };
        self.counts.replies += 1;
        // Mostly one frame; two frames glued together were seen in a vendor's host.
        for span in spans(&bytes) {
            let Record { bytes, verdict, .. } = Record::of_span(&span);
            out.push_back(Ok(Record { bytes, verdict, ..record.clone() }));
        }
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
mod tests {
    use super::*;
    use crate::reader::{EventReader, TraceReader};
    use k485_proto::record::Time;

    const BOX: &str = "serial_485 serial485";

    fn call(id: u64, time: &str, object: &str, args: &str) -> String {
        format!(
            "{{\"type\": \"call\", \"id\": {id}, \"time\": {time}, \"object\": \"{object}\", \
             \"class\": \"W\", \"method\": \"{SEND}\", \"args\": \"{args}\"}}\n"
        )
    }

    fn back(id: u64, time: &str, object: &str, result: &str) -> String {
        format!(
            "{{\"type\": \"return\", \"id\": {id}, \"time\": {time}, \"object\": \"{object}\", \
             \"class\": \"W\", \"method\": \"{SEND}\", \"result\": {result}, \
             \"duration_ms\": 15.5}}\n"
        )
    }

    fn read(text: &str) -> (Vec<Result<Record, String>>, Counts, usize) {
        let mut reader = TraceReader::new("t", text.as_bytes());
        let items = reader.by_ref().map(|item| item.map_err(|what| what.to_string())).collect();
        (items, reader.counts(), reader.open_calls())
    }

    /// What can be told of an item in one line.
    fn told(item: &Result<Record, String>) -> String {
        match item {
            Ok(record) => format!(
                "{} {} {} {:?} {:?}",
                record.call.unwrap().id,
                record.dir.unwrap().name(),
                k485_proto::frame::Hex(&record.bytes),
                record.origin,
                record.verdict
            ),
            Err(complaint) => complaint.clone(),
        }
    }

    fn tell(text: &str) -> (Vec<String>, Counts, usize) {
        let (items, counts, open) = read(text);
        (items.iter().map(told).collect(), counts, open)
    }

    #[test]
    fn a_request_and_its_reply() {
        let first = call(7, "10.5", BOX, "{'_bytes': '0103ff0a'}, 3600");
        let text = first.clone() + &back(7, "10.6", BOX, "{\"_bytes\": \"f70107000a19240000e7\"}");
        let (items, counts, open) = read(&text);
        let bus: Arc<str> = Arc::from(BOX);
        let request = Record {
            time: Some(Time(10_500_000_000)),
            bus,
            dir: Some(Direction::Request),
            offset: 0,
            bytes: vec![0x01, 0x03, 0xff, 0x0a],
            origin: Origin::Bare,
            verdict: Verdict::Frame,
            call: Some(Call { id: 1, timeout_ms: Some(3_600_000), duration_ns: None }),
        };
        let response = Record {
            time: Some(Time(10_600_000_000)),
            dir: Some(Direction::Response),
            offset: first.len() as u64,
            bytes: vec![0xf7, 0x01, 0x07, 0x00, 0x0a, 0x19, 0x24, 0x00, 0x00, 0xe7],
            origin: Origin::Wire,
            call: Some(Call { id: 1, timeout_ms: Some(3_600_000), duration_ns: Some(15_500_000) }),
            ..request.clone()
        };
        assert_eq!(items, [Ok(request), Ok(response)]);
        assert_eq!(counts, Counts { calls: 1, replies: 1, ..Counts::default() });
        assert_eq!(open, 0);
    }

    #[test]
    fn every_way_a_call_can_end() {
        let error = call(3, "3", BOX, "").replace("\"call\"", "\"error\"");
        let text = call(1, "1", BOX, "{'_bytes': '0103ff0a'}, 2")
            + &call(2, "1", BOX, "{'_bytes': 'f70103ff0a5c'}")
            + &call(3, "1", BOX, "{'_bytes': '020300a2'}, 0.1, False")
            + &call(4, "1", BOX, "{'_bytes': '030300a2'}, 0.1, False")
            + &back(2, "2", BOX, "null")
            + &error
            // Two frames and a stray byte; a frame that lacks its last byte.
            + &back(1, "4", BOX, "{\"_bytes\": \"00f70103ff0a5cf70103ff0a5cf70103ff0a\"}");
        let (told, counts, open) = tell(&text);
        assert_eq!(
            told,
            [
                "1 request 0103ff0a Bare Frame",
                "2 request f70103ff0a5c Wire Frame",
                "3 request 020300a2 Bare Frame",
                "4 request 030300a2 Bare Frame",
                "2 response  Wire NoReply",
                "3 response  Wire NoReply",
                "1 response 00 Wire Noise(Garbage)",
                "1 response f70103ff0a5c Wire Frame",
                "1 response f70103ff0a5c Wire Frame",
                "1 response f70103ff0a Wire Noise(Truncated { need: 6, have: 5 })",
            ]
        );
        let expected = Counts { calls: 4, replies: 1, nulls: 1, errors: 1, ..Counts::default() };
        assert_eq!((counts, open), (expected, 1));
    }

    #[test]
    fn returns_without_calls_are_given_with_a_call_of_their_own() {
        let short = "{\"type\": \"return\", \"id\": 9, \"result\": {\"_bytes\": \"00\"}}\n";
        let text = back(5, "1", BOX, "{\"_bytes\": \"f70103ff0a5c\"}")
            + &back(5, "1", BOX, "null")
            + short
            + &call(9, "2", BOX, "{'_bytes': '0103ff0a'}, 2")
            + short
            + short;
        let (told, counts, open) = tell(&text);
        assert_eq!(
            told,
            [
                "1 response f70103ff0a5c Wire Frame",
                "2 response  Wire NoReply",
                "4 request 0103ff0a Bare Frame",
                "4 response 00 Wire Noise(Garbage)",
            ],
            "the short form counts only where it ends a call of ours"
        );
        let expected = Counts { calls: 1, replies: 2, nulls: 1, orphans: 2, ..Counts::default() };
        assert_eq!((counts, open), (expected, 0));
    }

    #[test]
    fn what_cannot_be_a_record_is_a_complaint() {
        let text = call(1, "1", BOX, "None, 2")
            + &back(1, "2", BOX, "{\"_bytes\": \"f70103ff0a5c\"}")
            + &call(2, "3", BOX, "{'_bytes': '0103ff0a'}")
            + &back(2, "4", BOX, "true");
        let (told, counts, open) = tell(&text);
        assert_eq!(
            told,
            [
                "t:1: the call's frame is left out: the arguments do not begin with \
                 {'_bytes': '…'}: \"None, 2\"",
                "1 response f70103ff0a5c Wire Frame",
                "2 request 0103ff0a Bare Frame",
                "t:4: the return is left out: neither null nor {\"_bytes\": \"…\"}: true",
            ]
        );
        let expected = Counts { calls: 2, replies: 1, unreadable: 2, ..Counts::default() };
        assert_eq!((counts, open), (expected, 0));
    }

    #[test]
    fn a_doubled_call_is_given_once_from_one_file_or_two() {
        let poll = "{'_bytes': '0103ff0a'}, 2";
        let reply = "{\"_bytes\": \"f70103ff0a5c\"}";
        let outer = [call(4, "1.0000", BOX, poll), back(4, "1.0200", BOX, reply)];
        let inner = [call(5, "1.0005", "serial", poll), back(5, "1.0195", "serial", reply)];
        let one = [&outer[0], &inner[0], &inner[1], &outer[1]].map(String::as_str).concat();
        let (outer, inner) = (outer.concat(), inner.concat());
        for files in [vec![&one], vec![&outer, &inner], vec![&inner, &outer]] {
            let files = files.into_iter().map(|text| EventReader::new("t", text.as_bytes()));
            let mut reader = TraceReader::merged(files);
            let records: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
            let seen = [&records[0], &records[1]].map(|record| (&*record.bus, record.time));
            let times = [Time(1_000_000_000), Time(1_019_500_000)].map(Some);
            assert_eq!(seen, [(BOX, times[0]), (BOX, times[1])]);
            assert_eq!((records.len(), records[0].call.unwrap().id), (2, 1));
            assert_eq!(records[1].call.unwrap().id, 1);
            let expected = Counts { calls: 1, replies: 1, doubled: 2, ..Counts::default() };
            assert_eq!(reader.counts(), expected);
        }
    }

    #[test]
    fn a_new_session_in_the_file_begins_with_its_ids() {
        let poll = "{'_bytes': '0103ff0a'}, 2";
        for between in ["", "{\"type\": \"connected\", \"message\": \"hi\"}\n"] {
            let text = call(100, "1", BOX, poll)
                + &call(101, "1", BOX, poll)
                + &back(100, "2", BOX, "null")
                + between
                + &call(2, "3", BOX, poll)
                + &back(101, "4", BOX, "null")
                + &back(2, "4", BOX, "null");
            let (items, counts, open) = read(&text);
            let ids: Vec<_> =
                items.iter().flatten().map(|record| record.call.unwrap().id).collect();
            assert_eq!(ids, [1, 2, 1, 3, 4, 3]);
            assert_eq!((counts.orphans, counts.given_up, open), (1, 1, 0));
        }
    }

    #[test]
    fn labels_are_shared_and_bounded() {
        let long = "é".repeat(MAX_LABEL);
        let text: String = (0..40)
            .map(|id| {
                call(3 * id, "1", if id % 2 == 0 { BOX } else { &long }, "{'_bytes': '0103ff0a'}")
            })
            .collect();
        let (items, ..) = read(&text);
        let buses: Vec<_> = items.into_iter().map(|item| item.unwrap().bus).collect();
        assert_eq!(buses.len(), 40);
        assert_eq!((buses[1].len(), buses[1].ends_with("é…")), (255, true));
        assert!(Arc::ptr_eq(&buses[0], &buses[38]) && Arc::ptr_eq(&buses[1], &buses[39]));
    }

    #[test]
    fn a_call_that_never_returns_makes_room_with_a_complaint() {
        let poll = "{'_bytes': '0103ff0a'}";
        let text: String = (0..=MAX_OPEN as u64).map(|id| call(id, "1", BOX, poll)).collect();
        let (items, counts, open) = read(&text);
        let complaints: Vec<_> = items.iter().filter_map(|item| item.as_ref().err()).collect();
        assert_eq!(
            complaints,
            ["t:4097: more than 4096 calls without return: the oldest is taken for lost"]
        );
        assert_eq!((items.len(), counts.calls, open), (MAX_OPEN + 2, 4097, MAX_OPEN));
        assert_eq!(counts.given_up, 1);
    }
}
