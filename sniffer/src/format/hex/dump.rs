//! The lines of a hex dump with offsets and characters beside the bytes: `xxd`, `hexdump`, `od`,
//! Wireshark and their kin. Offsets and characters are no bytes of the wire, even where they look
//! like hex.
//!
//! | line | of | its offset is |
//! | --- | --- | --- |
//! | `OFFSET: BYTES  CHARACTERS` | `xxd`, `tcpdump -X` | hex, or decimal (`xxd -d`) |
//! | `OFFSET BYTES \|CHARACTERS\|` | `hexdump -C` | hex |
//! | `OFFSET BYTES`, then maybe characters | `od`, Wireshark, `text2pcap`, `hexdump` | hex, octal or decimal |
//!
//! Which it is, the lines tell by how far they are apart. A line of the last kind could be bytes
//! as well: it counts where it goes on in a dump, where the line behind it does so, or, with the
//! offset 0, by its form alone.

use std::ops::Range;

use super::spelling::{self, Error, Parsed};
use crate::format::hex_digit;

/// A line of a dump.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DumpLine {
    mark: Mark,
    /// Where in the line the offset's digits are.
    digits: Range<usize>,
    offset: Offset,
    /// Where in the line the bytes are written.
    bytes: Range<usize>,
    groups: Groups,
}

/// What makes a line one of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Colon,
    Bar,
    /// Nothing but its offset.
    None,
}

/// How a line's bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Groups {
    /// In their order.
    Bytes,
    /// As numbers of so many bytes, the lowest byte last.
    Numbers(usize),
    /// As eight bits each.
    Bits,
    /// In a way that is not read.
    Other,
}

/// An offset in each base that its digits allow: 16, 10, 8.
type Offset = [Option<u64>; 3];

const BASES: [u64; 3] = [16, 10, 8];

/// How many digits `hexdump` and `od` write; no count of whole bytes.
const ODD_WIDTH: usize = 7;

/// Where a dump goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dump {
    mark: Mark,
    /// How many digits its offsets have.
    width: usize,
    /// Behind the bytes of the last line, in each base that is not ruled out.
    next: Offset,
    /// Whether it was seen to be of numbers with their lowest byte last, with a colon (`xxd -e`).
    is_swapped: bool,
}

/// Reads a line as one of a dump that shows as such; `None` where it does not.
///
/// Before a colon are four digits or more, and white space behind it; the bytes end at the first
/// two spaces. Before bytes with a bar behind them are eight digits or more.
pub(super) fn marked(text: &[u8]) -> Option<DumpLine> {
    let start = skip_space(text, 0);
    let prefix = if text[start..].starts_with(b"0x") { 2 } else { 0 };
    let digits = start + prefix..end_of_digits(text, start + prefix);
    let mut offset = offset(&text[digits.clone()])?;
    let is_space = |at: usize| text.get(at).is_none_or(u8::is_ascii_whitespace);
    if digits.len() >= 4 && text.get(digits.end) == Some(&b':') && is_space(digits.end + 1) {
        let from = skip_space(text, digits.end + 1);
        let gap = text[from..].windows(2).position(|two| two == b"  ");
        let to = gap.map_or(text.len(), |gap| from + gap);
        let bytes = from..to;
        // No tool writes octal there, and only `xxd -d` decimal.
        offset = [offset[0], offset[1].filter(|_| prefix == 0), None];
        let groups = match is_bits(text, &bytes) {
            true => Groups::Bits,
            false => Groups::Bytes,
        };
        return Some(DumpLine { mark: Mark::Colon, digits, offset, bytes, groups });
    }
    if digits.len() >= 8 && prefix == 0 && is_space(digits.end) {
        let bar = text[digits.end..].iter().position(|byte| *byte == b'|')?;
        let bytes = digits.end..digits.end + bar;
        offset = [offset[0], None, None];
        return Some(DumpLine { mark: Mark::Bar, digits, offset, bytes, groups: Groups::Bytes });
    }
    None
}

