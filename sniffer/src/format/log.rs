//! The log: one span a line, in the manner of candump. It keeps all that a capture knows.
//!
//! ```text
//! (1700000000.123456789) bus0 > f70103ff0a5c
//! (1700000000.125000000) bus0 < f70107000a19240000e7
//! (1700000000.130000000) bus0 5500 ; noise: garbage: no frame head
//! (1700000003.400000000) bus0 - ; gap: unplugged, 3200000000 ns
//! (-) bus0 > 0103ff0a ; bare; call 12, timeout 100 ms
//! # a comment
//! ```
//!
//! `(TIME) BUS [DIRECTION] BYTES [; NOTE]… [# COMMENT]`, with white space between. The time is in
//! seconds, `-` where there is none. The bus is one word: white space, control characters and `%`
//! are written as `%` and two hex digits, as is the first character of a name that could pass for
//! something else; `-` is the bus without a name. `>` is to a device, `<` from one; without either
//! the direction is not told. The bytes are hex digits, `-` where there are none.
//!
//! The notes tell what the bytes are, if not of the wire:
//!
//! | note | means |
//! | --- | --- |
//! | `noise: REASON` | noise; the reason in the words that `decode` uses |
//! | `gap: REASON`, `gap: REASON, N ns, N bytes` | bytes are missing, up to the line's time: `unplugged`, `overrun` or `dropped`; how long nothing was heard, how many were lost; there are no bytes |
//! | `bare` | a frame without head and CRC |
//! | `dir inferred` | the line's direction was worked out, not told |
//! | `call ID`, `call ID, timeout N ms, took N ns` | the traced call of the host |
//! | `no reply` | that call returned without a reply; there are no bytes |
//!
//! Bytes without such a note are the wire's: a frame may go on in the next line of its bus and
//! direction, if that comes within [`SILENCE`](super::hex::SILENCE).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;

use k485_proto::frame::Hex;
use k485_proto::record::{Direction, Time};

use crate::capture::{Format, Likelihood, Reading, broken_off, skipped};
use crate::format::joiner::{Joiner, Piece};
use crate::format::lines::{BYTE_ORDER_MARK, Line, Lines, Next, complete_lines};
use crate::format::note::{Bare, Note};
use crate::format::steps::{Ready, Source, Steps};
use crate::format::write::{CaptureWriter, Item, Losses};
use crate::format::{hex_bytes, seconds, shown};

/// Longer lines are complained about; the longest that is written here has below 2 KiB and the
/// bus's name.
const LINE_LIMIT: usize = 1 << 20;

/// The format `log`.
#[derive(Debug, Clone, Copy)]
pub struct Log;

impl Format for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    /// Sure where most lines can be read. One without a direction whose bus is a word of bytes
    /// does not count: that is hex text with times.
    fn detect(&self, head: &[u8]) -> Likelihood {
        let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
        let (mut good, mut bad) = (0, 0);
        for line in complete_lines(head) {
            match std::str::from_utf8(line).map(parse) {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(line))) if line.dir.is_some() || !is_hex(line.bus) => good += 1,
                _ => bad += 1,
            }
            // As soon as it is so, and not at the end: what is sure must stay so whatever follows.
            if good > 0 && bad * 4 <= good {
                return Likelihood::Sure;
            }
        }
        Likelihood::No
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        Box::new(Steps::new(Reader {
            name: name.to_owned(),
            lines: Lines::new(input, LINE_LIMIT, |_| None),
            joiner: Joiner::new(),
        }))
    }
}

/// Whether a word could be bytes.
fn is_hex(word: &str) -> bool {
    !word.is_empty() && hex_bytes(word).is_some()
}

/// What a line says.
struct Parsed<'t> {
    time: Option<Time>,
    /// The bus's word as it stands there.
    bus: &'t str,
    dir: Option<Direction>,
    bytes: Vec<u8>,
    note: Note,
}

/// Reads a line; `None` for one that is blank or a comment.
fn parse(line: &str) -> Result<Option<Parsed<'_>>, String> {
    let line = match line.trim_start().strip_prefix('#') {
        Some(_) => return Ok(None),
        None => line.split_once(" #").map_or(line, |(line, _)| line).trim(),
    };
    if line.is_empty() {
        return Ok(None);
    }
    let (fixed, note) = line.split_once(';').unwrap_or((line, ""));
    let (time, rest) = fixed
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .ok_or("a line begins with a time in round brackets, as (1700000000.123456789)")?;
    let time = match time.trim() {
        "-" => None,
        time => Some(
            seconds::parse(time)
                .ok_or_else(|| format!("`{}` is no time in seconds", shown(time)))?,
        ),
    };
    let words: Vec<&str> = rest.split_whitespace().take(4).collect();
    let (bus, dir, digits) = match words[..] {
        [bus, ">", digits] => (bus, Some(Direction::Request), digits),
        [bus, "<", digits] => (bus, Some(Direction::Response), digits),
        [bus, digits] => (bus, None, digits),
        _ => return Err("expected `(TIME) BUS [> or <] BYTES`".to_owned()),
    };
    let bytes = match digits {
        "-" => Vec::new(),
        _ => hex_bytes(digits).ok_or_else(|| {
            format!("`{}` is no hex: write a byte as two hex digits", shown(digits))
        })?,
    };
    let (note, unknown) = Note::parse(note);
    if let Some(unknown) = unknown {
        return Err(format!("`{}` is no note (begin a comment with #)", shown(unknown)));
    }
    Ok(Some(Parsed { time, bus, dir, bytes, note }))
}

