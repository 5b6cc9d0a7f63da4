//! Lines of a text in bounded memory.

use std::io::{self, BufRead, ErrorKind};

use memchr::memchr;

/// What [`Lines::advance`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A line; [`Lines::bytes`] has it.
    Line,
    /// A line of so many bytes that is longer than the limit; it was skipped.
    TooLong(u64),
    /// The end of the text.
    End,
}

/// Takes a text apart into lines of at most `limit` bytes, and knows where each began.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    limit: usize,
    buf: Vec<u8>,
    number: u64,
    offset: u64,
    next: u64,
    ended: bool,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R, limit: usize) -> Self {
        Lines { input, limit, buf: Vec::new(), number: 0, offset: 0, next: 0, ended: false }
    }

    /// What was not read yet.
    pub(crate) fn into_input(self) -> R {
        self.input
    }

    /// The number of the line, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Where the line begins, in bytes from the start.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether a newline ended the line; the last one may lack it.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// The line without its end (LF or CR LF), and the first one without a byte order mark.
    pub(crate) fn bytes(&self) -> &[u8] {
        let line = self.buf.strip_suffix(b"\r").unwrap_or(&self.buf);
        match line.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if self.number == 1 => rest,
            _ => line,
        }
    }

    /// Puts another text in the line's place.
    pub(crate) fn replace(&mut self, line: Vec<u8>) {
        self.buf = line;
    }

    /// Goes to the next line.
    pub(crate) fn advance(&mut self) -> io::Result<Step> {
        self.buf.clear();
        self.offset = self.next;
        self.number += 1;
        self.ended = false;
        let mut size = 0;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            let end = memchr(b'\n', chunk);
            let part = &chunk[..end.unwrap_or(chunk.len())];
            size += part.len() as u64;
            if size <= self.limit as u64 {
                self.buf.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            self.next += used as u64;
            if end.is_some() {
                self.ended = true;
                break;
            }
        }
        Ok(if size > self.limit as u64 {
            self.buf.clear();
            Step::TooLong(size)
        } else if size == 0 && !self.ended {
            Step::End
        } else {
            Step::Line
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    type Seen = (Step, u64, u64, bool, Vec<u8>);

    fn all(text: &[u8], limit: usize, chunk: usize) -> Vec<Seen> {
        let mut lines = Lines::new(BufReader::with_capacity(chunk, text), limit);
        let mut seen = Vec::new();
        loop {
            let step = lines.advance().unwrap();
            if step == Step::End {
                return seen;
            }
            seen.push((step, lines.number(), lines.offset(), lines.ended(), lines.bytes().into()));
        }
    }

    #[test]
    fn line_ends_bom_and_offsets_in_any_chunking() {
        let text = b"\xef\xbb\xbfab\r\n\nlonger\n\xef\xbb\xbfc";
        for chunk in 1..=text.len() {
            assert_eq!(
                all(text, 6, chunk),
                [
                    (Step::Line, 1, 0, true, b"ab".to_vec()),
                    (Step::Line, 2, 7, true, vec![]),
                    (Step::Line, 3, 8, true, b"longer".to_vec()),
                    (Step::Line, 4, 15, false, b"\xef\xbb\xbfc".to_vec()),
                ]
            );
        }
    }

    #[test]
    fn a_long_line_is_skipped_whole() {
        for chunk in 1..=12 {
            assert_eq!(
                all(b"1234567\nab\n12345678", 6, chunk),
                [
                    (Step::TooLong(7), 1, 0, true, vec![]),
                    (Step::Line, 2, 8, true, b"ab".to_vec()),
                    (Step::TooLong(8), 3, 11, false, vec![]),
                ]
            );
        }
        assert_eq!(all(b"", 6, 1), []);
    }
}
