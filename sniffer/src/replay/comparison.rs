//! Live replies against the recorded ones, counted function by function.

use std::collections::BTreeMap;

use k485_proto::dialect::Dialect;
use k485_proto::exchange::LatencySource;
use k485_proto::frame::{Frame, Hex};
use k485_proto::record::Direction;
use serde::Serialize;

use super::script::{Recorded, Step};
use crate::diff::compare::{Said, note, replies};
use crate::diff::{Change, Shown};
use crate::stats::spread::Spread;

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As recorded: the same reply, or none where none was recorded.
    Same,
    /// The reply differs.
    Differs,
    /// No reply came, and one was recorded.
    Missing,
    /// A reply came, and none was recorded.
    Answered,
    /// Nothing to compare: nobody answers such a request, or the capture ends before the reply.
    NotCompared,
}

/// What a frame is that nobody waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Extra {
    /// A second reply to the last request that was answered.
    Duplicate,
    /// A reply to a request that was given up.
    Late,
    /// Anything else: from another device, of another function, or another host's request.
    Foreign,
}

impl Extra {
    /// As JSON names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Extra::Duplicate => "duplicate",
            Extra::Late => "late",
            Extra::Foreign => "foreign",
        }
    }
}

/// What a replay comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Whether anything differs from the recording.
    pub differs: bool,
    /// Requests that were sent, retries not counted.
    pub requests: u64,
    /// Those with the recorded outcome.
    pub same: u64,
    /// Those with another reply.
    pub different: u64,
    /// Those without the recorded reply.
    pub missing: u64,
    /// Those with a reply where none was recorded.
    pub answered: u64,
    /// Those with nothing to compare.
    pub not_compared: u64,
    /// Frames that nobody waited for.
    pub extra: u64,
    /// Requests that were passed over.
    pub skipped: u64,
    /// Stretches of bytes that are no frame.
    pub noise_places: u64,
    /// Their bytes.
    pub noise_bytes: u64,
    /// A row for each device and function, by address and code.
    pub functions: Vec<Row>,
}

/// One function of one device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The address.
    pub addr: u8,
    /// The device's name.
    pub device: String,
    /// The function's code.
    pub func: u8,
    /// Its name, where it has one.
    pub function: Option<&'static str>,
    /// As in [`Summary`].
    pub requests: u64,
    /// As in [`Summary`].
    pub same: u64,
    /// As in [`Summary`].
    pub different: u64,
    /// As in [`Summary`].
    pub missing: u64,
    /// As in [`Summary`].
    pub answered: u64,
    /// As in [`Summary`].
    pub not_compared: u64,
    /// Frames of this device and function that nobody waited for.
    pub extra: u64,
    /// What differs in the replies, by name, and in how many.
    pub changes: BTreeMap<String, u64>,
    /// The median of the recorded latencies, in nanoseconds.
    pub recorded_median_ns: Option<i64>,
    /// The median of the live latencies, in nanoseconds.
    pub live_median_ns: Option<i64>,
}

/// The comparison in the making.
#[derive(Debug)]
pub(super) struct Comparison {
    dialect: &'static Dialect,
    /// Names that do not count.
    ignore: Vec<String>,
    /// How far latencies may be apart; `None` where they do not count.
    latency_ns: Option<i64>,
    rows: BTreeMap<(u8, u8), Counts>,
    differs: bool,
    skipped: u64,
    noise: (u64, u64),
}

#[derive(Debug, Default)]
struct Counts {
    same: u64,
    different: u64,
    missing: u64,
    answered: u64,
    not_compared: u64,
    extra: u64,
    changes: BTreeMap<String, u64>,
    recorded: Spread,
    live: Spread,
}

impl Comparison {
    pub(super) fn new(
        dialect: &'static Dialect,
        ignore: Vec<String>,
        latency_ns: Option<i64>,
    ) -> Comparison {
        Comparison {
            dialect,
            ignore,
            latency_ns,
            rows: BTreeMap::new(),
            differs: false,
            skipped: 0,
            noise: (0, 0),
        }
    }

    fn ignores(&self, name: &str) -> bool {
        self.ignore.iter().any(|ignored| ignored == name)
    }

    /// Compares what came of a step with what was recorded; `latency_ns` is that of the live reply.
    pub(super) fn step(
        &mut self,
        step: &Step,
        reply: Option<&Frame<'_>>,
        latency_ns: Option<i64>,
    ) -> (Verdict, Vec<Change>) {
        let mut changes = Vec::new();
        let outcome = self.ignores("outcome");
        let verdict = match (&step.recorded, reply) {
            (Recorded::NoneExpected | Recorded::Unknown, _) => Verdict::NotCompared,
            (Recorded::Silence, None) => Verdict::Same,
            (Recorded::Silence, Some(_)) if outcome => Verdict::NotCompared,
            (Recorded::Reply(_), None) if outcome => Verdict::NotCompared,
            (Recorded::Silence, Some(_)) => Verdict::Answered,
            (Recorded::Reply(_), None) => Verdict::Missing,
            (Recorded::Reply(_), Some(reply)) => {
                changes = self.changes(step, reply, latency_ns);
                if changes.is_empty() { Verdict::Same } else { Verdict::Differs }
            }
        };
        let request = step.frame();
        let row = self.rows.entry((request.addr().0, request.func())).or_default();
        match verdict {
            Verdict::Same => row.same += 1,
            Verdict::Differs => row.different += 1,
            Verdict::Missing => row.missing += 1,
            Verdict::Answered => row.answered += 1,
            Verdict::NotCompared => row.not_compared += 1,
        }
        for change in &changes {
            *row.changes.entry(change.name.clone()).or_default() += 1;
        }
        if let (Some(recorded), Some(live)) = (step.latency_ns, latency_ns) {
            row.recorded.add(recorded);
            row.live.add(live);
        }
        self.differs |= !matches!(verdict, Verdict::Same | Verdict::NotCompared);
        (verdict, changes)
    }

