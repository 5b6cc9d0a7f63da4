//! Records out of bytes, wherever they come from: a file, a port, the lines of a text.
//!
//! A [`Framer`] is given [`Chunk`]s, each with what its source knows of it (time, direction,
//! place), and gives [`Record`]s. Every direction is deframed separately, so bytes of the two that
//! interleave do not spoil each other; bytes of unknown direction are a third stream. How the
//! bytes are cut into chunks changes neither the records nor their order within a direction, only
//! the times that are known.
//!
//! A span may be made of bytes of several chunks: its record has the place of its first byte and
//! the time of its last. The framer holds at most one frame's worth of bytes a direction, and a
//! note a chunk that those bytes came in.

use std::collections::VecDeque;
use std::sync::Arc;

use k485_proto::deframer::{Deframer, Span};
use k485_proto::frame::HEAD;
use k485_proto::record::{Direction, Origin, Record, Time, Verdict};

/// Bytes as they came, with what is known about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// When the bytes were seen.
    pub time: Option<Time>,
    /// The direction, where the source tells it.
    pub dir: Option<Direction>,
    /// Where the bytes are in their source.
    pub place: Place,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// Where a chunk is in its source, and so what the offset of a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The chunk's first byte is so many bytes into the source, the others follow it there.
    Stream(u64),
    /// The chunk is written in the line of a text that begins so many bytes into the source; all
    /// its bytes have that place.
    Line(u64),
}

impl Place {
    /// The place `by` bytes behind this one.
    fn ahead(self, by: u64) -> Place {
        match self {
            Place::Stream(offset) => Place::Stream(offset.saturating_add(by)),
            Place::Line(_) => self,
        }
    }

    fn offset(self) -> u64 {
        match self {
            Place::Stream(offset) | Place::Line(offset) => offset,
        }
    }
}

/// Turns [`Chunk`]s into [`Record`]s.
///
/// ```
/// use k485_proto::record::{Time, Verdict};
/// use k485_sniffer::framer::{Chunk, Framer, Place};
///
/// let mut framer = Framer::new("bus0".into());
/// let mut records = Vec::new();
/// for (time, place, bytes) in [(1, 0, &[0xf7, 0x01, 0x03][..]), (2, 3, &[0xff, 0x0a, 0x5c])] {
///     let chunk = Chunk { time: Some(Time(time)), dir: None, place: Place::Stream(place), bytes };
///     framer.push(chunk, |record| records.push(record));
/// }
/// framer.idle(|record| records.push(record));
/// assert_eq!(records.len(), 1);
/// assert_eq!((records[0].time, records[0].offset), (Some(Time(2)), 0));
/// assert_eq!(records[0].verdict, Verdict::Frame);
/// ```
#[derive(Debug, Clone)]
pub struct Framer {
    bus: Arc<str>,
    unknown: Lane,
    requests: Lane,
    responses: Lane,
}

impl Framer {
    /// A framer at the start of its source, for the bus of that name.
    #[must_use]
    pub fn new(bus: Arc<str>) -> Self {
        Framer {
            bus,
            unknown: Lane::new(None),
            requests: Lane::new(Some(Direction::Request)),
            responses: Lane::new(Some(Direction::Response)),
        }
    }

    /// Takes a chunk and gives each record that it completes to `emit`, in order of completion.
    pub fn push(&mut self, chunk: Chunk<'_>, emit: impl FnMut(Record)) {
        let bus = self.bus.clone();
        self.lane_mut(chunk.dir).push(&bus, chunk, emit);
    }

    /// Tells of a silence, or of the source's end: what waits for more bytes, in any direction,
    /// will get none. Gives the records that come of it to `emit`, in order of their offsets.
    pub fn idle(&mut self, emit: impl FnMut(Record)) {
        // A few at most: every lane holds less than a frame.
        let mut records = Vec::new();
        for lane in [&mut self.unknown, &mut self.requests, &mut self.responses] {
            lane.idle(&self.bus, &mut records);
        }
        records.sort_by_key(|record| record.offset);
        records.into_iter().for_each(emit);
    }

    /// How many bytes of that direction wait for a verdict: less than a frame's worth.
    #[must_use]
    pub fn pending(&self, dir: Option<Direction>) -> usize {
        self.lane(dir).deframer.pending()
    }

