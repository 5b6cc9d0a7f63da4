//! Filters over sample exchanges, the column of every error, and that no text breaks the reader.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::*;
use crate::deframer;
use crate::dialect::K2;
use crate::exchange::Pairer;
use crate::message::kind::hex_bytes;
use crate::record::{Call, Direction, Gap, GapReason, Origin, Record, Time, Verdict};

/// A frame of hex text without head and CRC.
fn wire(hex: &str) -> Vec<u8> {
    let bytes = hex_bytes(&hex.replace(' ', "")).unwrap();
    Frame::from_bare(&bytes).unwrap()
}

/// What a pairer says of frames (without head and CRC) at these milliseconds.
fn seen(frames: &[(i64, &str)]) -> Vec<Seen> {
    let mut pairer = Pairer::new();
    for (ms, hex) in frames {
        for span in deframer::spans(&wire(hex)) {
            let time = Some(Time(ms * Time::MILLISECOND));
            pairer.push(Record { time, bus: Arc::from("hub"), ..Record::of_span(&span) });
        }
    }
    pairer.finish();
    core::iter::from_fn(|| pairer.pull()).collect()
}

/// The only exchange of some frames.
fn exchange(frames: &[(i64, &str)]) -> Exchange {
    let mut exchanges = seen(frames).into_iter().filter_map(|seen| match seen {
        Seen::Exchange(exchange) => Some(exchange),
        _ => None,
    });
    let first = exchanges.next().unwrap();
    assert_eq!(exchanges.next(), None);
    first
}

fn filter(text: &str) -> Filter {
    Filter::parse(text, &K2).unwrap_or_else(|error| panic!("{error}"))
}

/// GET_BOX_STATE to box1 at 1 s, answered after 60 ms: 25 C, 36 %, nothing ran, idle.
fn poll() -> Exchange {
    exchange(&[(1_000, "01 03 ff 0a"), (1_060, "01 07 00 0a 19 24 00 00")])
}

/// EXTRUDE_PROCESS of T1A, stage 5, sent twice, answered with EXTRUDE_ERR8 and -587.2239 mm.
fn feed() -> Exchange {
    exchange(&[
        (1_000, "01 06 ff 10 01 05 00"),
        (16_005, "01 06 ff 10 01 05 00"),
        (16_010, "01 07 0c 10 c4 12 ce 54"),
    ])
}

/// ONLINE_CHECK of box4, which nobody answers.
fn silence() -> Exchange {
    exchange(&[(1_000, "04 03 00 a2")])
}

