use super::*;
use crate::format::told;
use k485_proto::record::{Complaint, Record};
use proptest::prelude::*;

fn read(text: impl Into<Vec<u8>>) -> Vec<Result<Record, Complaint>> {
    told::read(&Json, text)
}

fn told(text: impl Into<Vec<u8>>) -> Vec<String> {
    told::told(&Json, text)
}

#[test]
fn fields_of_many_tools() {
    let text = "\u{feff}{\"type\": \"session_start\", \"timestamp\": \"2026-05-20T01:38:44.1\"}\r\n\
        {\"type\": \"frame\", \"timestamp\": \"2026-05-20T01:38:45.01\", \"segment\": \"tap\", \"data_hex\": \"\", \"raw_hex\": \"f70103ff0a5c\"}\r\n\
        \n{\"ts\": 1779241125.5, \"dir\": \"device->host\", \"data\": \"F7 01 07 00 0A 19 24 00 00 E7\"}\n\
        {\"ts\": 1779241125600, \"bytes\": [247, 1, 3, 255, 10, 92], \"direction\": \"TX\"}\n\
        {\"tx\": \"f70103ff0a5c\", \"rx\": \"f70107000a19240000e7\"}\n\
        {\"frame\": 7, \"hex\": \"0103ff0a\"}\n";
    assert_eq!(Json.detect(text.as_bytes()), Likelihood::Sure);
    assert_eq!(
        told(text),
        [
            "1779241125010000000 tap ? f70103ff0a5c",
            "1779241125500000000  response f70107000a19240000e7",
            "1779241125600000000  request f70103ff0a5c",
            "-  request f70103ff0a5c",
            "-  response f70107000a19240000e7",
            "-  ? 0103ff0a",
        ]
    );
}

#[test]
fn lines_of_traces_and_of_k485_are_left() {
    for text in [
        r#"{"type": "call", "id": 1, "raw": "f70103ff0a5c"}"#,
        r#"{"type": "frame", "object": "box", "direction": "tx", "bytes": "f70103ff0a5c"}"#,
        r#"{"type": "frame", "v": 1, "raw": "f70103ff0a5c"}"#,
        r#"{"type": "session_start"}"#,
        "f7 01 03 ff 0a 5c",
    ] {
        assert_eq!(Json.detect(text.as_bytes()), Likelihood::No, "{text}");
    }
}

#[test]
fn broken_lines_are_told_and_skipped() {
    let text =
        "{\"hex\": \"f70103ff0a5c\"}\n{\"hex\": \"f7zz\"}\n{\"hex\": null}\n[1]\n{\"hex\": \"f7";
    let told = told(text);
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[0], "-  ? f70103ff0a5c");
    assert_eq!(told[1], "a.txt:2: `hex` is no hex; the line was skipped");
    assert!(told[2].starts_with("a.txt:4: no JSON object: "), "{told:?}");
    assert!(told[3].starts_with("a.txt:5: no JSON object: EOF"), "{told:?}");
}

#[test]
fn complaints_are_short_and_have_no_control_characters() {
    for line in [r#"{"X""#, r#"{"hex": "f7X"#] {
        let got = told(line.replace('X', &"\u{1b}[2J".repeat(1000)));
        assert!(got[0].chars().count() < 260 && !got[0].contains(char::is_control), "{got:?}");
    }
}

const PARTS: [&str; 12] = [
    "{",
    "}",
    "\"hex\"",
    ":",
    "\"f70103ff0a5c\"",
    ",",
    "\"ts\"",
    "1.5",
    "\n",
    "[",
    "]",
    "\"dir\":\"tx\"",
];

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        Json.detect(&bytes);
        read(bytes);
    }

    #[test]
    fn nothing_that_is_almost_right_panics(parts in proptest::collection::vec(
        proptest::sample::select(&PARTS[..]), 0..40,
    )) {
        let text = parts.concat();
        Json.detect(text.as_bytes());
        read(text);
    }
}
