//! What goes on at the speed of the bus: exchanges, echoes, damaged frames, stray bytes.

use std::sync::Arc;

use k485_proto::deframer::NoiseReason;
use k485_proto::dialect::Dialect;
use k485_proto::direction;
use k485_proto::exchange::Pairer;
use k485_proto::frame::{Frame, HEAD, MAX_FRAME};
use k485_proto::record::{Direction, Record, Time, Verdict};
use serde::Serialize;

use crate::framer::{Chunk, Framer, Place};
use crate::stats::Stats;
use crate::stats::report::Report as Traffic;

/// The same frame again within this time is an echo. The shortest time-out after which a host sends
/// again is 50 ms, and it waits 5 ms more; USB adapters are up to 16 ms late.
const ECHO: i64 = 40 * Time::MILLISECOND;

/// A bus that is listened to.
pub(super) struct Watch {
    dialect: &'static Dialect,
    framer: Framer,
    offset: u64,
    /// With every frame, and without echoes: which of the two is right shows at the end.
    all: Paired,
    once: Paired,
    last: Option<Record>,
    /// The noise since the last frame.
    noise: Vec<(NoiseReason, Vec<u8>)>,
    seen: Seen,
    first: Option<Time>,
    latest: Option<Time>,
}

/// Exchanges and their figures.
struct Paired {
    pairer: Pairer,
    stats: Stats,
}

impl Paired {
    fn new(dialect: &'static Dialect, baud: u32) -> Paired {
        Paired { pairer: Pairer::with_dialect(dialect), stats: Stats::with_baud(baud) }
    }

    fn push(&mut self, record: Record) {
        self.pairer.push(record);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(seen) = self.pairer.pull() {
            self.stats.push(&seen);
        }
    }

    fn finish(mut self) -> Traffic {
        self.pairer.finish();
        self.drain();
        self.stats.finish()
    }
}

/// What was counted beside the exchanges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Good frames.
    pub frames: u64,
    /// Requests, echoes left out.
    pub requests: u64,
    /// Requests that were seen again before their time-out.
    pub request_echoes: u64,
    /// Replies, echoes left out.
    pub replies: u64,
    /// Replies that were seen again at once.
    pub reply_echoes: u64,
    /// Places where a frame was damaged: a known address with a wrong CRC, or cut short.
    pub damaged: u64,
    /// Frames that lack their F7, behind a stray byte or at a late start.
    pub headless: u64,
    /// Places with bytes that are of no frame.
    pub stray_places: u64,
    /// Those bytes.
    pub stray_bytes: u64,
}

impl Seen {
    /// Whether requests come twice although nobody can have timed out yet.
    #[must_use]
    pub fn requests_echo(&self) -> bool {
        self.request_echoes >= 3 && self.request_echoes * 2 >= self.requests
    }

    /// Whether replies do too.
    #[must_use]
    pub fn replies_echo(&self) -> bool {
        self.reply_echoes >= 3 && self.reply_echoes * 2 >= self.replies
    }
}

impl Watch {
    pub(super) fn new(bus: &Arc<str>, dialect: &'static Dialect, baud: u32) -> Watch {
        Watch {
            dialect,
            framer: Framer::new(bus.clone()),
            offset: 0,
            all: Paired::new(dialect, baud),
            once: Paired::new(dialect, baud),
            last: None,
            noise: Vec::new(),
            seen: Seen::default(),
            first: None,
            latest: None,
        }
    }

    pub(super) fn heard(&mut self, time: Time, bytes: &[u8]) {
        self.first.get_or_insert(time);
        self.latest = self.latest.max(Some(time));
        let place = Place::Stream(self.offset);
        self.offset += bytes.len() as u64;
        let mut records = Vec::new();
        let chunk = Chunk { time: Some(time), dir: None, place, bytes };
        self.framer.push(chunk, |record| records.push(record));
        records.into_iter().for_each(|record| self.record(record));
    }