/// Every expression with what it says of `poll`, `feed` and `silence`.
#[test]
fn expressions_over_exchanges() {
    let samples = [poll(), feed(), silence()];
    for (text, results) in [
        // Devices.
        ("addr==box1", [true, true, false]),
        ("addr!=box1", [false, false, true]),
        ("addr==BOX1", [true, true, false]),
        ("addr==0x04", [false, false, true]),
        ("addr==4", [false, false, true]),
        ("addr<4", [true, true, false]),
        ("addr==box", [true, true, true]),
        ("addr!=box", [false, false, false]),
        ("addr==motor", [false, false, false]),
        ("addr~ox4", [false, false, true]),
        ("addr in {box2, box4}", [false, false, true]),
        ("class==box", [true, true, true]),
        // Functions.
        ("func==GET_BOX_STATE", [true, false, false]),
        ("func==get_box_state", [true, false, false]),
        ("func==0x0a", [true, false, false]),
        ("func==10", [true, false, false]),
        ("func!=GET_BOX_STATE", [false, true, true]),
        ("func>=0xa0", [false, false, true]),
        ("func~extrude", [false, true, false]),
        ("func!~extrude", [true, false, true]),
        // Status: of the reply alone, so silence has none.
        ("status==OK", [true, false, false]),
        ("status!=OK", [false, true, false]),
        ("!(status==OK)", [false, true, true]),
        ("status==EXTRUDE_ERR8", [false, true, false]),
        ("status==0x0c", [false, true, false]),
        ("status~extrude", [false, true, false]),
        ("status>0", [false, true, false]),
        // The exchange.
        ("outcome==answered", [true, true, false]),
        ("outcome!=answered", [false, false, true]),
        ("latency>50ms", [true, false, false]),
        ("latency==60ms", [true, false, false]),
        ("latency<=60000us", [true, true, false]),
        ("latency>=0.005s", [true, true, false]),
        ("latency<1m", [true, true, false]),
        ("latency>-1ms", [true, true, false]),
        ("attempts==2", [false, true, false]),
        ("attempts<2", [true, false, true]),
        ("retry", [false, true, false]),
        ("time==1", [true, true, true]),
        ("time>0.999999999", [true, true, true]),
        ("time>1.000000000", [false, false, false]),
        ("bus==hub", [true, true, true]),
        ("bus==HUB", [false, false, false]),
        ("bus~HU", [true, true, true]),
        ("exchange", [true, true, true]),
        ("frame || noise", [false, false, false]),
        ("request", [true, true, true]),
        ("response", [true, true, false]),
        ("dir==response", [true, true, false]),
        ("dir!=request", [true, true, false]),
        ("dir_source==certain", [true, true, true]),
        ("bare || implausible || misfit || unknown || late", [false, false, false]),
        // Bytes.
        ("len==7", [true, true, false]),
        ("len>3", [true, true, false]),
        ("data==19240000", [true, false, false]),
        ("data==\"19 24 00 00\"", [true, false, false]),
        ("data==\"\"", [true, false, true]),
        ("data!=\"\"", [true, true, false]),
        ("data~\"19..00\"", [true, false, false]),
        ("data~c4..ce", [false, true, false]),
        ("data~\"1924000000\"", [false, false, false]),
        ("data~92", [false, false, false]),
        ("raw~f7.4", [false, false, true]),
        ("raw==f70103ff0a5c", [true, false, false]),
        // Fields of the payload, each in the frame that has it.
        ("stage==5", [false, true, false]),
        ("stage==0x05", [false, true, false]),
        ("stage==feed_poll", [false, true, false]),
        ("stage!=feed_poll", [false, false, false]),
        ("stage~POLL", [false, true, false]),
        ("stage<6", [false, true, false]),
        ("slot==T1A", [false, true, false]),
        ("slot==A", [false, true, false]),
        ("slot==1", [false, true, false]),
        ("slot==T2A", [false, false, false]),
        ("slot!=T2A", [false, true, false]),
        ("slot~A", [false, true, false]),
        ("slot~A+B", [false, false, false]),
        ("temperature==25", [true, false, false]),
        ("temperature>24.5", [true, false, false]),
        ("temperature==25.0", [true, false, false]),
        ("temperature<25", [false, false, false]),
        ("humidity>30 && humidity<40", [true, false, false]),
        ("state==idle", [true, false, false]),
        ("state!=idle", [false, false, false]),
        ("!(state!=idle)", [true, true, true]),
        ("ran==none", [true, false, false]),
        ("odometer<-500", [false, true, false]),
        ("odometer==-587.22", [false, true, false]),
        ("odometer==-587.2", [false, true, false]),
        ("odometer==-587", [false, true, false]),
        ("odometer==-587.23", [false, false, false]),
        ("odometer!=-587.22", [false, false, false]),
        ("form==FeedPoll", [false, true, false]),
        ("form==error", [false, false, false]),
        // Logic.
        ("addr==box1 && func==GET_BOX_STATE && latency>50ms", [true, false, false]),
        ("stage==5 || outcome==timeout || outcome==unfinished", [false, true, true]),
        ("stage==5 or outcome==unfinished and addr==box1", [false, true, false]),
        ("(stage==5 or outcome==unfinished) and addr==box1", [false, true, false]),
        ("!retry", [true, false, true]),
        ("not not retry", [false, true, false]),
        ("!addr==box1", [false, false, true]),
    ] {
        let filter = filter(text);
        let found = [0, 1, 2].map(|at| filter.matches_exchange(&samples[at]));
        assert_eq!(found, results, "{text}");
    }
}

