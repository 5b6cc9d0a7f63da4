//! Lines of logs, of programs and of documents that have bytes in them, among words.
//!
//! Before the bytes may stand a time, a direction, levels and names in brackets, marks of Markdown
//! ([`lead`]). Where nothing else is in the line, all its bytes count. Otherwise a line may hold
//! any words, and bytes are what begins with F7 as a frame does and is a whole one, has just its
//! length, or goes on to the line's end: no word of prose does.

use k485_proto::deframer::{Span, spans};
use k485_proto::frame::HEAD;

use super::clock::{self, Stamp};
use super::spelling::{self, Parsed};
use super::ways::{Way, has_frame};

/// What a line says.
#[derive(Debug, Default)]
pub(super) struct Talk {
    pub(super) stamp: Option<Stamp>,
    pub(super) pieces: Vec<Piece>,
    /// Whether the whole line is frames, once it is known how its numbers are written.
    pub(super) is_certain: bool,
}

/// Bytes of a line.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) way: Option<Way>,
    pub(super) parsed: Parsed,
    /// Whether nothing but their place says that they are bytes: then it takes a frame, if only
    /// a bare one or the rest of one.
    pub(super) is_doubtful: bool,
}

/// How often a line is read, at the most, in search of bytes.
const TRIES: usize = 64;

/// The most numbers without a base that are tried as a frame.
const MOST: usize = k485_proto::frame::MAX_FRAME;

/// Reads a line.
pub(super) fn parse(text: &[u8]) -> Talk {
    let lead = lead(text);
    let stamp = lead.stamp;
    let rest = text[lead.end..].trim_ascii_end();
    let rest = &text[..lead.end + trimmed(rest, b"|` \t").len()];
    if lead.end > 0 || stamp.is_some() {
        let parsed = spelling::parse_bytes(rest, lead.end..rest.len());
        if parsed.error.is_none() && !parsed.bytes.is_empty() {
            let has_digits = parsed_text(rest, lead.end).any(|byte| byte.is_ascii_digit());
            let is_clear = stamp.is_some() || (lead.is_marked && has_digits);
            let piece = Piece { way: lead.way, parsed, is_doubtful: !is_clear };
            return Talk { stamp, pieces: vec![piece], is_certain: false };
        }
    }
    let mut pieces = numbers(&text[lead.end..]).into_iter().collect::<Vec<_>>();
    let is_certain = !pieces.is_empty();
    if !is_certain {
        pieces = scattered(text, stamp.map_or(0, |stamp| stamp.end));
    }
    if let Some(first) = pieces.first_mut() {
        first.way = first.way.or(lead.way);
    }
    Talk { stamp, pieces, is_certain }
}

fn parsed_text(text: &[u8], from: usize) -> impl Iterator<Item = u8> {
    text[from..].iter().copied().take_while(|byte| !b"#/".contains(byte))
}

fn trimmed<'t>(text: &'t [u8], what: &[u8]) -> &'t [u8] {
    let end = text.iter().rposition(|byte| !what.contains(byte)).map_or(0, |last| last + 1);
    &text[..end]
}

/// Whether a line is there for the structure of the text around it, and says nothing: a fence or a
/// table's head in Markdown, the beginning of an array, the head of a CSV table, a banner.
pub(super) fn is_frame_of_text(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let has_digit = text.iter().any(u8::is_ascii_digit);
    let columns: [&[u8]; 6] = [b"hex", b"data", b"bytes", b"raw", b"frame", b"payload"];
    let is_head = || {
        let mut cells = text
            .split(|byte| b",;\t".contains(byte))
            .map(|cell| trimmed(cell, b" \"").to_ascii_lowercase());
        text.iter().any(|byte| b",;\t".contains(byte))
            && cells.any(|cell| columns.iter().any(|column| cell.ends_with(column)))
    };
    let opens_array = || {
        let before =
            text.strip_suffix(b"{").or(text.strip_suffix(b"[")).map(<[u8]>::trim_ascii_end);
        before.is_some_and(|before| before.ends_with(b"=") || before.ends_with(b"vec!"))
    };
    text.starts_with(b"```")
        || text.starts_with(b"~~~")
        || text.starts_with(b"=~=~=~")
        || (text.starts_with(b"|") && !has_digit)
        || (!has_digit && is_head())
        || opens_array()
}

/// What stands before a line's bytes.
struct Lead {
    stamp: Option<Stamp>,
    way: Option<Way>,
    /// Whether a direction in it is one by its form, not by its word alone.
    is_marked: bool,
    /// Where it ends.
    end: usize,
}

/// Names of levels that loggers write.
const LEVELS: [&[u8]; 8] =
    [b"debug", b"info", b"warning", b"warn", b"error", b"trace", b"notice", b"critical"];

