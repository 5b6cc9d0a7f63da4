//! Hex text: bytes as people and programs write them.
//!
//! # Spellings
//!
//! | spelling | as in |
//! | --- | --- |
//! | pairs of digits | `f7 01 03`, `F70103FF0A5C`, `f7:01:03`, `f7-01-03` |
//! | numbers with `0x` | `0xF7,0x01`, `{0xF7, 0x1};`, `0xF701` |
//! | escapes | `\xf7\x01\n` |
//! | literals of Python and C | `b'\xf7\x81\x04\x00\x05\x01\x1e'`, `bytearray(b'..')`, `"\xf7\n"` |
//! | strings of hex | `"f7 01 03"`, `bytes.fromhex('f70103')` |
//! | more numbers | `F7h 01h`, `$F7`, `0xf7u8`, `[247, 1, 3, 255, 10, 92]` |
//! | dumps | the lines of `xxd`, `hexdump`, `od`, Wireshark (`dump.rs`) |
//! | lines of logs and documents | `[12:34:56.120] TX: F7 01 03`, `ser.write(b'..')` (`talk.rs`) |
//!
//! In a literal, characters stand for themselves; a string in plain quotes is a literal if there
//! is a backslash in it, else hex. `#` and `//` begin a comment, `;` does at a line's beginning.
//! Any number of frames may be in a line, and a frame may go on in the next one.
//!
//! A line may begin with a time: seconds in round brackets, `(1700000000.123456789)`. It is the
//! time of the spans that end in the line. Where a line is more than [`SILENCE`] later than the
//! line before it, a frame left open there got no more bytes: that is how long the box firmware
//! waits for the next byte inside a frame. A gap in a dump's offsets cuts an open frame too.
//!
//! A line that cannot be read so, or begins with a clock, is read as one of a log; the times of
//! those are in `clock.rs`, their directions in `ways.rs`. Bytes of the two directions of a log are
//! two streams, and the bytes of lines without one a third.
//!
//! # Bare frames
//!
//! A frame may be written without head and CRC, `ADDR LEN STATUS FUNC DATA…`, as the host's calls
//! carry it. A whole line, or a single word of it, is read as a bare frame and a record of its own
//! if all of this holds:
//!
//! - no frame is open: its bytes cannot be the rest of one that began before;
//! - it does not begin with F7, and LEN fits exactly ([`Frame::is_bare`](k485_proto::frame::Frame::is_bare));
//! - there is no whole frame of the wire inside it: otherwise garbage before a frame, written in
//!   one word with it, could pass for ADDR and LEN, and the frame would be lost as its DATA;
//! - it is not a line of a dump, which is cut at any place.
//!
//! A word is a run of digits, a string in quotes, what is in a pair of brackets, or single bytes
//! joined by `,` `:` `-` alone. All other bytes are the wire's, and those that are no frame become
//! noise. What is left to chance: noise of the wire that is alone in its line and has, in its
//! second byte, just the right number.

use std::io::{BufRead, Cursor};
use std::ops::ControlFlow;

use k485_proto::record::{Complaint, Origin, Record, Time, Verdict};

use crate::capture::{Format, HEAD_SIZE, Likelihood, Reading, broken_off, skipped};
use crate::format::lines::{BYTE_ORDER_MARK, Kept, Line, Lines, Next, complete_lines};
use crate::format::steps::{Ready, Source, Steps};
use text::Text;

pub use write::Writer;

mod clock;
mod dump;
mod spelling;
mod talk;
mod text;
mod ways;
mod write;

/// The time between two lines, in nanoseconds, behind which a frame that is not complete gets no
/// more bytes. Source: the box firmware's parser waits about 120 ms for the next byte.
pub const SILENCE: i64 = 120 * Time::MILLISECOND;

/// Longer lines are read in pieces if they are plain digits, else complained about.
const LINE_LIMIT: usize = 1 << 20;

/// The format `hex`.
#[derive(Debug, Clone, Copy)]
pub struct Hex;