#[test]
fn slots_flags_and_texts() {
    let slots = exchange(&[(0, "02 04 ff 08 01"), (3, "02 04 00 08 05")]);
    let tag = "A:412250276A2011002026eeee0330000001000000;B:none;";
    let reply: Vec<u8> = [&[1, 3 + tag.len() as u8, 0, 2], tag.as_bytes()].concat();
    let hex: String = reply.iter().map(|byte| format!("{byte:02x}")).collect();
    let tags = exchange(&[(0, "01 04 ff 02 03"), (3, &hex)]);
    let ran = exchange(&[(0, "01 03 ff 0a"), (3, "01 07 00 0a f6 24 12 04")]);
    let motor = exchange(&[(0, "81 04 00 0c 0b"), (3, "81 0b 00 0c 05 00 00 00 02 00 00 00")]);
    let assign = exchange(&[
        (0, "fe 10 00 a0 02 4b3438350153414d504c4502"),
        (3, "02 11 00 a0 01 00 4b3438350153414d504c4502"),
    ]);
    for (sample, text, result) in [
        (&slots, "slots==T2A+T2C", true),
        (&slots, "slots==A+C", true),
        (&slots, "slots==AC", true),
        (&slots, "slots==T2A", false),
        (&slots, "slots~T2A", true),
        (&slots, "slots~T1A", false),
        (&slots, "slots!~T2B", true),
        (&slots, "slots==0x05", true),
        (&slots, "slots==5", true),
        (&slots, "slots==none", false),
        (&slots, "slots~none", false),
        (&slots, "sensors==hub", true),
        (&tags, "tags.A.material==011002", true),
        (&tags, "tags.A.material!=011002", false),
        (&tags, "tags.A.material~1100", true),
        (&tags, "tags.B==none", true),
        (&tags, "tags.A==none", false),
        (&tags, "tags.B.material==011002", false),
        (&tags, "tags.B.material!=011002", false),
        (&tags, "tags.C==none", false),
        (&tags, "tags~NONE", true),
        (&tags, "tags~busy", false),
        (&tags, "tags!~busy", true),
        (&ran, "temperature==-10", true),
        (&ran, "ran==B+hub_blocked", true),
        (&ran, "ran==B", false),
        (&ran, "ran~B", true),
        (&ran, "ran~HUB_BLOCKED", true),
        (&ran, "ran!=none", true),
        (&ran, "ran==18", true),
        (&ran, "state==error", true),
        (&ran, "state~err", true),
        (&motor, "errors==encoder_jump+peak_current", true),
        (&motor, "errors~peak_current", true),
        (&motor, "warnings==supply_too_low", true),
        (&motor, "warnings==bit1", false),
        (&motor, "addr==motor && class!=box", true),
        // A0 is answered from the new address: either frame may be meant.
        (&assign, "addr==unassigned", true),
        (&assign, "addr==box2", true),
        (&assign, "addr!=box2", true),
        (&assign, "!(addr==box2)", false),
        (&assign, "address==box2", true),
        (&assign, "address==2", true),
        (&assign, "address!=box1", true),
        (&assign, "address~BOX", true),
        (&assign, "uniid==4b3438350153414d504c4502", true),
        (&assign, "uniid~\"53 41 4d\"", true),
        (&assign, "uniid~53414d504c4503", false),
        (&assign, "device_type==box && program==app", true),
    ] {
        assert_eq!(filter(text).matches_exchange(sample), result, "{text}");
    }
}

