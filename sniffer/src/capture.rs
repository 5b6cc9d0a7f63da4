//! What a capture format is, and which one an input is in.
//!
//! Formats are told apart by content, never by a file's name. The list of formats is passed in, so
//! that one which lives elsewhere can be added to [`format::ALL`](crate::format::ALL).

use std::io::{self, BufRead, BufReader, Cursor, Read};

use k485_proto::deframer::{Span, spans};
use k485_proto::record::{Complaint, Record};

use crate::format::compressed::Packing;

/// What a reader gives: records in the order of the source, and complaints between them.
pub type Reading = Box<dyn Iterator<Item = Result<Record, Complaint>> + Send>;

/// A capture format.
pub trait Format: Sync {
    /// Its name, one lower-case word.
    fn name(&self) -> &'static str;

    /// How likely an input that begins with `head` is in this format. `head` is never empty; it is
    /// the whole input, or its first [`HEAD_SIZE`] bytes or more, or what came of a slow one so
    /// far: then only [`Likelihood::Sure`] counts, and so it must hold whatever follows.
    fn detect(&self, head: &[u8]) -> Likelihood;

    /// The records of an input in this format. `name` is the input's name for complaints: a file's
    /// path, or what stands for it. Nothing is read before the first call of `next`.
    fn read(&self, name: &str, input: Box<dyn BufRead + Send>) -> Reading;
}

/// How likely an input is in a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likelihood {
    /// It is not, or it cannot be told from something that is no capture at all.
    No,
    /// It can be read as this format, and no other needs to claim it first.
    Maybe,
    /// It has what only this format has.
    Sure,
}

/// How much of an input's beginning the detection looks at, in bytes.
pub const HEAD_SIZE: usize = 4096;

/// Why the format of an input is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undetected {
    /// There is not a single byte.
    #[error("the input is empty: there is nothing to read")]
    Empty,
    /// UTF-16, as some Windows shells write what is redirected into a file.
    #[error("the input is UTF-16 text: convert it to UTF-8 first (iconv -f UTF-16 -t UTF-8)")]
    Utf16,
    /// Text, but no capture in it.
    #[error(
        "text in no known capture format: check that this is the right file, or name its format with --from"
    )]
    Text,
    /// Not text, and claimed by no format.
    #[error(
        "no known capture format: check that this is the right file, or name its format with --from"
    )]
    Unknown,
}

/// The format that is the most likely for an input which begins with `head`; the first of them in
/// `formats` where several are.
///
/// # Errors
/// [`Undetected`] where `head` is empty or no format claims it.
pub fn detect<'f>(formats: &[&'f dyn Format], head: &[u8]) -> Result<&'f dyn Format, Undetected> {
    most_likely(formats, head).map(|(_, format)| format)
}

fn most_likely<'f>(
    formats: &[&'f dyn Format],
    head: &[u8],
) -> Result<(Likelihood, &'f dyn Format), Undetected> {
    if head.is_empty() {
        return Err(Undetected::Empty);
    }
    if is_utf16(head) {
        return Err(Undetected::Utf16);
    }
    let mut best = None;
    for format in formats {
        let likelihood = format.detect(head);
        if likelihood > best.map_or(Likelihood::No, |(most, _)| most) {
            best = Some((likelihood, *format));
        }
    }
    best.ok_or(if is_text(head) { Undetected::Text } else { Undetected::Unknown })
}

/// Why an input could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its beginning could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its format is not known.
    #[error(transparent)]
    Undetected(#[from] Undetected),
}

/// Finds the format of `input` and reads it from its first byte on, whether it can seek or not;
/// what is packed is unpacked first ([`unpacked`]).
///
/// Takes [`HEAD_SIZE`] bytes before the first record, or fewer if the input ends or a format is
/// sure before: a pipe that gives little at a time is not waited for longer than needed.
///
/// # Errors
/// [`OpenError`] where the beginning cannot be read or is in no known format.
pub fn open<'f>(
    formats: &[&'f dyn Format],
    name: &str,
    input: Box<dyn Read + Send>,
) -> Result<(&'f dyn Format, Reading), OpenError> {
    let input = unpacked(input)?;
    let (head, input) = peek(input, HEAD_SIZE, |head| {
        matches!(most_likely(formats, head), Ok((Likelihood::Sure, _)))
    })?;
    let format = detect(formats, &head)?;
    let whole = BufReader::new(Cursor::new(head).chain(input));
    Ok((format, format.read(name, Box::new(whole))))
}

