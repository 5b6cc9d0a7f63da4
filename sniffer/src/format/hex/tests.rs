use super::*;
use k485_proto::deframer::{NoiseReason, Span, spans};
use k485_proto::dialect::K2;
use k485_proto::direction::certain;
use k485_proto::frame::Frame;
use k485_proto::record::Direction;

/// A poll of box 1's state, its reply, and the same poll as a host's call carries it.
const POLL: [u8; 6] = [0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c];
const REPLY: [u8; 10] = [0xf7, 0x01, 0x07, 0x00, 0x0a, 0x19, 0x24, 0x00, 0x00, 0xe7];
const BARE: [u8; 4] = [0x02, 0x03, 0xff, 0x0a];

fn read(text: impl Into<Vec<u8>>) -> Vec<Result<Record, Complaint>> {
    Hex.read("f.txt", Box::new(Cursor::new(text.into()))).collect()
}

fn records(text: &str) -> Vec<Record> {
    read(text).into_iter().map(|item| item.unwrap_or_else(|error| panic!("{error}"))).collect()
}

fn frames(text: &str) -> Vec<Vec<u8>> {
    let is_frame = |record: &Record| {
        assert_eq!(record.verdict, Verdict::Frame, "{text}: {record:?}");
        record.bytes.clone()
    };
    records(text).iter().map(is_frame).collect()
}

fn complaints(text: &str) -> Vec<String> {
    read(text).into_iter().filter_map(|item| Some(item.err()?.to_string())).collect()
}

#[test]
fn every_spelling_of_one_frame() {
    for text in [
        "f7 01 03 ff 0a 5c",
        "F70103FF0A5C",
        "f701 03ff 0a5c",
        "0xF7,0x01,0x03,0xFF,0x0A,0x5C",
        "0XF7 0x1 0x3 0xff 0xa 0x5c",
        "0xF70103FF0A5C",
        "{0xF7, 0x01, 0x03, 0xFF, 0x0A, 0x5C};",
        "[0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c]",
        "(0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c)",
        r"\xf7\x01\x03\xff\x0a\x5c",
        r"\xf7\x01\x03\xff\n\\",
        r"b'\xf7\x01\x03\xff\n\\'",
        r#"b"\xf7\x01\x03\xff\n\\""#,
        r"bytearray(b'\xf7\x01\x03\xff\n\\')",
        r#""\xf7\001\3\377\n\\""#,
        "bytes.fromhex('f7 01 03 ff 0a 5c')",
        "bytes([0xf7, 0x01, 0x03, 0xff, 0x0a, 0x5c])",
        "\"f70103ff0a5c\"",
        "f7:01:03:ff:0a:5c",
        "F7-01-03-FF-0A-5C",
        "\u{feff}f7 01 03 ff 0a 5c\r\n",
        "  f7 01 03 # a head\n\n; 00\n// 00 zz\n\tff 0a 5c // the rest\n",
        "00000000: f701 03ff 0a5c                           ......",
        "00000000: f7 01 03 ff 0a 5c  ff 0a \\\n",
        "00000000  f7 01 03 ff 0a 5c                                 |.....\\|\n00000006\n",
    ] {
        assert_eq!(frames(text), [POLL], "{text}");
    }
}

#[test]
fn characters_of_a_literal() {
    // Quotes, comment signs and brackets are characters too.
    let text = r"b'\xf7\x01\x0a\x00\x141#A \'/;\xf2'";
    assert_eq!(frames(text), [b"\xf7\x01\x0a\x00\x141#A '/;\xf2"]);
}

#[test]
fn frames_of_one_line_and_frames_across_lines() {
    let text = "f70103ff0a5c f7 01 07 00 0a\n19 24 00 00 e7 f70103ff0a5c\n";
    let records = records(text);
    let seen: Vec<_> = records.iter().map(|r| (r.offset, &r.bytes[..])).collect();
    assert_eq!(seen, [(0, &POLL[..]), (0, &REPLY), (28, &POLL)]);
}