#[test]
fn frames_and_noise() {
    let all = seen(&[(1_000, "01 06 ff 10 01 05 00"), (1_003, "01 07 00 10 c4 12 ce 54")]);
    let of =
        |text: &str| -> Vec<bool> { all.iter().map(|seen| filter(text).matches(seen)).collect() };
    // The request, the reply, the exchange.
    assert_eq!(of("frame"), [true, true, false]);
    assert_eq!(of("request"), [true, false, true]);
    assert_eq!(of("response"), [false, true, true]);
    assert_eq!(of("stage==5"), [true, false, true]);
    assert_eq!(of("odometer<0"), [false, true, true]);
    assert_eq!(of("status==OK"), [false, true, true]);
    assert_eq!(of("outcome==answered"), [false, false, true]);
    assert_eq!(of("time>=1.003"), [false, true, false]);
    assert_eq!(of("noise"), [false, false, false]);
    let bytes = [0x00, 0xe0, 0x1c, 0xf7, 0x01, 0x02];
    let noise: Vec<Record> = deframer::spans(&bytes).map(|span| Record::of_span(&span)).collect();
    let of = |text: &str| -> Vec<bool> {
        noise.iter().map(|record| filter(text).matches_noise(record)).collect()
    };
    assert_eq!(noise.len(), 2);
    assert_eq!(of("noise"), [true, true]);
    assert_eq!(of("reason==garbage"), [true, false]);
    assert_eq!(of("reason!=garbage"), [false, true]);
    assert_eq!(of("reason==bad_length || reason==truncated"), [false, true]);
    assert_eq!(of("size==3"), [true, true]);
    assert_eq!(of("offset>=3"), [false, true]);
    assert_eq!(of("raw~e01c"), [true, false]);
    assert_eq!(of("addr==box1 || addr!=box1 || time>0 || bus~\"\" || frame"), [false, false]);
    assert_eq!(of("dir==unknown"), [true, true]);
}

#[test]
fn requests_that_nobody_recorded() {
    let raw = wire("01 06 ff 10 01 05 00");
    let request = Frame::from_bytes(&raw).unwrap();
    for (text, result) in [
        ("func==EXTRUDE_PROCESS && stage==5 && slot==T1A", true),
        ("stage==4", false),
        ("request && frame", true),
        ("raw~f701", true),
        ("time>=0 || bus~\"\" || offset>=0 || status>=0 || response", false),
    ] {
        assert_eq!(filter(text).matches_request(&request), result, "{text}");
    }
}

#[test]
fn marks_of_frames() {
    let frame = |record: Record| {
        let mut pairer = Pairer::new();
        pairer.push(record);
        pairer.finish();
        pairer.pull().unwrap()
    };
    let record = |hex: &str| {
        let raw = wire(hex);
        Record::of_span(&deframer::spans(&raw).next().unwrap())
    };
    let bare = Record {
        bytes: hex_bytes("0103ff0a").unwrap(),
        origin: Origin::Bare,
        ..record("01 03 ff 0a")
    };
    for (seen, text) in [
        (frame(bare), "bare && raw==0103ff0a"),
        (frame(record("41 03 ff 0a")), "implausible && addr==0x41"),
        (frame(record("01 03 ff 7e")), "unknown && func==0x7e && func!=126 || unknown"),
        (frame(record("01 04 ff 10 01")), "misfit && func==EXTRUDE_PROCESS"),
        (
            frame(Record { dir: Some(Direction::Response), ..record("81 04 00 0c 0b") }),
            "dir_source==given",
        ),
        (frame(record("81 04 00 0c 0b")), "dir==unknown && dir_source==unknown"),
    ] {
        assert!(filter(text).matches(&seen), "{text}: {seen:?}");
    }
    // A late reply: the host had gone on.
    let late = seen(&[(0, "01 03 ff 05"), (20_000, "02 03 ff 05"), (20_005, "01 04 00 05 02")]);
    assert!(late.iter().any(|seen| filter("late && addr==box1").matches(seen)));
    assert!(!late.iter().any(|seen| filter("late && addr==box2").matches(seen)));
    // A return without a reply whose call is not in the trace has no frame at all.
    let mut pairer = Pairer::new();
    let call = Some(Call { id: 7, timeout_ms: None, duration_ns: Some(125 * Time::MILLISECOND) });
    let mut nothing = record("01 03 ff 0a");
    (nothing.call, nothing.verdict) = (call, Verdict::NoReply);
    pairer.push(nothing);
    let seen = pairer.pull().unwrap();
    assert!(filter("outcome==request_not_seen && latency>100ms").matches(&seen));
    assert!(!filter("addr!=box1 || func!=0x0a || unknown || request").matches(&seen));
}

#[test]
fn gaps() {
    let gap = Gap { reason: GapReason::Overrun, ns: None, bytes: Some(12) };
    let gap = Record::of_gap(gap, Some(Time(Time::SECOND)), Arc::from("hub"));
    let mut pairer = Pairer::new();
    pairer.push(gap);
    let seen = pairer.pull().unwrap();
    for text in ["gap", "gap && reason==overrun && size==12", "time==1", "bus==hub", "!noise"] {
        assert!(filter(text).matches(&seen), "{text}");
    }
    for text in ["noise", "frame", "reason!=overrun", "size>12", "raw==\"\"", "dir==unknown"] {
        assert!(!filter(text).matches(&seen), "{text}");
    }
}

