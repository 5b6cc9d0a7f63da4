//! The tables of Saleae's Logic programs, a byte a line.
//!
//! Logic 2 ("Export Table") writes `name,type,start_time,duration,"data","error"`, with a line a
//! byte of every analyzer, Logic 1 (and Logic 2's export of one analyzer)
//! `Time [s],Value,Parity Error,Framing Error`. Columns are found by these names, so others may be
//! there and some may lack.
//!
//! A value is in the radix that the program showed: `0xF7`, `0b1111 0111`, `247`, or a character
//! with others in quotes and escapes (`'247'`, `\xF7`, `COMMA`). Of a single digit, which could be
//! a number or a character, the values before it tell which it is.
//!
//! The analyzer's name is the bus's; where it ends in a word for a direction, as `UART TX`, it
//! tells the direction instead. A byte's time is where it ends, or begins where no duration is
//! told. A byte with an error is noise, and no frame goes on behind it.
//!
//! Source: the export code of Saleae's serial analyzer, published exports; Logic 2's error column
//! from memory.

use std::borrow::Cow;
use std::io::BufRead;

use k485_proto::record::Time;

use crate::capture::{Format, Likelihood, Reading};
use crate::format::by_line::{self, Feed, Grammar, Heard};
use crate::format::cells::cells;
use crate::format::clock::Clock;
use crate::format::lines::{BYTE_ORDER_MARK, Line, complete_lines};
use crate::format::shown;
use crate::format::sides::Way;

/// The format `saleae`.
#[derive(Debug, Clone, Copy)]
pub struct Saleae;

impl Format for Saleae {
    fn name(&self) -> &'static str {
        "saleae"
    }

    /// Sure by the header, which names the columns in the program's own words.
    fn detect(&self, head: &[u8]) -> Likelihood {
        let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
        let first = complete_lines(head).find(|line| !line.trim_ascii().is_empty());
        let header = first.and_then(|line| Header::parse(&String::from_utf8_lossy(line)));
        match header {
            Some(_) if head.contains(&b'\n') => Likelihood::Sure,
            // Nothing follows: it may be cut, or a table without a line.
            Some(_) => Likelihood::Maybe,
            None => Likelihood::No,
        }
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        by_line::read(name, input, Table::default())
    }
}

/// Where the columns are.
struct Header {
    separator: char,
    columns: usize,
    name: Option<usize>,
    kind: Option<usize>,
    start: usize,
    duration: Option<usize>,
    data: usize,
    errors: Vec<usize>,
}

impl Header {
    fn parse(line: &str) -> Option<Header> {
        // Logic 1 may export with tabs.
        let separator = if line.contains('\t') { '\t' } else { ',' };
        let names: Vec<String> =
            cells(line, separator).iter().map(|cell| cell.to_ascii_lowercase()).collect();
        let find = |of: &[&str]| names.iter().position(|name| of.contains(&&**name));
        let errors = ["error", "parity error", "framing error"];
        let errors: Vec<usize> =
            (0..names.len()).filter(|at| errors.contains(&&*names[*at])).collect();
        let start = find(&["start_time", "time [s]", "start"])?;
        let duration = find(&["duration"]);
        let kind = find(&["type"]);
        // Without one of these it is any table with a time and data.
        if errors.is_empty() && (duration.is_none() || kind.is_none()) {
            return None;
        }
        let data = find(&["data", "value"])?;
        let (columns, name) = (names.len(), find(&["name"]));
        Some(Header { separator, columns, name, kind, start, duration, data, errors })
    }
}

#[derive(Default)]
struct Table {
    header: Option<Header>,
    radix: Radix,
    clock: Clock,
}

