//! The faces of what was seen: text for people, JSON lines for programs. They choose and lay out;
//! what there is to show is computed in `k485_proto`.

mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use k485_proto::address::Address;
use k485_proto::exchange::{Outcome, Seen};
use k485_sniffer::changes::Change;
use k485_sniffer::fold::Polls;
use k485_sniffer::format::jsonl;
use k485_sniffer::trigger::Begin;

use crate::output::{Color, Output};
use text::Text;
pub(crate) use text::style;

/// How to show it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// JSON lines instead of text.
    pub(crate) json: bool,
    /// Frames instead of exchanges.
    pub(crate) frames: bool,
    /// When to colour text.
    pub(crate) color: Color,
    /// 0, 1 (frames) or 2 (bytes).
    pub(crate) verbose: u8,
}

/// An open view.
pub(crate) struct View {
    face: Face,
    frames: bool,
    terminal: bool,
}

enum Face {
    Text(Text<Box<dyn Write>>),
    Json(jsonl::Writer<Box<dyn Write>>),
}

impl View {
    /// A view on an output.
    pub(crate) fn new(output: Output, options: Options) -> View {
        let terminal = output.terminal;
        let face = if options.json {
            Face::Json(jsonl::Writer::new(output.out))
        } else {
            let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
            Face::Text(Text::new(
                output.out,
                options.color.wanted(output.terminal),
                width.filter(|_| output.terminal),
                options.frames,
                options.verbose,
            ))
        };
        View { face, frames: options.frames, terminal }
    }

    /// A heading between inputs; nothing in JSON.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        match &mut self.face {
            Face::Text(face) => face.heading(text),
            Face::Json(_) => Ok(()),
        }
    }

    /// Whether this view shows such things.
    pub(crate) fn shows(&self, seen: &Seen) -> bool {
        shows(seen, self.frames)
    }

    /// Whether it is JSON lines.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.face, Face::Json(_))
    }

    /// Whether it is shown on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Marks what is shown from here on, in text: `*` what was looked for, a space what is around
    /// it.
    pub(crate) fn mark(&mut self, found: bool) {
        if let Face::Text(face) = &mut self.face {
            face.mark(found);
        }
    }

    /// A line where something is left out; nothing in JSON.
    pub(crate) fn gap(&mut self) -> io::Result<()> {
        match &mut self.face {
            Face::Text(face) => face.gap(),
            Face::Json(_) => Ok(()),
        }
    }

    /// Shows one thing, if this view shows such things.
    pub(crate) fn show(&mut self, seen: &Seen) -> io::Result<()> {
        match (seen, self.frames, &mut self.face) {
            (Seen::Frame(frame), true, Face::Text(face)) => face.frame(frame),
            (Seen::Frame(frame), true, Face::Json(face)) => face.frame(frame),
            (Seen::Lone(frame), false, Face::Text(face)) => face.frame(frame),
            (Seen::Lone(frame), false, Face::Json(face)) => face.frame(frame),
            (Seen::Exchange(exchange), false, Face::Text(face)) => face.exchange(exchange),
            (Seen::Exchange(exchange), false, Face::Json(face)) => face.exchange(exchange),
            (Seen::Noise(record), _, Face::Text(face)) => face.noise(record),
            (Seen::Noise(record), _, Face::Json(face)) => face.noise(record),
            (Seen::Gap(record), _, Face::Text(face)) => face.missing(record),
            (Seen::Gap(record), _, Face::Json(face)) => face.gap(record),
            _ => Ok(()),
        }
    }

    /// Tells of polls that were folded.
    pub(crate) fn polls(&mut self, polls: &Polls) -> io::Result<()> {
        match &mut self.face {
            Face::Text(face) => face.polls(polls),
            Face::Json(face) => face.polls(polls),
        }
    }

    /// Tells what changed; with the name of the bus, if there are `several`.
    pub(crate) fn change(&mut self, change: &Change<'_>, several: bool) -> io::Result<()> {
        match &mut self.face {
            Face::Text(face) => face.change(change, several),
            Face::Json(face) => face.change(change),
        }
    }

    /// A line where a trigger let out what is around a match; nothing in JSON.
    pub(crate) fn trigger(&mut self, begin: &Begin) -> io::Result<()> {
        match &mut self.face {
            Face::Text(face) => face.trigger(begin),
            Face::Json(_) => Ok(()),
        }
    }

    /// Hands everything to the output.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.face {
            Face::Text(face) => face.flush(),
            Face::Json(face) => face.flush(),
        }
    }
}

/// Whether a view of frames, or else of exchanges, shows such things.
pub(crate) fn shows(seen: &Seen, frames: bool) -> bool {
    match seen {
        Seen::Frame(_) => frames,
        Seen::Lone(_) | Seen::Exchange(_) => !frames,
        Seen::Noise(_) | Seen::Gap(_) => true,
    }
}

/// Counts of what was seen, for the summary.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    frames: u64,
    noise: u64,
    noise_bytes: u64,
    gaps: u64,
    implausible: u64,
    outcomes: BTreeMap<&'static str, u64>,
    /// By address: the device's name, exchanges, and those that were answered.
    asked: BTreeMap<Address, (String, u64, u64)>,
}

impl Tally {
    /// Counts one thing.
    pub(crate) fn count(&mut self, seen: &Seen) {
        match seen {
            Seen::Frame(frame) => {
                self.frames += 1;
                self.implausible += u64::from(frame.implausible);
            }
            Seen::Noise(record) => {
                self.noise += 1;
                self.noise_bytes += record.bytes.len() as u64;
            }
            Seen::Exchange(exchange) => {
                *self.outcomes.entry(exchange.outcome.name()).or_default() += 1;
                if let Some(request) = &exchange.request {
                    let addr = request.frame().addr();
                    let name = || (request.dialect.device(addr).into_owned(), 0, 0);
                    let (_, asked, answered) = self.asked.entry(addr).or_insert_with(name);
                    // Nor does one count to which the answer may still have been on its way.
                    let silent = [Outcome::NoReplyExpected, Outcome::Unfinished];
                    let expected = !silent.contains(&exchange.outcome);
                    *asked += u64::from(expected);
                    *answered += u64::from(exchange.response.is_some());
                }
            }
            Seen::Gap(_) => self.gaps += 1,
            Seen::Lone(_) => {}
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exchanges: u64 = self.outcomes.values().sum();
        write!(f, "{}, {}", counted(self.frames, "frame"), counted(exchanges, "exchange"))?;
        let mut brace = " (";
        for (outcome, count) in &self.outcomes {
            write!(f, "{brace}{count} {outcome}")?;
            brace = ", ";
        }
        if exchanges > 0 {
            f.write_str(")")?;
        }
        let (bytes, places) = (counted(self.noise_bytes, "byte"), counted(self.noise, "place"));
        write!(f, ", noise: {bytes} in {places}")?;
        if self.gaps > 0 {
            write!(f, ", gaps: {}", self.gaps)?;
        }
        if self.implausible > 0 {
            write!(f, ", implausible addresses: {}", self.implausible)?;
        }
        let silent: Vec<String> = self
            .asked
            .values()
            .filter(|(_, asked, answered)| *asked > 0 && *answered == 0)
            .map(|(name, ..)| name.clone())
            .collect();
        if !silent.is_empty() {
            write!(f, ", never answered: {}", silent.join(" "))?;
        }
        Ok(())
    }
}

/// `1 frame`, `2 frames`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