fn lead(text: &[u8]) -> Lead {
    let mut lead = Lead { stamp: None, way: None, is_marked: false, end: 0 };
    // One round takes one thing, so that its end is always behind a whole one.
    while let Some(size) = lead.item(text) {
        lead.end += size;
    }
    lead
}

impl Lead {
    /// The size of the next thing that is no byte; `None` where there is none.
    fn item(&mut self, text: &[u8]) -> Option<usize> {
        let rest = &text[self.end..];
        let first = *rest.first()?;
        if first.is_ascii_whitespace() || b"|`,;:".contains(&first) {
            return Some(1);
        }
        if self.stamp.is_none()
            && let Some(stamp) = clock::parse(text, self.end)
        {
            self.stamp = Some(stamp);
            return Some(stamp.end - self.end);
        }
        // A colour that a terminal shows.
        if first == 0x1b {
            return Some(rest.iter().position(u8::is_ascii_alphabetic)? + 1);
        }
        if let Some((way, size)) = Way::of_arrow(rest) {
            // A word says more.
            self.is_marked |= size > 1 || first != b'>';
            self.way = self.way.or(Some(way));
            return Some(size);
        }
        let is_space = |at: usize| rest.get(at).is_none_or(u8::is_ascii_whitespace);
        if b"-*+".contains(&first) && is_space(1) {
            return Some(1);
        }
        if first == b'[' {
            let close = rest.iter().take(40).position(|byte| *byte == b']')?;
            let inner = &rest[1..close];
            if let Some(way) = Way::of_word(inner) {
                self.is_marked = true;
                self.way = Some(way);
            } else if spelling::parse_bytes(inner, 0..inner.len()).error.is_none()
                || has_list(inner)
            {
                return None;
            }
            return Some(close + 1);
        }
        let size = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let (word, next) = (&rest[..size], rest.get(size).copied());
        if let Some(way) = Way::of_word(word) {
            let is_end =
                next.is_none_or(|next| next.is_ascii_whitespace() || b":,;|=".contains(&next));
            self.is_marked |= next.is_some_and(|next| b":,;|".contains(&next));
            self.way = Some(way);
            return is_end.then_some(size + usize::from(next == Some(b'=')));
        }
        let is_number = !word.is_empty() && size <= 6 && word.iter().all(u8::is_ascii_digit);
        // A numbered line or row.
        let is_row = text[..self.end].trim_ascii_end().ends_with(b"|");
        let tail = rest[size..].trim_ascii_start();
        if is_number && is_row && tail.starts_with(b"|") {
            return Some(size);
        }
        if is_number
            && self.end == 0
            && next.is_some_and(|next| b".)".contains(&next))
            && is_space(size + 1)
        {
            return Some(size + 1);
        }
        let is_level = LEVELS.contains(&&*word.to_ascii_lowercase());
        (is_level && next.is_none_or(|next| !next.is_ascii_alphanumeric())).then_some(size)
    }
}

/// Whether what stands in brackets could be a list of numbers.
fn has_list(inner: &[u8]) -> bool {
    inner.iter().all(|byte| b"0123456789abcdefABCDEFxX, ".contains(byte)) && inner.contains(&b',')
}

/// Numbers without a base, where they are whole frames from the first to the last: in decimal, or
/// in hex without zeros before them.
fn numbers(text: &[u8]) -> Option<Piece> {
    let between = |byte: &u8| byte.is_ascii_whitespace() || *byte == b',';
    let words = || text.split(between).filter(|word| !word.is_empty());
    let in_hex = |word: &[u8]| match word.len() {
        1 | 2 => u8::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok(),
        _ => None,
    };
    let first = words().next()?;
    let number = match () {
        () if first == b"247" => spelling::decimal,
        () if first.eq_ignore_ascii_case(b"f7") => in_hex,
        () => return None,
    };
    if words().nth(MOST).is_some() {
        return None;
    }
    let bytes: Vec<u8> = words().map(number).collect::<Option<_>>()?;
    let is_frames = spans(&bytes).all(|span| matches!(span, Span::Frame { .. }));
    let parsed = Parsed { ends: vec![bytes.len()], bytes, ..Parsed::default() };
    is_frames.then_some(Piece { way: None, parsed, is_doubtful: false })
}

