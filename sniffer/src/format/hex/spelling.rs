//! The grammar of one line of hex text: its bytes, in any human spelling, and how they are grouped
//! into words.
//!
//! A *word* is what its writer put together: a run of digits, a string in quotes, what is in a
//! pair of brackets, or single bytes with nothing but `,` `:` `-` between them. It matters to bare
//! frames only; the bytes of the wire are one stream.

use std::ops::Range;

use k485_proto::record::Time;

use crate::format::{hex_digit, shown};

/// What a line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    /// The time that the line begins with.
    pub(super) time: Option<Time>,
    /// The bytes, up to the error if there is one.
    pub(super) bytes: Vec<u8>,
    /// Where each word ends in `bytes`; none is empty.
    pub(super) ends: Vec<usize>,
    /// Whether the line is, or ends in, a comment.
    pub(super) is_comment: bool,
    /// The first thing in the line that cannot be read.
    pub(super) error: Option<Error>,
}

/// Something that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Error {
    /// Where it begins and ends in the line, in bytes.
    pub(super) start: usize,
    pub(super) end: usize,
    /// What it is and what to do.
    pub(super) what: String,
}

impl Parsed {
    /// The words' bytes.
    pub(super) fn words(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

/// Reads a line, or a piece of one: only the first piece has a line's beginning, where a time and
/// a `;` comment may be.
pub(super) fn parse(text: &[u8], is_first: bool) -> Parsed {
    let mut lexer = Lexer { text, ..Lexer::default() };
    let outcome = lexer.line(is_first);
    lexer.end_word();
    lexer.out.error = outcome.err();
    lexer.out
}

/// Reads a stretch of a line that has nothing but bytes in it.
pub(super) fn parse_bytes(text: &[u8], stretch: Range<usize>) -> Parsed {
    let mut lexer = Lexer { text: &text[..stretch.end], at: stretch.start, ..Lexer::default() };
    let outcome = lexer.words();
    lexer.end_word();
    lexer.out.error = outcome.err();
    lexer.out
}

/// What the bytes are that a text has from `start` on, and where they end: at its end, at a
/// comment, or at what is no byte. A string or a list in brackets is read to where it is closed.
pub(super) fn stretch(text: &[u8], start: usize) -> (Parsed, usize) {
    let opens = |open: u8, close: u8| closing_bracket(text, start, open, close);
    let end = match text[start] {
        b'b' if matches!(text.get(start + 1), Some(b'\'' | b'"')) => closing(text, start + 1),
        b'\'' | b'"' => closing(text, start),
        b'(' => opens(b'(', b')'),
        b'[' => opens(b'[', b']'),
        b'{' => opens(b'{', b'}'),
        _ => None,
    };
    let end = end.map_or(text.len(), |end| (end + 1).min(text.len()));
    let mut lexer = Lexer { text: &text[..end], at: start, ..Lexer::default() };
    let outcome = lexer.words();
    lexer.end_word();
    let end = outcome.err().map_or(end, |error| error.start);
    (lexer.out, end)
}

/// Where the quote at `start` is closed.
fn closing(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match text.get(at)? {
            b'\\' => at += 2,
            byte if *byte == text[start] => return Some(at),
            _ => at += 1,
        }
    }
}

/// Where a bracket is closed in its line.
fn closing_bracket(text: &[u8], start: usize, open: u8, close: u8) -> Option<usize> {
    let mut depth = 0;
    let size = text[start..].iter().position(|byte| {
        depth += i32::from(*byte == open) - i32::from(*byte == close);
        depth == 0
    })?;
    Some(start + size)
}

/// Reads the text from `at` to its end and collects what it says.
#[derive(Default)]
struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    /// How many brackets are open.
    depth: usize,
    /// Whether the next byte begins a new word whatever it is.
    gap: bool,
    /// Whether the last atom was a single byte, which a next one may join.
    single: bool,
    out: Parsed,
}