#[test]
fn times_are_exact_and_those_of_the_last_byte() {
    let text = "(1700000000.123456789) f7 01\n(1700000000.2) 03 ff 0a 5c\n(12) f70103ff0a5c\n\
                f70103ff0a5c\n(-0.5) f70103ff0a5c\n";
    let times: Vec<_> = records(text).iter().map(|record| record.time.map(|time| time.0)).collect();
    assert_eq!(
        times,
        [Some(1_700_000_000_200_000_000), Some(12_000_000_000), None, Some(-500_000_000)]
    );
    let record = &records("(1700000000.123456789)f70103ff0a5c")[0];
    assert_eq!(record.time, Some(Time(1_700_000_000_123_456_789)));
}

#[test]
fn times_that_are_none() {
    assert_eq!(
        complaints("(1.0123456789) f7\n(99999999999.0) f7\n(1.2.3) f7\n"),
        [
            "f.txt:1:1: `(1.0123456789)` is no time: seconds need up to 9 digits behind the \
             point, and nanoseconds must fit into 64 bits; the rest of the line was skipped",
            "f.txt:2:1: `(99999999999.0)` is no time: seconds need up to 9 digits behind the \
             point, and nanoseconds must fit into 64 bits; the rest of the line was skipped",
            "f.txt:3:2: `1.2.3` is no hex: write a byte as two hex digits; the rest of the line \
             was skipped",
        ]
    );
}

#[test]
fn a_silence_cuts_an_open_frame() {
    let cut = |gap: &str| {
        let text = format!("(10.000) f7 01 03\n({gap}) f7 01 03 ff 0a 5c\n");
        records(&text).iter().map(|record| (record.time, record.verdict)).collect::<Vec<_>>()
    };
    let truncated = Verdict::Noise(NoiseReason::Truncated { need: 6, have: 3 });
    let (first, late) = (Some(Time(10_000_000_000)), Some(Time(10_120_000_001)));
    assert_eq!(cut("10.120000001"), [(first, truncated), (late, Verdict::Frame)]);
    let rejected = Verdict::Noise(NoiseReason::BadCrc { expected: 0xc5, received: 0x03 });
    let on_time = Some(Time(10_120_000_000));
    assert_eq!(cut("10.12"), [(first, rejected), (on_time, Verdict::Frame)]);
}

#[test]
fn bare_frames_are_records_of_their_own() {
    for text in [
        "0203ff0a",
        "02 03 ff 0a",
        "02:03:ff:0a",
        "0x02, 0x03, 0xff, 0x0a",
        r"b'\x02\x03\xff\n'",
        "bytearray(b'\\x02\\x03\\xff\\n')",
        "{0x02,0x03, 0xff,0x0a},",
    ] {
        let records = records(text);
        assert_eq!(records.len(), 1, "{text}");
        assert_eq!(records[0].bytes, BARE);
        assert_eq!((records[0].origin, records[0].verdict), (Origin::Bare, Verdict::Frame));
        assert_eq!(records[0].wire().unwrap()[..], [0xf7, 0x02, 0x03, 0xff, 0x0a, 0x5c]);
    }
    let origins =
        |text| records(text).iter().map(|r| (r.origin, r.bytes.len())).collect::<Vec<_>>();
    assert_eq!(
        origins("(1.5) 0203ff0a f70103ff0a5c, 0104ff0801"),
        [(Origin::Bare, 4), (Origin::Wire, 6), (Origin::Bare, 5)]
    );
    assert_eq!(
        origins("{0x02, 0x03, 0xff, 0x0a}, {0x01, 0x03, 0xff, 0x0a}"),
        [(Origin::Bare, 4), (Origin::Bare, 4)]
    );
    assert_eq!(records("(1.5) 0203ff0a")[0].time, Some(Time(1_500_000_000)));
}