/// Reads a line as one that has the form of a dump's with nothing to mark it: an offset of four
/// digits or more, then groups of digits of one width, then nothing or characters.
pub(super) fn unmarked(text: &[u8]) -> Option<DumpLine> {
    let start = skip_space(text, 0);
    let digits = start..end_of_digits(text, start);
    if digits.len() < 4 || !text.get(digits.end).is_some_and(u8::is_ascii_whitespace) {
        return None;
    }
    let offset = offset(&text[digits.clone()])?;
    let from = skip_space(text, digits.end);
    let width = end_of_digits(text, from) - from;
    if width == 0 {
        return None;
    }
    let (mut to, mut at, mut most) = (from, from, None);
    loop {
        let end = end_of_digits(text, at);
        let gap = at - to;
        if end - at != width || !text.get(end).is_none_or(u8::is_ascii_whitespace) {
            // Characters stand apart, or in angle brackets.
            let is_apart = at >= text.len() || gap >= 2 || text[at..].starts_with(b">");
            return (to > from && is_apart).then(|| plain(text, digits, offset, from..to, width));
        }
        // Characters that look like a group are further away than the groups are from each other,
        // and these at most one space more than the first two, in the middle of a line.
        let first = if width == 2 { 2 } else { 4 };
        if to > from && gap > most.map_or(first, |most: usize| most + 1) {
            return Some(plain(text, digits, offset, from..to, width));
        }
        if to > from {
            most = most.or(Some(gap));
        }
        to = end;
        at = skip_space(text, end);
    }
}

fn plain(
    text: &[u8],
    digits: Range<usize>,
    offset: Offset,
    bytes: Range<usize>,
    width: usize,
) -> DumpLine {
    let groups = match width {
        2 => Groups::Bytes,
        4 | 8 | 16 => Groups::Numbers(width / 2),
        _ => Groups::Other,
    };
    debug_assert!(bytes.end <= text.len());
    DumpLine { mark: Mark::None, digits, offset, bytes, groups }
}

impl DumpLine {
    /// Whether it is one of the dump that the lines before it are of.
    ///
    /// Without a mark, it goes on there, or begins again, or leaves something out.
    pub(super) fn is_of(&self, dump: &Dump) -> bool {
        let is_alike = (self.mark, self.digits.len()) == (dump.mark, dump.width);
        is_alike && (self.is_first() || dump.steps(self).is_some() || self.is_behind(dump))
    }

    fn is_behind(&self, dump: &Dump) -> bool {
        let pairs = self.offset.iter().zip(&dump.next);
        pairs.into_iter().any(|pair| matches!(pair, (Some(this), Some(next)) if this > next))
    }

    /// Whether it is one of a dump although nothing comes before it: `next` is the line behind it.
    pub(super) fn begins(&self, text: &[u8], next: Option<&[u8]>) -> bool {
        if self.mark != Mark::None {
            return true;
        }
        let dump = Dump::behind(text, self, None, None);
        let next = next.unwrap_or_default();
        if dump.is_end(next) {
            return true;
        }
        // Words and longer numbers could as well be bytes without spaces between them.
        let alone =
            self.is_first() && (self.groups == Groups::Bytes || self.digits.len() == ODD_WIDTH);
        match unmarked(next) {
            Some(next) if next.digits.len() == dump.width => {
                dump.steps(&next).is_some() || (alone && next.is_first())
            }
            _ => alone,
        }
    }

    fn is_colon(&self) -> bool {
        (self.mark, self.groups) == (Mark::Colon, Groups::Bytes)
    }

    /// Whether it is one beyond doubt, by the width of its offset.
    pub(super) fn is_clear(&self) -> bool {
        self.digits.len() >= ODD_WIDTH
    }

    fn is_first(&self) -> bool {
        self.offset[0] == Some(0)
    }

    /// How many bytes are written there.
    fn size(&self, text: &[u8]) -> u64 {
        let digits = text[self.bytes.clone()].iter().filter(|byte| byte.is_ascii_hexdigit());
        let digits = digits.count() as u64;
        match self.groups {
            Groups::Bits => digits / 8,
            // `od` writes two bytes as six octal digits.
            Groups::Other if digits.is_multiple_of(6) => digits / 3,
            _ => digits / 2,
        }
    }

