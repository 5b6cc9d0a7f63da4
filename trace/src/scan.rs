//! Calls and returns in the very form that the tracer writes them, read without a JSON parser: the
//! same keys in the same order with the same blanks, and no escape in any text.
//!
//! What fits is JSON and means the same (a property test holds it against the parser); what does
//! not fit in any way is left to the parser. Nearly all lines of real traces fit, and reading them
//! takes a fraction of the time.

use std::borrow::Cow;

use k485_proto::record::Time;
use memchr::{memchr, memmem};
use serde_json::value::RawValue;

use crate::decimal::scaled;
use crate::event::{Kind, Site};

/// The call or return that the line tells, and its time; `None` where the parser must look.
pub(crate) fn event(line: &str) -> Option<(Kind<'_>, Time)> {
    let rest = line.strip_prefix(r#"{"type": ""#)?;
    if let Some(rest) = rest.strip_prefix(r#"call", "#) {
        let (id, time, site, rest) = head(rest)?;
        let args = rest.strip_prefix(r#""args": ""#)?.strip_suffix(r#""}"#)?;
        let kind = Kind::Call { id, site, args: Cow::Borrowed(args), argv: None, kw: None };
        is_plain(args).then_some((kind, time))
    } else {
        let (id, time, site, rest) = head(rest.strip_prefix(r#"return", "#)?)?;
        let (result, rest) = result(rest.strip_prefix(r#""result": "#)?)?;
        let duration = number(rest.strip_prefix(r#", "duration_ms": "#)?.strip_suffix('}')?, 6)?;
        let result = Cow::Borrowed(result);
        Some((Kind::Return { id, site, result, duration: Some(duration) }, time))
    }
}

/// What calls and returns begin with, and what follows.
fn head(rest: &str) -> Option<(u64, Time, Site<'_>, &str)> {
    let (id, rest) = before(rest.strip_prefix(r#""id": "#)?, b',')?;
    let (time, rest) = before(rest.strip_prefix(r#" "time": "#)?, b',')?;
    let (object, rest) = before(rest.strip_prefix(r#" "object": ""#)?, b'"')?;
    let (class, rest) = before(rest.strip_prefix(r#", "class": ""#)?, b'"')?;
    let (method, rest) = before(rest.strip_prefix(r#", "method": ""#)?, b'"')?;
    let rest = rest.strip_prefix(", ")?;
    if !(is_number(id) && [object, class, method].into_iter().all(is_plain)) {
        return None;
    }
    let [object, class, method] = [object, class, method].map(Cow::Borrowed);
    Some((id.parse().ok()?, Time(number(time, 9)?), Site { object, class, method }, rest))
}

/// A result, and what follows it: the duration.
fn result(rest: &str) -> Option<(&str, &str)> {
    if rest.starts_with("null,") {
        return Some(rest.split_at(4));
    }
    if let Some(bytes) = rest.strip_prefix(r#"{"_bytes": ""#) {
        let (digits, after) = before(bytes, b'"')?;
        if after.starts_with("},") && is_plain(digits) {
            return Some(rest.split_at(rest.len() - after.len() + 1));
        }
    }
    let end = memmem::rfind(rest.as_bytes(), br#", "duration_ms": "#)?;
    let (value, after) = rest.split_at(end);
    let raw: &RawValue = serde_json::from_str(value).ok()?;
    // The parser would leave out blanks round the value.
    (raw.get().len() == value.len()).then_some((value, after))
}

/// What is before the first `end`, and what is behind it.
fn before(text: &str, end: u8) -> Option<(&str, &str)> {
    let at = memchr(end, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

/// Whether a text can stand between quotes as it is.
fn is_plain(text: &str) -> bool {
    // Without an early end, so that many bytes are looked at in one step.
    !text.bytes().fold(false, |bad, byte| bad | (byte < b' ') | (byte == b'"') | (byte == b'\\'))
}

/// Whether a text that consists of digits and perhaps more begins as a JSON number without a sign.
fn is_number(text: &str) -> bool {
    match text.as_bytes() {
        [b'0', b'0'..=b'9', ..] => false,
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    }
}

fn number(text: &str, shift: i32) -> Option<i64> {
    is_number(text).then(|| scaled(text, shift)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Context, Event};
    use proptest::prelude::*;

    const CALL: &str = concat!(
        r#"{"type": "call", "id": 7, "time": 1.5, "object": "a b", "class": "C", "#,
        r#""method": "m", "args": "{'_bytes': '01'}, T2A"}"#
    );

    fn returned(result: &str) -> String {
        let head = CALL.split_once(r#""args""#).unwrap().0.replace("call", "return");
        format!(r#"{head}"result": {result}, "duration_ms": 0.25}}"#)
    }

    #[test]
    fn the_tracers_own_lines_need_no_parser() {
        let (kind, time) = event(CALL).unwrap();
        assert_eq!(time, Time(1_500_000_000));
        assert!(matches!(kind, Kind::Call { args, .. } if args == "{'_bytes': '01'}, T2A"));
        let results =
            ["null", r#"{"_bytes": "f7"}"#, "[1, {\"a\": []}]", "\"x\"", r#""\", \"y""#, "-1e5"];
        for expected in results {
            let line = returned(expected);
            let (kind, _) = event(&line).unwrap();
            let Kind::Return { result, duration, .. } = kind else { panic!() };
            assert_eq!((&*result, duration), (expected, Some(250_000)));
        }
    }

    #[test]
    fn what_does_not_fit_is_left_to_the_parser() {
        for line in [
            CALL.replace("a b", "a\\n"),
            CALL.replace("T2A", "\\\"T2A\\\""),
            CALL.replace("\"id\": 7", "\"id\": 07"),
            CALL.replace("1.5", "01.5"),
            CALL.replace("1.5", "-1.5"),
            CALL.replace("call", "error"),
            returned("1, \"result\": 2"),
            returned(" 1 "),
            returned("nul"),
            returned("{\"_bytes\": \"f7\", \"_len\": 9]"),
        ] {
            assert!(event(&line).is_none(), "{line}");
        }
    }

    proptest! {
        /// Characters of a line replaced, left out or put in: where this module takes the line,
        /// the parser gives the same.
        #[test]
        fn as_the_parser_reads_it(
            call in any::<bool>(),
            result in prop::sample::select(vec!["null", "{\"_bytes\": \"f7\"}", "[1, \"a\"]"]),
            edits in prop::collection::vec(
                (any::<prop::sample::Index>(), prop::sample::select(vec![0, 1, 2]),
                 prop::sample::select(r#"{}[]":, 0159.eE+-\nrul"#.chars().collect::<Vec<_>>())),
                0..3,
            ),
        ) {
            let line = if call { CALL.to_owned() } else { returned(result) };
            let mut line: Vec<char> = line.chars().collect();
            for (at, edit, with) in edits {
                let at = at.index(line.len());
                match edit {
                    0 => line[at] = with,
                    1 => line.insert(at, with),
                    _ => drop(line.remove(at)),
                }
            }
            let line: String = line.into_iter().collect();
            if let Some((kind, time)) = event(&line) {
                let parsed = Event::parse_json(&line, 1, 0);
                let context = Context::default();
                let expected = Event { line: 1, offset: 0, time: Some(time), context, kind };
                prop_assert_eq!(parsed, Ok(expected));
            }
        }
    }
}