#[test]
fn bytes_of_the_wire_are_not_taken_for_a_bare_frame() {
    // The second line would be a bare frame, but it is the rest of an open one.
    let rest = records("f7010b00a201\n0203ff0a\nf70103ff0a5c\n");
    assert_eq!(rest.iter().filter(|record| record.origin == Origin::Bare).count(), 0);
    assert_eq!(rest.last().unwrap().bytes, POLL);
    // F7 05: as ADDR and LEN they would fit, but this is a frame to box 5 with a wrong CRC.
    let spoiled = records("f70503ff0a00");
    let bad = NoiseReason::BadCrc { expected: 0x5c, received: 0x00 };
    assert_eq!(spoiled[0].verdict, Verdict::Noise(bad));
}

#[test]
fn garbage_before_a_frame_in_one_word() {
    // Nine bytes, and the second says eight: it fits, but there is a frame inside.
    let records = records("0108aaf70103ff0a5c");
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].verdict, Verdict::Noise(NoiseReason::Garbage));
    assert_eq!(records[0].bytes, [0x01, 0x08, 0xaa]);
    assert_eq!(records[1].bytes, POLL);
}

#[test]
fn what_is_neither_is_noise() {
    let records = records("00 11 22\n0203ff0a\n0102\n");
    let seen: Vec<_> = records.iter().map(|r| (r.offset, r.bytes.len(), r.verdict)).collect();
    let garbage = Verdict::Noise(NoiseReason::Garbage);
    assert_eq!(seen, [(0, 3, garbage), (9, 4, Verdict::Frame), (18, 2, garbage)]);
}

/// The frames of a text, with their directions and times in milliseconds.
fn told(text: &str) -> Vec<(Vec<u8>, Option<Direction>, Option<i64>)> {
    let seen = |record: &Record| {
        assert_eq!(record.verdict, Verdict::Frame, "{text}: {record:?}");
        (record.bytes.clone(), record.dir, record.time.map(|time| time.0 / Time::MILLISECOND))
    };
    records(text).iter().map(seen).collect()
}

#[test]
fn lines_of_logs_tell_time_and_direction() {
    let (tx, rx) = (Some(Direction::Request), Some(Direction::Response));
    let day = 45_296_000;
    for (text, time, dir) in [
        ("[12:34:56.120] TX: F7 01 03 FF 0A 5C", Some(day + 120), tx),
        ("12:34:56.123 -> F7 01 03 FF 0A 5C", Some(day + 123), None),
        ("12:34:56 f7 01 03 ff 0a 5c", Some(day), None),
        ("25.11.2026 12:34:56.120 [TX] - F7 01 03 FF 0A 5C ", Some(1_795_610_096_120), tx),
        (
            "2025-01-01 12:00:00,001 root INFO [a.py:12] send [247, 1, 3, 255, 10, 92]",
            Some(1_735_732_800_001),
            tx,
        ),
        (
            r"2025-01-01T12:00:00Z - INFO - TX bytearray(b'\xf7\x01\x03\xff\n\\')",
            Some(1_735_732_800_000),
            tx,
        ),
        ("I (12345) cfs: TX: f7 01 03 ff 0a 5c", Some(12_345), tx),
        ("[12:34:56][D][uart_debug:114]: >>> F7:01:03:FF:0A:5C", Some(day), None),
        ("DEBUG:root:send: [247, 1, 3, 255, 10, 92]", None, tx),
        ("0.002;TX;F70103FF0A5C", Some(2), tx),
        ("| 1 | TX | `F7 01 03 FF 0A 5C` |", None, tx),
        ("> * f7 01 03 ff 0a 5c", None, None),
        (r"ser.write(b'\xf7\x01\x03\xff\n\\')", None, tx),
        ("uint8_t f[] = {0xF7, 0x01, 0x03, 0xFF, 0x0A, 0x5C};", None, None),
        ("let r = vec![0xf7u8, 0x01, 0x03, 0xff, 0x0a, 0x5c];", None, None),
        ("frame = [247, 1, 3, 255, 10, 92]", None, None),
        ("{\"tx\":\"f70103ff0a5c\"}", None, tx),
        ("F7h 01h 03h FFh 0Ah 5Ch", None, None),
        ("$F7 $01 $03 $FF $0A $5C", None, None),
        ("F7 1 3 FF A 5C", None, None),
        ("247 1 3 255 10 92", None, None),
        ("```\nf7 01 03 ff 0a 5c\n```", None, None),
        ("be sure to add f7 01 03 ff 0a 5c be fed", None, None),
        ("const uint8_t f[] = {\n 0xF7, 0x01, 0x03,\n0xFF, 0x0A, 0x5C\n};", None, None),
        ("2025-01-01 12:00:00.002\n000000 f7 01 03 ff 0a 5c\n", Some(1_735_732_800_002), None),
    ] {
        assert_eq!(told(text), [(POLL.to_vec(), dir, time)], "{text}");
    }
    let both = told("TX: f70103ff0a5c\nRX: f70107000a19240000e7\nRX: f70107000a19240000e7\n");
    assert_eq!(both.iter().map(|seen| seen.1).collect::<Vec<_>>(), [tx, rx, rx]);
}