    /// Its bytes. `next` is the line behind it, which may tell that the last number is filled up.
    pub(super) fn parse(&self, text: &[u8], dump: Option<&Dump>, next: Option<&[u8]>) -> Parsed {
        let written = &text[self.bytes.clone()];
        let groups = written.split(u8::is_ascii_whitespace).filter(|group| !group.is_empty());
        let mut bytes: Vec<u8> = match self.groups {
            Groups::Bytes if self.is_colon() && self.is_swapped(text, dump) => {
                let what = "is a dump of numbers with their lowest byte last (`xxd -e`): dump again \
                            without -e";
                return self.refused(text, what);
            }
            Groups::Bytes => return spelling::parse_bytes(text, self.bytes.clone()),
            Groups::Numbers(_) => groups.flat_map(little_endian).collect(),
            Groups::Bits => groups.map(bits).collect(),
            Groups::Other => {
                let what = "is a dump of numbers that are not in hex, or not of whole bytes: dump \
                            again with `xxd`, `hexdump -C` or `od -t x1`";
                return self.refused(text, what);
            }
        };
        if let Groups::Numbers(size) = self.groups {
            // In the bases that the lines before have left.
            let bases = dump.and_then(|dump| dump.steps(self)).unwrap_or([true; 3]);
            let mut offset = self.offset;
            offset.iter_mut().zip(bases).for_each(|(offset, stays)| {
                *offset = offset.filter(|_| stays);
            });
            let end = next.and_then(|next| end_between(offset, next, bytes.len(), size));
            bytes.truncate(end.unwrap_or(bytes.len()));
        }
        let ends = vec![bytes.len()];
        Parsed { bytes, ends, ..Parsed::default() }
    }

    fn refused(&self, text: &[u8], what: &str) -> Parsed {
        let what = format!("this {what}");
        let error = Error { start: self.digits.start, end: text.len(), what };
        Parsed { error: Some(error), ..Parsed::default() }
    }

    /// Whether its groups are numbers with their lowest byte last, with a colon before them: the
    /// characters beside them tell, or a head at the beginning.
    fn is_swapped(&self, text: &[u8], dump: Option<&Dump>) -> bool {
        if let Some(dump) = dump.filter(|dump| dump.is_swapped && !self.is_first()) {
            return dump.is_swapped;
        }
        let written = &text[self.bytes.clone()];
        let groups: Vec<_> = written.split(|byte| *byte == b' ').collect();
        let width = groups[0].len();
        let is_number =
            |group: &&[u8]| group.len() == width && group.iter().all(u8::is_ascii_hexdigit);
        if !matches!(width, 4 | 8 | 16) || !groups.iter().all(is_number) {
            return false;
        }
        let straight: Vec<u8> =
            groups.iter().flat_map(|group| little_endian(group).rev()).collect();
        let swapped: Vec<u8> = groups.iter().flat_map(|group| little_endian(group)).collect();
        let tail = &text[self.bytes.end..];
        if let Some(characters) = characters(tail, straight.len()) {
            let fits = |bytes: &[u8]| {
                bytes.iter().zip(characters).all(|(byte, character)| {
                    *character == if (b' '..=b'~').contains(byte) { *byte } else { b'.' }
                })
            };
            if fits(&straight) != fits(&swapped) {
                return fits(&swapped);
            }
        }
        width > 4 && self.is_first() && swapped[0] == 0xf7 && straight[0] != 0xf7
    }
}

/// The characters of so many bytes, at a line's end.
fn characters(tail: &[u8], size: usize) -> Option<&[u8]> {
    let start = tail.len().checked_sub(size).filter(|start| *start >= 2)?;
    Some(&tail[start..])
}