impl Lexer<'_> {
    fn line(&mut self, is_first: bool) -> Result<(), Error> {
        self.skip_space();
        if is_first {
            self.time()?;
            self.skip_space();
            if self.peek() == Some(b';') {
                self.out.is_comment = true;
                return Ok(());
            }
        }
        self.words()
    }

    fn words(&mut self) -> Result<(), Error> {
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => self.out.is_comment = true,
                b'/' if self.text.get(self.at + 1) == Some(&b'/') => self.out.is_comment = true,
                b',' | b':' | b'-' | b';' => self.at += 1,
                b'(' | b'[' | b'{' => match self.decimals() {
                    Some((bytes, end)) => {
                        self.atom(&bytes, true);
                        self.at = end;
                    }
                    None => self.bracket(1),
                },
                b')' | b']' | b'}' => self.bracket(-1),
                b'\'' | b'"' => self.quoted(false)?,
                b'\\' => {
                    let escaped = self.escape()?;
                    self.atom(&[escaped], false);
                }
                _ if byte.is_ascii_whitespace() => {
                    self.gap |= self.depth == 0;
                    self.at += 1;
                }
                _ => self.run()?,
            }
            if self.out.is_comment {
                break;
            }
        }
        Ok(())
    }

    /// A time at the line's beginning: seconds in round brackets, with up to nine digits behind
    /// the point. `(0x12, 0x34)` is none.
    fn time(&mut self) -> Result<(), Error> {
        let rest = &self.text[self.at..];
        let Some(rest) = rest.strip_prefix(b"(") else { return Ok(()) };
        let Some(inner) = rest.iter().position(|byte| *byte == b')').map(|end| &rest[..end]) else {
            return Ok(());
        };
        let point = inner.iter().position(|byte| *byte == b'.').unwrap_or(inner.len());
        let (seconds, fraction) = (&inner[..point], inner.get(point + 1..).unwrap_or_default());
        let (negative, seconds) = match seconds.strip_prefix(b"-") {
            Some(seconds) => (true, seconds),
            None => (false, seconds),
        };
        let digits = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
        if seconds.is_empty() || !digits(seconds) || !digits(fraction) {
            return Ok(());
        }
        let end = self.at + inner.len() + 2;
        let what = "is no time: seconds need up to 9 digits behind the point, and nanoseconds \
                    must fit into 64 bits";
        let time = nanoseconds(negative, seconds, fraction)
            .ok_or_else(|| self.error(self.at, end, what))?;
        self.out.time = Some(Time(time));
        self.at = end;
        Ok(())
    }

    /// A run of letters and digits: hex digits, a number with 0x, or a name that brackets or
    /// quotes follow.
    fn run(&mut self) -> Result<(), Error> {
        let start = self.at;
        let rest = &self.text[start..];
        let in_run = |byte: &u8| byte.is_ascii_alphanumeric() || b"._".contains(byte);
        let sign = usize::from(rest.starts_with(b"$"));
        let size = rest[sign..].iter().position(|byte| !in_run(byte));
        let run = &rest[..size.map_or(rest.len(), |size| sign + size)];
        let next = rest.get(run.len()).copied();
        match (run, next) {
            (b"b" | b"B", Some(b'\'' | b'"')) => {
                self.at += 1;
                return self.quoted(true);
            }
            (b"bytes" | b"bytearray" | b"bytes.fromhex" | b"bytearray.fromhex", Some(b'(')) => {
                self.at += run.len();
                return Ok(());
            }
            _ => {}
        }
        let (prefix, digits) = match run {
            [b'0', b'x' | b'X', digits @ ..] => (2, without_suffix(digits)),
            [b'$', digits @ ..] => (1, digits),
            // Assemblers' numbers begin with a digit.
            [digits @ .., b'h' | b'H'] if digits.len() == 3 && digits[0] == b'0' => {
                (1, &digits[1..])
            }
            [digits @ .., b'h' | b'H'] if digits.len() == 2 => (0, digits),
            digits => (0, digits),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(self.token(start, "is no hex: write a byte as two hex digits"));
        }
        let bytes = match digits {
            // A C array's `0x1`.
            [digit] if prefix > 0 => hex_digit(*digit).into_iter().collect(),
            _ if digits.len() % 2 != 0 => {
                let what = "has an odd number of digits: write a byte as two hex digits";
                return Err(self.token(start, what));
            }
            _ => hex_pairs(digits),
        };
        self.at += run.len();
        self.atom(&bytes, false);
        Ok(())
    }

    /// A list of decimal numbers in brackets, as Python prints bytes: at least as many as a bare
    /// frame has, and one that is not two digits long, which could be hex. Gives the bytes and
    /// where the list ends.
    fn decimals(&self) -> Option<(Vec<u8>, usize)> {
        let inner = self.at + 1;
        let close = match self.text[self.at] {
            b'(' => b')',
            b'[' => b']',
            _ => b'}',
        };
        let size = self.text[inner..].iter().position(|byte| !b"0123456789, ".contains(byte))?;
        let end = inner + size;
        if self.text[end] != close {
            return None;
        }
        let list = self.text[inner..end].trim_ascii();
        let list = list.strip_suffix(b",").unwrap_or(list);
        let items: Vec<&[u8]> = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).collect();
        let bytes: Option<Vec<u8>> = items.iter().map(|item| decimal(item)).collect();
        let is_decimal = items.len() >= 4 && items.iter().any(|item| item.len() != 2);
        bytes.filter(|_| is_decimal).map(|bytes| (bytes, end + 1))
    }

    /// A string in quotes, at its quote: the characters and escapes of a bytes literal, or, if it
    /// is none and has no backslash, hex text.
    fn quoted(&mut self, is_literal: bool) -> Result<(), Error> {
        let (start, inner) = (self.at, self.at + 1);
        let closed = closing(self.text, start);
        let end = closed.unwrap_or(self.text.len());
        let mut outcome = Ok(());
        let bytes = if is_literal || self.text[inner..end].contains(&b'\\') {
            self.at = inner;
            let mut bytes = Vec::new();
            while self.at < end && outcome.is_ok() {
                outcome = self.character().map(|byte| bytes.push(byte));
            }
            bytes
        } else {
            let parsed = parse_bytes(self.text, inner..end);
            outcome = parsed.error.map_or(Ok(()), Err);
            parsed.bytes
        };
        self.at = end + 1;
        self.atom(&bytes, true);
        if outcome.is_ok() && closed.is_none() {
            let what = "opens a string that is not closed in this line: close it";
            return Err(self.error(start, end, what));
        }
        outcome
    }

    /// One character of a bytes literal.
    fn character(&mut self) -> Result<u8, Error> {
        match self.text[self.at] {
            b'\\' => self.escape(),
            byte if byte.is_ascii() => {
                self.at += 1;
                Ok(byte)
            }
            _ => {
                let what = "is no character of a bytes literal: write it as \\xNN";
                Err(self.token(self.at, what))
            }
        }
    }

    /// An escape, at its backslash: `\xNN`, up to three octal digits, or a letter.
    fn escape(&mut self) -> Result<u8, Error> {
        let start = self.at;
        let rest = &self.text[start + 1..];
        let octal = rest.iter().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
        let (size, byte) = match rest {
            [b'x', high, low, ..] => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => (3, Some(high << 4 | low)),
                _ => (3, None),
            },
            _ if octal > 0 => {
                let fold = |sum: u32, digit: &u8| sum * 8 + u32::from(digit - b'0');
                (octal, u8::try_from(rest[..octal].iter().fold(0, fold)).ok())
            }
            [letter, ..] => (1, escaped_letter(*letter)),
            [] => (0, None),
        };
        match byte {
            Some(byte) => {
                self.at = start + 1 + size;
                Ok(byte)
            }
            None => {
                Err(self.token(start, "is no escape of a bytes literal: write a byte as \\xNN"))
            }
        }
    }

    /// Takes bytes that are written as one; `is_word` says that nothing joins them.
    fn atom(&mut self, bytes: &[u8], is_word: bool) {
        let single = bytes.len() == 1 && !is_word;
        if self.gap || !single || !self.single {
            self.end_word();
        }
        self.out.bytes.extend_from_slice(bytes);
        self.gap = false;
        self.single = single;
    }

    fn end_word(&mut self) {
        let end = self.out.bytes.len();
        if end > self.out.ends.last().copied().unwrap_or(0) {
            self.out.ends.push(end);
        }
    }

    fn bracket(&mut self, by: isize) {
        self.depth = self.depth.saturating_add_signed(by);
        self.gap = true;
        self.at += 1;
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// An error about the token that begins at `start`.
    fn token(&self, start: usize, what: &str) -> Error {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b",;()[]{}'\"".contains(byte);
        let rest = &self.text[start + 1..];
        let size = rest.iter().position(ends).unwrap_or(rest.len());
        self.error(start, start + 1 + size, what)
    }

    fn error(&self, start: usize, end: usize, what: &str) -> Error {
        let token = shown(&String::from_utf8_lossy(&self.text[start..end]));
        Error { start, end, what: format!("`{token}` {what}") }
    }
}