#[test]
fn frames_say_what_directions_mean() {
    let dirs = |text: &str| told(text).into_iter().map(|seen| seen.1).collect::<Vec<_>>();
    let (request, response) = (Some(Direction::Request), Some(Direction::Response));
    let (ask, answer) = ("f70103ff0a5c", "f70107000a19240000e7");
    // A device's log, once both words were seen.
    let device = format!("RX: {ask}\nTX: {answer}\nRX: {ask}\nTX: {answer}\n");
    assert_eq!(dirs(&device), [None, response, request, response]);
    // Who only listens receives both.
    let listener = format!("RX: {ask}\nRX: {answer}\nRX: {ask}\n");
    assert_eq!(dirs(&listener), [None; 3]);
    // One arrow says nothing, two do.
    assert_eq!(dirs(&format!("> {ask}\n> {answer}\n> {ask}\n")), [None; 3]);
    let arrows = format!("<- {ask}\n-> {answer}\n<- {ask}\n");
    assert_eq!(dirs(&arrows), [None, response, request]);
    // A name that a frame contradicts.
    assert_eq!(dirs(&format!("request: {answer}\nrequest: {ask}\n")), [None, request]);
}

#[test]
fn prose_is_no_frame() {
    for text in [
        "Add a face to the dead beef.",
        "face it: it is bad",
        "12 bytes were sent at 12:34:56",
        "12:34:56 started reading",
        "read face",
        "> dead beef",
        "sent f7",
        "see page f7 of it",
        "2026-05-20 01:38:45,000 [INFO] [tap-a] addr=0x01 CMD data(4)=19240000",
    ] {
        let got = read(text);
        assert!(got.len() == 1 && got[0].is_err(), "{text}: {got:?}");
    }
}

