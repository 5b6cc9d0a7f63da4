//! The readers of text and of raw bytes, and the detection of formats.
//!
//! Input: the file's bytes as they are.

#![no_main]

use std::io::{BufReader, Cursor};

use k485_proto::record::{Complaint, Record, Verdict};
use k485_sniffer::capture::{Format, open};
use k485_sniffer::format::ALL;
use k485_sniffer::format::hex::{Hex, read_hex_text};
use k485_sniffer::format::interceptty::Interceptty;
use k485_sniffer::format::raw::Raw;
use libfuzzer_sys::fuzz_target;

type Items = Vec<Result<Record, Complaint>>;

/// Reads all of `input`, and once more in very small pieces, which must not change anything.
fn read(format: &dyn Format, input: &[u8]) -> Items {
    let items: Items = format.read("x", Box::new(Cursor::new(input.to_vec()))).collect();
    let slow = BufReader::with_capacity(3, Cursor::new(input.to_vec()));
    let again: Items = format.read("x", Box::new(slow)).collect();
    assert_eq!(items, again, "{} depends on how its input is cut", format.name());
    items
}

/// What holds for all records of all formats; gives their bytes.
fn check(items: &Items, input: &[u8], most_complaints: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in items.iter().flatten() {
        assert!(record.offset < input.len().max(1) as u64, "{record:?}");
        assert!(!record.bytes.is_empty() && record.call.is_none(), "{record:?}");
        assert_eq!(record.wire().is_some(), record.verdict == Verdict::Frame, "{record:?}");
        assert_ne!(record.verdict, Verdict::NoReply);
        bytes.extend_from_slice(&record.bytes);
    }
    assert!(bytes.len() <= input.len(), "more bytes than the input has");
    let complaints: Vec<_> = items.iter().filter_map(|item| item.as_ref().err()).collect();
    assert!(complaints.len() <= most_complaints, "{complaints:?}");
    for complaint in complaints {
        assert!(!complaint.fatal, "a cursor cannot fail: {complaint}");
        // One line may be a mebibyte; what is told of it may not.
        assert!(complaint.to_string().len() < 300, "{complaint}");
        assert!(!complaint.to_string().contains(char::is_control), "{complaint:?}");
    }
    bytes
}

fuzz_target!(|input: &[u8]| {
    let lines = input.split(|byte| *byte == b'\n').count();
    let from_hex = read(&Hex, input);
    check(&from_hex, input, lines);
    assert!(from_hex.iter().flatten().is_sorted_by_key(|record| record.offset));
    if let Ok(text) = std::str::from_utf8(input) {
        let items: Items = read_hex_text("x", text).collect();
        assert_eq!(items, from_hex);
    }

    let items = read(&Interceptty, input);
    let bytes = check(&items, input, lines);
    // `<0xNN` is the shortest line.
    assert!(bytes.len() <= (input.len() + 1) / 5, "{} bytes", bytes.len());

    let items = read(&Raw, input);
    assert_eq!(check(&items, input, 0), input);

    // A format that is found reads as if it had been named.
    if let Ok((format, reading)) = open(ALL, "x", Box::new(Cursor::new(input.to_vec()))) {
        let items: Items = reading.collect();
        assert_eq!(items, read(format, input), "{}", format.name());
    }
});
