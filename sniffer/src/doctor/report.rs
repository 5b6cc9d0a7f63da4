//! What the doctor says: one value, which serializes to the JSON of `docs/doctor.md`.

use std::sync::Arc;

use k485_link::LineErrors;
use serde::{Serialize, Serializer};

use super::hunt::Found;
use super::watch::Seen;
use crate::stats::report::Report as Traffic;

/// The version of the JSON, in it as `v`.
pub const VERSION: u32 = 1;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// It works, but not as it should.
    Warning,
    /// It does not work.
    Problem,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing was heard.
    Silent,
    /// A and B are swapped.
    Swapped,
    /// Nothing but noise.
    Floating,
    /// Perhaps a CAN bus.
    MayBeCan,
    /// Somebody speaks, in another way than this bus.
    UnknownTraffic,
    /// The bus has another speed than was expected.
    WrongBaud,
    /// The speed is likely and not sure.
    UncertainBaud,
    /// Stray bytes between good frames.
    NoBias,
    /// What is sent comes twice.
    Echo,
    /// Requests, and no replies at all.
    HostOnly,
    /// Replies, and no requests at all.
    DevicesOnly,
    /// A device that is asked and never answers.
    NeverAnswers,
    /// A device that does not always answer.
    SometimesSilent,
    /// Frames with wrong CRCs.
    Damaged,
    /// This machine lost bytes.
    LostBytes,
    /// Replies that are not OK.
    Errors,
    /// Requests that were sent again.
    Retries,
    /// Nothing is wrong.
    Healthy,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// What it is, in a line.
    pub title: String,
    /// What was seen, in numbers.
    pub seen: String,
    /// What that means.
    pub means: String,
    /// What to do, one thing each.
    pub todo: Vec<&'static str>,
}

/// What was heard at one speed while it was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// The speed in baud.
    pub baud: u32,
    /// Bytes.
    pub bytes: u64,
    /// Good frames of known devices and functions.
    pub frames: u64,
}

/// All that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `doctor`.
    pub r#type: &'static str,
    /// [`VERSION`].
    pub v: u32,
    /// The port's name.
    pub port: Arc<str>,
    /// The kind of the first finding.
    pub verdict: Kind,
    /// How long was listened in all, in nanoseconds.
    #[serde(rename = "listened_s", serialize_with = "seconds")]
    pub listened_ns: i64,
    /// The speed of the bus, where it was found.
    pub baud: Option<Found>,
    /// What was heard at each speed that was tried, by speed.
    pub tried: Vec<Tried>,
    /// The worst first; at least one.
    pub findings: Vec<Finding>,
    /// What the driver counted; `None` where it does not count.
    #[serde(serialize_with = "line_errors")]
    pub line_errors: Option<LineErrors>,
    /// What was counted at the bus's speed.
    pub seen: Option<Seen>,
    /// Who asks, who answers, how fast: the figures of `k485 stats`.
    pub traffic: Option<Traffic>,
}

impl Report {
    /// Whether there is nothing but notes.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }
}

fn seconds<S: Serializer>(nanos: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    crate::stats::report::some_seconds(nanos, serializer)
}

/// The link's counters, by their names.
fn line_errors<S: Serializer>(errors: &Option<LineErrors>, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Counters {
        framing: u32,
        parity: u32,
        overrun: u32,
        buffer_overrun: u32,
        breaks: u32,
    }
    let counters = errors.map(|errors| Counters {
        framing: errors.framing,
        parity: errors.parity,
        overrun: errors.overrun,
        buffer_overrun: errors.buffer_overrun,
        breaks: errors.breaks,
    });
    counters.serialize(to)
}
