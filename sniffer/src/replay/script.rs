//! A capture's requests in their order, with what was recorded of their replies.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use k485_proto::dialect::{Dialect, K2};
use k485_proto::exchange::{Exchange, LatencySource, Observed, Outcome, Pairer, Seen};
use k485_proto::frame::Frame;
use k485_proto::record::{Direction, Origin, Record, Time, Verdict};

/// Bytes that many exchanges share are kept once; the sharing ends at so many different ones.
const SHARED: usize = 1 << 16;

/// What was recorded of a request's reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// It was answered with this frame.
    Reply(Arc<[u8]>),
    /// It was not answered.
    Silence,
    /// Nobody answers such a request.
    NoneExpected,
    /// The capture ends before the reply or the time-out.
    Unknown,
}

/// One request of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When it was sent first.
    pub time: Option<Time>,
    /// When its reply was there.
    pub ended: Option<Time>,
    /// Where it is in its source.
    pub offset: u64,
    /// The whole frame.
    pub request: Arc<[u8]>,
    /// What came back.
    pub recorded: Recorded,
    /// From its last transmission to the reply, in nanoseconds.
    pub latency_ns: Option<i64>,
    /// What the latency is measured between.
    pub latency_source: Option<LatencySource>,
    /// How often it was sent; 1 where the source hides it.
    pub sends: u32,
}

impl Step {
    /// The request.
    ///
    /// # Panics
    ///
    /// Never: a step is made of a frame that was checked.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        checked(&self.request)
    }

    /// The recorded reply.
    #[must_use]
    pub fn reply(&self) -> Option<Frame<'_>> {
        match &self.recorded {
            Recorded::Reply(reply) => Some(checked(reply)),
            _ => None,
        }
    }

    /// The request with some reply (or none) as an exchange, for the views of exchanges.
    #[must_use]
    pub fn exchange(&self, reply: Option<&[u8]>, dialect: &'static Dialect) -> Option<Exchange> {
        let mut pairer = Pairer::with_dialect(dialect);
        pairer.push(record(&self.request, Direction::Request, self.time, self.offset));
        if let Some(reply) = reply {
            pairer.push(record(reply, Direction::Response, None, self.offset));
        }
        pairer.finish();
        std::iter::from_fn(|| pairer.pull()).find_map(|seen| match seen {
            Seen::Exchange(exchange) => Some(exchange),
            _ => None,
        })
    }
}

/// A frame as it would be observed by itself, for the views of frames.
#[must_use]
pub fn observed(
    bytes: &[u8],
    dir: Option<Direction>,
    dialect: &'static Dialect,
) -> Option<Arc<Observed>> {
    let mut pairer = Pairer::with_dialect(dialect);
    pairer.push(Record { dir, ..record(bytes, Direction::Response, None, 0) });
    std::iter::from_fn(|| pairer.pull()).find_map(|seen| match seen {
        Seen::Frame(frame) => Some(frame),
        _ => None,
    })
}

/// A frame of bytes that were a frame when they were taken over.
pub(super) fn checked(bytes: &[u8]) -> Frame<'_> {
    match Frame::from_bytes(bytes) {
        Ok(frame) => frame,
        Err(error) => unreachable!("{error} in a frame that was checked"),
    }
}

/// A frame's record.
pub(super) fn record(bytes: &[u8], dir: Direction, time: Option<Time>, offset: u64) -> Record {
    Record {
        time,
        bus: Arc::from(""),
        dir: Some(dir),
        offset,
        bytes: bytes.to_vec(),
        origin: Origin::Wire,
        verdict: Verdict::Frame,
        call: None,
    }
}

/// What of a capture is not sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Replies that nobody waited for, or whose request is not in the capture.
    pub replies: u64,
    /// Frames whose direction is not known.
    pub unknown_direction: u64,
    /// Traced calls that returned nothing and whose beginning is not in the trace.
    pub returns: u64,
}

/// Why exchanges make no script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// There is no request.
    #[error("there is no request in it")]
    NoRequest,
    /// There are several buses, and one port.
    #[error(
        "it holds several buses ({}), and one is played: choose it with -F 'bus==\"{first}\"'",
        names.join(", ")
    )]
    SeveralBuses {
        /// Their names, of which the first few.
        names: Vec<String>,
        /// One of them.
        first: String,
    },
}

