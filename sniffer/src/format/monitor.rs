//! The dumps of Windows programs that watch a serial port: Serial Port Monitor, Docklight.
//!
//! ```text
//! [25/10/2018 10:15:36] Written data (COM2)
//!     f7 01 03 ff 0a 5c                                 ÷..ÿ.\
//!
//! 25.10.2018 10:15:36.120 [TX] - F7 01 03 FF 0A 5C
//! ```
//!
//! A line with a time in brackets tells time, direction and port, those behind it the bytes, with
//! their characters behind a wide space. A line with a time and then a direction in brackets, as
//! Docklight writes it, has bytes itself. The port's name is the bus's. Other events (an opened
//! port) are passed over.
//!
//! The times are the machine's local ones, taken for UTC.
//!
//! Source: published dumps of Serial Port Monitor. Of Docklight none was found: its line is as a user
//! of it wrote it down.

use std::io::BufRead;

use k485_proto::record::Time;

use crate::capture::{Format, Likelihood, Reading};
use crate::format::by_line::{self, Feed, Grammar, Heard, probe};
use crate::format::cells::dumped;
use crate::format::clock::Clock;
use crate::format::lines::Line;
use crate::format::sides::Way;

/// The format `monitor`.
#[derive(Debug, Clone, Copy)]
pub struct Monitor;

impl Format for Monitor {
    fn name(&self) -> &'static str {
        "monitor"
    }

    /// Sure by an event's line with data behind it.
    fn detect(&self, head: &[u8]) -> Likelihood {
        let mut events = Events::default();
        let probe = probe(head, &mut events);
        match (events.dumped, probe.frames) {
            (false, _) => Likelihood::No,
            (true, 0) => Likelihood::Maybe,
            (true, _) => Likelihood::Sure,
        }
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        by_line::read(name, input, Events::default())
    }
}

/// An event whose data follow.
struct Event {
    way: Way,
    time: Option<Time>,
    port: String,
}

#[derive(Default)]
struct Events {
    clock: Clock,
    /// `Some(None)` behind an event without data that are of concern.
    last: Option<Option<Event>>,
    /// Whether data were seen.
    dumped: bool,
}

impl Events {
    /// Reads `[TIME] - Written data (PORT)`; `None` for a line that is no event.
    fn event(&mut self, line: &str) -> Option<Option<Event>> {
        let (time, rest) = line.trim_start().strip_prefix('[')?.split_once(']')?;
        time.contains(':').then_some(())?;
        let rest = rest.trim_start_matches([' ', '-']);
        let (words, port) = rest.split_once('(').unwrap_or((rest, ""));
        // As `COM3`; a part behind it is a device's path.
        let port = port.split(')').next().unwrap_or_default().to_owned();
        let Some(way) = Way::parse(words) else { return Some(None) };
        Some(Some(Event { way, time: self.clock.read(time), port }))
    }
}

/// The time and the word of `TIME [TX] - BYTES`, and the bytes.
fn docklight(line: &str) -> Option<(&str, Way, &str)> {
    let (time, rest) = line.split_once('[')?;
    let (word, bytes) = rest.split_once(']')?;
    let way = matches!(word, "TX" | "RX").then(|| Way::parse(word)).flatten()?;
    let bytes = bytes.trim_start().strip_prefix('-')?;
    Some((time.trim(), way, bytes))
}

impl Grammar for Events {
    fn line(&mut self, line: &Line<'_>, text: &str, feed: &mut Feed) -> Result<(), String> {
        if text.trim().is_empty() {
            return Ok(());
        }
        let mut text = text;
        if let Some((time, way, bytes)) = docklight(text) {
            let event = Event { way, time: self.clock.read(time), port: String::new() };
            self.last = Some(Some(event));
            text = bytes;
            if text.trim().is_empty() {
                return Ok(());
            }
        } else if let Some(event) = self.event(text) {
            self.last = Some(event);
            return Ok(());
        }
        let event = match &self.last {
            Some(Some(event)) => event,
            // What an event of another kind tells.
            Some(None) => return Ok(()),
            // A title.
            None => return Ok(()),
        };
        let bytes = dumped(text, usize::MAX);
        if bytes.is_empty() {
            return Err("expected bytes in hex".to_owned());
        }
        self.dumped = true;
        let (time, bus, way) = (event.time, &*event.port, Some(event.way));
        feed.wire(&Heard { time, bus, way, offset: line.offset, bytes: &bytes });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
