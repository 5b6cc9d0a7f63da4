//! From what was counted to what it means and what to do.

use std::collections::BTreeMap;

use super::hunt::Found;
use super::report::Kind::*;
use super::report::Severity::{Note, Problem, Warning};
use super::report::{Finding, Kind, Report, Severity};
use super::watch::Seen;
use super::{CLICK, Shape, can};
use crate::stats::report::{Function, Report as Traffic};

/// An image of a poll is a chance hit once in a billion bytes; two are none.
const SWAPPED: u64 = 2;
/// From this share on, in per cent, what is heard repeats itself.
const REPEATS: u64 = 20;
/// Stray bytes in fewer places may be a plug that was touched, or the start in mid-frame.
const STRAY: u64 = 5;

const WIRING: [&str; 2] = [
    "measure before you connect, and keep away from the 24 V",
    "switch everything off before you touch the wires",
];

fn finding(
    severity: Severity,
    kind: Kind,
    title: impl Into<String>,
    seen: impl Into<String>,
    means: impl Into<String>,
    todo: &[&'static str],
) -> Finding {
    Finding {
        severity,
        kind,
        title: title.into(),
        seen: seen.into(),
        means: means.into(),
        todo: todo.to_vec(),
    }
}

/// No speed was found: why not.
pub(super) fn off_the_bus(report: &Report, shapes: &BTreeMap<u32, Shape>) -> Finding {
    let bytes: u64 = report.tried.iter().map(|tried| tried.bytes).sum();
    let speeds = report.tried.len();
    let seconds = report.listened_ns / 1_000_000_000;
    if bytes <= CLICK {
        return silent(bytes, seconds);
    }
    if let Some(found) = swapped(shapes) {
        return found;
    }
    let heard = format!("{bytes} bytes at {speeds} speeds in {seconds} s, and no frames");
    let counts = shapes.iter().map(|(baud, shape)| (*baud, &shape.stuffing));
    if let Some(baud) = can::rate(counts) {
        return finding(
            Problem,
            MayBeCan,
            format!("this may be a CAN bus at {} kbit/s", baud / 1000),
            format!(
                "{heard}; at {baud} baud never more than five equal bits in a row, as CAN has it"
            ),
            "some boxes (CFS-C, with the K1 kit) speak CAN, which no RS-485 adapter and no UART can \
             read. It is a guess: CAN's own check cannot be made from here",
            &["look which box it is; for CAN use a CAN adapter and can-utils"],
        );
    }
    let repeats = shapes.values().filter_map(|shape| shape.repeats.percent()).max();
    if let Some(percent) = repeats.filter(|percent| *percent >= REPEATS) {
        return finding(
            Problem,
            UnknownTraffic,
            "somebody speaks, but not as on this bus",
            format!("{heard}; {percent} % of it repeats itself"),
            "noise does not repeat itself. It is another protocol, a speed that was not tried, or \
             this bus too weak to be read",
            &[
                "see that it is the right bus, and name its speed if you know it: --baud",
                "connect the grounds",
                "swap A and B, to be sure",
            ],
        );
    }
    finding(
        Problem,
        Floating,
        "nothing but noise: the line floats",
        format!("{heard}; nothing in it repeats itself"),
        "the adapter's inputs are not connected to a bus, or only one wire is, or nobody on the bus \
         holds its level",
        &[
            "see that both wires are connected, at both ends",
            "connect the grounds",
            "switch the printer on: nothing biases the bus without it",
            WIRING[0],
        ],
    )
}

fn silent(bytes: u64, seconds: i64) -> Finding {
    let seen = match bytes {
        0 => format!("not one byte in {seconds} s"),
        bytes => format!("{bytes} bytes in {seconds} s, as a plug gives that is touched"),
    };
    finding(
        Problem,
        Silent,
        "nothing is heard",
        seen,
        "an idle printer asks every second; while it prints some polls come only every 10 s. So this \
         is another port, the ground is missing, the printer sleeps, or the wires are swapped on a \
         bus without bias",
        &[
            "see that it is the right port: `ls -l /dev/serial/by-id`",
            "connect the grounds",
            "wake the printer, and listen for longer: --for 60s",
            "swap A and B",
            WIRING[1],
        ],
    )
}

fn swapped(shapes: &BTreeMap<u32, Shape>) -> Option<Finding> {
    let count = |shape: &Shape| shape.swapped.hits().values().sum::<u64>();
    let (baud, shape) = shapes.iter().max_by_key(|(_, shape)| count(shape))?;
    let total = count(shape);
    if total < SWAPPED {
        return None;
    }
    let names: Vec<&str> = shape.swapped.hits().keys().take(3).map(String::as_str).collect();
    Some(finding(
        Problem,
        Swapped,
        format!("A and B are swapped; the bus runs at {baud} baud"),
        format!("no good frame, but {total} inverted polls at {baud} baud ({})", names.join(", ")),
        "every bit is read as its opposite. To listen like that harms nothing",
        &["swap the two wires at the adapter (makers do not agree on the letters)", WIRING[1]],
    ))
}

/// The speed was found: what is wrong all the same.
pub(super) fn on_the_bus(report: &Report, found: &Found, expected: u32) -> Vec<Finding> {
    let mut findings = Vec::new();
    if found.baud != expected {
        findings.push(finding(
            Warning,
            WrongBaud,
            format!("the bus runs at {} baud, not at {expected}", found.baud),
            found.to_string(),
            "at another speed everything reads as noise",
            &["give the speed: `--baud`, or let it be found: `--baud auto`"],
        ));
    }
    if !found.sure {
        findings.push(finding(
            Warning,
            UncertainBaud,
            format!("the bus may run at {} baud", found.baud),
            found.to_string(),
            "there is too little to be sure",
            &["listen for longer: --for 60s"],
        ));
    }
    if let (Some(seen), Some(traffic)) = (&report.seen, &report.traffic) {
        line(seen, report, &mut findings);
        talk(seen, traffic, &mut findings);
    }
    if findings.iter().all(|finding| finding.severity == Note) {
        findings.insert(0, healthy(report, found));
    }
    findings
}

fn healthy(report: &Report, found: &Found) -> Finding {
    let load = report.traffic.as_ref().and_then(|traffic| traffic.buses.first()?.load_percent);
    let load = load
        .map_or(String::new(), |load| format!("; the bus is in use for {load:.1} % of the time"));
    let seen = report.seen.unwrap_or_default();
    let damaged = match seen.damaged {
        0 => "none damaged".to_owned(),
        damaged => format!("{damaged} damaged"),
    };
    finding(
        Note,
        Healthy,
        format!("the line is well; the bus runs at {} baud", found.baud),
        format!("{} good frames, {damaged}{load}. The speed: {found}", seen.frames),
        "what was asked was answered, and read as it was sent",
        &[],
    )
}

/// What is wrong with the line itself.
fn line(seen: &Seen, report: &Report, findings: &mut Vec<Finding>) {
    if seen.requests_echo() {
        let both = seen.replies_echo();
        findings.push(finding(
            Problem,
            Echo,
            if both { "everything is on the line twice" } else { "every request is on the line twice" },
            format!(
                "{} of {} requests and {} of {} replies came again within 40 ms; a host sends again \
                 after a time-out, of 50 ms at least",
                seen.request_echoes, seen.requests, seen.reply_echoes, seen.replies
            ),
            if both {
                "something on the bus sends back what it hears: a terminal that echoes, another \
                 program's port, a repeater"
            } else {
                "the host's adapter hears itself, or something sends back what the host says. The \
                 vendor's host takes its own echo for the reply"
            },
            &[
                "take other adapters off the bus one by one until it stops",
                "`stty -F PORT raw -echo` ends the echo of a terminal",
                "use an adapter that has its receiver off while it sends",
            ],
        ));
    }
    let stray = seen.stray_places + seen.headless;
    if seen.stray_places >= STRAY && stray * 20 >= seen.frames {
        findings.push(finding(
            Warning,
            NoBias,
            "stray bytes between good frames: the idle line floats",
            format!(
                "{} bytes in {} places beside {} frames; {} frames lost their first byte to them",
                seen.stray_bytes, seen.stray_places, seen.frames, seen.headless
            ),
            "while nobody drives the bus nothing holds its level, so that noise reads as bytes, and \
             the first byte of a frame is lost in it",
            &[
                "connect the grounds",
                "see whether the printer's end of the bus is connected: its bias is there",
                "take out the adapter's terminator of 120 Ω: it pulls the two wires together",
            ],
        ));
    }
    let all = seen.frames + seen.damaged;
    if seen.damaged >= 2 && seen.damaged * 100 >= all {
        findings.push(finding(
            Warning,
            Damaged,
            "frames are damaged",
            format!(
                "{} of {all} frames ({:.1} %) have a wrong CRC or are cut short",
                seen.damaged,
                100.0 * seen.damaged as f64 / all as f64
            ),
            "the signal is weak, disturbed, or two speak at once",
            &["connect the grounds", "shorten the stub to the adapter", "take out the terminator"],
        ));
    }
    if let Some(errors) = report.line_errors
        && (errors.overrun > 0 || errors.buffer_overrun > 0)
    {
        findings.push(finding(
            Warning,
            LostBytes,
            "this machine lost bytes",
            format!("the UART lost {} and the driver {}", errors.overrun, errors.buffer_overrun),
            "nobody fetched them in time",
            &["listen on a machine with less to do, or with another adapter"],
        ));
    }
}

/// What is wrong with who speaks.
fn talk(seen: &Seen, traffic: &Traffic, findings: &mut Vec<Finding>) {
    let (requests, responses) = (traffic.totals.requests, traffic.totals.responses);
    if responses == 0 && requests >= 5 && traffic.never_answered.iter().any(|row| row.addr != 0xfe)
    {
        findings.push(finding(
            Problem,
            HostOnly,
            "the host asks and nobody answers",
            format!("{requests} requests, no reply"),
            "the boxes are off, or the tap is on a wire that has only the host on it",
            &["see that the boxes are on", "move the tap to the wires between printer and box"],
        ));
        return;
    }
    if requests == 0 && responses >= 5 {
        findings.push(finding(
            Problem,
            DevicesOnly,
            "replies without requests",
            format!("{responses} replies, no request"),
            "the tap is on a wire that has only the devices on it",
            &["move the tap to the wires between printer and box"],
        ));
        return;
    }
    for row in traffic.never_answered.iter().filter(|row| row.addr != 0xfe && row.asked >= 3) {
        findings.push(finding(
            Warning,
            NeverAnswers,
            format!("{} never answers", row.device),
            format!("asked {} times at address {:02X}", row.asked, row.addr),
            "it is off, unplugged, or has another address; the host remembers boxes that are gone",
            &["see that it is on and plugged in, or let the host forget it"],
        ));
    }
    // On such a line that is no fault of the device.
    let spoiled = findings.iter().any(|finding| matches!(finding.kind, NoBias | Damaged));
    let never = |addr: u8| traffic.never_answered.iter().any(|row| row.addr == addr);
    let silent = by_device(traffic, |row| row.timeouts);
    for (addr, device, timeouts, exchanges) in silent {
        let few = timeouts < 2 || timeouts * 20 < exchanges;
        if addr == 0xfe || never(addr) || few || spoiled {
            continue;
        }
        // EXTRUDE_PROCESS.
        let feeds =
            traffic.functions.iter().any(|row| (row.addr, row.func) == (Some(addr), Some(0x10)));
        findings.push(finding(
            if feeds { Note } else { Warning },
            SometimesSilent,
            format!("{device} does not always answer"),
            format!("{timeouts} of {exchanges} requests had no reply"),
            if feeds {
                "it was feeding filament, and a box that does answers nothing else meanwhile"
            } else {
                "its replies are lost, or it is busy with what was asked before this was heard"
            },
            if feeds {
                &[]
            } else {
                &["listen while nothing is fed", "see its plug and its ground"]
            },
        ));
    }
    for (_, device, errors, exchanges) in by_device(traffic, |row| row.errors) {
        if errors > 0 {
            findings.push(finding(
                Note,
                Errors,
                format!("{device} reports errors"),
                format!("{errors} of {exchanges} replies: {}", statuses(traffic, &device)),
                "the line is well: the device says that it cannot do what it was asked",
                &["`k485 explain` says what a status means"],
            ));
        }
    }
    let retries: u64 = traffic.functions.iter().filter_map(|row| row.retries).sum();
    if retries > 0 && !seen.requests_echo() {
        findings.push(finding(
            Note,
            Retries,
            "requests were sent again",
            format!("{retries} in {requests} requests"),
            "a request or its reply was lost, or the device was slow",
            &[],
        ));
    }
}

/// A count of each device that has one, and its exchanges: address, name, count, exchanges.
fn by_device(traffic: &Traffic, count: impl Fn(&Function) -> u64) -> Vec<(u8, String, u64, u64)> {
    let mut devices: BTreeMap<u8, (String, u64, u64)> = BTreeMap::new();
    for row in &traffic.functions {
        let Some(addr) = row.addr else { continue };
        let entry = devices.entry(addr).or_insert_with(|| (row.device.clone(), 0, 0));
        entry.1 += count(row);
        entry.2 += row.answered + row.timeouts;
    }
    devices.into_iter().map(|(addr, (name, count, all))| (addr, name, count, all)).collect()
}

/// `3 STATE_ERR, 1 PARAMS_ERR`.
fn statuses(traffic: &Traffic, device: &str) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for row in traffic.functions.iter().filter(|row| row.device == device) {
        for status in &row.statuses {
            *counts.entry(&status.name).or_default() += status.count;
        }
    }
    counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}