/// The input, or what it holds if it begins as gzip or zstd does.
///
/// # Errors
/// Where its beginning cannot be read.
pub fn unpacked(input: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    // Most inputs show by their first byte that they are not packed.
    let is_clear = |head: &[u8]| !matches!(head, [0x1f | 0x28 | 0x50..=0x5f, ..]);
    let (head, input) = peek(input, Packing::HEAD, is_clear)?;
    let packing = Packing::of_head(&head);
    let whole = Cursor::new(head).chain(input);
    match packing {
        Some(packing) => packing.reader(whole),
        None => Ok(Box::new(whole)),
    }
}

/// Reads up to `size` bytes, or until `enough` says so; gives them and what follows them. An error
/// behind the first byte is left for whoever reads on.
fn peek(
    mut input: Box<dyn Read + Send>,
    size: usize,
    enough: impl Fn(&[u8]) -> bool,
) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut head = vec![0; size];
    let mut have = 0;
    while have < head.len() {
        match input.read(&mut head[have..]) {
            Ok(0) => break,
            Ok(more) => have += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if have == 0 => return Err(error),
            Err(error) => {
                input = Box::new(Failing(Some(error)));
                break;
            }
        }
        if enough(&head[..have]) {
            break;
        }
    }
    head.truncate(have);
    Ok((head, input))
}

/// Fails once, as the input did that it stands for.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Whether bytes are text: UTF-8 (a character may be cut at the end) without control characters
/// but white space and escape.
#[must_use]
pub fn is_text(bytes: &[u8]) -> bool {
    odd_bytes(bytes) == 0
}

/// Whether bytes look like those of a wire rather than like a text with a few odd characters: not
/// text, and either a frame is in it or more than one byte in twenty cannot be in a text.
pub(crate) fn is_wire(bytes: &[u8]) -> bool {
    let odd = odd_bytes(bytes);
    odd > 0
        && !is_utf16(bytes)
        && (odd * 20 > bytes.len() || spans(bytes).any(|span| matches!(span, Span::Frame { .. })))
}

/// How many bytes are no part of a text.
fn odd_bytes(bytes: &[u8]) -> usize {
    let mut odd = 0;
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        let controls = chunk.valid().bytes().filter(|byte| byte.is_ascii_control());
        odd += controls.filter(|byte| !b"\t\n\r\x0c\x1b".contains(byte)).count();
        let cut = chunks.peek().is_none() && is_cut_character(chunk.invalid());
        odd += if cut { 0 } else { chunk.invalid().len() };
    }
    odd
}

/// Whether bytes at the end of a head are the beginning of a character.
fn is_cut_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Whether a text's byte order mark and its zeros say UTF-16, or the zeros alone do: one beside
/// every character of ASCII, and nothing else.
#[must_use]
pub fn is_utf16(bytes: &[u8]) -> bool {
    let high = match bytes {
        [0xff, 0xfe, rest @ ..] => rest.get(1..),
        [0xfe, 0xff, rest @ ..] => Some(rest),
        _ => {
            let (pairs, _) = bytes.as_chunks::<2>();
            let is_ascii = |byte: u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
            let is = |pair: &[u8; 2], low: usize| is_ascii(pair[low]) && pair[1 - low] == 0;
            let all = |low| pairs.len() >= 3 && pairs.iter().all(|pair| is(pair, low));
            return all(0) || all(1);
        }
    };
    high.is_some_and(|high| {
        let high: Vec<_> = high.iter().step_by(2).collect();
        !high.is_empty() && high.iter().filter(|byte| ***byte == 0).count() * 2 > high.len()
    })
}

/// A complaint about one place that is skipped.
pub(crate) fn skipped(place: String, what: impl Into<String>) -> Complaint {
    Complaint { place, what: what.into(), fatal: false }
}

