//! The reader of method-call traces.
//!
//! Input: see [`k485_fuzz::RAW`]; others are two files of generated lines, of which some bytes are
//! then spoiled.

#![no_main]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::BufReader;

use arbitrary::{Arbitrary, Result, Unstructured};
use k485_fuzz::{Plain, RAW};
use k485_proto::frame::Hex;
use k485_proto::record::{Complaint, Direction, Record, Verdict};
use k485_trace::bus::SEND;
use k485_trace::{Event, EventReader, TraceReader, looks_like_trace};
use libfuzzer_sys::fuzz_target;

/// One generated line, mostly in the form of the tracer.
fn line(u: &mut Unstructured<'_>, out: &mut String) -> Result<()> {
    let blank = if u.ratio(15, 16)? { " " } else { "" };
    let (id, label) = (u.int_in_range(0..=40)?, u.int_in_range(0..=2)?);
    let object = ["serial_485 serial485", "serial_485", "gr\\u00fcn"][label];
    let seconds = *u.choose(&["1700000000.25", "1700000001.000000001", "17e8", "-1", "null"])?;
    let method = if u.ratio(7, 8)? { SEND } else { "other" };
    let head = |kind: &str| {
        format!(
            "{{\"type\":{blank}\"{kind}\", \"id\": {id}, \"time\": {seconds}, \
             \"object\": \"{object}\", \"class\": \"W\", \"method\": \"{method}\", "
        )
    };
    let frame = Plain::arbitrary(u)?;
    // A string takes any text.
    let _ = match u.int_in_range(0..=12)? {
        0..=4 => {
            let bytes = if u.ratio(7, 8)? { frame.bare() } else { frame.wire() };
            let rest = *u.choose(&[", 3600", ", 0.05, retries_en=False", "", ", 1e9", "]"])?;
            write!(out, "{}\"args\": \"{{'_bytes': '{}'}}{rest}\"}}", head("call"), Hex(&bytes))
        }
        5..=7 => {
            let bytes = Hex(&frame.wire()).to_string();
            let result =
                format!("\"result\": {{\"_bytes\": \"{bytes}\"}}, \"duration_ms\": 15.5}}");
            write!(out, "{}{result}", head("return"))
        }
        8 => {
            let result = *u.choose(&["null", "{\"_bytes\": \"\"}", "\"x\"", "NaN", "[1, {}]"])?;
            write!(out, "{}\"result\": {result}, \"duration_ms\": 1}}", head("return"))
        }
        9 => write!(out, "{}\"error\": \"E\", \"traceback\": \"\\n\"}}", head("error")),
        10 => write!(out, "{{\"type\": \"return\", \"id\": {id}}}"),
        11 => write!(out, "{{\"type\": \"connected\", \"message\": \"hello\", \"traced\": []}}"),
        _ => write!(out, "{{\"type\": \"{}\"}}", *u.choose(&["gcode_line", "call", "attr_read"])?),
    };
    out.push_str(u.choose(&["\n", "\n", "\n", "\r\n", "\n\n"])?);
    Ok(())
}

/// The two files of a trace.
fn files(u: &mut Unstructured<'_>) -> Result<[Vec<u8>; 2]> {
    let spoiled = u.int_in_range(0..=3)?;
    let mut texts = [String::new(), String::new()];
    while u.len() > 4 * spoiled {
        let file = usize::from(u.ratio(1, 4)?);
        line(u, &mut texts[file])?;
    }
    let mut files = texts.map(String::into_bytes);
    for _ in 0..spoiled {
        let file = &mut files[usize::from(u.ratio(1, 4)?)];
        if file.is_empty() {
            continue;
        }
        let (at, byte) = (u.choose_index(file.len())?, u.arbitrary()?);
        match u.int_in_range(0..=3)? {
            0 => file[at] = byte,
            1 => file.insert(at, byte),
            2 => file.truncate(at),
            _ => drop(file.remove(at)),
        }
    }
    Ok(files)
}

/// The two ways of reading a line agree: a blank before it leads past the short cut.
fn check_line(text: &str) {
    let (short, long) =
        (Event::parse(text, 1, 0), Event::parse(&format!(" {text}"), 1, 0).map(Event::into_owned));
    match (short, long) {
        (Ok(short), Ok(long)) => assert_eq!(short, long),
        (Err(_), Err(_)) => {}
        (short, long) => panic!("{short:?} and {long:?} of {text:?}"),
    }
}

