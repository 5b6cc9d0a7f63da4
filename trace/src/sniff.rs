//! Telling a trace by its first bytes.

/// Whether a file that begins with `head` looks like a trace: its first line that is not blank
/// begins a JSON object with the key `type`, whose value is a text. `head` may end anywhere.
#[must_use]
pub fn looks_like_trace(head: &[u8]) -> bool {
    first_type(head).is_some()
}

/// Whether that first line is surely a trace's: its type is one that a tracer writes, and no other
/// program's lines are known to have. Frames have other writers.
#[must_use]
pub fn begins_with_event(head: &[u8]) -> bool {
    const EVENTS: [&[u8]; 8] =
        [b"call", b"return", b"attr_read", b"connected", b"dropped", b"lost", b"yield", b"mark"];
    first_type(head).and_then(json_text).is_some_and(|(kind, _)| EVENTS.contains(&kind))
}

/// What follows the opening quote of the type.
fn first_type(head: &[u8]) -> Option<&[u8]> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let mut rest = head.strip_prefix(b"{")?;
    rest = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    // The line's own keys are at depth 1.
    let mut depth = 1_usize;
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let (text, behind) = json_text(after)?;
                rest = behind;
                let value = behind.trim_ascii_start().strip_prefix(b":");
                if let Some(value) = value.filter(|_| depth == 1 && text == b"type") {
                    return value.trim_ascii_start().strip_prefix(b"\"");
                }
            }
            _ => {}
        }
        if depth == 0 {
            return None;
        }
    }
    None
}

/// A JSON text up to its closing quote, and what follows.
fn json_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => return Some((&bytes[..at], &bytes[at + 1..])),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_known_by_their_first_line() {
        for head in [
            &br#"{"type": "call", "id": 1"#[..],
            b"\xef\xbb\xbf\r\n  {\"type\":\"",
            br#"{"id": [1, {"type": 2}], "a": "x\"{", "type" : "return"}"#,
        ] {
            assert!(looks_like_trace(head), "{}", String::from_utf8_lossy(head));
        }
        assert!(begins_with_event(br#"{"type": "call", "id": 1"#));
        assert!(!begins_with_event(br#"{"type": "cal"#));
        assert!(!begins_with_event(br#"{"type": "frame", "raw_hex": "f7"}"#));
        for head in [
            &b""[..],
            b"{",
            b"{\"",
            b"{}\n{\"type\": \"call\"}",
            br#"{"type": 5}"#,
            br#"{"a": {"type": "call"}}"#,
            br#"{"a": "type"}"#,
            br#"["type"]"#,
            br#"]]]"#,
            b"{]]\"type\":\"\"",
            b"{\"a\\",
            b"f7 01 03 ff 0a 5c",
        ] {
            assert!(!looks_like_trace(head), "{}", String::from_utf8_lossy(head));
        }
    }
}
