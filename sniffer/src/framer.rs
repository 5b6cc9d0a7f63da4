//! Records out of bytes, wherever they come from: a file, a port, the lines of a text.
//!
//! A [`Framer`] is given [`Chunk`]s, each with what its source knows of it (time, direction,
//! place), and gives [`Record`]s. Every direction is deframed separately, so bytes of the two that
//! interleave do not spoil each other; bytes of unknown direction are a third stream. How the
//! bytes are cut into chunks changes neither the records nor their order within a direction, only
//! the times that are known.
//!
//! A span may be made of bytes of several chunks: its record has the place of its first byte and
//! the time of its last. A chunk's time is that of its last byte; with a byte time
//! ([`Framer::with_byte_time`]), what ends before that ended so many byte times earlier, but not
//! before the chunk that came before: a USB adapter or a pseudo-terminal hands bytes over faster
//! than the wire had them. The framer holds at most one frame's worth of bytes a direction, and a
//! note a chunk that those bytes came in.

use std::collections::VecDeque;
use std::sync::Arc;

use k485_proto::deframer::{Deframer, Span};
use k485_proto::frame::HEAD;
use k485_proto::record::{Direction, Origin, Record, Time, Verdict};

/// Bytes as they came, with what is known about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// When the last of the bytes was seen.
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

/// Bits on the wire for each byte: a start bit, 8 data bits, a stop bit.
const BITS: i64 = 10;

/// How long a byte takes on a wire of that speed, in nanoseconds; 0 for a speed of 0.
#[must_use]
pub fn byte_time(baud: u32) -> i64 {
    let baud = i64::from(baud);
    (BITS * Time::SECOND + baud / 2).checked_div(baud).unwrap_or(0)
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
    /// In nanoseconds.
    byte_time: i64,
    /// The time of the chunk before.
    last: Option<Time>,
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
            byte_time: 0,
            last: None,
            unknown: Lane::new(None),
            requests: Lane::new(Some(Direction::Request)),
            responses: Lane::new(Some(Direction::Response)),
        }
    }

    /// The same framer for bytes of a wire on which each takes so many nanoseconds
    /// ([`byte_time`]), so that records which came in one chunk have their own times.
    #[must_use]
    pub fn with_byte_time(self, nanos: i64) -> Self {
        Framer { byte_time: nanos.max(0), ..self }
    }

    /// Takes a chunk and gives each record that it completes to `emit`, in order of completion.
    pub fn push(&mut self, chunk: Chunk<'_>, emit: impl FnMut(Record)) {
        if chunk.bytes.is_empty() {
            return;
        }
        let (bus, byte_time, earliest) = (self.bus.clone(), self.byte_time, self.last);
        self.last = chunk.time.or(self.last);
        self.lane_mut(chunk.dir).push(&bus, chunk, byte_time, earliest, emit);
    }

    /// Tells that nothing more was heard until then: no byte of the next chunk is earlier.
    pub fn quiet(&mut self, until: Time) {
        self.last = self.last.max(Some(until));
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

    /// When the first of the bytes of that direction was heard that wait for a verdict: nothing
    /// that is given out later is earlier.
    #[must_use]
    pub fn pending_since(&self, dir: Option<Direction>) -> Option<Time> {
        let lane = self.lane(dir);
        let first = lane.deframer.offset();
        if lane.deframer.pending() == 0 {
            return None;
        }
        lane.marks.find(first).and_then(|mark| mark.time_of(first))
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

    fn push(
        &mut self,
        bus: &Arc<str>,
        chunk: Chunk<'_>,
        byte_time: i64,
        earliest: Option<Time>,
        mut emit: impl FnMut(Record),
    ) {
        let at = self.deframer.offset() + self.deframer.pending() as u64;
        let last = at + chunk.bytes.len() as u64 - 1;
        let Chunk { time, place, .. } = chunk;
        self.marks.add(Mark { at, last, place, time, byte_time, earliest });
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
    /// The chunk's last byte.
    last: u64,
    place: Place,
    /// When that was seen.
    time: Option<Time>,
    byte_time: i64,
    /// No byte was before this.
    earliest: Option<Time>,
}

impl Mark {
    /// When the byte `at` of the chunk was seen.
    fn time_of(&self, at: u64) -> Option<Time> {
        let time = self.time?;
        let behind = i64::try_from(self.last.saturating_sub(at)).unwrap_or(i64::MAX);
        let own = Time(time.0.saturating_sub(behind.saturating_mul(self.byte_time)));
        // A clock that was set back makes no byte later than its chunk.
        Some(self.earliest.map_or(own, |earliest| own.max(earliest.min(time))))
    }
}

/// The marks of the bytes that are not in a record yet, oldest first.
#[derive(Debug, Clone, Default)]
struct Marks(VecDeque<Mark>);

impl Marks {
    fn add(&mut self, mark: Mark) {
        // What goes on where the last chunk ended, at the same time, needs no note, unless a byte's
        // time depends on where its own chunk ends.
        let goes_on = self.0.back().is_some_and(|last| {
            mark.byte_time == 0
                && last.time == mark.time
                && last.place.ahead(mark.at - last.at) == mark.place
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
            time: self.find(last).and_then(|mark| mark.time_of(last)),
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
mod tests;