impl Dump {
    /// Behind a line, of which so many bytes could be read, if not all.
    pub(super) fn behind(
        text: &[u8],
        line: &DumpLine,
        read: Option<usize>,
        before: Option<&Dump>,
    ) -> Dump {
        let size = read.map_or_else(|| line.size(text), |read| read as u64);
        let known =
            before.filter(|before| (before.mark, before.width) == (line.mark, line.digits.len()));
        // Bases that were ruled out stay so.
        let bases = match known.map(|dump| (dump.steps(line), dump)) {
            Some((Some(bases), _)) => bases,
            Some((None, dump)) => dump.next.map(|next| next.is_some()),
            None => [true; 3],
        };
        let mut next = line.offset;
        for (next, stays) in next.iter_mut().zip(bases) {
            *next = next.filter(|_| stays).map(|offset| offset.saturating_add(size));
        }
        if next == [None; 3] {
            next = line.offset.map(|offset| Some(offset?.saturating_add(size)));
        }
        let is_swapped = line.is_colon() && line.is_swapped(text, known);
        Dump { mark: line.mark, width: line.digits.len(), next, is_swapped }
    }

    /// In which bases the line goes on just where this ends; `None` for no base.
    fn steps(&self, line: &DumpLine) -> Option<[bool; 3]> {
        let mut bases = [false; 3];
        for (at, (next, offset)) in self.next.iter().zip(line.offset).enumerate() {
            bases[at] = offset.is_some() && offset == *next;
        }
        bases.contains(&true).then_some(bases)
    }

    /// Whether the line leaves nothing out.
    pub(super) fn goes_on(&self, line: &DumpLine) -> bool {
        self.steps(line).is_some()
    }

    /// Whether a line is nothing but the offset at which the dump ends.
    pub(super) fn is_end(&self, text: &[u8]) -> bool {
        let text = text.trim_ascii();
        let is_long = text.len() >= ODD_WIDTH || (text.len() == self.width && self.width >= 6);
        let offset = if is_long { offset(text) } else { None };
        offset.is_some_and(|offset| {
            let pairs = offset.into_iter().zip(self.next);
            // The last number may have been filled up.
            let is_next = |this: u64, next: u64| {
                this == next || (self.mark == Mark::None && this < next && next - this < 8)
            };
            pairs
                .into_iter()
                .any(|pair| matches!(pair, (Some(this), Some(next)) if is_next(this, next)))
        })
    }
}

/// How many of a line's bytes there are where `end` is a dump's end that cuts its last number.
fn end_between(offset: Offset, end: &[u8], size: usize, number: usize) -> Option<usize> {
    let end = end.trim_ascii();
    let end = if end.len() >= 6 { self::offset(end)? } else { return None };
    let sizes = offset.into_iter().zip(end).filter_map(|pair| match pair {
        (Some(from), Some(to)) => usize::try_from(to.checked_sub(from)?).ok(),
        _ => None,
    });
    sizes.into_iter().find(|have| *have <= size && size - have < number)
}

/// Whether groups are the bits of one byte each: eight zeros and ones, and not four characters for
/// each behind them.
fn is_bits(text: &[u8], bytes: &Range<usize>) -> bool {
    let mut groups = text[bytes.clone()].split(u8::is_ascii_whitespace).peekable();
    let is_byte = |group: &[u8]| group.len() == 8 && group.iter().all(|bit| b"01".contains(bit));
    let mut count = 0;
    let all = groups.by_ref().all(|group| {
        count += 1;
        is_byte(group)
    });
    all && text[bytes.end..].trim_ascii_start().len() <= count
}

/// The bytes of a group of an even number of digits, the last first.
fn little_endian(group: &[u8]) -> impl DoubleEndedIterator<Item = u8> {
    let digit = |digit: u8| hex_digit(digit).unwrap_or(0);
    group.chunks_exact(2).rev().map(move |pair| digit(pair[0]) << 4 | digit(pair[1]))
}

fn bits(group: &[u8]) -> u8 {
    group.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit == b'1'))
}