/// What is written as frames among other words.
fn scattered(text: &[u8], from: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let (mut at, mut done) = (from, from);
    // What opens and is not closed is tried from many places: not without end.
    let mut left = TRIES * text.len();
    while at < text.len() && left > 0 {
        let is_inside = at > from
            && (text[at - 1].is_ascii_alphanumeric() || text[at - 1] == b'_')
            && (text[at].is_ascii_alphanumeric() || b"'_".contains(&text[at]));
        if is_inside || !may_begin(&text[at..]) {
            at += 1;
            continue;
        }
        let (mut parsed, mut end) = spelling::stretch(text, at);
        left = left.saturating_sub(end - at);
        let is_word = text[at].is_ascii_alphanumeric() && parsed.ends.len() == 1;
        if is_wanted(&parsed, text[end..].trim_ascii(), is_word) {
            end = end.max(at + 1);
            without_prose(&mut parsed, &text[at..end]);
            let way = way_before(&text[done..at]);
            pieces.push(Piece { way, parsed, is_doubtful: false });
            at = end;
            done = end;
        } else {
            at += 1;
        }
    }
    pieces
}

/// Whether a text begins as bytes may that have a frame in them.
fn may_begin(text: &[u8]) -> bool {
    let is_head = |text: &[u8]| text.get(..2).is_some_and(|head| head.eq_ignore_ascii_case(b"f7"));
    match text {
        [b'0', b'x' | b'X', rest @ ..] | [b'\\', b'x', rest @ ..] | [b'$', rest @ ..] => {
            is_head(rest)
        }
        [b'\\', b'3', b'6', b'7', ..] => true,
        [b'b', b'\'' | b'"', ..] | [b'\'' | b'"' | b'[' | b'(' | b'{', ..] => true,
        _ => is_head(text) || text.first().is_some_and(u8::is_ascii_hexdigit) && has_word(text),
    }
}

/// Whether a text begins with a word of digits in which a head is.
fn has_word(text: &[u8]) -> bool {
    let size = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    size > 12 && text[..size].windows(2).any(|two| two.eq_ignore_ascii_case(b"f7"))
}

/// Whether bytes among words are frames, or look as what a wire made of one.
fn is_wanted(parsed: &Parsed, rest: &[u8], is_word: bool) -> bool {
    let bytes = &parsed.bytes;
    if bytes.first() != Some(&HEAD) {
        return (is_word || parsed.ends.len() == 1) && has_frame(bytes);
    }
    let has_its_length = bytes.get(2).is_some_and(|len| usize::from(*len) + 3 == bytes.len());
    let is_to_end = rest.is_empty() || rest.starts_with(b"#") || rest.starts_with(b"//");
    has_frame(bytes) || (bytes.len() >= 6 && has_its_length) || (is_to_end && bytes.len() >= 3)
}

/// Leaves out words behind the last frame that are letters alone, as `be` and `dead`.
fn without_prose(parsed: &mut Parsed, text: &[u8]) {
    if !text.contains(&b' ') || !text[0].is_ascii_alphanumeric() {
        return;
    }
    let last = spans(&parsed.bytes).last();
    let words = text.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let Some(Span::Noise(noise)) = last else { return };
    if noise.bytes.first() == Some(&HEAD) {
        return;
    }
    let mut left = noise.bytes.len();
    let is_prose = words.rev().take_while(|word| {
        let is_over = left == 0;
        left = left.saturating_sub(word.len() / 2);
        !is_over
    });
    if is_prose.into_iter().all(|word| word.iter().all(u8::is_ascii_alphabetic)) {
        let keep = parsed.bytes.len() - noise.bytes.len();
        parsed.bytes.truncate(keep);
        parsed.ends.retain(|end| *end < keep);
        parsed.ends.push(keep);
    }
}

/// Words that may stand between a direction and its bytes.
const LABELS: [&[u8]; 14] = [
    b"raw",
    b"data",
    b"hex",
    b"bytes",
    b"byte",
    b"bytearray",
    b"frame",
    b"packet",
    b"msg",
    b"payload",
    b"buf",
    b"vec",
    b"len",
    b"fromhex",
];

/// The direction that is said just before bytes.
fn way_before(text: &[u8]) -> Option<Way> {
    let mut text = text;
    for _ in 0..5 {
        text = trimmed(text, b" \t:=([{'\"`,;|&!.\\");
        let word =
            text.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_');
        let size = word.count();
        let (before, word) = text.split_at(text.len() - size);
        if let Some(way) = Way::of_word(word) {
            return Some(way);
        }
        let lower = word.to_ascii_lowercase();
        if word.is_empty() {
            return arrow_before(before);
        }
        if !LABELS.contains(&&*lower) && !word.iter().all(u8::is_ascii_digit) {
            return None;
        }
        text = before;
    }
    None
}

/// The direction of an arrow that a text ends with.
fn arrow_before(text: &[u8]) -> Option<Way> {
    let size = text.iter().rev().take_while(|byte| !byte.is_ascii_whitespace()).count();
    let last = &text[text.len() - size..];
    Way::of_arrow(last).filter(|(_, size)| *size == last.len()).map(|(way, _)| way)
}
