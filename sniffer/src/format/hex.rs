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
//! | dumps | the lines of `xxd` and of `hexdump -C` |
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
//! # Bare frames
//!
//! A frame may be written without head and CRC, `ADDR LEN STATUS FUNC DATA…`, as the host's calls
//! carry it. A whole line, or a single word of it, is read as a bare frame and a record of its own
//! if all of this holds:
//!
//! - no frame is open: its bytes cannot be the rest of one that began before;
//! - it does not begin with F7, and LEN fits exactly ([`Frame::is_bare`]);
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
use std::sync::Arc;

use k485_proto::frame::{Frame, HEAD};
use k485_proto::record::{Complaint, Direction, Origin, Record, Time, Verdict};

use crate::capture::{Format, HEAD_SIZE, Likelihood, Reading, broken_off, skipped};
use crate::format::lines::{BYTE_ORDER_MARK, Kept, Line, Lines, Next, complete_lines};
use crate::format::steps::{Ready, Source, Steps};
use crate::framer::{Chunk, Framer, Place};
use clock::{Days, Stamp};
use dump::{Dump, DumpLine};
use spelling::Parsed;
use talk::{Piece, Talk};
use ways::{Way, Ways, has_frame};

pub use write::Writer;

mod clock;
mod dump;
mod spelling;
mod talk;
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
                match begins_a_frame(line) {
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

/// What a line of the text depends on: the lines before it.
struct Text {
    name: String,
    bus: Arc<str>,
    framer: Framer,
    /// The time of the last line with bytes in it, and how much later it may have been.
    last: Option<(Time, i64)>,
    /// The time of a line that has nothing else, for the dump behind it.
    heading: Option<When>,
    /// Where the dump goes on whose line the last one was.
    dump: Option<Dump>,
    days: Days,
    ways: Ways,
    /// How the direction was told of what was sent last, and of what was received.
    told: [Option<Way>; 2],
}

/// A time, and how much later it may have been, in nanoseconds.
type When = (Time, i64);

/// What a line was.
#[derive(Default)]
struct Outcome {
    bytes: usize,
    is_comment: bool,
    /// Whether its bytes were found among words.
    is_talk: bool,
    /// Where in the line the thing that cannot be read ends.
    error_end: Option<usize>,
}

impl Text {
    fn new(name: &str) -> Self {
        let bus: Arc<str> = "".into();
        Text {
            name: name.to_owned(),
            framer: Framer::new(bus.clone()),
            bus,
            last: None,
            heading: None,
            dump: None,
            days: Days::default(),
            ways: Ways::default(),
            told: [None; 2],
        }
    }

    /// Whether the line behind this one tells how to read it.
    fn needs_next(&self, line: &Line<'_>) -> bool {
        !line.is_piece && dump::marked(line.text).is_none() && dump::unmarked(line.text).is_some()
    }

    /// Takes a line; `next` is the one behind it, where it is known.
    fn line(&mut self, line: Line<'_>, next: Option<&[u8]>, ready: &mut Ready) -> Outcome {
        let text = line.text;
        if !line.is_piece
            && let Some(dump_line) = self.dump_line(text, next)
        {
            return self.dumped(&line, &dump_line, next, ready);
        }
        let dump = self.dump.as_ref().filter(|_| !line.is_piece);
        if dump.is_some_and(|dump| dump.is_end(text)) {
            return Outcome::default();
        }
        let parsed = match dump {
            Some(_) if text.trim_ascii() == b"*" => dump::squeezed(text),
            _ => spelling::parse(text, line.before == 0),
        };
        match if line.is_piece { None } else { self.talk(text, &parsed) } {
            Some(talk) => self.talked(&line, talk, parsed.error, ready),
            None => {
                let time = parsed.time.map(|time| (time, 0));
                self.taken(&line, time, &parsed, ready)
            }
        }
    }

    /// The line as one of a dump, if it is one.
    fn dump_line(&self, text: &[u8], next: Option<&[u8]>) -> Option<DumpLine> {
        dump::marked(text).or_else(|| {
            let line = dump::unmarked(text)?;
            let is_it = self.dump.as_ref().is_some_and(|dump| line.is_of(dump));
            (is_it || line.begins(text, next)).then_some(line)
        })
    }

    fn dumped(
        &mut self,
        line: &Line<'_>,
        dump_line: &DumpLine,
        next: Option<&[u8]>,
        ready: &mut Ready,
    ) -> Outcome {
        let dump = self.dump.take();
        if dump.as_ref().is_some_and(|dump| !dump.goes_on(dump_line)) {
            self.idle(ready);
        }
        let parsed = dump_line.parse(line.text, dump.as_ref(), next);
        if !parsed.bytes.is_empty() {
            self.silence(self.heading, ready);
            self.last = self.heading;
            self.wire(line, self.heading, None, &parsed.bytes, ready);
        }
        let read = parsed.error.is_none().then_some(parsed.bytes.len());
        self.dump = Some(Dump::behind(line.text, dump_line, read, dump.as_ref()));
        self.done(line, &parsed, ready)
    }

    /// A line that is bytes and nothing else, as far as it can be read.
    fn taken(
        &mut self,
        line: &Line<'_>,
        time: Option<When>,
        parsed: &Parsed,
        ready: &mut Ready,
    ) -> Outcome {
        self.bytes(line, time, None, parsed, ready);
        self.done(line, parsed, ready)
    }

    fn done(&mut self, line: &Line<'_>, parsed: &Parsed, ready: &mut Ready) -> Outcome {
        if let Some(error) = &parsed.error {
            ready.push_back(Err(self.complaint(line, error)));
        }
        Outcome {
            bytes: parsed.bytes.len(),
            is_comment: parsed.is_comment,
            is_talk: false,
            error_end: parsed.error.as_ref().map(|error| error.end),
        }
    }

    /// The line as one of a log or of a document; `None` where what it says as plain bytes stands.
    fn talk(&self, text: &[u8], parsed: &Parsed) -> Option<Talk> {
        let start = text.len() - text.trim_ascii_start().len();
        let is_timed = matches!(text.get(start), Some(b'0'..=b'9' | b'['))
            && clock::parse(text, start).is_some_and(|stamp| clock::is_time(text, &stamp));
        let is_broken_time = text.get(start) == Some(&b'(')
            && parsed.error.as_ref().is_some_and(|error| error.start == start);
        if (parsed.error.is_none() && !is_timed) || is_broken_time || parsed.time.is_some() {
            return None;
        }
        let mut talk = talk::parse(text);
        talk.pieces.retain(|piece| !piece.is_doubtful || self.is_likely(piece));
        let is_open = self.framer.is_open(None);
        // Words that look like hex, a number before a word; but no bytes that somebody wrote.
        let is_prose = !is_open
            && parsed.bytes.first() != Some(&HEAD)
            && (parsed.bytes.len() < 3 || is_letters(text, parsed));
        (is_timed || talk.stamp.is_some() || talk.is_certain || is_prose).then_some(talk)
    }

    /// Whether bytes that only their place makes such are a frame, a bare one, or a part of one.
    fn is_likely(&self, piece: &Piece) -> bool {
        let bytes = &piece.parsed.bytes;
        (bytes[0] == HEAD && bytes.len() >= 3)
            || has_frame(bytes)
            || self.framer.is_open(piece.way.map(|way| way.dir))
            || Frame::is_bare(bytes)
    }

    /// A line of a log or of a document.
    fn talked(
        &mut self,
        line: &Line<'_>,
        talk: Talk,
        error: Option<spelling::Error>,
        ready: &mut Ready,
    ) -> Outcome {
        let time = talk.stamp.map(|stamp| (self.days.time(&stamp), stamp.step));
        if talk.stamp.is_some() {
            self.heading = time;
        }
        let count: usize = talk.pieces.iter().map(|piece| piece.parsed.bytes.len()).sum();
        for piece in &talk.pieces {
            self.bytes(line, time, piece.way, &piece.parsed, ready);
        }
        let is_nothing =
            talk.stamp.is_some_and(|stamp: Stamp| stamp.end == line.text.trim_ascii_end().len());
        if count > 0 || is_nothing || talk::is_frame_of_text(line.text) {
            return Outcome { bytes: count, is_talk: true, ..Outcome::default() };
        }
        let error = error.filter(|error| error.start == 0 || talk.stamp.is_none());
        let what = "no frame was found in this line";
        let error = error.unwrap_or_else(|| spelling::Error {
            start: 0,
            end: line.text.len(),
            what: what.to_owned(),
        });
        ready.push_back(Err(self.complaint(line, &error)));
        Outcome { error_end: Some(error.end), ..Outcome::default() }
    }

    /// Takes a line's bytes: bare frames as such, all others as the wire's.
    fn bytes(
        &mut self,
        line: &Line<'_>,
        time: Option<When>,
        way: Option<Way>,
        parsed: &Parsed,
        ready: &mut Ready,
    ) {
        if parsed.bytes.is_empty() {
            return;
        }
        self.silence(time, ready);
        self.last = time;
        self.dump = None;
        if time.is_none() {
            self.heading = None;
        }
        if !line.is_piece && self.is_bare(&parsed.bytes) {
            self.bare(line, time, way, &parsed.bytes, ready);
        } else {
            for word in parsed.words() {
                if self.is_bare(word) {
                    self.bare(line, time, way, word, ready);
                } else {
                    self.wire(line, time, way, word, ready);
                }
            }
        }
    }

    fn wire(
        &mut self,
        line: &Line<'_>,
        time: Option<When>,
        way: Option<Way>,
        bytes: &[u8],
        ready: &mut Ready,
    ) {
        let time = time.map(|(time, _)| time);
        let dir = way.map(|way| way.dir);
        if let Some(way) = way {
            self.told[side(way.dir)] = Some(way);
        }
        let chunk = Chunk { time, dir, place: Place::Line(line.offset), bytes };
        let (told, ways) = (&self.told, &mut self.ways);
        self.framer.push(chunk, |record| ready.push_back(Ok(directed(record, told, ways))));
    }

    /// Whether bytes that are written together are a bare frame; the module's doc says why.
    fn is_bare(&self, bytes: &[u8]) -> bool {
        let dirs = [None, Some(Direction::Request), Some(Direction::Response)];
        !dirs.into_iter().any(|dir| self.framer.is_open(dir))
            && Frame::is_bare(bytes)
            && bytes[0] != HEAD
            && !has_frame(bytes)
    }

    fn bare(
        &mut self,
        line: &Line<'_>,
        time: Option<When>,
        way: Option<Way>,
        bytes: &[u8],
        ready: &mut Ready,
    ) {
        // Noise before it, if any, ends here.
        self.idle(ready);
        let dir = way.and_then(|way| self.ways.of_frame(way, &Frame::from_bare(bytes).ok()?));
        ready.push_back(Ok(Record {
            time: time.map(|(time, _)| time),
            bus: self.bus.clone(),
            dir,
            offset: line.offset,
            bytes: bytes.to_vec(),
            origin: Origin::Bare,
            verdict: Verdict::Frame,
            call: None,
        }));
    }

    /// Ends what is open where a line with bytes and this time comes too late for it.
    fn silence(&mut self, time: Option<When>, ready: &mut Ready) {
        if let (Some((now, _)), Some((last, step))) = (time, self.last)
            && now.since(last) > SILENCE.saturating_add(step)
        {
            self.idle(ready);
        }
    }

    fn idle(&mut self, ready: &mut Ready) {
        let (told, ways) = (&self.told, &mut self.ways);
        self.framer.idle(|record| ready.push_back(Ok(directed(record, told, ways))));
    }

    fn complaint(&self, line: &Line<'_>, error: &spelling::Error) -> Complaint {
        // In characters, as editors count; what comes before a piece is digits alone.
        let begins = |byte: &&u8| **byte & 0xc0 != 0x80;
        let before = line.text[..error.start].iter().filter(begins).count() as u64;
        let column = line.before + before + 1;
        let rest =
            if error.end < line.text.len() { "; the rest of the line was skipped" } else { "" };
        let what = format!("{}{rest}", error.what);
        skipped(format!("{}:{}:{column}", self.name, line.number), what)
    }
}

fn side(dir: Direction) -> usize {
    usize::from(dir == Direction::Response)
}

/// A record with the direction that its line tells, as far as that can be believed: so far it has
/// that of its word.
fn directed(record: Record, told: &[Option<Way>; 2], ways: &mut Ways) -> Record {
    let way = record.dir.and_then(|dir| told[side(dir)]);
    let dir = way.and_then(|way| match record.verdict {
        Verdict::Frame => ways.of_frame(way, &record.bytes),
        _ => ways.told(way),
    });
    Record { dir, ..record }
}

/// Whether what could be read of a line are letters alone, as in `face` or `dead beef`.
fn is_letters(text: &[u8], parsed: &Parsed) -> bool {
    let end = parsed.error.as_ref().map_or(text.len(), |error| error.start);
    !text[..end].iter().any(|byte| byte.is_ascii_digit() || *byte == b'\\')
}

#[cfg(test)]
mod tests;