#[test]
fn dumps_of_every_kind() {
    let frames_of = [&POLL[..], &REPLY];
    for text in [
        "00000000: f701 03ff 0a5c f701 0700 0a19  .....\\......\n00000012: 2400 00e7  $...\n",
        "0000   f7 01 03 ff 0a 5c f7 01  07 00   ab cd\n000a   0a 19 24 00 00 e7   ......\n",
        "0000000   f7  01  03  ff  0a  5c  f7  01\n0000010   07  00  0a  19  24  00  00  e7\n0000020\n",
        "000000 f7 01 03 ff 0a 5c f7 01 07 00  >.....<\n00000a 0a 19 24 00 00 e7  >.<\n000010\n",
        "0000000 01f7 ff03 5c0a 01f7 0007 190a 0024 e700\n0000010\n",
        "0000000    01f7    ff03    5c0a    01f7    0007    190a    0024    e700\n0000010\n",
        "00000000: 11110111 00000001 00000011 11111111 00001010 01011100  .....\\\n\
         00000006: 11110111 00000001 00000111 00000000 00001010 00011001  ......\n\
         0000000c: 00100100 00000000 00000000 11100111                    $...\n",
    ] {
        assert_eq!(frames(text), frames_of, "{text}");
    }
    let octal = "0000000 ff0301f7 01f75c0a\n0000010 190a0007 e7000024\n0000020 ff0301f7 00005c0a\n0000026\n";
    assert_eq!(frames(octal), [&POLL[..], &REPLY, &POLL]);
    // An odd number of bytes, the last word filled up.
    let odd = "0000000 01f7 ff04 0a08 01f7\n0000007\n";
    assert_eq!(records(odd).iter().map(|record| record.bytes.len()).sum::<usize>(), 7);
    let swapped = read("00000000: ff0301f7 01f75c0a 190a0007 e7000024  .....\\......$...\n");
    assert_eq!(swapped.len(), 1);
    assert_eq!(Hex.detect(b"00000000: ff0301f7     5c0a         .....\\\n"), Likelihood::Maybe);
    assert!(swapped[0].as_ref().unwrap_err().to_string().contains("`xxd -e`"));
    // What only looks like an offset is bytes.
    assert_eq!(records("0010 35 38\n0a5c 11 22\n")[0].bytes.len(), 8);
}

#[test]
fn complaints_say_where_and_what_to_do() {
    assert_eq!(
        complaints("f7 01 3\nTX! f7\n\u{e9}\u{e9} f7\nf7 '\u{e9}\u{e9}' zz\n\\q\nb'\\x4\n"),
        [
            "f.txt:1:7: `3` has an odd number of digits: write a byte as two hex digits",
            "f.txt:2:1: `TX!` is no hex: write a byte as two hex digits; the rest of the line \
             was skipped",
            "f.txt:3:1: `éé` is no hex: write a byte as two hex digits; the rest of the line was \
             skipped",
            "f.txt:4:5: `éé` is no hex: write a byte as two hex digits; the rest of the line was \
             skipped",
            "f.txt:5:1: `\\q` is no escape of a bytes literal: write a byte as \\xNN",
            "f.txt:6:3: `\\x4` is no escape of a bytes literal: write a byte as \\xNN",
        ]
    );
    // What comes before the place is kept.
    let kept = read("f70103ff0a5c zz f70103ff0a5c");
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0].as_ref().unwrap().bytes, POLL);
    assert_eq!(
        complaints("\"f701"),
        ["f.txt:1:1: `\"f701` opens a string that is not closed in this line: close it"]
    );
}

#[test]
fn dumps_with_gaps_and_squeezed_lines() {
    let text = "00000000: f701 03                                  ...\n\
                00000010: f701 03ff 0a5c                           ......\n*\n00000030\n";
    let got = read(text);
    assert_eq!(got.len(), 4);
    assert_eq!(
        got[0].as_ref().unwrap().verdict,
        Verdict::Noise(NoiseReason::Truncated { need: 6, have: 3 })
    );
    assert_eq!(got[1].as_ref().unwrap().bytes, POLL);
    assert!(got[2].as_ref().unwrap_err().to_string().starts_with("f.txt:3:1: `*` stands for"));
}

#[test]
fn a_line_of_any_length() {
    let long = "f70103ff0a5c".repeat(300_000);
    assert_eq!(frames(&long).len(), 300_000);
    let spaced = "f7 01 03 ff 0a 5c ".repeat(100_000);
    assert_eq!(frames(&spaced).len(), 100_000);
    let quoted = format!("b'{}'\nf70103ff0a5c", "a".repeat(LINE_LIMIT));
    let got = read(quoted);
    assert_eq!(got.len(), 2);
    let error = got[0].as_ref().unwrap_err().to_string();
    assert!(error.starts_with("f.txt:1: the line is longer"), "{error}");
    assert_eq!(got[1].as_ref().unwrap().bytes, POLL);
}