/// Events without what an event must be are complaints; every line that is not blank is one of
/// the two.
fn check_events(file: &[u8]) {
    let mut blank = 0;
    let body = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    for line in &lines {
        blank += usize::from(line.iter().all(u8::is_ascii_whitespace));
        if let Ok(text) = std::str::from_utf8(line) {
            check_line(text);
        }
    }
    let mut last = 0;
    let mut told = 0;
    for item in EventReader::new("x", file) {
        told += 1;
        if let Ok(event) = item {
            assert!(event.line > last && event.offset < file.len() as u64, "{event:?}");
            last = event.line;
        }
    }
    assert_eq!(told + blank, lines.len(), "lines were lost or told twice");
}

type Items = Vec<Result<Record, Complaint>>;

/// Every call and every end is a record or a complaint, and the counts say so.
fn check(files: &[Vec<u8>]) {
    let size: usize = files.iter().map(Vec::len).sum();
    let named = || files.iter().enumerate().map(|(at, file)| (at.to_string(), &file[..]));
    let mut reader = TraceReader::merged(named().map(|(at, file)| EventReader::new(at, file)));
    let items: Items = reader.by_ref().collect();
    let slow = named().map(|(at, file)| EventReader::new(at, BufReader::with_capacity(5, file)));
    let again: Items = TraceReader::merged(slow).collect();
    assert_eq!(items, again, "the trace depends on how its input is cut");

    let (mut asked, mut ended, mut no_reply, mut bytes) = (BTreeSet::new(), BTreeSet::new(), 0, 0);
    let mut last_end = 0;
    let mut frames = 0;
    for record in items.iter().flatten() {
        // A frame that is told beside the calls.
        let Some(call) = record.call else {
            frames += 1;
            continue;
        };
        let id = call.id;
        assert_eq!(record.wire().is_some(), record.verdict == Verdict::Frame, "{record:?}");
        bytes += record.bytes.len();
        match record.dir.expect("every record has its direction") {
            Direction::Request => {
                assert_eq!(record.verdict, Verdict::Frame);
                assert!(asked.insert(id), "two requests of call {id}");
            }
            Direction::Response => {
                // The parts of one return follow each other.
                assert!(ended.insert(id) || last_end == id, "two ends of call {id}");
                last_end = id;
                no_reply += u64::from(record.verdict == Verdict::NoReply);
            }
        }
    }
    assert!(2 * bytes <= size);
    let left_out = |what: &str| {
        let complaints = items.iter().filter_map(|item| item.as_ref().err());
        complaints.filter(|complaint| complaint.what.starts_with(what)).count() as u64
    };
    let (calls_out, ends_out) =
        (left_out("the call's frame is left out"), left_out("the return is left out"));
    let counts = reader.counts();
    assert_eq!(counts.calls, asked.len() as u64 + calls_out, "{counts:?}");
    assert_eq!(counts.nulls + counts.errors, no_reply, "{counts:?}");
    assert_eq!(counts.replies + no_reply, ended.len() as u64, "{counts:?}");
    let frames_out = left_out("the frame is left out");
    assert_eq!(counts.unreadable, calls_out + ends_out + frames_out, "{counts:?}");
    // One without bytes gives no record, one of several spans several.
    assert!(frames == 0 || counts.frames > 0, "{counts:?}");
    let strangers = ended.difference(&asked).count() as u64;
    assert!(strangers <= counts.orphans + calls_out, "{counts:?}");
    assert!(counts.orphans <= strangers + ends_out, "{counts:?}");
    assert!(reader.open_calls() as u64 + counts.given_up <= counts.calls + counts.doubled);
}

fuzz_target!(|input: &[u8]| {
    let files = match input {
        [RAW, file @ ..] => vec![file.to_vec()],
        seed => match files(&mut Unstructured::new(seed)) {
            Ok(files) => files.to_vec(),
            Err(_) => return,
        },
    };
    for file in &files {
        let _ = looks_like_trace(file);
        check_events(file);
    }
    check(&files);
});