/// A byte in decimal, without zeros before it.
pub(super) fn decimal(digits: &[u8]) -> Option<u8> {
    if digits.len() > 1 && digits[0] == b'0' || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The digits of a number with `0x`, without what tells its type in Rust or C.
fn without_suffix(digits: &[u8]) -> &[u8] {
    let suffixes: [&[u8]; 4] = [b"_u8", b"u8", b"U", b"u"];
    suffixes.iter().find_map(|suffix| digits.strip_suffix(*suffix)).unwrap_or(digits)
}

/// A time in nanoseconds, exactly.
fn nanoseconds(negative: bool, seconds: &[u8], fraction: &[u8]) -> Option<i64> {
    if fraction.len() > 9 {
        return None;
    }
    let mut digits = seconds.iter().chain(fraction).copied();
    let zeros = std::iter::repeat_n(b'0', 9 - fraction.len());
    digits.by_ref().chain(zeros).try_fold(0i64, |sum, digit| {
        let digit = i64::from(digit - b'0');
        sum.checked_mul(10)?.checked_add(if negative { -digit } else { digit })
    })
}

/// The bytes of an even number of hex digits.
fn hex_pairs(digits: &[u8]) -> Vec<u8> {
    let pairs = digits.chunks_exact(2);
    pairs.filter_map(|pair| Some(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?)).collect()
}

/// What a backslash makes of a letter, in Python and C.
fn escaped_letter(letter: u8) -> Option<u8> {
    Some(match letter {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'a' => 0x07,
        b'b' => 0x08,
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'\\' | b'\'' | b'"' => letter,
        _ => return None,
    })
}