    /// What differs in a reply from the recorded one.
    fn changes(&self, step: &Step, live: &Frame<'_>, latency_ns: Option<i64>) -> Vec<Change> {
        let mut changes = Vec::new();
        if let Some(recorded) = step.reply()
            && recorded != *live
        {
            different(&step.frame(), &recorded, live, self.dialect, &mut changes);
        }
        if let (Some(limit), Some(recorded), Some(live), Some(LatencySource::Wire)) =
            (self.latency_ns, step.latency_ns, latency_ns, step.latency_source)
            && recorded.abs_diff(live) > limit.unsigned_abs()
        {
            note("latency", Some(Shown::Nanos(recorded)), Some(Shown::Nanos(live)), &mut changes);
        }
        changes.retain(|change| {
            let group = change.name.split_once('[').map_or(&*change.name, |(group, _)| group);
            !self.ignores(&change.name) && !self.ignores(group)
        });
        changes
    }

    /// Counts a frame that nobody waited for; whether that counts as a difference.
    pub(super) fn extra(&mut self, frame: &Frame<'_>) -> bool {
        self.rows.entry((frame.addr().0, frame.func())).or_default().extra += 1;
        let counts = !self.ignores("extra");
        self.differs |= counts;
        counts
    }

    /// Counts bytes that are no frame; whether that counts as a difference.
    pub(super) fn noise(&mut self, bytes: usize) -> bool {
        self.noise.0 += 1;
        self.noise.1 += bytes as u64;
        let counts = !self.ignores("noise");
        self.differs |= counts;
        counts
    }

    pub(super) fn skipped(&mut self) {
        self.skipped += 1;
    }

    pub(super) fn summary(&self) -> Summary {
        let functions: Vec<Row> =
            self.rows.iter().map(|(key, counts)| counts.row(*key, self.dialect)).collect();
        let sum = |of: fn(&Row) -> u64| functions.iter().map(of).sum();
        Summary {
            differs: self.differs,
            requests: sum(|row| row.requests),
            same: sum(|row| row.same),
            different: sum(|row| row.different),
            missing: sum(|row| row.missing),
            answered: sum(|row| row.answered),
            not_compared: sum(|row| row.not_compared),
            extra: sum(|row| row.extra),
            skipped: self.skipped,
            noise_places: self.noise.0,
            noise_bytes: self.noise.1,
            functions,
        }
    }
}

impl Counts {
    fn row(&self, (addr, func): (u8, u8), dialect: &Dialect) -> Row {
        let address = k485_proto::address::Address(addr);
        Row {
            addr,
            device: dialect.device(address).into_owned(),
            func,
            function: dialect.find(address, func).map(|function| function.name),
            requests: self.same + self.different + self.missing + self.answered + self.not_compared,
            same: self.same,
            different: self.different,
            missing: self.missing,
            answered: self.answered,
            not_compared: self.not_compared,
            extra: self.extra,
            changes: self.changes.clone(),
            recorded_median_ns: self.recorded.median(),
            live_median_ns: self.live.median(),
        }
    }
}

/// What differs in two replies that are not the same; never nothing.
fn different(
    request: &Frame<'_>,
    recorded: &Frame<'_>,
    live: &Frame<'_>,
    dialect: &'static Dialect,
    changes: &mut Vec<Change>,
) {
    // An assignment is answered from the new address, 52 as 52 or 53.
    let name = |frame: &Frame<'_>| Some(Shown::Text(dialect.device(frame.addr()).into_owned()));
    note("address", name(recorded), name(live), changes);
    let code = |frame: &Frame<'_>| Some(Shown::Text(format!("{:02X}", frame.func())));
    note("function", code(recorded), code(live), changes);
    let read = |frame| dialect.decode(frame, Some(Direction::Response), Some(request));
    let (a, b) = (
        Said { frame: *recorded, message: read(recorded), dialect },
        Said { frame: *live, message: read(live), dialect },
    );
    replies(&a, &b, changes);
    let rests = (a.message.rest, b.message.rest);
    if rests.0.len() == rests.1.len() && !rests.0.is_empty() && rests.0 != rests.1 {
        changes.retain(|change| change.name != "data");
        bytewise(rests, recorded.data().len() - rests.0.len(), changes);
    } else if changes.is_empty() {
        // No field shows it (a text with bytes that are none).
        match (recorded.data(), live.data()) {
            (a, b) if a.len() == b.len() => bytewise((a, b), 0, changes),
            (a, b) => {
                let hex = |data| Some(Shown::Text(Hex(data).to_string()));
                note("data", hex(a), hex(b), changes);
            }
        }
    }
}

/// Notes each byte that differs, as `data[PLACE]`; the first is at this place of DATA.
fn bytewise((a, b): (&[u8], &[u8]), first: usize, changes: &mut Vec<Change>) {
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        let hex = |byte| Some(Shown::Text(format!("{byte:02x}")));
        note(&format!("data[{}]", first + at), hex(a), hex(b), changes);
    }
}
