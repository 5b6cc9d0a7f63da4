use super::*;
use crate::format::told;
use k485_proto::record::{Complaint, Record};
use proptest::prelude::*;

fn read(text: impl Into<Vec<u8>>) -> Vec<Result<Record, Complaint>> {
    told::read(&Sigrok, text)
}

fn told(text: impl Into<Vec<u8>>) -> Vec<String> {
    told::told(&Sigrok, text)
}

#[test]
fn what_sigrok_cli_prints() {
    let bytes = ["F7", "01", "03", "FF", "0A", "5C"];
    let bare: String = bytes.iter().map(|byte| format!("uart-1: {byte}\r\n")).collect();
    assert_eq!(Sigrok.detect(bare.as_bytes()), Likelihood::Sure);
    assert_eq!(told(bare), ["- uart-1 ? f70103ff0a5c"]);
    // With all rows: bits and stop bits are no bytes.
    let rows = |byte: &&str| {
        format!(
            "0-9 uart-1: Start bit\n9-19 uart-1: 1\n9-19 uart-1: 0\n9-90 uart-1: {byte}\n90-99 uart-1: Stop bit\n"
        )
    };
    let all: String = bytes.iter().map(rows).collect();
    assert_eq!(told(format!("samplerate: 1 MHz\n{all}")), ["90000 uart-1 ? f70103ff0a5c"]);
    let quoted: String =
        bytes.iter().map(|byte| format!("1-2 uart-1: rx-data: \"{byte}\"\n")).collect();
    assert_eq!(
        told(format!("# samplerate = 2000\n{quoted}")),
        ["1000000 uart-1 request f70103ff0a5c"]
    );
}

#[test]
fn samples_without_a_rate_give_no_times() {
    let text =
        "210-290 UART: RX data: F7\n290-300 UART: RX data bits: 1\n303-393 UART: TX data: 01\n";
    let told = told(text);
    assert!(
        told[0].starts_with("a.txt:1: sample numbers without a rate give no times"),
        "{told:?}"
    );
    assert_eq!(told[1..], ["- UART response f7 noise", "- UART request 01 noise"]);
}

#[test]
fn a_frame_error_is_about_the_byte_before() {
    let text =
        "uart-1: F7\nuart-1: Frame error\nuart-1: Stop bit\nuart-1: Break condition\nuart-1: 01\n";
    assert_eq!(told(text), ["- uart-1 ? f7 noise", "- uart-1 ? 01 noise"]);
    let text =
        "1-2 U: RX data: F7\n2-3 U: TX warnings: Frame error\n2-3 U: RX warnings: Frame error\n";
    assert_eq!(told(text).len(), 2);
}

#[test]
fn broken_lines_are_told_and_skipped() {
    let text = "uart-1: F7\nuart-1: 247\nuart 1\nsamplerate: 5 parsec\nuart-1: 0";
    assert_eq!(
        told(text),
        [
            "a.txt:2: `247` is no byte: decode with format=hex; the line was skipped",
            "a.txt:3: expected an annotation as `uart-1: F7` or `210-290 UART: RX data: F7`; the line was skipped",
            "a.txt:4: `5 parsec` is no sample rate: expected one as `24 MHz`; the line was skipped",
            "- uart-1 ? f7 noise",
        ]
    );
    assert_eq!(Sigrok.detect(b"2026-01-01 12:00:00 tool-1: started\n"), Likelihood::No);
    assert_eq!(Sigrok.detect(b"uart-1: F7\n"), Likelihood::Maybe);
}

const PARTS: [&str; 12] = [
    "uart-1: ",
    "F7",
    "01",
    "\n",
    "1-2 ",
    "RX data: ",
    "TX warnings: ",
    "Frame error",
    "\"",
    ": ",
    "samplerate: 9",
    "99999999999999999999-1 ",
];

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        Sigrok.detect(&bytes);
        read(bytes);
    }

    #[test]
    fn nothing_that_is_almost_right_panics(parts in proptest::collection::vec(
        proptest::sample::select(&PARTS[..]), 0..40,
    )) {
        let text = parts.concat();
        Sigrok.detect(text.as_bytes());
        read(text);
    }
}