/// A bus's name as one word.
fn escaped(name: &str) -> String {
    let mut word = String::with_capacity(name.len().max(1));
    // What could be the nameless bus, a direction, a comment, or the bytes of hex text.
    let is_odd = |first: u8| b"-<>#;(".contains(&first) || is_hex(name);
    for (at, character) in name.char_indices() {
        let odd = at == 0 && u8::try_from(character).is_ok_and(is_odd);
        if odd || character.is_whitespace() || character.is_control() || "%;".contains(character) {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a string does not fail.
                let _ = write!(word, "%{byte:02x}");
            }
        } else {
            word.push(character);
        }
    }
    if word.is_empty() { "-".to_owned() } else { word }
}

/// The name that a word writes.
fn unescaped(word: &str) -> Option<Cow<'_, str>> {
    if word == "-" {
        return Some(Cow::Borrowed(""));
    }
    let mut pieces = word.split('%');
    let first = pieces.next()?;
    if first.len() == word.len() {
        return Some(Cow::Borrowed(word));
    }
    let mut name = first.as_bytes().to_vec();
    for piece in pieces {
        name.extend(hex_bytes(piece.get(..2)?)?);
        name.extend(piece.as_bytes().get(2..)?);
    }
    String::from_utf8(name).ok().map(Cow::Owned)
}

struct Reader {
    name: String,
    lines: Lines,
    joiner: Joiner,
}

impl Source for Reader {
    fn step(&mut self, ready: &mut Ready) -> ControlFlow<()> {
        match self.lines.next() {
            Ok(Next::Line(line)) => {
                if let Err(what) = take(&mut self.joiner, &line, ready) {
                    let what = format!("{what}; the line was skipped");
                    ready.push_back(Err(skipped(format!("{}:{}", self.name, line.number), what)));
                }
                return ControlFlow::Continue(());
            }
            Ok(Next::TooLong { number }) => {
                let what = "the line is longer than 1 MiB and was skipped";
                ready.push_back(Err(skipped(format!("{}:{number}", self.name), what)));
                return ControlFlow::Continue(());
            }
            Ok(Next::End) => self.joiner.idle(ready),
            Err(error) => {
                self.joiner.idle(ready);
                let position = self.lines.position();
                ready.push_back(Err(broken_off(&self.name, position, &error)));
            }
        }
        ControlFlow::Break(())
    }
}

fn take(joiner: &mut Joiner, line: &Line<'_>, ready: &mut Ready) -> Result<(), String> {
    let text = std::str::from_utf8(line.text).map_err(|_| "the line is not UTF-8".to_owned())?;
    let Some(Parsed { time, bus, dir, bytes, note }) = parse(text)? else { return Ok(()) };
    let name = unescaped(bus)
        .ok_or_else(|| format!("`{}`: % needs two hex digits of UTF-8", shown(bus)))?;
    let piece = Piece { time, bus: &name, dir, offset: line.offset, bytes: &bytes, note };
    joiner.push(&piece, ready).map_err(|what| format!("the line {what}"))
}

/// Writes a log. Nothing is buffered here.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    losses: Losses,
}

impl<W: Write> Writer<W> {
    /// A writer of lines.
    pub fn new(out: W) -> Self {
        Writer { out, losses: Losses::default() }
    }
}