    /// Nothing was heard for longer than a gap inside a frame may be.
    pub(super) fn silence(&mut self, now: Time) {
        let mut records = Vec::new();
        self.framer.idle(|record| records.push(record));
        records.into_iter().for_each(|record| self.record(record));
        self.end_of_noise();
        for paired in [&mut self.all, &mut self.once] {
            paired.pairer.tick(now);
            paired.drain();
        }
    }

    fn record(&mut self, record: Record) {
        match record.verdict {
            Verdict::Noise(reason) => {
                self.noise.push((reason, record.bytes.clone()));
                // Noise without end is told in pieces.
                if self.noise.len() >= 64 {
                    self.end_of_noise();
                }
                self.once.push(record.clone());
            }
            _ => {
                self.end_of_noise();
                if !self.is_echo(&record) {
                    self.once.push(record.clone());
                    self.last = Some(record.clone());
                } else {
                    // A third time is no echo of the first.
                    self.last = None;
                }
            }
        }
        self.all.push(record);
    }

    /// Counts a frame; whether it is the last one again.
    fn is_echo(&mut self, record: &Record) -> bool {
        self.seen.frames += 1;
        let Ok(frame) = Frame::from_bytes(&record.bytes) else { return false };
        let again = self.last.as_ref().is_some_and(|last| {
            let apart = last.time.zip(record.time).map(|(last, time)| time.since(last));
            last.bytes == record.bytes && apart.is_some_and(|apart| apart < ECHO)
        });
        // A motor's reply may equal its request, and boxes send the reply to A0 three times.
        let (count, echoes) = match direction::alone(&frame, self.dialect).0 {
            Some(Direction::Request) => (&mut self.seen.requests, &mut self.seen.request_echoes),
            Some(Direction::Response) if frame.func() != 0xa0 => {
                (&mut self.seen.replies, &mut self.seen.reply_echoes)
            }
            _ => return false,
        };
        *(if again { echoes } else { count }) += 1;
        again
    }

    /// Says what the noise between two frames was.
    fn end_of_noise(&mut self) {
        let noise = std::mem::take(&mut self.noise);
        if noise.is_empty() {
            return;
        }
        let bytes: Vec<u8> = noise.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let damaged = noise.iter().any(|(reason, bytes)| self.is_damaged(*reason, bytes));
        // The whole rest has to be the frame, or a part of any frame would do.
        let longest = bytes.len().min(MAX_FRAME - 1);
        let headless = (bytes.len() - longest..bytes.len()).any(|at| {
            let whole: Vec<u8> = std::iter::once(HEAD).chain(bytes[at..].iter().copied()).collect();
            Frame::from_bytes(&whole).is_ok_and(|frame| self.is_known(frame.addr().0, frame.func()))
        });
        if damaged {
            self.seen.damaged += 1;
        } else {
            self.seen.headless += u64::from(headless);
            self.seen.stray_places += 1;
            self.seen.stray_bytes += bytes.len() as u64;
        }
    }

    /// Whether this was a frame: an F7 and what follows in a frame of this bus.
    fn is_damaged(&self, reason: NoiseReason, bytes: &[u8]) -> bool {
        let whole = matches!(reason, NoiseReason::BadCrc { .. } | NoiseReason::Truncated { .. });
        match bytes {
            [HEAD, addr, len @ 3..=100, _, func, ..] if whole => {
                self.is_known(*addr, *func) && bytes.len() <= usize::from(*len) + 3
            }
            _ => false,
        }
    }

    fn is_known(&self, addr: u8, func: u8) -> bool {
        self.dialect.find(k485_proto::address::Address(addr), func).is_some()
    }

    /// What was seen: beside the exchanges, the exchanges, and over which time in nanoseconds.
    pub(super) fn finish(mut self) -> (Seen, Traffic) {
        let mut records = Vec::new();
        self.framer.idle(|record| records.push(record));
        // The listening may have ended in the middle of a frame, as it may have begun in one.
        records.retain(|record| record.verdict == Verdict::Frame);
        records.into_iter().for_each(|record| self.record(record));
        self.end_of_noise();
        let echoes = self.seen.requests_echo() || self.seen.replies_echo();
        let traffic = if echoes { self.once } else { self.all }.finish();
        (self.seen, traffic)
    }
}