#[test]
fn detection() {
    let of = |text: &str| Hex.detect(text.as_bytes());
    let annotated = "# what I saw\nf7 01 03 ff 0a 5c\nzz\n00\n11\n\n22\n";
    let (digits, literal) = ("F70103FF0A5C".repeat(500), r"\xf7\x01\x03\xff\n\\".repeat(300));
    for text in [
        "f7 01 03 ff 0a 5c\n",
        annotated,
        "f70103ff0a5c the poll of box 1\nf70107000a19240000e7 its reply\n",
        &format!("\u{feff}{digits}")[..HEAD_SIZE],
        &digits[..HEAD_SIZE - 1],
        &format!("b'{literal}")[..HEAD_SIZE],
    ] {
        assert_eq!(of(text), Likelihood::Sure, "{text}");
    }
    let introduction = "# what I saw\n// and when\n".repeat(200);
    let log = "34.775271 H> f70103ff0a5c\n34.779610 S< f70107000a19240000e7\n";
    for text in ["0203ff0a", &introduction[..HEAD_SIZE], "00 11 22\n", log] {
        assert_eq!(of(text), Likelihood::Maybe, "{text}");
    }
    for text in [
        "\n",
        "---\n",
        "# nothing but\n// comments\n",
        "# A tool\n\nIt reads the bus. Try:\n\nf7 01 03 ff 0a 5c\n\nand see.\n",
        "< 0xf7 (M-w)\n",
        "{\"type\": \"call\", \"args\": \"{'_bytes': '010300a2'}, 0.1\"}\n",
    ] {
        assert_eq!(of(text), Likelihood::No, "{text}");
    }
}

mod properties {
    use super::*;
    use k485_proto::address::Address;
    use k485_proto::frame::Hex as Digits;
    use k485_proto::status::Status;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// A frame, whole or bare.
    #[derive(Debug, Clone)]
    struct Written {
        is_bare: bool,
        wire: Vec<u8>,
    }

    impl Written {
        fn bytes(&self) -> &[u8] {
            if self.is_bare { &self.wire[1..self.wire.len() - 1] } else { &self.wire }
        }
    }

    fn written() -> impl Strategy<Value = Written> {
        let data = prop_oneof![vec(any::<u8>(), 0..24), vec(any::<u8>(), 0..252)];
        (any::<bool>(), 0u8..0xf0, any::<u8>(), any::<u8>(), data).prop_map(
            |(is_bare, addr, status, func, data)| {
                let wire = Frame::to_vec(Address(addr), Status(status), func, &data).unwrap();
                Written { is_bare, wire }
            },
        )
    }

    fn joined(bytes: &[u8], before: &str, between: &str) -> String {
        let bytes: Vec<String> = bytes.iter().map(|byte| format!("{before}{byte:02x}")).collect();
        bytes.join(between)
    }

    /// As Python prints bytes.
    fn literal(bytes: &[u8]) -> String {
        let escaped = |byte: &u8| match byte {
            b'\n' => r"\n".to_owned(),
            b'\r' => r"\r".to_owned(),
            b'\t' => r"\t".to_owned(),
            b'\\' => r"\\".to_owned(),
            b'\'' => r"\'".to_owned(),
            b' '..=b'~' => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        };
        bytes.iter().map(escaped).collect()
    }