impl Grammar for Table {
    fn line(&mut self, line: &Line<'_>, text: &str, feed: &mut Feed) -> Result<(), String> {
        if text.trim().is_empty() {
            return Ok(());
        }
        let Some(header) = &self.header else {
            self.header = Some(Header::parse(text).ok_or(
                "expected a header as `name,type,start_time,duration,\"data\",\"error\"` or \
                 `Time [s],Value,Parity Error,Framing Error`",
            )?);
            return Ok(());
        };
        let mut cells = cells(text, header.separator);
        // A comma as a character, not quoted, and a space.
        if cells.len() == header.columns + 1 && cells[header.data].is_empty() {
            cells.remove(header.data + 1);
            cells[header.data] = Cow::Borrowed(",");
        }
        let cell = |at: usize| cells.get(at).map_or("", |cell| &**cell);
        if header.kind.is_some_and(|at| !matches!(cell(at), "data" | "")) {
            return Ok(());
        }
        let data = raw_cell(text, header.separator, header.data, cell(header.data));
        let start = cell(header.start);
        let time =
            self.clock.read(start).ok_or_else(|| format!("`{}` is no time", shown(start)))?;
        let length = header.duration.map(cell).filter(|text| !text.is_empty());
        let length = length.and_then(crate::format::seconds::parse).map_or(0, |length| length.0);
        let byte = self.radix.byte(data).ok_or_else(|| {
            format!("`{}` is no byte: export with the display radix hexadecimal", shown(data))
        })?;
        let name = header.name.map_or("", |at| cell(at));
        let way = name.split(' ').next_back().and_then(Way::parse);
        let heard = Heard {
            time: Some(Time(time.0.saturating_add(length))),
            bus: if way.is_some() { "" } else { name },
            way,
            offset: line.offset,
            bytes: &[byte],
        };
        let is_spoiled = header.errors.iter().any(|at| {
            let error = cell(*at);
            !error.is_empty() && !error.eq_ignore_ascii_case("false")
        });
        if is_spoiled {
            feed.spoiled(&heard);
        } else {
            feed.wire(&heard);
        }
        Ok(())
    }
}

/// A cell that may be a space: untrimmed, where it is not quoted.
fn raw_cell<'t>(line: &'t str, separator: char, at: usize, trimmed: &'t str) -> &'t str {
    match trimmed {
        "" => line.split(separator).nth(at).filter(|cell| *cell == " ").unwrap_or_default(),
        _ => trimmed,
    }
}

/// How the program showed bytes, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Radix {
    #[default]
    Unknown,
    Decimal,
    Characters,
}

impl Radix {
    /// The byte that a value is.
    fn byte(&mut self, value: &str) -> Option<u8> {
        let (found, byte) = match value.as_bytes() {
            [b'0', b'x' | b'X', digits @ ..] => (*self, radix(digits, 16)?),
            [b'0', b'b' | b'B', digits @ ..] => {
                let digits: Vec<u8> =
                    digits.iter().copied().filter(|digit| *digit != b' ').collect();
                (*self, radix(&digits, 2)?)
            }
            [one] if *self == Radix::Characters || !one.is_ascii_digit() => {
                (Radix::Characters, *one)
            }
            b"COMMA" => (Radix::Characters, b','),
            b"' '" => (Radix::Characters, b' '),
            // In quotes a number is the code of what cannot be shown.
            [b'\'', digits @ .., b'\''] => (Radix::Characters, radix(digits, 10)?),
            [b'\\', escaped @ ..] => (Radix::Characters, escape(escaped)?),
            digits => (Radix::Decimal, radix(digits, 10)?),
        };
        *self = found;
        Some(byte)
    }
}

fn radix(digits: &[u8], radix: u32) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    // `+5` is a number to Rust.
    u8::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))
}

/// What is behind a backslash.
fn escape(escaped: &[u8]) -> Option<u8> {
    Some(match escaped {
        b"0" => 0,
        b"a" => 7,
        b"b" => 8,
        b"t" => b'\t',
        b"n" => b'\n',
        b"v" => 11,
        b"f" => 12,
        b"r" => b'\r',
        b"e" => 27,
        b"\\" => b'\\',
        b"\"" => b'"',
        b"'" => b'\'',
        [b'x' | b'X', digits @ ..] => radix(digits, 16)?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
