//! What hex text means, line by line: its bytes, their times and directions.

use std::sync::Arc;

use k485_proto::frame::{Frame, HEAD};
use k485_proto::record::{Complaint, Direction, Origin, Record, Time, Verdict};

use super::SILENCE;
use super::clock::{self, Days, Stamp};
use super::dump::{self, Dump, DumpLine};
use super::spelling::{self, Parsed};
use super::talk::{self, Piece, Talk};
use super::ways::{Way, Ways, has_frame};
use crate::capture::skipped;
use crate::format::lines::Line;
use crate::format::steps::Ready;
use crate::framer::{Chunk, Framer, Place};

/// What a line of the text depends on: the lines before it.
pub(super) struct Text {
    pub(super) name: String,
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
pub(super) struct Outcome {
    pub(super) bytes: usize,
    pub(super) is_comment: bool,
    /// Whether its bytes were found among words.
    pub(super) is_talk: bool,
    /// Whether it is one of a dump of a kind that is not read.
    pub(super) is_refused: bool,
    /// Where in the line the thing that cannot be read ends.
    pub(super) error_end: Option<usize>,
}

impl Text {
    pub(super) fn new(name: &str) -> Self {
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
    pub(super) fn needs_next(&self, line: &Line<'_>) -> bool {
        !line.is_piece && dump::marked(line.text).is_none() && dump::unmarked(line.text).is_some()
    }

    /// Takes a line; `next` is the one behind it, where it is known.
    pub(super) fn line(
        &mut self,
        line: Line<'_>,
        next: Option<&[u8]>,
        ready: &mut Ready,
    ) -> Outcome {
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
        let is_refused = parsed.bytes.is_empty() && dump_line.is_clear();
        Outcome { is_refused, ..self.done(line, &parsed, ready) }
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
            is_refused: false,
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
    pub(super) fn is_bare(&self, bytes: &[u8]) -> bool {
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
    pub(super) fn silence(&mut self, time: Option<When>, ready: &mut Ready) {
        if let (Some((now, _)), Some((last, step))) = (time, self.last)
            && now.since(last) > SILENCE.saturating_add(step)
        {
            self.idle(ready);
        }
    }

    pub(super) fn idle(&mut self, ready: &mut Ready) {
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
