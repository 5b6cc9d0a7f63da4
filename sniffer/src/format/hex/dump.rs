//! The lines of a hex dump with offsets and characters beside the bytes: `xxd`, `hexdump -C` and
//! their kin. Offsets and characters are no bytes of the wire, even where they look like hex.

use std::ops::Range;

use super::spelling::{Error, Parsed};
use crate::format::hex_digit;

/// A line of a dump.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DumpLine {
    /// The offset that the line begins with.
    pub(super) offset: u64,
    /// Where in the line the bytes are written.
    pub(super) bytes: Range<usize>,
}

/// Reads a line as one of a dump; `None` where it is none.
///
/// - `OFFSET: BYTES  CHARACTERS` (`xxd`, `tcpdump -X`): four digits or more with a colon and white
///   space behind them; the bytes end at the first two spaces.
/// - `OFFSET BYTES |CHARACTERS|` (`hexdump -C`): eight digits or more; the bytes end at the bar.
pub(super) fn parse(text: &[u8]) -> Option<DumpLine> {
    let start = text.len() - text.trim_ascii_start().len();
    let prefix = if text[start..].starts_with(b"0x") { 2 } else { 0 };
    let digits = start + prefix..end_of_digits(text, start + prefix);
    let offset = number(&text[digits.clone()])?;
    let is_space = |at: usize| text.get(at).is_none_or(u8::is_ascii_whitespace);
    if digits.len() >= 4 && text.get(digits.end) == Some(&b':') && is_space(digits.end + 1) {
        let from = skip_space(text, digits.end + 1);
        let gap = text[from..].windows(2).position(|two| two == b"  ");
        let to = gap.map_or(text.len(), |gap| from + gap);
        return Some(DumpLine { offset, bytes: from..to });
    }
    if digits.len() >= 8 && prefix == 0 && is_space(digits.end) {
        let bar = text[digits.end..].iter().position(|byte| *byte == b'|')?;
        return Some(DumpLine { offset, bytes: digits.end..digits.end + bar });
    }
    None
}

/// Whether a line is nothing but the offset at which a dump ends.
pub(super) fn is_end(text: &[u8], end: u64) -> bool {
    let text = text.trim_ascii();
    text.len() >= 7 && number(text) == Some(end)
}

/// A `*` between the lines of a dump.
pub(super) fn squeezed(text: &[u8]) -> Parsed {
    let what = "stands for lines of the dump that were left out because they are equal: dump \
                again, with `hexdump -v` or without `xxd -a`";
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

/// The value of up to 16 hex digits.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0, |sum, digit| Some(sum << 4 | u64::from(hex_digit(*digit)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Option<(u64, &str)> {
        parse(text.as_bytes()).map(|line| (line.offset, text[line.bytes].trim()))
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
    }

    #[test]
    fn hex_without_offsets_is_no_dump() {
        for text in ["f7:01:03", "f7010300a2da", "f7010300 a2da", "f7: 01", "", "|", "0x"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn the_end_of_a_dump() {
        assert!(is_end(b"00000026", 0x26));
        assert!(is_end(b"0000026\r", 0x26));
        assert!(!is_end(b"00000026", 0x27));
        assert!(!is_end(b"26", 0x26));
    }
}
