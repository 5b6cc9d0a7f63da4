//! What `socat -x` and `socat -x -v` tell of the data that they pass on.
//!
//! ```text
//! > 2025/01/01 12:34:56.000357196  length=6 from=0 to=5
//!  f7 01 03 ff 0a 5c
//! ```
//!
//! `>` is from socat's first address to its second; which of them is the host is worked out from
//! the frames. With `-v` the bytes stand in lines of up to 16, with the characters behind them, and
//! `--` ends a block. Messages of socat itself are passed over. With `-v` alone the bytes are not
//! all there.
//!
//! The times are the machine's local ones, taken for UTC. Release 1.7.4 writes microseconds with
//! nine digits, so the first three are zeros; a text in which one time has others there has
//! nanoseconds from there on.
//!
//! Source: socat 1.7.4.4.

use std::io::BufRead;

use k485_proto::record::Time;

use crate::capture::{Format, Likelihood, Reading};
use crate::format::by_line::{self, Feed, Grammar, Heard, probe};
use crate::format::cells::dumped;
use crate::format::clock::Clock;
use crate::format::lines::Line;
use crate::format::sides::Way;

/// The format `socat`.
#[derive(Debug, Clone, Copy)]
pub struct Socat;

impl Format for Socat {
    fn name(&self) -> &'static str {
        "socat"
    }

    /// Sure by a block's first line, which nothing else has.
    fn detect(&self, head: &[u8]) -> Likelihood {
        let mut blocks = Blocks::default();
        probe(head, &mut blocks);
        if blocks.seen { Likelihood::Sure } else { Likelihood::No }
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        by_line::read(name, input, Blocks::default())
    }
}

/// A block's first line.
struct Head<'t> {
    way: Way,
    time: &'t str,
    length: u64,
}

impl<'t> Head<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        let (sign, rest) = line.split_at_checked(2)?;
        let way = match sign {
            "> " => Way::OUT,
            "< " => Way::IN,
            _ => return None,
        };
        let (time, rest) = rest.split_once(" length=")?;
        let (length, rest) = rest.split_once(" from=")?;
        rest.contains(" to=").then_some(())?;
        Some(Head { way, time: time.trim_end(), length: length.parse().ok()? })
    }
}

#[derive(Default)]
struct Blocks {
    clock: Clock,
    /// Whether a time was seen that has nanoseconds.
    has_nanos: bool,
    /// Whether a block was seen.
    seen: bool,
    /// The block that is open, and how many of its bytes are to come.
    open: Option<(Way, Option<Time>, u64)>,
}

impl Blocks {
    fn time(&mut self, text: &str) -> Option<Time> {
        let micros = match text.rsplit_once('.') {
            Some((_, fraction)) if fraction.len() == 9 => fraction.strip_prefix("000"),
            _ => None,
        };
        match micros {
            Some(micros) if !self.has_nanos => {
                let whole = text.len() - 9;
                self.clock.read(&format!("{}{micros}", &text[..whole]))
            }
            _ => {
                self.has_nanos |= text.contains('.') && micros.is_none();
                self.clock.read(text)
            }
        }
    }

    /// Tells of a block whose bytes are not all there.
    fn close(&mut self) -> Result<(), String> {
        match self.open.take() {
            Some((.., missing @ 1..)) => {
                let s = if missing == 1 { "" } else { "s" };
                Err(format!("the block before lacks {missing} byte{s}: run socat with -x"))
            }
            _ => Ok(()),
        }
    }
}

impl Grammar for Blocks {
    fn line(&mut self, line: &Line<'_>, text: &str, feed: &mut Feed) -> Result<(), String> {
        if let Some(head) = Head::parse(text) {
            if let Err(what) = self.close() {
                feed.idle();
                feed.complain(line.number, what);
            }
            self.seen = true;
            let time = self.time(head.time);
            self.open = Some((head.way, time, head.length));
            return Ok(());
        }
        if text.trim().is_empty() || text == "--" || is_message(text) {
            return Ok(());
        }
        match &mut self.open {
            Some((way, time, missing @ 1..)) => {
                let most = usize::try_from(*missing).unwrap_or(usize::MAX);
                let bytes = dumped(text, most);
                if bytes.is_empty() {
                    // What else is in the block would be as bad.
                    self.open = None;
                    feed.idle();
                    return Err("no bytes in hex: run socat with -x".to_owned());
                }
                *missing -= bytes.len() as u64;
                let (time, way, offset) = (*time, Some(*way), line.offset);
                feed.wire(&Heard { time, bus: "", way, offset, bytes: &bytes });
                Ok(())
            }
            None if self.seen => Ok(()),
            _ => Err("expected `> DATE TIME length=N from=N to=N`, or its bytes".to_owned()),
        }
    }

    fn end(&mut self, _feed: &mut Feed) -> Result<(), String> {
        self.close().map_err(|what| what.replace("block before", "last block"))
    }
}

/// Whether socat speaks for itself: `2025/01/01 12:34:56 socat[123] N starting …`.
fn is_message(line: &str) -> bool {
    line.split_whitespace().nth(2).is_some_and(|word| word.starts_with("socat["))
}

#[cfg(test)]
mod tests;