    /// A frame in one line, or with a wide spelling in several if it is whole.
    fn spelled(frame: &Written, spelling: u8) -> String {
        let bytes = frame.bytes();
        match spelling {
            0 => Digits(bytes).to_string(),
            1 => Digits(bytes).to_string().to_uppercase(),
            2 => joined(bytes, "", " "),
            3 => joined(bytes, "0x", ", "),
            4 => joined(bytes, "\\x", ""),
            5 => format!("b'{}'", literal(bytes)),
            6 => format!("bytearray(b\"{}\")", literal(bytes).replace('"', "\\\"")),
            7 => joined(bytes, "", ":"),
            8 => joined(bytes, "", "-"),
            9 => format!("{{{}}};", joined(bytes, "0x", ",").to_uppercase().replace('X', "x")),
            10 => format!("'{}' # {}", joined(bytes, "", " "), "f7"),
            11 => format!("(1.5) {} // a comment", joined(bytes, "", " ")),
            _ if frame.is_bare => Digits(bytes).to_string(),
            12 => bytes.chunks(7).map(|part| joined(part, "", " ") + "\r\n").collect(),
            13 => dump(bytes, |at, part, text| {
                let groups: Vec<_> = part.chunks(2).map(|two| Digits(two).to_string()).collect();
                format!("{at:08x}: {:<39}  {text}\n", groups.join(" "))
            }),
            _ => {
                dump(bytes, |at, part, text| {
                    let (low, high) = part.split_at(part.len().min(8));
                    let bytes = format!("{}  {}", joined(low, "", " "), joined(high, "", " "));
                    format!("{at:08x}  {bytes:<49} |{text}|\n")
                }) + &format!("{:08x}", bytes.len())
            }
        }
    }

    /// A line of a log, at so many milliseconds past something.
    fn logged(bytes: &[u8], millis: usize, (prefix, spelling): (u8, u8), sent: bool) -> String {
        let word = if sent { "TX" } else { "RX" };
        let arrow = if sent { "->" } else { "<-" };
        let prefix = match prefix {
            0 => format!("[12:34:56.{millis:03}] {word}:"),
            1 => format!("12:34:56.{millis:03} {arrow}"),
            2 => format!("2025-01-01 12:34:56,{millis:03} - INFO - {word}"),
            3 => format!("I ({millis}) bus: {word}:"),
            4 => format!("[12:34:56.{millis:03}][D][uart_debug:114]: {arrow}"),
            5 => format!("DEBUG:root:{word}:"),
            6 => "> ".to_owned(),
            _ => format!("| {millis} | {word} |"),
        };
        let decimal: Vec<String> = bytes.iter().map(u8::to_string).collect();
        let written = match spelling {
            0 => joined(bytes, "", " ").to_uppercase(),
            1 => Digits(bytes).to_string(),
            2 => format!("[{}]", decimal.join(", ")),
            3 => format!("b'{}'", literal(bytes)),
            4 => joined(bytes, "$", " "),
            _ => format!("{{{}}};", joined(bytes, "0x", ", ")),
        };
        format!("{prefix} {written}\n")
    }

    fn dump(bytes: &[u8], line: impl Fn(usize, &[u8], &str) -> String) -> String {
        let parts = bytes.chunks(16).enumerate();
        let visible = |byte: &u8| if (b' '..=b'~').contains(byte) { *byte } else { b'.' };
        parts
            .map(|(number, part)| {
                let text: String = part.iter().map(|byte| char::from(visible(byte))).collect();
                line(16 * number, part, &text)
            })
            .collect()
    }

