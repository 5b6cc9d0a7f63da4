use super::*;
use crate::format::told;
use k485_proto::record::{Complaint, Record};
use proptest::prelude::*;

fn read(text: impl Into<Vec<u8>>) -> Vec<Result<Record, Complaint>> {
    told::read(&Monitor, text)
}

fn told(text: impl Into<Vec<u8>>) -> Vec<String> {
    told::told(&Monitor, text)
}

#[test]
fn both_programs() {
    let text = "[25/10/2018 10:15:35] Open port COM2 (C:\\host.exe) \r\n\r\n\
                [25/10/2018 10:15:36] Written data (COM2) \r\n\
                \x20   f7 01 03 ff 0a 5c                                 ab cd.\\\r\n\
                [25/10/2018 10:15:36] - Read data (COM2) \r\n\
                \x20   f7 01 07 00 0a                                    ...\r\n\
                \x20   19 24 00 00 e7                                    .$..\u{e7}\r\n";
    assert_eq!(Monitor.detect(text.as_bytes()), Likelihood::Sure);
    assert_eq!(
        told(text),
        [
            "1540462536000000000 COM2 request f70103ff0a5c",
            "1540462536000000000 COM2 response f70107000a19240000e7",
        ]
    );
    let text = "Docklight log\n25.10.2018 10:15:36.120 [TX] - F7 01 03 FF 0A 5C \n\
                25.10.2018 10:15:36.130 [RX] - F7 01 07 00 0A\n19 24 00 00 E7 \n";
    assert_eq!(Monitor.detect(text.as_bytes()), Likelihood::Sure);
    assert_eq!(
        told(text),
        [
            "1540462536120000000  request f70103ff0a5c",
            "1540462536130000000  response f70107000a19240000e7",
        ]
    );
}

#[test]
fn text_in_an_old_encoding_does_no_harm() {
    let mut text = b"[25/10/2018 10:15:36] Written data (COM2)\n    f7 01 03 ff 0a 5c   ".to_vec();
    text.extend(b"\xf7..\xff.\\\n");
    assert_eq!(told(text), ["1540462536000000000 COM2 request f70103ff0a5c"]);
}

#[test]
fn broken_lines_are_told_and_skipped() {
    let text = "[25/10/2018 10:15:36] Written data (COM2)\n  g7\n  f7\n[25/10/20";
    assert_eq!(
        told(text),
        [
            "a.txt:2: expected bytes in hex; the line was skipped",
            "a.txt:4: expected bytes in hex; the line was skipped",
            "1540462536000000000 COM2 request f7 noise",
        ]
    );
    assert_eq!(Monitor.detect(b"[12:00:00] started\nf7 01 03\n"), Likelihood::No);
}

const PARTS: [&str; 10] = [
    "[25/10/2018 10:15:36] ",
    "- ",
    "Written data (COM2)",
    "[TX] - ",
    "[RX]",
    "\n",
    " f7 01",
    "  ..",
    "[",
    "]",
];

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        Monitor.detect(&bytes);
        read(bytes);
    }

    #[test]
    fn nothing_that_is_almost_right_panics(parts in proptest::collection::vec(
        proptest::sample::select(&PARTS[..]), 0..40,
    )) {
        let text = parts.concat();
        Monitor.detect(text.as_bytes());
        read(text);
    }
}
