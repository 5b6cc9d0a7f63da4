//! What is wrong with a line: which speed it has, whether its wires are swapped or float, who speaks,
//! who does not answer, what is damaged.
//!
//! A [`Doctor`] is told what was heard, when and at which speed, and says where to listen next; it
//! reads no port and has no clock. It ends in a [`Report`]. It keeps a bounded amount however long
//! it listens.
//!
//! What it concludes is tried with a model of the line ([`k485_link::uart`]), on no hardware.

mod can;
mod finding;
pub mod hunt;
mod repeats;
pub mod report;
mod swapped;
pub mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k485_link::LineErrors;
use k485_proto::dialect::Dialect;
use k485_proto::record::Time;

use can::Stuffing;
use hunt::{BaudHunt, Found, Try};
use repeats::Repeats;
use report::{Report, Tried};
use swapped::Swapped;
use watch::Watch;

/// So few bytes are no traffic: a plug that is touched makes some.
const CLICK: u64 = 3;

/// What was heard at one speed, frames aside.
#[derive(Debug, Clone)]
struct Shape {
    swapped: Swapped,
    stuffing: Stuffing,
    repeats: Repeats,
}

/// Listens by the ears of another and says what is wrong.
pub struct Doctor {
    name: Arc<str>,
    dialect: &'static Dialect,
    expected: u32,
    hunt: BaudHunt,
    shapes: BTreeMap<u32, Shape>,
    /// What is heard since the last [`next_try`](Doctor::next_try), and its speed.
    watch: Option<(u32, Watch)>,
    line_errors: Option<LineErrors>,
}

impl Doctor {
    /// A doctor for the port of that name. The bus is expected to run at `expected` baud, and each
    /// speed is tried for `dwell`.
    #[must_use]
    pub fn new(
        name: Arc<str>,
        expected: u32,
        dwell: Duration,
        dialect: &'static Dialect,
    ) -> Doctor {
        Doctor {
            name,
            dialect,
            expected,
            hunt: BaudHunt::new(expected, dwell, dialect),
            shapes: BTreeMap::new(),
            watch: None,
            line_errors: None,
        }
    }

    /// Where to listen next; `None` once the speed is sure: then listen on where you are.
    pub fn next_try(&mut self) -> Option<Try> {
        let next = self.hunt.next_try()?;
        match &self.watch {
            // Goes on where it is.
            Some((baud, _)) if *baud == next.baud => {}
            _ => {
                let watch = Watch::new(&self.name, self.dialect, next.baud);
                self.watch = Some((next.baud, watch));
            }
        }
        Some(next)
    }

    /// The port does not run at this speed.
    pub fn cannot(&mut self, baud: u32) {
        self.hunt.cannot(baud);
    }

    /// Takes bytes that were read at a time, with the port at a speed.
    pub fn heard(&mut self, baud: u32, time: Time, bytes: &[u8]) {
        self.hunt.heard(baud, bytes);
        let shape = self.shapes.entry(baud).or_insert_with(|| Shape {
            swapped: Swapped::new(self.dialect),
            stuffing: Stuffing::default(),
            repeats: Repeats::default(),
        });
        shape.swapped.push(bytes);
        shape.stuffing.push(bytes);
        shape.repeats.push(bytes);
        if let Some((at, watch)) = &mut self.watch
            && *at == baud
        {
            watch.heard(time, bytes);
        }
    }

    /// Nothing has been heard for 150 ms or more: what is open gets no more bytes.
    pub fn silence(&mut self, now: Time) {
        if let Some((_, watch)) = &mut self.watch {
            watch.silence(now);
        }
    }

    /// What the driver has counted at the speed that is sure, or else in all.
    pub fn line_errors(&mut self, errors: LineErrors) {
        self.line_errors = Some(errors);
    }

    /// Whether the speed is found beyond doubt.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.hunt.is_sure()
    }

    /// The speed, where there is one that is sure or likely so far.
    #[must_use]
    pub fn found(&self) -> Option<Found> {
        self.hunt.verdict()
    }

    /// What is wrong, after listening for so long.
    #[must_use]
    pub fn finish(self, listened: Duration) -> Report {
        let found = self.hunt.verdict();
        let watched = self.watch.filter(|(baud, _)| found.is_some_and(|f| f.baud == *baud));
        let (seen, traffic) = watched.map(|(_, watch)| watch.finish()).unzip();
        let tried: Vec<Tried> = self
            .hunt
            .scores()
            .map(|(baud, score)| Tried { baud, bytes: score.bytes, frames: score.frames })
            .collect();
        let mut report = Report {
            r#type: "doctor",
            v: report::VERSION,
            port: self.name,
            verdict: report::Kind::Healthy,
            listened_ns: i64::try_from(listened.as_nanos()).unwrap_or(i64::MAX),
            baud: found,
            tried,
            findings: Vec::new(),
            line_errors: self.line_errors,
            seen,
            traffic,
        };
        report.findings = match found {
            Some(found) => finding::on_the_bus(&report, &found, self.expected),
            None => vec![finding::off_the_bus(&report, &self.shapes)],
        };
        // The worst first, else in the order in which they were looked for.
        report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        if let Some(first) = report.findings.first() {
            report.verdict = first.kind;
        }
        report
    }
}

#[cfg(test)]
mod tests;