impl Format for Hex {
    fn name(&self) -> &'static str {
        "hex"
    }

    /// Sure where a frame with a right CRC is in it and most lines can be read; a bare frame has
    /// nothing to check it by.
    fn detect(&self, head: &[u8]) -> Likelihood {
        let is_full = head.len() >= HEAD_SIZE;
        let head = uncut(head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head));
        let (mut text, mut ready) = (Text::new(""), Ready::new());
        let (mut good, mut begun, mut bad, mut comments) = (0, 0, 0, 0);
        // Lines with whole frames, and how many of them are so only among words.
        let (mut framed, mut talked) = (0, 0);
        let mut lines = complete_lines(head).peekable();
        while let Some(line) = lines.next() {
            // Objects of JSON are other formats', or nobody's.
            if line.trim_ascii_start().starts_with(b"{\"") {
                bad += 1;
                continue;
            }
            let known = ready.len();
            let whole = Line { number: 0, offset: 0, before: 0, is_piece: false, text: line };
            let outcome = text.line(whole, lines.peek().copied(), &mut ready);
            // The head may have cut the only line there is inside a string.
            let is_cut = outcome.error_end == Some(head.len()) && line.len() == head.len();
            // A line that says in words what its frame is may be complained about, but is hex.
            if ready.range(known..).any(is_whole_frame) {
                good += 1;
                framed += 1;
                talked += usize::from(outcome.is_talk);
            } else if outcome.error_end.is_some() && !is_cut {
                // A broken line that begins as a frame does is still hex that somebody wrote.
                match begins_a_frame(line) || outcome.is_refused {
                    true => begun += 1,
                    false => bad += 1,
                }
            } else if outcome.bytes > 0 {
                good += 1;
            } else {
                comments += usize::from(outcome.is_comment);
            }
        }
        match (good, bad) {
            // A long introduction; a whole file of comments holds no capture.
            (0, 0) if comments > 0 && is_full => Likelihood::Maybe,
            (0, 0) if begun > 0 => Likelihood::Maybe,
            (0, _) => Likelihood::No,
            _ if bad * 4 <= good && framed > talked => Likelihood::Sure,
            _ if bad * 4 <= good => Likelihood::Maybe,
            // A log that tells more than frames; not a page that shows one.
            _ if framed > 1 && bad <= framed * 4 => Likelihood::Maybe,
            _ => Likelihood::No,
        }
    }

    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading {
        Box::new(Steps::new(Reader {
            lines: Lines::new(input, LINE_LIMIT, cut),
            text: Text::new(name),
            kept: None,
        }))
    }
}

/// Whether a line's first word is F7, the head of a frame, in one of its spellings.
fn begins_a_frame(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    let line = line.strip_prefix(b"0x").or(line.strip_prefix(b"\\x")).unwrap_or(line);
    line.get(..2).is_some_and(|head| head.eq_ignore_ascii_case(b"f7"))
}

/// The records of a string of hex text, as a person gives it to a command; `name` stands for it
/// in complaints.
///
/// ```
/// let mut records = k485_sniffer::format::hex::read_hex_text("--hex", "F7 01 03 FF 0A 5C");
/// assert_eq!(records.next().unwrap().unwrap().bytes, [0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c]);
/// assert!(records.next().is_none());
/// ```
#[must_use]
pub fn read_hex_text(name: &str, text: &str) -> Reading {
    Hex.read(name, Box::new(Cursor::new(text.as_bytes().to_vec())))
}

/// Where a line that is too long may be cut: behind a separator, or between two bytes of digits
/// alone. Not where something might be quoted.
fn cut(text: &[u8]) -> Option<usize> {
    if text.iter().any(|byte| b"'\"\\#/|".contains(byte)) {
        return None;
    }
    let is_separator = |byte: &u8| byte.is_ascii_whitespace() || b",;:-".contains(byte);
    match text.iter().rposition(is_separator) {
        Some(at) => Some(at + 1),
        None if text.iter().all(u8::is_ascii_hexdigit) => Some(text.len() & !1),
        None => None,
    }
}

/// A head without the byte that it may have cut, where it is all in one line.
fn uncut(head: &[u8]) -> &[u8] {
    if head.len() < HEAD_SIZE - BYTE_ORDER_MARK.len() || head.contains(&b'\n') {
        return head;
    }
    cut(head).map_or(head, |end| &head[..end])
}

fn is_whole_frame(item: &Result<Record, Complaint>) -> bool {
    let is = |record: &Record| (record.verdict, record.origin) == (Verdict::Frame, Origin::Wire);
    item.as_ref().is_ok_and(is)
}

struct Reader {
    lines: Lines,
    text: Text,
    /// A line that only the next one tells how to read.
    kept: Option<Kept>,
}

impl Source for Reader {
    fn step(&mut self, ready: &mut Ready) -> ControlFlow<()> {
        let next = self.lines.next();
        if let Some(kept) = self.kept.take() {
            let behind = match &next {
                Ok(Next::Line(line)) if !line.is_piece => Some(line.text),
                _ => None,
            };
            self.text.line(kept.line(), behind, ready);
        }
        match next {
            Ok(Next::Line(line)) => {
                if self.text.needs_next(&line) {
                    self.kept = Some(line.into());
                } else {
                    self.text.line(line, None, ready);
                }
                return ControlFlow::Continue(());
            }
            Ok(Next::TooLong { number }) => {
                let what = "the line is longer than 1 MiB and was skipped: break it into lines";
                ready.push_back(Err(skipped(format!("{}:{number}", self.text.name), what)));
                return ControlFlow::Continue(());
            }
            Ok(Next::End) => self.text.idle(ready),
            Err(error) => {
                self.text.idle(ready);
                let position = self.lines.position();
                ready.push_back(Err(broken_off(&self.text.name, position, &error)));
            }
        }
        ControlFlow::Break(())
    }
}

#[cfg(test)]
mod tests;