/// The complaint that ends a reading.
pub(crate) fn broken_off(name: &str, offset: u64, error: &io::Error) -> Complaint {
    Complaint {
        place: format!("{name} at byte {offset}"),
        what: format!("cannot read on: {error}"),
        fatal: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::ALL;

    fn name(head: &[u8]) -> Result<&'static str, Undetected> {
        detect(ALL, head).map(|format| format.name())
    }

    #[test]
    fn formats_are_told_apart_by_content() {
        assert_eq!(name(b"< 0xf7 (M-w)\n> \t0x01 ([SOH])\n"), Ok("interceptty"));
        assert_eq!(name(b"f7 01 03 ff 0a 5c\n"), Ok("hex"));
        assert_eq!(name(&[0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c]), Ok("raw"));
        assert_eq!(name(b"(1.5) bus0 > f70103ff0a5c\n"), Ok("log"));
        assert_eq!(name(b"(1.5) f7 0103ff0a5c\n"), Ok("hex"));
        assert_eq!(name(b"{\"type\": \"frame\", \"v\": 1}\n"), Ok("jsonl"));
        assert_eq!(name(b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a"), Ok("pcapng"));
        assert_eq!(name(b"\x4d\x3c\xb2\xa1\x02\0\x04\0"), Ok("pcap"));
    }

    #[test]
    fn what_is_no_capture_says_why() {
        assert_eq!(name(b""), Err(Undetected::Empty));
        assert_eq!(name(b"# A tool\n\nIt decodes the bus.\n"), Err(Undetected::Text));
        assert_eq!(name(b"[INFO] 2025-01-01 started\n[INFO] done\n"), Err(Undetected::Text));
        assert_eq!(name(b"{\"type\": \"call\", \"id\": 1}\n"), Err(Undetected::Text));
        assert_eq!(name(b"\n \n"), Err(Undetected::Text));
        assert_eq!(name(b"\xff\xfef\x007\x00 \x000\x00"), Err(Undetected::Utf16));
        assert_eq!(name(b"f\x007\x00 \x000\x001\x00 \x000\x003\x00"), Err(Undetected::Utf16));
        // A text in an old encoding is no wire, although it is not UTF-8.
        let latin1 = b"Der Drucker h\xe4lt nicht an, und niemand wei\xdf, warum das so ist.\n";
        assert_eq!(name(latin1), Err(Undetected::Unknown));
    }

    #[test]
    fn a_character_that_the_head_cuts_is_text() {
        assert!(is_text("grün".as_bytes()));
        assert!(is_text(&"grün".as_bytes()[..3]));
        assert!(!is_text(b"gr\xc3n"));
        assert!(!is_text(b"a\0"));
    }

    /// Gives one byte a read, then waits for ever (here: panics).
    struct Trickle(Vec<u8>);

    impl Read for Trickle {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            buf[0] = self.0.remove(0);
            Ok(1)
        }
    }

    #[test]
    fn a_slow_pipe_is_read_no_further_than_needed() {
        let input = Trickle(b"f7 01 03 ff 0a 5c".to_vec());
        let (format, _) = open(ALL, "-", Box::new(input)).unwrap();
        assert_eq!(format.name(), "hex");
    }

    #[test]
    fn what_is_packed_is_read_and_where_it_breaks_off_is_said() {
        use std::io::Write;
        for packing in [Packing::Gzip, Packing::Zstd] {
            let mut packer = packing.writer(Vec::new()).unwrap();
            packer.write_all(b"f7 01 03 ff 0a 5c\n").unwrap();
            let mut packed = packer.finish().unwrap();
            let input = Box::new(Cursor::new(packed.clone()));
            let (format, mut records) = open(ALL, "a.gz", input).unwrap();
            assert_eq!(format.name(), "hex");
            assert_eq!(records.next().unwrap().unwrap().bytes.len(), 6);
            assert!(records.next().is_none());
            // Without the end: what is there, then the place.
            packed.truncate(packed.len() - 3);
            let size = packed.len();
            let (_, records) = open(ALL, "a.gz", Box::new(Cursor::new(packed))).unwrap();
            let got: Vec<_> = records.collect();
            let last = got.last().unwrap().as_ref().unwrap_err();
            assert!(last.fatal);
            let end = format!("is cut off: the file ends at byte {size}");
            assert!(last.what.ends_with(&end), "{last}");
        }
    }

    #[test]
    fn opening_loses_nothing() {
        let wire = [0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c].repeat(2000);
        let (format, records) = open(ALL, "-", Box::new(Cursor::new(wire.clone()))).unwrap();
        assert_eq!(format.name(), "raw");
        let bytes: Vec<u8> = records.flat_map(|record| record.unwrap().bytes).collect();
        assert_eq!(bytes, wire);
        let Err(error) = open(ALL, "-", Box::new(io::empty())) else { panic!("opened") };
        assert!(matches!(error, OpenError::Undetected(Undetected::Empty)));
    }
}
