//! How the host is played, and what it tells.

use std::sync::Arc;

use k485_proto::deframer::NoiseReason;
use k485_proto::host::ask::Echo;
use k485_proto::record::Time;

use super::Speed;
use super::comparison::{Extra, Verdict};
use crate::diff::Change;

/// How the host is played.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How fast.
    pub speed: Speed,
    /// Whether it starts over after the last request.
    pub repeat: bool,
    /// Whether each request waits for [`Host::go`](super::Host::go) or [`Host::skip`](super::Host::skip); then no pause is kept.
    pub step: bool,
    /// How long a reply is waited for, in nanoseconds, instead of by the recording.
    pub timeout_ns: Option<i64>,
    /// Whether a request is sent again as often as the vendor's host would; else as often as it was
    /// recorded.
    pub retries: bool,
    /// Whether the link hears what it sends.
    pub echo: Echo,
    /// Names that do not count: fields of replies, `address`, `function`, `status`, `data` (a byte
    /// of it: `data[3]`), `latency`, `outcome`, `extra`, `noise`.
    pub ignore: Vec<String>,
    /// How far latencies may be apart, in nanoseconds; `None` where they do not count.
    pub latency_ns: Option<i64>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostTodo {
    /// Send this, then tell by [`Host::sent`](super::Host::sent) when it was.
    Send(Arc<[u8]>),
    /// Listen until then.
    Wait(Time),
    /// Ask whether the request of this number is to be sent, and listen meanwhile.
    Ask(usize),
    /// It is over.
    Done,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// The number of its [`Step`](super::Step).
    pub step: usize,
    /// When it was sent first.
    pub time: Time,
    /// How it compares.
    pub verdict: Verdict,
    /// What differs; only with [`Verdict::Differs`].
    pub changes: Vec<Change>,
    /// The live reply.
    pub reply: Option<Vec<u8>>,
    /// From the last transmission to the live reply, in nanoseconds.
    pub latency_ns: Option<i64>,
    /// How often it was sent.
    pub sends: u32,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub enum HostEvent {
    /// A request is over.
    Played(Played),
    /// A frame that nobody waited for.
    Extra {
        /// When it was heard.
        time: Time,
        /// What it is.
        kind: Extra,
        /// The frame.
        frame: Vec<u8>,
        /// The number of the request that was sent last, if any.
        after: Option<usize>,
        /// Whether it counts as a difference.
        counts: bool,
    },
    /// Bytes that are no frame.
    Noise {
        /// When the last of them was heard.
        time: Time,
        /// The bytes.
        bytes: Vec<u8>,
        /// Why they are no frame.
        reason: NoiseReason,
        /// Whether they count as a difference.
        counts: bool,
    },
}
