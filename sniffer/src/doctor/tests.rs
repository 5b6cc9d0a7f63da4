//! The doctor on lines of every kind, through the model of the line, in hours of no time.

use k485_link::uart::{Line, Noise};
use k485_proto::dialect::K2;
use k485_proto::message::kind::hex_bytes;

use super::hunt::DWELL;
use super::report::{Kind, Severity};
use super::*;

/// The clock's step in milliseconds.
const STEP: u64 = 10;

/// Listens for so long to a line on which `traffic` happens, step by step.
fn examine(
    seconds: u64,
    line: impl Fn(u32) -> Line,
    mut traffic: impl FnMut(u64, &mut Line, &mut Vec<u8>),
) -> Report {
    let mut doctor = Doctor::new("bus".into(), 230_400, DWELL, &K2);
    let (mut now, end) = (0, seconds * 1000 / STEP);
    let mut until = 0;
    let mut port = line(230_400);
    let mut quiet = 0;
    while now < end {
        if now >= until && !doctor.is_sure() {
            let next = doctor.next_try().unwrap();
            until = now + next.time.as_millis() as u64 / STEP;
            port.set_to_baud(next.baud);
        }
        let mut heard = Vec::new();
        port.idle(Duration::from_millis(2), &mut heard);
        traffic(now, &mut port, &mut heard);
        port.idle(Duration::from_millis(2), &mut heard);
        let time = Time((now * STEP) as i64 * Time::MILLISECOND);
        quiet = if heard.is_empty() { quiet + 1 } else { 0 };
        if !heard.is_empty() {
            doctor.heard(port.to_baud(), time, &heard);
        } else if quiet == 15 {
            doctor.silence(time);
        }
        now += 1;
    }
    doctor.finish(Duration::from_secs(seconds))
}

/// What an idle host with two boxes says in each step of 1.1 s; answers only if `boxes` answer.
fn idle_host(now: u64, boxes: &[u8]) -> Option<Vec<u8>> {
    let hex = |text: &str| hex_bytes(text).unwrap();
    let state = 1 + (now / 110 % 2) as u8;
    let online = |addr: u8| hex(&format!("f70{addr}0300a2da"));
    match now % 110 {
        1 => Some(online(1)),
        2 if boxes.contains(&1) => Some(hex("f7011100a2010069063002185333115235383244")),
        12 => Some(online(2)),
        13 if boxes.contains(&2) => Some(hex("f7021100a2010069063002185333115235383244")),
        24 => Some(hex("f7fe0500a1fefef8")),
        70 => Some(hex(&format!("f70{state}03ff0a5c"))),
        71 if boxes.contains(&state) => Some(hex(&format!("f70{state}07000a19240000e7"))),
        _ => None,
    }
}

/// The same as traffic on a line.
fn polls(boxes: &'static [u8]) -> impl FnMut(u64, &mut Line, &mut Vec<u8>) {
    move |now, line, out| {
        if let Some(frame) = idle_host(now, boxes) {
            line.bytes(&frame, out);
        }
    }
}

