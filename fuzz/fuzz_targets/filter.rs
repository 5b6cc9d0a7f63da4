//! Filters: any text, and texts of the grammar's pieces, against all that a pairer sees.
//!
//! Input: see [`k485_fuzz::RAW`]. A raw one is the filter's text up to the first newline; what
//! follows is a stream.

#![no_main]

use arbitrary::{Result, Unstructured};
use k485_fuzz::RAW;
use k485_fuzz::capture::{Step, seen, steps};
use k485_proto::deframer::spans;
use k485_proto::dialect::Dialect;
use k485_proto::exchange::Seen;
use k485_proto::filter::{Filter, MAX_LENGTH, Problem};
use k485_proto::record::Record;
use libfuzzer_sys::fuzz_target;

const FIELDS: [&str; 30] = [
    "addr",
    "class",
    "func",
    "status",
    "dir",
    "dir_source",
    "form",
    "len",
    "data",
    "raw",
    "offset",
    "time",
    "bus",
    "outcome",
    "latency",
    "attempts",
    "reason",
    "size",
    "slot",
    "slots",
    "stage",
    "state",
    "odometer",
    "temperature",
    "ran",
    "field.raw",
    "tags",
    "tags.A.material",
    "tags.D.serial",
    "version",
];
const OPERATORS: [&str; 8] = ["==", "!=", "<", "<=", ">", ">=", "~", "!~"];
const VALUES: [&str; 36] = [
    "box1",
    "box",
    "motor2",
    "0x41",
    "GET_BOX_STATE",
    "10",
    "0x0a",
    "-3.25",
    "1e3",
    "0.000000001",
    "18446744073709551616",
    "-0",
    "OK",
    "0xff",
    "50ms",
    "1.5s",
    "9999999999999m",
    "800us",
    "answered",
    "request",
    "given",
    "bad_crc",
    "T1A",
    "A+C",
    "none",
    "all",
    "idle",
    "feed_poll",
    "c5..42",
    "\"c5 . .:42\"",
    "\"\"",
    "\"\\x00\\xff\\\"\\\\\"",
    "\"ü \u{7f}\"",
    "011002",
    "busy",
    "true",
];
const FLAGS: [&str; 12] = [
    "noise",
    "frame",
    "exchange",
    "request",
    "response",
    "bare",
    "implausible",
    "misfit",
    "unknown",
    "retry",
    "late",
    "box1",
];

/// A condition: mostly one that can be read, unless field and value do not fit.
fn condition(u: &mut Unstructured<'_>, depth: usize) -> Result<String> {
    Ok(match u.int_in_range(0..=9)? {
        0 | 1 if depth > 0 => {
            let between = *u.choose(&[" && ", "||", " and ", " or ", "&&"])?;
            format!("{}{between}{}", condition(u, depth - 1)?, condition(u, depth - 1)?)
        }
        2 if depth > 0 => {
            let before = *u.choose(&["!(", "(", "not (", "!!(", " ( "])?;
            format!("{before}{})", condition(u, depth - 1)?)
        }
        3 => format!("{}{}", u.choose(&["", "!", "not "])?, u.choose(&FLAGS)?),
        4 => {
            let (field, one, other) = (u.choose(&FIELDS)?, u.choose(&VALUES)?, u.choose(&VALUES)?);
            format!("{field} in {{{one}, {other}}}")
        }
        5 => {
            let word: &str = u.arbitrary()?;
            format!("{}{}{word}", u.choose(&FIELDS)?, u.choose(&OPERATORS)?)
        }
        _ => {
            let space = *u.choose(&["", " "])?;
            let (field, op, value) =
                (u.choose(&FIELDS)?, u.choose(&OPERATORS)?, u.choose(&VALUES)?);
            format!("{field}{space}{op}{space}{value}")
        }
    })
}

/// A text, a dialect and what is to be matched.
fn generated(u: &mut Unstructured<'_>) -> Result<(String, &'static Dialect, Vec<Step>)> {
    let mut text = condition(u, 6)?;
    if u.ratio(1, 8)? {
        let at = u.choose_index(text.len() + 1)?;
        let piece = *u.choose(&["(", ")", "!", "\"", "\\", ",", "{", "=", "é", "\u{0}"])?;
        if text.is_char_boundary(at) {
            text.insert_str(at, piece);
        }
    }
    Ok((text, *u.choose(&Dialect::BUILT_IN)?, steps(u)?))
}

/// An error points into the text, or right behind it.
fn check_error(text: &str, dialect: &'static Dialect) {
    let Err(error) = Filter::parse(text, dialect) else { return };
    assert!((1..=text.chars().count() + 1).contains(&error.column), "{error}");
    assert!(error.text.len() <= text.len(), "{error}");
    let shown = error.to_string();
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert!(shown.lines().all(|line| !line.contains(char::is_control)), "{shown:?}");
}

/// What the filter holds for, and its canonical form and opposite with it.
fn check_filter(text: &str, dialect: &'static Dialect, all: &[Seen]) {
    let Ok(filter) = Filter::parse(text, dialect) else { return };
    for hint in filter.hints() {
        assert!((1..=text.chars().count() + 1).contains(&hint.column), "{hint:?}");
    }
    let (_, _) = (filter.asks_for_exchanges(), filter.asks_for_times());
    let canonical = filter.to_string();
    let again = match Filter::parse(&canonical, dialect) {
        Ok(again) => {
            assert_eq!(again, filter, "{text:?}: {canonical}");
            assert_eq!(again.to_string(), canonical);
            Some(again)
        }
        Err(error) => {
            let outgrown =
                matches!(error.problem, Problem::TooLong { length } if length > MAX_LENGTH);
            assert!(outgrown, "{text:?}: {error}");
            None
        }
    };
    let opposite = Filter::parse(&format!("!({text})"), dialect).ok();
    for seen in all {
        let holds = filter.matches(seen);
        if let Some(again) = &again {
            assert_eq!(again.matches(seen), holds, "{canonical}");
        }
        if let Some(opposite) = &opposite {
            assert_ne!(opposite.matches(seen), holds, "{canonical}");
        }
        if let Seen::Frame(observed) = seen {
            let _ = filter.matches_request(&observed.frame());
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let (text, dialect, steps) = match input {
        [RAW, rest @ ..] => {
            let mut halves = rest.splitn(2, |byte| *byte == b'\n');
            let text = String::from_utf8_lossy(halves.next().unwrap_or_default());
            let stream = halves.next().unwrap_or_default();
            let records = spans(stream).map(|span| Step::Push(Record::of_span(&span)));
            (text.into_owned(), Dialect::BUILT_IN[0], records.collect())
        }
        seed => match generated(&mut Unstructured::new(seed)) {
            Ok(generated) => generated,
            Err(_) => return,
        },
    };
    check_error(&text, dialect);
    check_filter(&text, dialect, &seen(steps, dialect));
});
