//! Readers of the texts that other tools write, a line at a time: what they have in common.
//!
//! A [`Grammar`] knows one tool's lines and hands what they say to a [`Feed`], which makes records
//! of it: the bytes of a bus and a direction are one stream, a silence ends what is open
//! ([`Joiner`]), and which side of the tool is the host is worked out ([`Sides`]).

use std::io::BufRead;
use std::ops::ControlFlow;

use k485_proto::deframer::{Span, spans};
use k485_proto::frame::{Frame, HEAD};
use k485_proto::record::{Origin, Time, Verdict};

use crate::capture::{Reading, broken_off, skipped};
use crate::format::joiner::{Joiner, Piece};
use crate::format::lines::{BYTE_ORDER_MARK, Line, Lines, Next, complete_lines};
use crate::format::note::{Bare, Note};
use crate::format::sides::{Sides, Way};
use crate::format::steps::{Ready, Source, Steps};

/// Longer lines are complained about.
const LINE_LIMIT: usize = 1 << 20;

/// What is behind so many characters of a bus's name is left out.
const NAME_LIMIT: usize = 128;

/// What the lines of one tool say.
pub(super) trait Grammar: Send {
    /// Takes a line, without its end. What is not UTF-8 in it was replaced: a tool may show the
    /// bytes as characters too.
    ///
    /// # Errors
    /// What is wrong with the line; it is skipped then, and that is told.
    fn line(&mut self, line: &Line<'_>, text: &str, feed: &mut Feed) -> Result<(), String>;

    /// Tells of the end, for what was kept back.
    ///
    /// # Errors
    /// What is wrong with the text as a whole.
    fn end(&mut self, _feed: &mut Feed) -> Result<(), String> {
        Ok(())
    }
}

/// For a grammar that is asked afterwards what it saw.
impl<G: Grammar> Grammar for &mut G {
    fn line(&mut self, line: &Line<'_>, text: &str, feed: &mut Feed) -> Result<(), String> {
        (**self).line(line, text, feed)
    }

    fn end(&mut self, feed: &mut Feed) -> Result<(), String> {
        (**self).end(feed)
    }
}

/// Bytes as a line tells them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard<'a> {
    /// When the last of them was seen.
    pub(super) time: Option<Time>,
    pub(super) bus: &'a str,
    pub(super) way: Option<Way>,
    /// Where their line begins.
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
}

/// Takes what the lines say.
pub(super) struct Feed {
    name: String,
    joiner: Joiner,
    sides: Sides,
    /// What the sides have not seen yet.
    fresh: Ready,
}

impl Feed {
    fn new(name: &str) -> Self {
        let (joiner, sides) = (Joiner::new(), Sides::default());
        Feed { name: name.to_owned(), joiner, sides, fresh: Ready::new() }
    }

    /// Takes bytes of the wire.
    pub(super) fn wire(&mut self, heard: &Heard<'_>) {
        self.push(heard, Note::default());
    }

    /// Takes what a line says is one message: the wire's bytes, or a bare frame.
    pub(super) fn message(&mut self, heard: &Heard<'_>) {
        let dir = heard.way.map(|way| way.dir);
        let is_bare = Frame::is_bare(heard.bytes)
            && heard.bytes[0] != HEAD
            && !self.joiner.is_open(heard.bus, dir)
            && !has_frame(heard.bytes);
        let bare = is_bare.then_some(Bare::Kept);
        self.push(heard, Note { bare, ..Note::default() });
    }

    /// Takes a byte that a UART could not receive properly: it is noise, and no frame goes on
    /// behind it.
    pub(super) fn spoiled(&mut self, heard: &Heard<'_>) {
        let noise = Some(k485_proto::deframer::NoiseReason::Garbage);
        self.push(heard, Note { noise, ..Note::default() });
    }

