//! A span as observed: when, on which bus, in which direction, with which verdict.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::deframer::{NoiseReason, Span};
use crate::frame::Frame;

pub use crate::gap::{Gap, GapReason};

/// A moment: nanoseconds since the Unix epoch, or since an origin that the source does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

impl Time {
    /// Nanoseconds in a second.
    pub const SECOND: i64 = 1_000_000_000;
    /// Nanoseconds in a millisecond.
    pub const MILLISECOND: i64 = 1_000_000;

    /// The time from `earlier` to this one, in nanoseconds; negative when the clock went back.
    #[must_use]
    pub fn since(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Decimal seconds with nine digits behind the point, written from the integer.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let second = Time::SECOND.unsigned_abs();
        write!(f, "{sign}{}.{:09}", nanos / second, nanos % second)
    }
}

/// Which way a frame went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the host to a device.
    Request,
    /// From a device to the host.
    Response,
}

impl Direction {
    /// `request` or `response`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Direction::Request => "request",
            Direction::Response => "response",
        }
    }
}

/// How a record's bytes came to be what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Origin {
    /// Taken from the wire, head to CRC.
    #[default]
    Wire,
    /// Given without head and CRC, as the host's calls carry a frame; both were added.
    Bare,
}

/// What was observed: the bytes of one span and what is known about them from the source alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When the span's last byte was seen, or a gap ended; `None` where the source tells no time.
    pub time: Option<Time>,
    /// The bus's name; empty where the source names none.
    pub bus: Arc<str>,
    /// The direction, where the source tells it.
    pub dir: Option<Direction>,
    /// Where the span begins in its source: bytes in a stream, the line's first byte in a text.
    pub offset: u64,
    /// The bytes as they were given: a whole frame, a bare one, noise.
    pub bytes: Vec<u8>,
    /// How the bytes came to be.
    pub origin: Origin,
    /// What the bytes are.
    pub verdict: Verdict,
    /// The host's call that this frame belongs to, where the source tells it (a trace).
    pub call: Option<Call>,
}

/// What a record's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// One whole frame (or a bare one).
    Frame,
    /// Noise, and why.
    Noise(NoiseReason),
    /// Nothing came back: a traced call that returned without a reply. There are no bytes.
    NoReply,
    /// Here bytes are missing. The record has none; its time is the moment at which the gap ended.
    Gap(Gap),
}

/// A traced call of the host's send function, which holds a request, its retries and its reply
/// together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Call {
    /// Unique in the capture.
    pub id: u64,
    /// The time-out that the host gave for one transmission, in milliseconds.
    pub timeout_ms: Option<u32>,
    /// How long the call took as the tracer measured it, in nanoseconds; on the return only.
    pub duration_ns: Option<i64>,
}

impl Record {
    /// A record of a span; time, bus and direction are left open.
    #[must_use]
    pub fn of_span(span: &Span<'_>) -> Record {
        let verdict = match span {
            Span::Frame { .. } => Verdict::Frame,
            Span::Noise(noise) => Verdict::Noise(noise.reason),
        };
        Record {
            time: None,
            bus: Arc::from(""),
            dir: None,
            offset: span.offset(),
            bytes: span.bytes().to_vec(),
            origin: Origin::Wire,
            verdict,
            call: None,
        }
    }

    /// A record of a gap that ended at this time; its place in the source is left open.
    #[must_use]
    pub fn of_gap(gap: Gap, time: Option<Time>, bus: Arc<str>) -> Record {
        Record {
            time,
            bus,
            dir: None,
            offset: 0,
            bytes: Vec::new(),
            origin: Origin::Wire,
            verdict: Verdict::Gap(gap),
            call: None,
        }
    }

    /// The frame's bytes, head to CRC; for a bare frame with both added. `None` for all else.
    #[must_use]
    pub fn wire(&self) -> Option<Cow<'_, [u8]>> {
        match (self.verdict, self.origin) {
            (Verdict::Frame, Origin::Wire) => Some(Cow::Borrowed(&self.bytes)),
            (Verdict::Frame, Origin::Bare) => Frame::from_bare(&self.bytes).ok().map(Cow::Owned),
            _ => None,
        }
    }
}

/// A reader's complaint about one place of its input. Reading goes on behind it, unless it is
/// fatal: then it is the last thing that the reader gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Complaint {
    /// `FILE:LINE`, `FILE:LINE:COLUMN` or `FILE at byte OFFSET`.
    pub place: String,
    /// What is wrong there and what to do.
    pub what: String,
    /// Whether nothing more can be read (an I/O error); else the place was skipped.
    pub fatal: bool,
}

/// What every capture reader is: records in the order of the source, and complaints between them.
pub trait Records: Iterator<Item = Result<Record, Complaint>> {}

impl<I: Iterator<Item = Result<Record, Complaint>>> Records for I {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn times_are_written_from_the_integer() {
        assert_eq!(Time(1_767_293_742_696_913_001).to_string(), "1767293742.696913001");
        assert_eq!(Time(0).to_string(), "0.000000000");
        assert_eq!(Time(-1_500_000_000).to_string(), "-1.500000000");
        assert_eq!(Time(i64::MIN).to_string(), "-9223372036.854775808");
    }
}
