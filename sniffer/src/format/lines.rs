//! The lines of a text of any size, in bounded memory.

use std::io::{self, BufRead, Read};

/// What comes next in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A line, or a piece of a very long one.
    Line(Line<'a>),
    /// A line that is longer than allowed and cannot be cut; what is left of it was skipped.
    TooLong {
        /// Its number, from 1.
        number: u64,
    },
    /// The text's end.
    End,
}

/// A line, or a piece of a very long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The line's number, from 1.
    pub(super) number: u64,
    /// Where the line begins in the file.
    pub(super) offset: u64,
    /// How many bytes of the line come before this piece; 0 for a whole line.
    pub(super) before: u64,
    /// Whether the piece is not the whole line.
    pub(super) is_piece: bool,
    /// The text, without the line's end and a byte order mark.
    pub(super) text: &'a [u8],
}

/// A line that is kept while the next one is read.
pub(super) struct Kept {
    line: Line<'static>,
    text: Vec<u8>,
}

impl Kept {
    pub(super) fn line(&self) -> Line<'_> {
        Line { text: &self.text, ..self.line }
    }
}

impl From<Line<'_>> for Kept {
    fn from(line: Line<'_>) -> Self {
        Kept { line: Line { text: &[], ..line }, text: line.text.to_vec() }
    }
}

/// What some editors write before UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads lines that end in LF or CR LF.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
    /// The most bytes of a line that are held at once.
    limit: usize,
    /// Where a line that is too long may be cut; not at 0.
    cut: fn(&[u8]) -> Option<usize>,
    number: u64,
    offset: u64,
    /// How many bytes of the current line were given already; 0 at a line's beginning.
    before: u64,
    /// What was read: the first `given` bytes of it were given with the last call.
    buf: Vec<u8>,
    given: usize,
    /// Whether the last piece given ended its line.
    ended: bool,
}

impl Lines {
    pub(super) fn new(
        input: Box<dyn BufRead + Send>,
        limit: usize,
        cut: fn(&[u8]) -> Option<usize>,
    ) -> Self {
        let buf = Vec::new();
        Lines { input, limit, cut, number: 0, offset: 0, before: 0, buf, given: 0, ended: true }
    }

    /// How many bytes were given or skipped.
    pub(super) fn position(&self) -> u64 {
        self.offset + self.before + self.given as u64
    }

    /// The next line or piece.
    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        self.leave();
        let room = self.limit.saturating_sub(self.buf.len()) as u64;
        self.input.by_ref().take(room).read_until(b'\n', &mut self.buf)?;
        if self.buf.is_empty() && self.before == 0 {
            return Ok(Next::End);
        }
        if self.before == 0 {
            self.number += 1;
        }
        // Without a line end it is either the last line or too long.
        self.ended = self.buf.ends_with(b"\n") || self.buf.len() < self.limit;
        self.given = match (self.ended, (self.cut)(&self.buf)) {
            (true, _) => self.buf.len(),
            (false, Some(cut)) => cut.clamp(1, self.buf.len()),
            (false, None) => {
                self.skip()?;
                return Ok(Next::TooLong { number: self.number });
            }
        };
        let mut text = &self.buf[..self.given];
        if self.ended {
            text = text.strip_suffix(b"\n").unwrap_or(text);
            text = text.strip_suffix(b"\r").unwrap_or(text);
        }
        if self.offset == 0 && self.before == 0 {
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        Ok(Next::Line(Line {
            number: self.number,
            offset: self.offset,
            before: self.before,
            is_piece: !self.ended || self.before > 0,
            text,
        }))
    }

    /// Leaves behind what the last call gave.
    fn leave(&mut self) {
        self.before += self.given as u64;
        self.buf.drain(..self.given);
        self.given = 0;
        if self.ended {
            self.offset += self.before;
            self.before = 0;
        }
    }

    /// Skips the rest of the line.
    fn skip(&mut self) -> io::Result<()> {
        self.before += self.buf.len() as u64;
        self.buf.clear();
        self.ended = true;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let end = available.iter().position(|byte| *byte == b'\n');
            let size = end.map_or(available.len(), |end| end + 1);
            self.input.consume(size);
            self.before += size as u64;
            if end.is_some() || size == 0 {
                return Ok(());
            }
        }
    }
}

/// The lines of a head; the last, which the head may have cut, only if it is the only one.
pub(super) fn complete_lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = head.iter().rposition(|byte| *byte == b'\n').unwrap_or(head.len());
    head[..end].split(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Number, offset, bytes before, whether a piece, text; or the number of what was too long.
    type Seen = Result<(u64, u64, u64, bool, String), u64>;

    fn read(text: &str, limit: usize, cut: fn(&[u8]) -> Option<usize>) -> Vec<Seen> {
        let mut lines = Lines::new(Box::new(Cursor::new(text.to_owned())), limit, cut);
        let mut seen = Vec::new();
        loop {
            seen.push(match lines.next().unwrap() {
                Next::Line(line) => Ok((
                    line.number,
                    line.offset,
                    line.before,
                    line.is_piece,
                    String::from_utf8(line.text.to_vec()).unwrap(),
                )),
                Next::TooLong { number } => Err(number),
                Next::End => break,
            });
        }
        assert_eq!(lines.position(), text.len() as u64);
        seen
    }

    #[test]
    fn line_ends_and_offsets() {
        assert_eq!(
            read("\u{feff}a\r\n\nbc\nd", 100, |_| None),
            [
                Ok((1, 0, 0, false, "a".to_owned())),
                Ok((2, 6, 0, false, String::new())),
                Ok((3, 7, 0, false, "bc".to_owned())),
                Ok((4, 10, 0, false, "d".to_owned())),
            ]
        );
        assert_eq!(read("", 100, |_| None), []);
    }

    #[test]
    fn what_is_too_long_is_skipped_to_the_line_end() {
        assert_eq!(
            read("abcdefghij\nk\n0123456", 4, |_| None),
            [Err(1), Ok((2, 11, 0, false, "k".to_owned())), Err(3)]
        );
    }

    #[test]
    fn what_can_be_cut_comes_in_pieces() {
        let cut = |text: &[u8]| text.iter().rposition(|byte| *byte == b' ').map(|at| at + 1);
        assert_eq!(
            read("ab cd ef\ngh\n", 4, cut),
            [
                Ok((1, 0, 0, true, "ab ".to_owned())),
                Ok((1, 0, 3, true, "cd ".to_owned())),
                Ok((1, 0, 6, true, "ef".to_owned())),
                Ok((2, 9, 0, false, "gh".to_owned())),
            ]
        );
    }

    #[test]
    fn a_line_that_is_just_too_long_ends_in_an_empty_piece() {
        assert_eq!(
            read("abcd", 4, |text| Some(text.len())),
            [Ok((1, 0, 0, true, "abcd".to_owned())), Ok((1, 0, 4, true, String::new()))]
        );
    }
}