#[test]
fn hints() {
    for (text, hints) in [
        (
            "func==10",
            &[(
                7,
                "10 is decimal, which is 0x0A (GET_BOX_STATE); hex is written 0x10 (EXTRUDE_PROCESS)",
            )][..],
        ),
        (
            "noise || addr==81",
            &[(16, "81 is decimal, which is 0x51; hex is written 0x81 (motor1)")],
        ),
        (
            "status==14",
            &[(
                9,
                "14 is decimal, which is 0x0E (EXTRUDE_ERR9); hex is written 0x14 (RETRUDE_ERR2)",
            )],
        ),
        (
            "func in {10, 0x10, 2}",
            &[(
                10,
                "10 is decimal, which is 0x0A (GET_BOX_STATE); hex is written 0x10 (EXTRUDE_PROCESS)",
            )],
        ),
        ("func==0x10 && addr==1 && len==10", &[]),
    ] {
        let filter = filter(text);
        let found: Vec<(usize, &str)> =
            filter.hints().iter().map(|hint| (hint.column, &*hint.text)).collect();
        assert_eq!(found, hints, "{text}");
    }
}

#[test]
fn nesting_and_length_have_a_limit() {
    let nested = |open: &str, depth: usize, inside: &str, close: &str| {
        Filter::parse(&format!("{}{inside}{}", open.repeat(depth), close.repeat(depth)), &K2)
    };
    assert!(nested("(", MAX_DEPTH, "noise", ")").is_ok());
    let error = nested("(", MAX_DEPTH + 1, "noise", ")").unwrap_err();
    assert_eq!((error.column, error.problem), (MAX_DEPTH + 1, Problem::TooDeep));
    assert_eq!(nested("(", 4_000, "", "").unwrap_err().problem, Problem::TooDeep);
    assert_eq!(nested("!(", 2_000, "noise", "").unwrap_err().problem, Problem::TooDeep);
    // What can be read can be read in its canonical form, to the last level.
    for depth in MAX_DEPTH - 3..=MAX_DEPTH {
        for inside in ["addr==box1", "!addr==box1", "addr in {box1, box2}", "!addr in {box1, rack}"]
        {
            let Ok(filter) = nested("!(noise && (frame || ", depth / 2, inside, "))") else {
                continue;
            };
            assert_eq!(Filter::parse(&filter.to_string(), &K2), Ok(filter));
        }
    }
    // Marks alone nest nothing.
    assert_eq!(nested("!", 4_001, "noise", "").unwrap().to_string(), "!noise");
    let error = Filter::parse(&"(".repeat(1_000_000), &K2).unwrap_err();
    assert_eq!(error.problem, Problem::TooLong { length: 1_000_000 });
    assert_eq!(error.text.len(), MAX_LENGTH);
}

#[test]
fn canonical_forms() {
    for (text, canonical) in [
        ("((noise))", "noise"),
        ("a==1||(noise||frame)", "a==1 || noise || frame"),
        ("noise AND (frame && !!bare)", "noise && frame && bare"),
        ("noise && (frame or bare)", "noise && (frame || bare)"),
        ("not addr==box1", "!(addr==box1)"),
        ("!(noise && !frame)", "!(noise && !frame)"),
        ("addr in {box1}", "addr==box1"),
        ("func == \"GET_BOX_STATE\"", "func==GET_BOX_STATE"),
        ("bus==\"a \\\"b\\\" \\\\ \\x1B ü\"", "bus==\"a \\\"b\\\" \\\\ \\x1b \\xc3\\xbc\""),
        ("field.raw==00 && raw==00", "field.raw==00 && raw==00"),
        ("field.stage==5", "stage==5"),
    ] {
        assert_eq!(filter(text).to_string(), canonical);
        assert_eq!(filter(canonical), filter(text), "{text}");
    }
}

mod errors;
mod properties;