    proptest! {
        /// Frames give themselves back, however each is spelled.
        #[test]
        fn frames_in_any_spelling(frames in vec((written(), 0u8..15), 0..12)) {
            // A bare frame with a whole one inside is read as the latter, by the module's rule.
            let is_plain = |bytes: &[u8]| spans(bytes).all(|span| matches!(span, Span::Noise(_)));
            prop_assume!(frames.iter().all(|(f, _)| !f.is_bare || is_plain(f.bytes())));
            let lines: Vec<_> = frames.iter().map(|(f, spelling)| spelled(f, *spelling)).collect();
            let text = lines.join("\n");
            let records: Vec<_> = read(text.clone()).into_iter().collect::<Result<_, _>>().unwrap();
            let got: Vec<_> =
                records.iter().map(|r| (r.verdict, r.origin == Origin::Bare, &r.bytes[..])).collect();
            let expected: Vec<_> =
                frames.iter().map(|(f, _)| (Verdict::Frame, f.is_bare, f.bytes())).collect();
            prop_assert_eq!(got, expected, "{}", text);
        }

        /// Frames of a log give themselves back with their times, however its lines are written;
        /// a direction that is told is never another one than the frame's own.
        #[test]
        fn frames_of_a_log(frames in vec((written(), 0u8..8, 0u8..6, any::<bool>()), 0..12)) {
            let mut text = String::new();
            for (number, (frame, prefix, spelling, sent)) in frames.iter().enumerate() {
                text.push_str(&logged(&frame.wire, number, (*prefix, *spelling), *sent));
            }
            let records: Vec<_> = read(text.clone()).into_iter().collect::<Result<_, _>>().unwrap();
            let got: Vec<_> = records.iter().map(|r| (&r.bytes[..], r.time.is_some())).collect();
            let expected: Vec<_> = frames.iter().map(|(f, prefix, ..)| (&f.wire[..], *prefix < 5)).collect();
            prop_assert_eq!(got, expected, "{}", text);
            for (number, (record, (_, prefix, ..))) in records.iter().zip(&frames).enumerate() {
                let base = [45_296, 45_296, 1_735_734_896, 0, 45_296].get(usize::from(*prefix));
                let time = base.map(|base| Time(base * Time::SECOND + number as i64 * Time::MILLISECOND));
                prop_assert_eq!(record.time, time, "{}", text);
                let frame = Frame::from_bytes(&record.bytes).unwrap();
                if let (Some(dir), Some(known)) = (record.dir, certain(&frame, &K2)) {
                    prop_assert_eq!(dir, known, "{}", text);
                }
            }
        }

        /// A dump gives its bytes back, whatever counts its lines.
        #[test]
        fn frames_of_a_dump(frames in vec(written(), 1..6), kind in 0u8..6) {
            let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.wire.clone()).collect();
            let text = dump(&bytes, |at, part, text| {
                let pairs = joined(part, "", " ");
                match kind {
                    0 => format!("{at:08}: {pairs:<48} {text}\n"),
                    1 => format!("{at:04x}   {pairs:<47}   {text}\n"),
                    2 => format!("{at:07o} {pairs}\n"),
                    3 => format!("{at:06x} {pairs:<48} >{text}<\n"),
                    4 => format!("{at:07} {}\n", joined(part, "", "  ")),
                    _ => {
                        let words = part.chunks(2).map(|two| {
                            format!("{:02x}{:02x}", two.get(1).unwrap_or(&0), two[0])
                        });
                        format!("{at:07x} {}\n", words.collect::<Vec<_>>().join(" "))
                    }
                }
            });
            let end = if kind == 5 { format!("{:07x}\n", bytes.len()) } else { String::new() };
            let text = text + &end;
            let got: Vec<_> = read(text.clone()).into_iter().map(|item| item.unwrap().bytes).collect();
            let expected: Vec<_> = frames.into_iter().map(|frame| frame.wire).collect();
            prop_assert_eq!(got, expected, "{}", text);
        }

        /// Every byte of plain digits is in a record, frame or not, in its order.
        #[test]
        fn no_byte_is_lost(lines in vec(vec(prop_oneof![Just(0xf7), 0u8..8, any::<u8>()], 0..40), 0..20)) {
            let text: String = lines.iter().map(|line| joined(line, "", " ") + "\n").collect();
            let got = read(text).into_iter().flat_map(|item| item.unwrap().bytes);
            prop_assert_eq!(got.collect::<Vec<_>>(), lines.concat());
        }

        #[test]
        fn nothing_panics(bytes in vec(any::<u8>(), 0..400)) {
            Hex.detect(&bytes);
            read(bytes);
        }

        #[test]
        fn nothing_that_is_almost_right_panics(
            text in r#"([0-9a-f]{2} ?|[\n'"\\xb(){}\[\],;:|#/.0é*-]|f7 ?|\(1\.5\)|00000000[: ] |  ){0,80}"#,
        ) {
            Hex.detect(text.as_bytes());
            read(text);
        }
    }
}