fn kinds(report: &Report) -> Vec<Kind> {
    report.findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn a_healthy_line() {
    let report = examine(15, |to| Line::new(230_400, to), polls(&[1, 2]));
    assert_eq!(kinds(&report), [Kind::Healthy], "{:#?}", report.findings);
    assert!(report.is_healthy());
    let traffic = report.traffic.unwrap();
    let row = traffic.functions.iter().find(|row| (row.addr, row.func) == (Some(1), Some(0xa2)));
    let row = row.unwrap();
    assert_eq!((row.answered, row.period.as_ref().map(|p| p.steady)), (14, Some(true)));
    assert!(traffic.buses[0].load_percent.unwrap() < 1.0);
    assert_eq!(report.tried.len(), 1);
}

#[test]
fn silence() {
    let report = examine(15, |to| Line::new(230_400, to), |_, _, _| {});
    assert_eq!(kinds(&report), [Kind::Silent]);
    assert!(!report.is_healthy());
    // A touched plug is silence too.
    let report = examine(
        15,
        |to| Line::new(230_400, to),
        |now, line, out| {
            if now == 300 {
                line.level(false, Duration::from_micros(60), out);
            }
        },
    );
    assert_eq!(kinds(&report), [Kind::Silent]);
}

#[test]
fn another_speed() {
    for baud in [115_200, 460_800, 1_000_000, 9_600] {
        let report = examine(20, |to| Line::new(baud, to), polls(&[1, 2]));
        assert_eq!(kinds(&report), [Kind::WrongBaud], "{baud}: {:#?}", report.findings);
        assert_eq!(report.baud.unwrap().baud, baud);
        assert!(report.traffic.is_some());
    }
}

#[test]
fn swapped_wires() {
    for baud in [230_400, 460_800] {
        for line in [Line::swapped, Line::swapped_unbiased] {
            let report = examine(15, |to| line(baud, to), polls(&[1, 2]));
            assert_eq!(kinds(&report), [Kind::Swapped], "{:#?}", report.findings);
            assert!(report.findings[0].title.contains(&baud.to_string()));
        }
    }
}

#[test]
fn an_idle_line_that_floats_between_good_frames() {
    let mut noise = Noise::new(42);
    let report = examine(
        15,
        |to| Line::new(230_400, to),
        |now, line, out| {
            let frame = idle_host(now, &[1, 2]);
            // Noise up to the frame itself in one of two, short bursts elsewhere.
            if frame.is_some() && now % 2 == 0 || now % 7 == 0 {
                noise.wander(line, Duration::from_micros(700), out);
            }
            if let Some(frame) = frame {
                line.bytes(&frame, out);
            }
        },
    );
    assert_eq!(report.verdict, Kind::NoBias, "{:#?}", report.findings);
    let seen = report.seen.unwrap();
    assert!(seen.stray_places > 20 && seen.headless > 0, "{seen:?}");
}

#[test]
fn a_line_that_only_floats() {
    for seed in 0..8 {
        let mut noise = Noise::new(seed);
        let report = examine(
            15,
            |to| Line::new(230_400, to),
            |now, line, out| {
                if now % 3 == 0 {
                    noise.wander(line, Duration::from_millis(5), out);
                }
            },
        );
        assert_eq!(kinds(&report), [Kind::Floating], "{seed}: {:#?}", report.findings);
    }
}

#[test]
fn echoes() {
    for everything in [false, true] {
        let report = examine(
            15,
            |to| Line::new(230_400, to),
            |now, line, out| {
                let frame = idle_host(now, &[1, 2]);
                if let Some(frame) = frame {
                    line.bytes(&frame, out);
                    line.idle(Duration::from_micros(200), out);
                    let request = frame.len() < 10;
                    if everything || request {
                        line.bytes(&frame, out);
                    }
                }
            },
        );
        assert_eq!(kinds(&report), [Kind::Echo], "{:#?}", report.findings);
        assert_eq!(report.findings[0].title.contains("everything"), everything);
        // The figures are those without the echoes.
        let traffic = report.traffic.unwrap();
        assert!(traffic.never_answered.iter().all(|row| row.addr == 0xfe), "{traffic:?}");
    }
}

#[test]
fn retries_are_no_echo() {
    // Box 1 answers 05 at the second try only, after its time-out of 2 s.
    let report = examine(
        30,
        |to| Line::new(230_400, to),
        |now, line, out| {
            let mut bytes = match now % 220 {
                5 | 205 => vec![0xf7, 0x01, 0x03, 0xff, 0x05],
                207 => vec![0xf7, 0x01, 0x04, 0x00, 0x05, 0x02],
                _ => return,
            };
            bytes.push(k485_proto::crc::crc8(&bytes[2..]));
            line.bytes(&bytes, out);
        },
    );
    assert!(report.is_healthy(), "{:#?}", report.findings);
    assert!(kinds(&report).contains(&Kind::Retries), "{:#?}", report.findings);
}

#[test]
fn can_bus() {
    for rate in can::RATES {
        let bit = Duration::from_nanos(1_000_000_000 / u64::from(rate));
        let report = examine(
            20,
            |to| Line::new(230_400, to),
            |now, line, out| {
                let data = [now as u8, (now >> 3) as u8 ^ 0x5a, 0xff, 0, (now * 11) as u8];
                if now % 4 == 0 {
                    for high in can::tests::can_frame(0x201 + now as u16 % 5, &data) {
                        line.level(high, bit, out);
                    }
                }
            },
        );
        assert_eq!(kinds(&report), [Kind::MayBeCan], "{rate}: {:#?}", report.findings);
        assert!(report.findings[0].title.contains(&format!(" {} ", rate / 1000)));
    }
}

#[test]
fn somebody_else_speaks() {
    // Modbus RTU at 28,800, which is not tried.
    let report = examine(
        15,
        |to| Line::new(28_800, to),
        |now, line, out| {
            let text = match now % 20 {
                3 => "01030000000ac5cd",
                6 => "0103140000000000000102030405060708090a0b0c0d0e0f5a11",
                _ => "",
            };
            line.bytes(&hex_bytes(text).unwrap(), out);
        },
    );
    assert_eq!(kinds(&report), [Kind::UnknownTraffic], "{:#?}", report.findings);
}

#[test]
fn who_does_not_answer() {
    let report = examine(15, |to| Line::new(230_400, to), polls(&[1]));
    assert_eq!(kinds(&report), [Kind::NeverAnswers], "{:#?}", report.findings);
    assert!(report.findings[0].title.starts_with("box2 "));
    let report = examine(15, |to| Line::new(230_400, to), polls(&[]));
    assert_eq!(kinds(&report), [Kind::HostOnly], "{:#?}", report.findings);
    assert_eq!(report.findings[0].severity, Severity::Problem);
    // A host that looks for boxes where there is none has nobody to miss.
    let report = examine(
        15,
        |to| Line::new(230_400, to),
        |now, line, out| {
            if now % 110 == 24 {
                line.bytes(&hex_bytes("f7fe0500a1fefef8").unwrap(), out);
            }
        },
    );
    assert_eq!(kinds(&report), [Kind::Healthy], "{:#?}", report.findings);
    // Every other reply of box 2 is lost.
    let report = examine(
        30,
        |to| Line::new(230_400, to),
        |now, line, out| {
            let boxes: &[u8] = if now / 110 % 2 == 0 { &[1, 2] } else { &[1] };
            if let Some(frame) = idle_host(now, boxes) {
                line.bytes(&frame, out);
            }
        },
    );
    assert_eq!(report.verdict, Kind::SometimesSilent, "{:#?}", report.findings);
    assert!(!report.is_healthy());
}

/// The box of the sample capture answers no ONLINE_CHECK while it feeds.
#[test]
fn a_box_that_feeds_is_not_to_blame() {
    let report = examine(
        30,
        |to| Line::new(230_400, to),
        |now, line, out| {
            // The start of the feed, and its poll.
            let mut feed = match now % 200 {
                50 => vec![0xf7, 0x02, 0x06, 0xff, 0x10, 0x01, 0x05, 0x00],
                52 => vec![0xf7, 0x02, 0x07, 0x00, 0x10, 0xc3, 0xfa, 0x3c, 0x4a],
                _ => vec![],
            };
            if !feed.is_empty() {
                feed.push(k485_proto::crc::crc8(&feed[2..]));
                line.bytes(&feed, out);
            } else if let Some(frame) = idle_host(now, if now < 1500 { &[1, 2] } else { &[1] }) {
                line.bytes(&frame, out);
            }
        },
    );
    assert_eq!(kinds(&report), [Kind::Healthy, Kind::SometimesSilent], "{:#?}", report.findings);
}

#[test]
fn damaged_frames() {
    let report = examine(
        30,
        |to| Line::new(230_400, to),
        |now, line, out| {
            if let Some(mut frame) = idle_host(now, &[1, 2]) {
                if now / 110 % 5 == 0 {
                    let at = frame.len() - 2;
                    frame[at] ^= 0x10;
                }
                line.bytes(&frame, out);
            }
        },
    );
    assert!(kinds(&report).contains(&Kind::Damaged), "{:#?}", report.findings);
    assert!(!kinds(&report).contains(&Kind::NoBias), "{:#?}", report.findings);
}

#[test]
fn lost_bytes() {
    let mut doctor = Doctor::new("bus".into(), 230_400, DWELL, &K2);
    doctor.next_try();
    for n in 0..40 {
        let Some(frame) = idle_host(n, &[1, 2]) else { continue };
        doctor.heard(230_400, Time(n as i64 * 10 * Time::MILLISECOND), &frame);
    }
    doctor.line_errors(LineErrors { overrun: 7, ..LineErrors::default() });
    let report = doctor.finish(Duration::from_secs(1));
    assert_eq!(report.verdict, Kind::LostBytes, "{:#?}", report.findings);
    assert!(serde_json::to_string(&report).unwrap().contains(r#""overrun":7"#));
}
