use super::*;
use crate::deframer;
use crate::host::Policy;
use crate::message::kind::hex_bytes;
use crate::record::Call;
use alloc::format;
use alloc::string::{String, ToString};

/// Records of a line `[time_ms] hex`; noise where the bytes are no frame.
fn records(lines: &[&str]) -> Vec<Record> {
    let mut records = Vec::new();
    for line in lines {
        let (time, hex) = match line.split_once(' ') {
            Some((ms, hex)) => (Some(Time(ms.parse::<i64>().unwrap() * Time::MILLISECOND)), hex),
            None => (None, *line),
        };
        for span in deframer::spans(&hex_bytes(hex).unwrap()) {
            records.push(Record { time, ..Record::of_span(&span) });
        }
    }
    records
}

/// Every exchange in a word: `FUNC>outcome attempts latency_ms`.
fn exchanges(records: Vec<Record>) -> Vec<String> {
    let mut pairer = Pairer::new();
    let mut out = Vec::new();
    for record in records {
        pairer.push(record);
    }
    pairer.finish();
    while let Some(seen) = pairer.pull() {
        match seen {
            Seen::Exchange(e) => {
                let side = |o: &Option<Arc<Observed>>| {
                    o.as_ref().map_or("-".to_string(), |o| {
                        format!("{}/{:02x}", o.frame().addr(), o.frame().func())
                    })
                };
                let latency = e.latency_ns.map(|ns| format!(" {}ms", ns / Time::MILLISECOND));
                let attempts = e.attempts.filter(|n| *n > 1).map(|n| format!(" x{n}"));
                out.push(format!(
                    "{}>{} {}{}{}",
                    side(&e.request),
                    side(&e.response),
                    e.outcome.name(),
                    attempts.unwrap_or_default(),
                    latency.unwrap_or_default(),
                ));
            }
            Seen::Noise(_) => out.push("noise".to_string()),
            Seen::Gap(_) => out.push("gap".to_string()),
            Seen::Lone(o) => {
                out.push(format!("lone {}/{:02x}", o.frame().addr(), o.frame().func()))
            }
            Seen::Frame(_) => {}
        }
    }
    out
}

const POLL: &str = "f70103ff0a5c";
const STATE: &str = "f70107000a19240000e7";
const STALL: &str = "f781040011011d";

#[test]
fn a_reply_and_a_time_out() {
    let seen = exchanges(records(&[
        &format!("0 {POLL}"),
        &format!("3 {STATE}"),
        "10 f7040300a2da",
        "120 f70203ff0a5c",
    ]));
    assert_eq!(
        seen,
        ["box1/0a>box1/0a answered 3ms", "box4/a2>- timeout", "box2/0a>- unfinished",]
    );
}

