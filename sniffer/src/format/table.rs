//! Tables with a frame, or a part of one, in a cell: CSV of any program, Portmon's listings.
//!
//! ```text
//! time,dir,hex
//! 0.000,tx,F7 01 03 FF 0A 5C
//! ```
//!
//! The columns are told by a header line, or else by the first line that has a whole frame in a
//! cell and a direction or a time in another. Cells are separated by tabs, `;`, `,` or `|`, and may
//! be quoted. Lines before the columns are known are passed over.
//!
//! A cell of bytes is hex in any spelling; `Length 6: F7 01 …`, as Portmon writes it, is checked
//! against its length, since Portmon cuts long ones. What Portmon calls a time is how long the
//! request took, unless it shows the clock, so its numbers are no times here.
//!
//! Source: listings of Portmon 3.

use std::borrow::Cow;
use std::io::BufRead;

use k485_proto::record::Time;

use crate::capture::{Format, Likelihood, Reading};
use crate::format::by_line::{self, Feed, Grammar, Heard, has_frame, probe};
use crate::format::cells::{cells, spelled};
use crate::format::clock::Clock;
use crate::format::lines::Line;
use crate::format::shown;
use crate::format::sides::Way;

/// The format `table`.
#[derive(Debug, Clone, Copy)]
pub struct Table;

impl Format for Table {
    fn name(&self) -> &'static str {
        "table"
    }

    /// Sure where the columns are known and a whole frame is in one.
    fn detect(&self, head: &[u8]) -> Likelihood {
        let mut rows = Rows::default();
        let probe = probe(head, &mut rows);
        if rows.layout.is_some() && probe.frames > 0 && probe.bad * 4 <= probe.lines {
            Likelihood::Sure
        } else {
            Likelihood::No
        }
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        by_line::read(name, input, Rows::default())
    }
}

/// The separators, the least likely within a cell first.
const SEPARATORS: [char; 4] = ['\t', ';', '|', ','];

/// Which column is what.
#[derive(Debug, Clone, Copy)]
struct Layout {
    separator: char,
    data: usize,
    time: Option<usize>,
    way: Option<usize>,
    bus: Option<usize>,
}

impl Layout {
    /// The columns that a header names.
    fn of_header(line: &str) -> Option<Layout> {
        SEPARATORS.into_iter().find_map(|separator| {
            let names: Vec<String> = cells(line, separator).iter().map(|cell| bare(cell)).collect();
            let find = |of: &[&str]| {
                of.iter().find_map(|name| names.iter().position(|known| known == name))
            };
            let data = find(&[
                "rawhex", "hex", "hexdata", "datahex", "frame", "packet", "raw", "bytes", "data",
                "payload", "message", "value",
            ])?;
            let time = find(&["timestamp", "time", "ts", "datetime", "times", "seconds", "t"]);
            let way =
                find(&["dir", "direction", "way", "side", "rw", "function", "request", "type"]);
            let bus = find(&["bus", "port", "channel", "segment"]);
            (time.is_some() || way.is_some()).then_some(Layout { separator, data, time, way, bus })
        })
    }

    /// The columns of a line with a whole frame.
    fn of_content(line: &str) -> Option<Layout> {
        SEPARATORS.into_iter().find_map(|separator| {
            let cells = cells(line, separator);
            let is_frame = |cell: &str| data(cell).is_ok_and(|bytes| has_frame(&bytes));
            let data = cells.iter().position(|cell| is_frame(cell))?;
            let find = |is: fn(&str) -> bool| cells.iter().position(|cell| is(cell));
            // A process of Portmon's may be called `host`.
            let way = find(is_irp).or_else(|| find(|cell| Way::parse(cell).is_some()));
            let is_portmon = way.is_some_and(|at| is_irp(&cells[at]));
            let time = find(Clock::is_time).filter(|at| !is_portmon || cells[*at].contains(':'));
            let bus = way.filter(|_| is_portmon).map(|way| way + 1).filter(|at| *at != data);
            (time.is_some() || way.is_some()).then_some(Layout { separator, data, time, way, bus })
        })
    }
}

/// A header's name without what is around its letters: `Time [s]`, `"Data (hex)"`.
fn bare(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).take(32).collect::<String>().to_lowercase()
}

fn is_irp(cell: &str) -> bool {
    cell.starts_with("IRP_MJ_")
}

/// The bytes of a cell.
fn data(cell: &str) -> Result<Vec<u8>, String> {
    let Some((length, bytes)) = cell.strip_prefix("Length ").and_then(|rest| rest.split_once(':'))
    else {
        return spelled(cell).ok_or_else(|| format!("`{}` is no hex", shown(cell)));
    };
    let bytes = match bytes.trim() {
        "" => Vec::new(),
        bytes => spelled(bytes).ok_or_else(|| format!("`{}` is no hex", shown(bytes)))?,
    };
    match length.parse::<usize>() {
        Ok(length) if bytes.len() == length => Ok(bytes),
        _ => Err(format!(
            "{} bytes of {}: the listing cuts long ones off",
            bytes.len(),
            shown(length)
        )),
    }
}

#[derive(Default)]
struct Rows {
    layout: Option<Layout>,
    clock: Clock,
}

impl Grammar for Rows {
    fn line(&mut self, line: &Line<'_>, text: &str, feed: &mut Feed) -> Result<(), String> {
        if text.trim().is_empty() {
            return Ok(());
        }
        let layout = match self.layout {
            Some(layout) => layout,
            None => {
                self.layout = Layout::of_header(text);
                if self.layout.is_some() {
                    return Ok(());
                }
                let Some(layout) = Layout::of_content(text) else { return Ok(()) };
                *self.layout.insert(layout)
            }
        };
        let row = cells(text, layout.separator);
        let cell = |at: usize| row.get(at).map_or("", |cell: &Cow<'_, str>| &**cell);
        let word = layout.way.map_or("", cell);
        let way = Way::parse(word);
        let content = cell(layout.data);
        // Requests of Portmon that pass no data, and events of others, have a text or nothing.
        if content.is_empty() || is_irp(word) && !content.contains(':') {
            return Ok(());
        }
        if way.is_none() && data(content).is_err() && !word.is_empty() {
            return Ok(());
        }
        let bytes = data(content)?;
        let time: Option<Time> = match layout.time.map(cell) {
            None | Some("") => None,
            Some(text) => {
                Some(self.clock.read(text).ok_or_else(|| format!("`{}` is no time", shown(text)))?)
            }
        };
        let bus = layout.bus.map_or("", cell);
        feed.message(&Heard { time, bus, way, offset: line.offset, bytes: &bytes });
        Ok(())
    }

    fn end(&mut self, _feed: &mut Feed) -> Result<(), String> {
        match self.layout {
            Some(_) => Ok(()),
            None => {
                Err("no table: no header with columns for bytes and for a time or a direction, \
                         and no line that has them"
                    .to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests;