/// A `*` between the lines of a dump.
pub(super) fn squeezed(text: &[u8]) -> Parsed {
    let what = "stands for lines of the dump that were left out because they are equal: dump \
                again, with `hexdump -v`, `od -v` or without `xxd -a`";
    let what = format!("`*` {what}");
    Parsed { error: Some(Error { start: 0, end: text.len(), what }), ..Parsed::default() }
}

fn end_of_digits(text: &[u8], start: usize) -> usize {
    let digits = text[start..].iter().take_while(|byte| byte.is_ascii_hexdigit());
    start + digits.count()
}

fn skip_space(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    text.len() - rest.trim_ascii_start().len()
}

/// The value of up to 16 digits in each base; `None` where they are none of hex.
fn offset(digits: &[u8]) -> Option<Offset> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let of_base = |base: u64| {
        digits.iter().try_fold(0u64, |sum, digit| {
            let digit = u64::from(hex_digit(*digit)?);
            (digit < base).then(|| sum.wrapping_mul(base).wrapping_add(digit))
        })
    };
    let offset = BASES.map(of_base);
    offset[0].is_some().then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Option<(u64, &str)> {
        marked(text.as_bytes()).map(|line| (line.offset[0].unwrap(), text[line.bytes].trim()))
    }

    fn plain(text: &str) -> Option<(Offset, &str)> {
        unmarked(text.as_bytes()).map(|line| (line.offset, &text[line.bytes]))
    }

    #[test]
    fn offset_and_characters_are_left_out() {
        assert_eq!(
            bytes("00000010: f701 03ff 0a5c 2020 6162                 ......  ab"),
            Some((16, "f701 03ff 0a5c 2020 6162"))
        );
        assert_eq!(
            bytes("000000a0  f7 01 03 ff 0a 5c 7c 20  61 62  |.....\\| ab|"),
            Some((160, "f7 01 03 ff 0a 5c 7c 20  61 62"))
        );
        assert_eq!(bytes("\t0x0020:  f701 03ff  ...."), Some((32, "f701 03ff")));
        assert_eq!(bytes("00000000: f7"), Some((0, "f7")));
        assert_eq!(bytes("00000000:"), Some((0, "")));
        assert_eq!(
            plain("0010   f7 01 03 ff 0a 5c f7 01  07 00   ab cd"),
            Some(([Some(16), Some(10), Some(8)], "f7 01 03 ff 0a 5c f7 01  07 00"))
        );
        assert_eq!(plain("00a0  f7      ab"), Some(([Some(160), None, None], "f7")));
        assert_eq!(plain("000010 f7 01  >..<"), Some(([Some(16), Some(10), Some(8)], "f7 01")));
        let od = "0000020   f7  01  03";
        assert_eq!(plain(od), Some(([Some(32), Some(20), Some(16)], "f7  01  03")));
    }

    #[test]
    fn hex_without_offsets_is_no_dump() {
        for text in ["f7:01:03", "f7010300a2da", "f7010300 a2da", "f7: 01", "", "|", "0x"] {
            assert_eq!(bytes(text), None, "{text}");
        }
        for text in
            ["f7 01 03", "0000", "0000 f7 01 0003", "0000 f7 01 # 5", "0000:f7", "f701,03", "0000 "]
        {
            assert_eq!(plain(text), None, "{text}");
        }
    }

    #[test]
    fn the_end_of_a_dump() {
        let end = |dump: &str, end: &str| {
            let line = marked(dump.as_bytes()).or_else(|| unmarked(dump.as_bytes())).unwrap();
            Dump::behind(dump.as_bytes(), &line, None, None).is_end(end.as_bytes())
        };
        assert!(end("00000020  f7 01 03 ff 0a 5c |......|", "00000026"));
        assert!(end("00000020  f7 01 03 ff 0a 5c |......|", "0000026\r"));
        assert!(!end("00000020  f7 01 03 ff 0a 5c |......|", "00000027"));
        assert!(!end("00000020  f7 01 03 ff 0a 5c |......|", "26"));
        assert!(end("0000020  f7 01 03", "0000023"));
        assert!(end("0000020  f701 0003", "0000023"));
    }
}