#[test]
fn the_same_request_again_is_a_retry_where_the_host_retries() {
    let buffer = "f70103ff0571";
    let reply = "f7010400050217";
    let seen = exchanges(records(&[
        &format!("0 {buffer}"),
        &format!("2005 {buffer}"),
        &format!("2023 {reply}"),
    ]));
    assert_eq!(seen, ["box1/05>box1/05 answered x2 18ms"]);
    // Five transmissions are all there is; a sixth is a new request.
    let lines: Vec<String> = (0..6).map(|n| format!("{} {buffer}", n * 2005)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(exchanges(records(&lines)), ["box1/05>- timeout x5", "box1/05>- unfinished"]);
    // Address management is sent once a call, so each is an exchange of its own.
    let check = "f7010300a2da";
    let seen = exchanges(records(&[&format!("0 {check}"), &format!("110 {check}")]));
    assert_eq!(seen, ["box1/a2>- timeout", "box1/a2>- unfinished"]);
}

#[test]
fn a_request_that_equals_its_reply() {
    // In step after a certain frame: request, reply, request, reply.
    let seen = exchanges(records(&[POLL, STATE, STALL, STALL, STALL, STALL]));
    assert_eq!(
        seen,
        [
            "box1/0a>box1/0a answered",
            "motor1/11>motor1/11 answered",
            "motor1/11>motor1/11 answered"
        ]
    );
    // Nothing went before: nobody knows.
    assert_eq!(exchanges(records(&[STALL])), ["lone motor1/11"]);
    // After noise neither, unless the time tells.
    assert_eq!(exchanges(records(&[POLL, STATE, "00", STALL]))[2], "lone motor1/11");
    // The host waits 50 ms; what comes later is the next request.
    let seen = exchanges(records(&[
        &format!("0 {POLL}"),
        &format!("3 {STATE}"),
        &format!("10 {STALL}"),
        &format!("210 {STALL}"),
        &format!("215 {STALL}"),
    ]));
    assert_eq!(seen[1..], ["motor1/11>- timeout", "motor1/11>motor1/11 answered 5ms"]);
}

/// Every frame's direction and source: `>certain`, `<inferred`, `?unknown`.
fn directions(lines: &[&str]) -> Vec<String> {
    let mut pairer = Pairer::new();
    let mut out = Vec::new();
    for record in records(lines) {
        pairer.push(record);
    }
    pairer.finish();
    while let Some(seen) = pairer.pull() {
        if let Seen::Frame(frame) = seen {
            let sign = match frame.dir {
                Some(Direction::Request) => '>',
                Some(Direction::Response) => '<',
                None => '?',
            };
            out.push(format!("{sign}{}", frame.dir_source.name()));
        }
    }
    out
}

#[test]
fn a_pair_decides_on_a_frame_that_may_go_either_way() {
    let (ask, told) = ("f70104000800f0", "f7010400080fdd");
    // Nobody but a box answers so, and the known hosts ask with FF.
    assert_eq!(directions(&[told]), ["<inferred"]);
    assert_eq!(
        directions(&[POLL, STATE, told, POLL]),
        [">certain", "<certain", "<inferred", ">certain"]
    );
    // Behind each other one of them asks.
    assert_eq!(directions(&[ask, told]), [">inferred", "<inferred"]);
    assert_eq!(exchanges(records(&[ask, told])), ["box1/08>box1/08 answered"]);
    assert_eq!(exchanges(records(&[ask, ask])), ["box1/08>box1/08 answered"]);
    // Not across noise, nor after the time-out, nor from another address.
    assert_eq!(directions(&[ask, "00", told]), ["<inferred", "<inferred"]);
    assert_eq!(
        directions(&[&format!("0 {ask}"), &format!("9000 {told}")]),
        ["<inferred", "<inferred"]
    );
    assert_eq!(directions(&[ask, "f7020400080fdd"]), ["<inferred", "<inferred"]);
    // To a question with FF it is the answer at once.
    assert_eq!(directions(&["f70104ff0800db", told]), [">certain", "<inferred"]);
    // A function that nobody knows, alone and answered.
    let (ask, told) = ("f7010400770196", "f701050077010287");
    assert_eq!(directions(&[ask]), ["?unknown"]);
    assert_eq!(directions(&[ask, told]), [">inferred", "<inferred"]);
    // Motors' replies may be the next request, so only one that is a reply for certain tells.
    assert_eq!(
        directions(&["f78104000c0b95", "f7810b000c0000000000000000fb"]),
        [">inferred", "<certain"]
    );
    assert_eq!(directions(&[STALL, STALL]), ["?unknown", "?unknown"]);
}

#[test]
fn a_boot_with_loaders() {
    let (ask, motor) = ("f7fd0500a1fdfdce", "f7fd1100a10201cdab052252bc248a39e339e32b");
    let seen = exchanges(records(&[
        "f7eb03ff56cf",
        "f7ff04000b00cf",
        ask,
        motor,
        ask,
        motor,
        "f7fc0500a1fcfcdc",
        "f7fb0500a1fbfba2",
        "f7fd1000a085cdab052252bc248a39e339e3dc",
        "f7851100a00201cdab052252bc248a39e339e39e",
        "f7850400f0004c",
        "f7851c00f06d6f74325f3032335f4333302d6d6f74325f3030325f303731b8",
        "f7010400f0004c",
        "f7010301f076",
        "f7010400f00345",
        "f7010400f0e0e2",
        "f7850400f00242",
        "f7850400f07500",
    ]));
    assert_eq!(
        seen,
        [
            "factory/56>- timeout",
            "all/0b>- no_reply_expected",
            "all-motors/a1>all-motors/a1 answered",
            "all-motors/a1>all-motors/a1 answered",
            "all-tension/a1>- timeout",
            "all-other/a1>- timeout",
            "all-motors/a0>motor5/a0 answered",
            "motor5/f0>motor5/f0 answered",
            "box1/f0>box1/f0 answered",
            "box1/f0>box1/f0 answered",
            "motor5/f0>motor5/f0 answered",
        ]
    );
    // By itself, too.
    let pair = ["f7010400f00345", "f7010400f0e0e2"];
    assert_eq!(directions(&pair), [">inferred", "<inferred"]);
    assert_eq!(exchanges(records(&pair[..1])), ["lone box1/f0"]);
}

#[test]
fn late_doubled_and_orphaned_replies() {
    // The first reply of a capture has lost its request.
    assert_eq!(exchanges(records(&[STATE])), ["->box1/0a request_not_seen"]);
    // In a clean sequence nobody asked.
    let seen = exchanges(records(&[POLL, STATE, STATE]));
    assert_eq!(seen[1], "->box1/0a unsolicited");
    // After noise the request may have been in it.
    let seen = exchanges(records(&[POLL, STATE, "0011", STATE]));
    assert_eq!(seen[2], "->box1/0a request_not_seen");
    // Late: the host had gone on to another request.
    let seen = exchanges(records(&[
        "0 f70103ff0571",
        "2050 f70203ff0571",
        "2300 f7010400050217",
        "2310 f7020400050019",
    ]));
    assert_eq!(
        seen,
        [
            "box1/05>- timeout",
            "box1/05>box1/05 unsolicited 2300ms",
            "box2/05>box2/05 answered 260ms"
        ]
    );
    // An address is answered from the new address, by a box three times.
    let identity = "f7011100a0010069063002185333115235383229";
    let seen = exchanges(records(&[
        "f7fe1000a00169063002185333115235383278",
        identity,
        identity,
        identity,
    ]));
    assert_eq!(
        seen,
        ["unassigned/a0>box1/a0 answered", "->box1/a0 unsolicited", "->box1/a0 unsolicited"]
    );
}

#[test]
fn nothing_is_paired_across_a_gap() {
    use crate::record::{Gap, GapReason};
    let gap = |ms: i64, away: Option<i64>| {
        let gap = Gap {
            reason: GapReason::Unplugged,
            ns: away.map(|ms| ms * Time::MILLISECOND),
            bytes: None,
        };
        Record::of_gap(gap, Some(Time(ms * Time::MILLISECOND)), Arc::from(""))
    };
    let with_gap = |before: &[&str], between: Record, after: &[&str]| {
        let mut all = records(before);
        all.push(between);
        all.extend(records(after));
        exchanges(all)
    };
    let (poll, state) = (format!("0 {POLL}"), format!("20 {STATE}"));
    // The reply may be to another request, in the gap.
    assert_eq!(
        with_gap(&[&poll], gap(10, None), &[&state]),
        ["box1/0a>- unfinished", "gap", "->box1/0a request_not_seen"]
    );
    // The wait was over when the gap began; no reply comes late any more.
    assert_eq!(
        with_gap(&["0 f7040300a2da"], gap(1_000, Some(500)), &["1001 f7040300a2da"]),
        ["box4/a2>- timeout", "gap", "box4/a2>- unfinished"]
    );
    assert_eq!(
        with_gap(&["0 f7040300a2da"], gap(1_000, Some(990)), &[]),
        ["box4/a2>- unfinished", "gap"]
    );
    assert_eq!(
        with_gap(
            &["0 f70103ff0571", "2050 f70203ff0571"],
            gap(2_060, None),
            &["2300 f7010400050217"]
        ),
        ["box1/05>- timeout", "box2/05>- unfinished", "gap", "->box1/05 request_not_seen"]
    );
    // Neither the sequence nor the silence tells a direction: the gap is no silence.
    let seen = with_gap(&[&poll, &state], gap(9_000, Some(8_000)), &[&format!("9001 {STALL}")]);
    assert_eq!(seen, ["box1/0a>box1/0a answered 20ms", "gap", "lone motor1/11"]);
    // Another bus has none.
    let other = Record { bus: Arc::from("b"), ..gap(10, None) };
    assert_eq!(with_gap(&[&poll], other, &[&state]), ["gap", "box1/0a>box1/0a answered 20ms"]);
}

#[test]
fn broadcasts_expect_nothing() {
    let seen = exchanges(records(&["f7ff04000e0189", "f7ff04000b01c8"]));
    assert_eq!(seen, ["all/0e>- no_reply_expected", "all/0b>- no_reply_expected"]);
}

#[test]
fn a_damaged_address_is_marked() {
    let mut pairer = Pairer::new();
    // The reply to box 1's poll, its address flipped to 3: the CRC still holds.
    for record in records(&[POLL, "f70307000a19240000e7", "f74103ff0a5c"]) {
        pairer.push(record);
    }
    let mut marks = Vec::new();
    while let Some(seen) = pairer.pull() {
        if let Seen::Frame(observed) = seen {
            marks.push(observed.implausible);
        }
    }
    assert_eq!(marks, [false, true, true]);
}

#[test]
fn calls_pair_their_own_frames_whatever_overlaps() {
    let call = |id, duration_ns| Some(Call { id, timeout_ms: None, duration_ns });
    let record = |hex: &str, dir, call| {
        let mut record = records(&[hex]).remove(0);
        record.dir = Some(dir);
        Record { call, ..record }
    };
    let nothing = |id| Record {
        verdict: Verdict::NoReply,
        bytes: Vec::new(),
        ..record(POLL, Direction::Response, call(id, Some(127_000_000)))
    };
    use Direction::{Request, Response};
    let seen = exchanges(Vec::from([
        record(POLL, Request, call(1, None)),
        record("f7020300a2da", Request, call(2, None)),
        nothing(2),
        record(STATE, Response, call(1, Some(4_000_000))),
        record(STATE, Response, call(1, None)),
        record(STATE, Response, call(9, None)),
        nothing(10),
        record(POLL, Request, call(11, None)),
    ]));
    assert_eq!(
        seen,
        [
            "box2/a2>- timeout 127ms",
            "box1/0a>box1/0a answered 4ms",
            "->box1/0a unsolicited",
            "->box1/0a request_not_seen",
            "->- request_not_seen 127ms",
            "box1/0a>- unfinished",
        ]
    );
}

#[test]
fn a_call_id_that_comes_again_loses_no_request() {
    let call = Some(Call { id: 1, timeout_ms: None, duration_ns: None });
    let record = |hex: &str, dir| Record { dir, call, ..records(&[hex]).remove(0) };
    let seen = exchanges(Vec::from([
        record(POLL, Some(Direction::Request)),
        record("f7020300a2da", Some(Direction::Request)),
        record(STATE, Some(Direction::Response)),
    ]));
    assert_eq!(seen, ["box1/0a>- unfinished", "box2/a2>box1/0a answered"]);
}

#[test]
fn a_live_bus_gives_up_by_the_clock() {
    let mut pairer = Pairer::new();
    pairer.push(records(&["1000 f7040300a2da"]).remove(0));
    let ended = |pairer: &mut Pairer| {
        core::iter::from_fn(|| pairer.pull()).any(|seen| matches!(seen, Seen::Exchange(_)))
    };
    pairer.tick(Time(1_090 * Time::MILLISECOND));
    assert!(!ended(&mut pairer));
    pairer.tick(Time(1_200 * Time::MILLISECOND));
    assert!(ended(&mut pairer));
}

#[test]
fn buses_without_number_are_not_all_followed() {
    let mut pairer = Pairer::new();
    for n in 0..10 * BUSES {
        let bus = Arc::from(format!("bus{n}"));
        pairer.push(Record { bus, ..records(&[POLL]).remove(0) });
    }
    assert_eq!(pairer.buses.len(), BUSES);
    pairer.finish();
    let ended = core::iter::from_fn(|| pairer.pull());
    let ended = ended.filter(|seen| matches!(seen, Seen::Exchange(_))).count();
    assert_eq!(ended, 10 * BUSES, "no request is lost");
}

/// Who asks itself says how it waits: what is open, how often it sends, when it gives up.
#[test]
fn a_host_that_waits_otherwise() {
    let mut pairer = Pairer::new();
    let push = |pairer: &mut Pairer, lines: &[&str]| {
        records(lines).into_iter().for_each(|record| pairer.push(record));
    };
    let outcomes = |pairer: &mut Pairer| -> Vec<(Outcome, Option<u32>)> {
        let seen = core::iter::from_fn(|| pairer.pull());
        let ends = seen.filter_map(|seen| match seen {
            Seen::Exchange(exchange) => Some((exchange.outcome, exchange.attempts)),
            _ => None,
        });
        ends.collect()
    };
    assert!(pairer.open("").is_none());
    push(&mut pairer, &["0 f7010300a2da"]);
    assert_eq!(pairer.open("").unwrap().frame().func(), 0xa2);
    assert!(pairer.open("other").is_none());
    // The vendor's host would have given up, and sends it once.
    pairer.set_policy("", Policy { timeout_ms: 10_000, sends: 3 });
    pairer.tick(Time(9_000 * Time::MILLISECOND));
    push(&mut pairer, &["10005 f7010300a2da", "20010 f7010300a2da"]);
    assert_eq!(outcomes(&mut pairer), []);
    pairer.give_up("");
    assert_eq!(outcomes(&mut pairer), [(Outcome::Timeout, Some(3))]);
    assert!(pairer.open("").is_none());
    pairer.give_up("");
    pairer.set_policy("", Policy { timeout_ms: 1, sends: 1 });
    assert_eq!(outcomes(&mut pairer), []);
}