    /// Whether a frame of that direction has begun and is not complete yet.
    #[must_use]
    pub fn is_open(&self, dir: Option<Direction>) -> bool {
        self.lane(dir).deframer.pending_bytes().first() == Some(&HEAD)
    }

    fn lane(&self, dir: Option<Direction>) -> &Lane {
        match dir {
            None => &self.unknown,
            Some(Direction::Request) => &self.requests,
            Some(Direction::Response) => &self.responses,
        }
    }

    fn lane_mut(&mut self, dir: Option<Direction>) -> &mut Lane {
        match dir {
            None => &mut self.unknown,
            Some(Direction::Request) => &mut self.requests,
            Some(Direction::Response) => &mut self.responses,
        }
    }
}

/// The bytes of one direction.
#[derive(Debug, Clone)]
struct Lane {
    dir: Option<Direction>,
    deframer: Deframer,
    marks: Marks,
}

impl Lane {
    fn new(dir: Option<Direction>) -> Self {
        Lane { dir, deframer: Deframer::new(), marks: Marks::default() }
    }

    fn push(&mut self, bus: &Arc<str>, chunk: Chunk<'_>, mut emit: impl FnMut(Record)) {
        if chunk.bytes.is_empty() {
            return;
        }
        let at = self.deframer.offset() + self.deframer.pending() as u64;
        self.marks.add(Mark { at, place: chunk.place, time: chunk.time });
        let mut rest = chunk.bytes;
        while let Some(span) = self.deframer.pull(&mut rest) {
            emit(self.marks.record(bus, self.dir, &span));
        }
        self.marks.forget(self.deframer.offset());
    }

    fn idle(&mut self, bus: &Arc<str>, records: &mut Vec<Record>) {
        while let Some(span) = self.deframer.idle() {
            records.push(self.marks.record(bus, self.dir, &span));
        }
        self.marks.forget(self.deframer.offset());
    }
}

/// Where in its source, and when, the bytes from `at` on (in the lane's own stream) came.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: u64,
    place: Place,
    time: Option<Time>,
}

/// The marks of the bytes that are not in a record yet, oldest first.
#[derive(Debug, Clone, Default)]
struct Marks(VecDeque<Mark>);

impl Marks {
    fn add(&mut self, mark: Mark) {
        // What goes on where the last chunk ended, at the same time, needs no note.
        let goes_on = self.0.back().is_some_and(|last| {
            last.time == mark.time && last.place.ahead(mark.at - last.at) == mark.place
        });
        if !goes_on {
            self.0.push_back(mark);
        }
    }

    /// Drops what only tells of bytes before `at`.
    fn forget(&mut self, at: u64) {
        while self.0.get(1).is_some_and(|next| next.at <= at) {
            self.0.pop_front();
        }
    }

    /// The mark that tells of the byte `at`.
    fn find(&self, at: u64) -> Option<&Mark> {
        let after = self.0.partition_point(|mark| mark.at <= at);
        self.0.get(after.checked_sub(1)?)
    }

