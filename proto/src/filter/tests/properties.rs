//! No text breaks the reader, and canonical forms read back.

use proptest::prelude::*;

use super::*;

/// Tokens, most of which make sense somewhere.
const TOKENS: [&str; 40] = [
    "addr",
    "func",
    "status",
    "latency",
    "data",
    "raw",
    "stage",
    "slot",
    "odometer",
    "state",
    "tags.A.material",
    "field.raw",
    "time",
    "bus",
    "==",
    "!=",
    "<",
    ">=",
    "~",
    "!~",
    "in",
    "{",
    "}",
    ",",
    "(",
    ")",
    "!",
    "&&",
    "||",
    "and",
    "noise",
    "retry",
    "box1",
    "10",
    "50ms",
    "T1A",
    "idle",
    "c5..42",
    "\"a \\\" b\"",
    "0x0a",
];

/// A comparison or flag that can be read.
fn leaf() -> impl Strategy<Value = String> {
    let op = prop::sample::select(Vec::from(["==", "!="]));
    let value = "[a-zA-Z0-9 \"\\\\ü]{0,6}"
        .prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
    prop_oneof![
        prop::sample::select(Vec::from(["noise", "retry", "request", "misfit"]))
            .prop_map(String::from),
        prop::sample::select(Vec::from([
            "addr==box1",
            "addr in {box1, motor2, 0x41}",
            "latency>1.5ms",
            "stage!=feed_poll",
            "odometer<=-3.25",
            "data~\"c. .5\"",
            "slot~A+C",
            "field.raw==00ff",
            "tags.B.serial!~x",
        ]))
        .prop_map(String::from),
        (op, value).prop_map(|(op, value)| format!("bus {op} {value}")),
    ]
}

/// A whole filter that can be read.
fn expression() -> impl Strategy<Value = String> {
    leaf().prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| parts.join(" || ")),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| parts.join(" and ")),
            inner.clone().prop_map(|part| format!("({part})")),
            inner.clone().prop_map(|part| format!("!{part}")),
            inner.prop_map(|part| format!("!({part})")),
        ]
    })
}

/// What holds for every text: it is a filter, which reads back from its canonical form and says the
/// same, or an error within the text.
fn check(text: &str) -> Result<(), TestCaseError> {
    match Filter::parse(text, &K2) {
        Ok(filter) => {
            let canonical = filter.to_string();
            let again = Filter::parse(&canonical, &K2);
            prop_assert_eq!(again.as_ref(), Ok(&filter), "{}", &canonical);
            prop_assert_eq!(again.map(|again| again.to_string()), Ok(canonical));
            // Of a filter and its opposite exactly one holds.
            let opposite = format!("!({text})");
            if let Ok(opposite) = Filter::parse(&opposite, &K2) {
                for exchange in [poll(), feed(), silence()] {
                    let result = filter.matches_exchange(&exchange);
                    prop_assert_ne!(result, opposite.matches_exchange(&exchange));
                }
            }
        }
        Err(error) => {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.column), "{}", error);
            prop_assert!(error.to_string().lines().count() == 3, "{}", error);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_a_filter_or_an_error(text in "\\PC{0,60}") {
        check(&text)?;
    }

    #[test]
    fn any_bytes_are_a_filter_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        check(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn any_tokens_are_a_filter_or_an_error(
        tokens in prop::collection::vec(prop::sample::select(TOKENS.to_vec()), 0..14),
        space in prop::sample::select(Vec::from(["", " "])),
    ) {
        check(&tokens.join(space))?;
    }

    #[test]
    fn canonical_forms_read_back(text in expression()) {
        prop_assume!(text.len() < MAX_LENGTH / 8);
        prop_assert!(Filter::parse(&text, &K2).is_ok(), "{}", text);
        check(&text)?;
    }
}
