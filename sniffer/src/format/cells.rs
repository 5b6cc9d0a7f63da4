//! The cells of a line of a table, and bytes in a cell.

use std::borrow::Cow;

use crate::format::{hex_bytes, hex_digit};

/// The cells between the separators, trimmed; a quoted one may have separators in it, and quotes
/// that are written twice.
pub(super) fn cells(line: &str, separator: char) -> Vec<Cow<'_, str>> {
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let start = rest.trim_start_matches(' ');
        let (cell, after) = match start.strip_prefix('"').and_then(quoted) {
            // What stands between the quote and the separator is nobody's.
            Some((cell, after)) => (cell, after.find(separator).map(|at| &after[at..])),
            None => {
                let end = rest.find(separator);
                let cell = &rest[..end.unwrap_or(rest.len())];
                (Cow::Borrowed(cell.trim()), end.map(|at| &rest[at..]))
            }
        };
        cells.push(cell);
        match after {
            Some(after) => rest = &after[separator.len_utf8()..],
            None => return cells,
        }
    }
}

/// A text behind its first quote, and what comes behind its last; `None` without that.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('"')?;
        if text[at + 1..].starts_with('"') {
            from = at + 2;
            continue;
        }
        let cell = &text[..at];
        let cell = match cell.contains('"') {
            true => Cow::Owned(cell.replace("\"\"", "\"")),
            false => Cow::Borrowed(cell),
        };
        return Some((cell, &text[at + 1..]));
    }
}

/// The bytes that a text writes in hex, two digits each, and nothing else: `f70103`, `F7 01 03`,
/// `f7:01-03`, `0xF7, 0x01`, `\xf7\x01`, `[F7] [01]`. `None` for an empty one.
pub(super) fn spelled(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let is_between = |char: char| char.is_ascii_whitespace() || ",:;-\\[]`".contains(char);
    for word in text.split(is_between).filter(|word| !word.is_empty()) {
        let digits = ["0x", "0X", "x"].iter().find_map(|prefix| word.strip_prefix(prefix));
        bytes.extend(hex_bytes(digits.unwrap_or(word)).filter(|bytes| !bytes.is_empty())?);
    }
    (!bytes.is_empty()).then_some(bytes)
}

/// The bytes that a line of a dump begins with, pairs of digits with one space before each, up to
/// `most` of them. A wider space ends them: behind it they stand as characters.
pub(super) fn dumped(line: &str, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.trim_start().as_bytes();
    while let [high, low, after @ ..] = rest {
        let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) else { break };
        if bytes.len() == most || !matches!(after, [] | [b' ' | b'\t' | b'\r', ..]) {
            break;
        }
        bytes.push(high << 4 | low);
        rest = after.strip_prefix(b" ").unwrap_or_default();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cells_of_a_line() {
        assert_eq!(cells("a, b ,,\"c,\"\"d\" ,", ','), ["a", "b", "", "c,\"d", ""]);
        assert_eq!(cells("\"open,a", ','), ["\"open", "a"]);
        assert_eq!(cells("", ';'), [""]);
        assert_eq!(cells("\"a\"", ','), ["a"]);
    }

    #[test]
    fn bytes_of_a_cell() {
        let frame = [0xf7, 0x01, 0x03];
        for text in
            ["f70103", "F7 01 03", "f7:01:03", "0xF7, 0x01,0x03", "\\xf7\\x01\\x03", "[F7][01][03]"]
        {
            assert_eq!(spelled(text).as_deref(), Some(&frame[..]), "{text}");
        }
        for text in ["", " ", "f7 0", "0x", "f7 01 zz", "ok", "1.5"] {
            assert_eq!(spelled(text), None, "{text}");
        }
    }

    #[test]
    fn bytes_of_a_dump() {
        assert_eq!(dumped(" f7 01 03  ab cd", 99), [0xf7, 0x01, 0x03]);
        assert_eq!(dumped("    f7 01\t..", 99), [0xf7, 0x01]);
        assert_eq!(dumped(" f7 01 03", 2), [0xf7, 0x01]);
        assert_eq!(dumped("f7 0103", 99), [0xf7]);
        assert!(dumped("no", 99).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[a-f0-9x \",;\\\\\u{e4}]{0,40}") {
            cells(&text, ',');
            spelled(&text);
            dumped(&text, 9);
        }

        #[test]
        fn what_is_quoted_is_read(texts in proptest::collection::vec("[a \",;x]{0,6}", 1..5)) {
            let quoted = |text: &String| format!("\"{}\"", text.replace('"', "\"\""));
            let line = texts.iter().map(quoted).collect::<Vec<_>>().join(";");
            prop_assert_eq!(cells(&line, ';'), texts);
        }
    }
}