    fn record(&self, bus: &Arc<str>, dir: Option<Direction>, span: &Span<'_>) -> Record {
        let (first, bytes) = (span.offset(), span.bytes());
        let last = first + bytes.len().saturating_sub(1) as u64;
        Record {
            time: self.find(last).and_then(|mark| mark.time),
            bus: bus.clone(),
            dir,
            offset: self.find(first).map_or(0, |mark| mark.place.ahead(first - mark.at).offset()),
            bytes: bytes.to_vec(),
            origin: Origin::Wire,
            verdict: match span {
                Span::Frame { .. } => Verdict::Frame,
                Span::Noise(noise) => Verdict::Noise(noise.reason),
            },
            call: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k485_proto::deframer::{NoiseReason, spans};
    use k485_proto::frame::MAX_FRAME;
    use proptest::prelude::*;

    const POLL: [u8; 6] = [0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c];
    const REPLY: [u8; 10] = [0xf7, 0x01, 0x07, 0x00, 0x0a, 0x19, 0x24, 0x00, 0x00, 0xe7];

    fn framer() -> Framer {
        Framer::new("b".into())
    }

    #[test]
    fn noise_has_the_time_of_its_own_last_byte() {
        let mut framer = framer();
        let mut records = Vec::new();
        for (time, place, bytes) in [(5, 100, &[1, 2][..]), (6, 102, &[3]), (900, 103, &POLL)] {
            let place = Place::Stream(place);
            let chunk = Chunk { time: Some(Time(time)), dir: None, place, bytes };
            framer.push(chunk, |record| records.push(record));
        }
        let got: Vec<_> = records.iter().map(|r| (r.time, r.offset, &r.bytes[..])).collect();
        assert_eq!(got, [(Some(Time(6)), 100, &[1, 2, 3][..]), (Some(Time(900)), 103, &POLL)]);
        assert_eq!(records[0].verdict, Verdict::Noise(NoiseReason::Garbage));
        assert_eq!(&*records[0].bus, "b");
    }

    #[test]
    fn directions_do_not_mix() {
        let mut framer = framer();
        let mut records = Vec::new();
        // Byte by byte in turn, one line of two bytes of text each.
        for i in 0..REPLY.len() {
            for (dir, bytes) in [(Direction::Request, &POLL[..]), (Direction::Response, &REPLY)] {
                let line = 4 * i as u64 + if dir == Direction::Request { 0 } else { 2 };
                if let Some(byte) = bytes.get(i..=i) {
                    let place = Place::Line(line);
                    let chunk = Chunk { time: None, dir: Some(dir), place, bytes: byte };
                    framer.push(chunk, |record| records.push(record));
                }
            }
        }
        let got: Vec<_> = records.iter().map(|r| (r.dir, r.offset, &r.bytes[..])).collect();
        let (request, response) = (Some(Direction::Request), Some(Direction::Response));
        assert_eq!(got, [(request, 0, &POLL[..]), (response, 2, &REPLY)]);
    }

    #[test]
    fn idle_gives_what_is_left_in_order_of_place() {
        let mut framer = framer();
        let mut records = Vec::new();
        let chunks = [
            (Some(Direction::Response), 7, &REPLY[..3]),
            (Some(Direction::Request), 2, &POLL[..5]),
            (None, 4, &[0x55][..]),
        ];
        for (dir, line, bytes) in chunks {
            let chunk = Chunk { time: None, dir, place: Place::Line(line), bytes };
            framer.push(chunk, |record| records.push(record));
        }
        assert!(records.is_empty());
        assert_eq!(framer.pending(Some(Direction::Request)), 5);
        assert!(framer.is_open(Some(Direction::Response)));
        assert!(!framer.is_open(None));
        framer.idle(|record| records.push(record));
        let got: Vec<_> = records.iter().map(|r| (r.offset, r.verdict)).collect();
        assert_eq!(
            got,
            [
                (2, Verdict::Noise(NoiseReason::Truncated { need: 6, have: 5 })),
                (4, Verdict::Noise(NoiseReason::Garbage)),
                (7, Verdict::Noise(NoiseReason::Truncated { need: 10, have: 3 })),
            ]
        );
        assert_eq!(framer.pending(None), 0);
    }

    /// Bytes that are rich in heads, short lengths and whole frames.
    fn wire() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(POLL.to_vec()),
            Just(REPLY.to_vec()),
            proptest::collection::vec(prop_oneof![Just(0xf7), 0u8..8, any::<u8>()], 0..40),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        /// Against the spans of the whole stream: the same spans, at their own places, each with
        /// the time of the chunk that its last byte came in; and no note is kept for ever.
        #[test]
        fn places_and_times_are_right_in_any_chunking(
            bytes in wire(),
            sizes in proptest::collection::vec(1usize..30, 1..50),
            start in 0u64..1000,
        ) {
            let mut framer = framer();
            let (mut records, mut times) = (Vec::new(), Vec::new());
            let mut sizes = sizes.iter().cycle();
            while times.len() < bytes.len() {
                let from = times.len();
                let to = bytes.len().min(from + sizes.next().unwrap());
                let time = Some(Time(to as i64));
                times.resize(to, time);
                let place = Place::Stream(start + from as u64);
                let chunk = Chunk { time, dir: None, place, bytes: &bytes[from..to] };
                framer.push(chunk, |record| records.push(record));
                prop_assert!(framer.unknown.marks.0.len() <= MAX_FRAME + 1);
            }
            framer.idle(|record| records.push(record));
            let expected: Vec<_> = spans(&bytes)
                .map(|span| {
                    let end = span.offset() as usize + span.bytes().len();
                    (start + span.offset(), span.bytes().to_vec(), times[end - 1])
                })
                .collect();
            let got: Vec<_> =
                records.into_iter().map(|r| (r.offset, r.bytes, r.time)).collect();
            prop_assert_eq!(got, expected);
        }
    }
}