impl<W: Write> CaptureWriter for Writer<W> {
    fn write(&mut self, item: &Item) -> io::Result<()> {
        let record = item.record();
        let time = record.time.map_or("-".to_owned(), |time| time.to_string());
        let dir = match item.dir() {
            (Some(Direction::Request), _) => " >",
            (Some(Direction::Response), _) => " <",
            (None, _) => "",
        };
        let mut line = format!("({time}) {}{dir} {}", escaped(&record.bus), Hex(&record.bytes));
        if record.bytes.is_empty() {
            line.push('-');
        }
        let note = item.note(Bare::Kept);
        if note != Note::default() {
            line.push_str(&format!(" ; {note}"));
        }
        line.push('\n');
        self.out.write_all(line.as_bytes())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn losses(&self) -> &Losses {
        &self.losses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k485_proto::deframer::NoiseReason;
    use k485_proto::record::{Call, Complaint, Gap, GapReason, Origin, Record, Verdict};
    use std::io::Cursor;

    fn read(text: &str) -> Vec<Result<Record, Complaint>> {
        Log.read("a.log", Box::new(Cursor::new(text.to_owned()))).collect()
    }

    #[test]
    fn what_a_line_says() {
        let text = "# a story\n\n(1.5) bus0 > F70103FF0A5C # the poll\r\n\
                    (-) - < 0107000a19240000 ; bare; call 7, took 5 ns\n\
                    (2) %62%20a 55 ; noise: garbage: no frame head\n\
                    (3) b - ; no reply; call 7\n\
                    (3.5) b - ; gap: overrun, 12 bytes\n\
                    (4) b > f70103ff0a5c ; dir inferred\n";
        let got: Vec<_> = read(text).into_iter().map(Result::unwrap).collect();
        let seen: Vec<_> = got
            .iter()
            .map(|r| (r.time.map(|t| t.0), &*r.bus, r.dir, r.bytes.len(), r.verdict, r.origin))
            .collect();
        let (request, response) = (Some(Direction::Request), Some(Direction::Response));
        let overrun = Gap { reason: GapReason::Overrun, ns: None, bytes: Some(12) };
        let (wire, garbage) = (Origin::Wire, Verdict::Noise(NoiseReason::Garbage));
        assert_eq!(
            seen,
            [
                (Some(1_500_000_000), "bus0", request, 6, Verdict::Frame, wire),
                (None, "", response, 8, Verdict::Frame, Origin::Bare),
                (Some(2_000_000_000), "b a", None, 1, garbage, wire),
                (Some(3_000_000_000), "b", None, 0, Verdict::NoReply, wire),
                (Some(3_500_000_000), "b", None, 0, Verdict::Gap(overrun), wire),
                (Some(4_000_000_000), "b", None, 6, Verdict::Frame, wire),
            ]
        );
        assert_eq!(got[0].offset, 11);
        let call = Some(Call { id: 7, timeout_ms: None, duration_ns: Some(5) });
        assert_eq!(got[1].call, call);
    }

    #[test]
    fn broken_lines_are_told_and_skipped() {
        let text = "(1) b > f7\n1.5 b f7\n(x) b f7\n(1) b\n(1) b > f7 01\n(1) b f70\n(1) b f7 ; odd\n\
                    (1) %4 f7\n(1) b 0102 ; bare\n(1) b -\n\
                    (1) b f7 ; gap: dropped\n(1) b - ; gap: eaten\n(1) b > 0103ff0a5c\n";
        let got = read(text);
        let told: Vec<_> =
            got.iter().filter_map(|item| item.as_ref().err()).map(ToString::to_string).collect();
        let skipped = "; the line was skipped";
        assert_eq!(
            told,
            [
                "2: a line begins with a time in round brackets, as (1700000000.123456789)",
                "3: `x` is no time in seconds",
                "4: expected `(TIME) BUS [> or <] BYTES`",
                "5: expected `(TIME) BUS [> or <] BYTES`",
                "6: `f70` is no hex: write a byte as two hex digits",
                "7: `odd` is no note (begin a comment with #)",
                "8: `%4`: % needs two hex digits of UTF-8",
                "9: the line says `bare`, but its LEN or CRC does not fit",
                "10: the line has no bytes",
                "11: the line says `gap` and has bytes",
                "12: `gap: eaten` is no note (begin a comment with #)",
            ]
            .map(|what| format!("a.log:{what}{skipped}"))
        );
        // The first and the last line are one frame.
        assert_eq!(got.last().unwrap().as_ref().unwrap().bytes.len(), 6);
    }

    #[test]
    fn complaints_are_short_and_have_no_control_characters() {
        for line in ["(X) b f7", "(1) b X", "(1) b f7 ; X", "(1) %X f7"] {
            let got = read(&line.replace('X', &"\u{1b}[2Jx".repeat(1000)));
            let [Err(complaint)] = &got[..] else { panic!("{got:?}") };
            let told = complaint.to_string();
            assert!(told.contains("\u{fffd}[2Jx") && !told.contains('\u{1b}'), "{told}");
            assert!(told.chars().count() < 120, "{told}");
        }
    }

    #[test]
    fn other_logs_are_not_claimed() {
        let of = |text: &str| Log.detect(text.as_bytes());
        assert_eq!(of("(1436509052.249713) vcan0 123#DEADBEEF\n"), Likelihood::No);
        assert_eq!(of("(1.5) f7 0103ff0a5c\n"), Likelihood::No);
        assert_eq!(of("(1.5) F7 01 03\n"), Likelihood::No);
        assert_eq!(of("# nothing\n"), Likelihood::No);
        assert_eq!(of("(1.5) f7 < 0103ff0a5c\n"), Likelihood::Sure);
        // Sure after its first line, it stays so whatever follows.
        let bad = "(2) bus0 oops\n".repeat(9);
        assert_eq!(of(&format!("(1) bus0 > f70103ff0a5c\n{bad}")), Likelihood::Sure);
        assert_eq!(of("# a bus\n(1.5) %667 f70103ff0a5c\n(1.5) bus0 > f7010"), Likelihood::Sure);
    }
}