/// A capture's requests in the order in which they were sent.
#[derive(Debug, Clone)]
pub struct Script {
    steps: Vec<Step>,
    dialect: &'static Dialect,
    left_out: LeftOut,
}

/// How many buses are named in an error.
const NAMED: usize = 4;

/// A script in the making.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared(HashSet<Arc<[u8]>>);

impl Shared {
    /// These bytes, as they were kept before where they were.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Arc<[u8]> {
        if let Some(kept) = self.0.get(bytes) {
            return kept.clone();
        }
        let kept: Arc<[u8]> = bytes.into();
        if self.0.len() < SHARED {
            self.0.insert(kept.clone());
        }
        kept
    }
}

impl Script {
    /// The script of what was seen.
    ///
    /// # Errors
    ///
    /// There is no request, or there are several buses.
    pub fn new(seen: impl IntoIterator<Item = Seen>) -> Result<Script, ScriptError> {
        let mut builder = Builder::default();
        for seen in seen {
            builder.push(&seen);
        }
        builder.finish()
    }

    /// A script in the making, for what is seen piece by piece.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The requests.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The dialect that the capture was read in.
    #[must_use]
    pub fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    /// What is not sent.
    #[must_use]
    pub fn left_out(&self) -> LeftOut {
        self.left_out
    }
}

/// Makes a [`Script`] of what is seen. It keeps some 100 bytes a request, and each different frame.
#[derive(Debug, Default)]
pub struct Builder {
    steps: Vec<Step>,
    dialect: Option<&'static Dialect>,
    left_out: LeftOut,
    shared: Shared,
    buses: BTreeSet<Arc<str>>,
    /// Whether any request is of a traced call: calls overlap and are seen when they return.
    calls: bool,
}

impl Builder {
    /// Takes the next thing seen.
    pub fn push(&mut self, seen: &Seen) {
        match seen {
            Seen::Exchange(exchange) => self.exchange(exchange),
            Seen::Lone(_) => self.left_out.unknown_direction += 1,
            Seen::Frame(_) | Seen::Noise(_) | Seen::Gap(_) => {}
        }
    }

    fn exchange(&mut self, exchange: &Exchange) {
        let (Some(request), false) = (&exchange.request, exchange.outcome == Outcome::Unsolicited)
        else {
            match exchange.response {
                Some(_) => self.left_out.replies += 1,
                None => self.left_out.returns += 1,
            }
            return;
        };
        if self.buses.len() <= NAMED && !self.buses.contains(&exchange.bus) {
            self.buses.insert(exchange.bus.clone());
        }
        self.dialect.get_or_insert(request.dialect);
        self.calls |= request.record.call.is_some();
        let recorded = match (exchange.outcome, &exchange.response) {
            (_, Some(reply)) => Recorded::Reply(self.shared.keep(reply.frame().raw())),
            (Outcome::NoReplyExpected, None) => Recorded::NoneExpected,
            (Outcome::Unfinished, None) => Recorded::Unknown,
            _ => Recorded::Silence,
        };
        let ended = |reply: &Arc<Observed>| reply.record.time;
        self.steps.push(Step {
            time: request.record.time,
            ended: exchange.response.as_ref().and_then(ended),
            offset: request.record.offset,
            request: self.shared.keep(request.frame().raw()),
            recorded,
            latency_ns: exchange.latency_ns,
            latency_source: exchange.latency_source,
            sends: exchange.attempts.unwrap_or(1).max(1),
        });
    }

    /// The script.
    ///
    /// # Errors
    ///
    /// There is no request, or there are several buses.
    pub fn finish(mut self) -> Result<Script, ScriptError> {
        if self.steps.is_empty() {
            return Err(ScriptError::NoRequest);
        }
        if self.buses.len() > 1 {
            let mut names: Vec<String> =
                self.buses.iter().take(NAMED).map(|bus| format!("{bus:?}")).collect();
            if self.buses.len() > NAMED {
                names.push("…".to_owned());
            }
            let first = self.buses.iter().find(|bus| !bus.is_empty());
            return Err(ScriptError::SeveralBuses {
                names,
                first: first.map(|bus| bus.to_string()).unwrap_or_default(),
            });
        }
        if self.calls {
            self.steps.sort_by_key(|step| step.time);
        }
        Ok(Script {
            steps: self.steps,
            dialect: self.dialect.unwrap_or(&K2),
            left_out: self.left_out,
        })
    }
}