    fn push(&mut self, heard: &Heard<'_>, note: Note) {
        let Heard { time, bus, way, offset, bytes } = *heard;
        if bytes.is_empty() {
            return;
        }
        if way.is_some_and(|way| way.is_side) {
            self.sides.seek();
        }
        let dir = way.map(|way| way.dir);
        // A line may be a mebibyte, and a name is kept.
        let bus = bus.char_indices().nth(NAME_LIMIT).map_or(bus, |(at, _)| &bus[..at]);
        let piece = Piece { time, bus, dir, offset, bytes, note };
        if let Err(what) = self.joiner.push(&piece, &mut self.fresh) {
            // Unreachable with bytes and these notes; a complaint all the same.
            self.fresh.push_back(Err(skipped(self.name.clone(), what)));
        }
    }

    /// Tells that something is missing: nothing that is open goes on.
    pub(super) fn idle(&mut self) {
        self.joiner.idle(&mut self.fresh);
    }

    /// Complains about a line.
    pub(super) fn complain(&mut self, number: u64, what: impl Into<String>) {
        self.fresh.push_back(Err(skipped(format!("{}:{number}", self.name), what)));
    }
}

/// Whether a whole frame is in these bytes.
pub(super) fn has_frame(bytes: &[u8]) -> bool {
    spans(bytes).any(|span| matches!(span, Span::Frame { .. }))
}

/// The records of a text.
pub(super) fn read(
    name: &str,
    input: Box<dyn BufRead + Send>,
    grammar: impl Grammar + 'static,
) -> Reading {
    let lines = Lines::new(input, LINE_LIMIT, |_| None);
    Box::new(Steps::new(Reader { lines, grammar, feed: Feed::new(name) }))
}

struct Reader<G> {
    lines: Lines,
    grammar: G,
    feed: Feed,
}

impl<G: Grammar> Source for Reader<G> {
    fn step(&mut self, ready: &mut Ready) -> ControlFlow<()> {
        let Reader { lines, grammar, feed } = self;
        let error = match lines.next() {
            Ok(Next::Line(line)) => {
                let text = String::from_utf8_lossy(line.text);
                if let Err(what) = grammar.line(&line, &text, feed) {
                    feed.complain(line.number, format!("{what}; the line was skipped"));
                }
                feed.sides.pass(&mut feed.fresh, ready);
                return ControlFlow::Continue(());
            }
            Ok(Next::TooLong { number }) => {
                feed.complain(number, "the line is longer than 1 MiB and was skipped");
                feed.sides.pass(&mut feed.fresh, ready);
                return ControlFlow::Continue(());
            }
            Ok(Next::End) => None,
            Err(error) => Some(broken_off(&feed.name, lines.position(), &error)),
        };
        if let Err(what) = grammar.end(feed) {
            feed.fresh.push_back(Err(skipped(feed.name.clone(), what)));
        }
        feed.idle();
        feed.sides.pass(&mut feed.fresh, ready);
        feed.sides.end(ready);
        ready.extend(error.map(Err));
        ControlFlow::Break(())
    }
}

/// What a grammar makes of an input's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe {
    /// Lines that are not blank.
    pub(super) lines: usize,
    /// Complaints about them.
    pub(super) bad: usize,
    /// Whole frames.
    pub(super) frames: usize,
}

/// Reads the whole lines of an input's beginning.
pub(super) fn probe(head: &[u8], mut grammar: impl Grammar) -> Probe {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    let mut feed = Feed::new("");
    let mut probe = Probe { lines: 0, bad: 0, frames: 0 };
    for (number, text) in (1..).zip(complete_lines(head)) {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let line = Line { number, offset: 0, before: 0, is_piece: false, text };
        let outcome = grammar.line(&line, &String::from_utf8_lossy(text), &mut feed);
        probe.bad += usize::from(outcome.is_err());
        probe.lines += usize::from(!text.trim_ascii().is_empty());
    }
    // That something else is missing at the end is no matter in a head.
    let _ = grammar.end(&mut feed);
    feed.idle();
    let whole = |(verdict, origin)| (verdict, origin) == (Verdict::Frame, Origin::Wire);
    let known = feed.fresh.iter().flatten().map(|record| (record.verdict, record.origin));
    probe.frames = known.filter(|known| whole(*known)).count();
    probe
}
