use super::report::{Order, Report};
use super::*;
use crate::format::hex::read_hex_text;
use k485_proto::address::Address;
use k485_proto::exchange::Pairer;
use k485_proto::frame::{Frame, Hex};
use k485_proto::status::Status;
use proptest::prelude::*;

/// A line of hex text: the time of the last byte in milliseconds, and a frame.
fn line(ms: u64, addr: u8, status: u8, func: u8, data: &[u8]) -> String {
    let frame = Frame::to_vec(Address(addr), Status(status), func, data).unwrap();
    format!("({}.{:03}000000) {}\n", ms / 1000, ms % 1000, Hex(&frame))
}

/// A poll of a box and, after so many milliseconds, its answer.
fn poll(ms: u64, addr: u8, latency: u64) -> String {
    line(ms, addr, 0xff, 0x0a, &[]) + &line(ms + latency, addr, 0, 0x0a, &[25, 40, 0, 0])
}

fn count(stats: &mut Stats, text: &str) {
    let mut pairer = Pairer::new();
    for record in read_hex_text("test", text) {
        pairer.push(record.unwrap());
        while let Some(seen) = pairer.pull() {
            stats.push(&seen);
        }
    }
    pairer.finish();
    while let Some(seen) = pairer.pull() {
        stats.push(&seen);
    }
}

fn report(texts: &[&str]) -> Report {
    let mut stats = Stats::new();
    for text in texts {
        stats.next_input();
        count(&mut stats, text);
    }
    stats.finish()
}

#[test]
fn latencies_and_periods_of_polls() {
    let text: String =
        (0..7).map(|i| poll(1000 * i, 1, 2 + i) + &poll(1000 * i + 500, 2, 3)).collect();
    let report = report(&[&text]);
    assert_eq!(report.totals.frames, 28);
    assert_eq!((report.totals.requests, report.totals.responses), (14, 14));
    assert_eq!(report.duration_ns, Some(6_503_000_000));
    let row = &report.functions[0];
    assert_eq!((&*row.device, row.function, row.exchanges), ("box1", Some("GET_BOX_STATE"), 7));
    assert_eq!((row.answered, row.retries, row.errors), (7, Some(0), 0));
    let latency = row.latency.as_ref().unwrap();
    assert_eq!(
        (latency.source, latency.min_ns, latency.median_ns, latency.p95_ns, latency.max_ns),
        ("wire", 2_000_000, 5_000_000, 8_000_000, 8_000_000)
    );
    let period = row.period.as_ref().unwrap();
    assert_eq!((period.count, period.median_ns, period.steady), (6, 1_000_000_000, true));
}

#[test]
fn what_goes_wrong_is_counted_where_it_belongs() {
    // A retry that is answered with an error, a time-out with a late reply, silence to the end.
    let text = line(0, 1, 0xff, 0x05, &[])
        + &line(2_010, 1, 0xff, 0x05, &[])
        + &line(2_014, 1, 0x14, 0x05, &[])
        + &line(3_000, 2, 0x00, 0xa2, &[])
        + &line(3_200, 3, 0x00, 0xa2, &[])
        + &line(3_203, 2, 0x00, 0xa2, &[1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
        + &line(3_400, 4, 0xff, 0x05, &[])
        + "(3.401000000) 55 55 55\n";
    let report = report(&[&text]);
    let of = |addr| report.functions.iter().find(|row| row.addr == Some(addr)).unwrap();
    let one = of(1);
    assert_eq!((one.exchanges, one.answered, one.retries, one.errors), (1, 1, Some(1), 1));
    assert_eq!((&*one.statuses[0].name, one.statuses[0].count), ("RETRUDE_ERR2", 1));
    assert_eq!(one.latency.as_ref().unwrap().median_ns, 4_000_000);
    let two = of(2);
    assert_eq!((two.exchanges, two.timeouts, two.late, two.answered), (1, 1, 1, 0));
    assert_eq!(two.latency, None);
    assert_eq!((of(3).timeouts, of(4).unfinished), (1, 1));
    // 2 was late, 4 may still answer.
    let silent: Vec<_> = report.never_answered.iter().map(|it| (&*it.device, it.asked)).collect();
    assert_eq!(silent, [("box3", 1)]);
    let noise = &report.buses[0].noise;
    assert_eq!((noise[0].reason, noise[0].places, noise[0].bytes), ("garbage", 1, 3));
}

#[test]
fn the_load_is_what_the_wires_carried() {
    // 10 ms apart, 6 and 10 bytes in turn: 400 frames in 3.99 s.
    let text: String = (0..200).map(|i| poll(20 * i, 1, 10)).collect();
    let whole = report(&[&text]);
    // The first 6 bytes came before the clock began.
    let bytes = f64::from(200 * 16 - 6);
    let load = whole.buses[0].load_percent.unwrap();
    assert!((load - 100.0 * bytes * 10.0 / 230_400.0 / 3.99).abs() < 1e-9, "{load}");
    // 50 of each in a second.
    let peak = whole.buses[0].peak_load_percent.unwrap();
    assert!((peak - 100.0 * 800.0 * 10.0 / 230_400.0).abs() < 1e-9, "{peak}");
    // Twice the same: no time lies between two captures.
    let twice = report(&[&text, &text]);
    assert_eq!(twice.buses[0].load_percent, whole.buses[0].load_percent);
    assert_eq!(twice.duration_ns, Some(2 * 3_990_000_000));
    assert_eq!(twice.functions[0].period.as_ref().unwrap().count, 2 * 199);
}

#[test]
fn what_a_source_cannot_tell_is_unknown() {
    // No times, and bare frames.
    for text in ["F7 01 03 FF 0A 5C F7 01 07 00 0A 19 24 00 00 E7", "0103ff0a\n0107000a19240000"] {
        let report = report(&[text]);
        assert_eq!(report.totals.frames, 2, "{text}");
        assert_eq!((report.first, report.last, report.duration_ns), (None, None, None));
        let row = &report.functions[0];
        assert_eq!((row.answered, &row.latency, &row.period), (1, &None, &None));
        assert_eq!(report.buses[0].load_percent, None);
        assert_eq!(report.buses[0].peak_load_percent, None);
        let json = serde_json::to_value(&report).unwrap();
        assert!(json["first_time"].is_null() && json["duration_s"].is_null());
        assert!(json["functions"][0]["latency"].is_null());
    }
    let bare = "(1.0) 0103ff0a\n(1.5) 0107000a19240000\n";
    let report = report(&[bare]);
    assert_eq!(report.functions[0].latency.as_ref().unwrap().max_ns, 500_000_000);
    assert_eq!(report.buses[0].load_percent, None);
}

#[test]
fn implausible_addresses_and_frames_of_no_exchange() {
    // 41 is in no table; 55 answers with the bytes of its request.
    let text = line(0, 0x41, 0xff, 0x0a, &[]) + "(1.0) 99\n" + &line(9_000, 1, 0, 0x77, &[1]);
    let report = report(&[&text]);
    assert_eq!((report.implausible[0].addr, report.implausible[0].frames), (0x41, 1));
    assert_eq!(report.totals.implausible, 1);
    let json = serde_json::to_string(&report).unwrap();
    assert!(json.contains(r#""duration_s":9.000000000"#), "{json}");
}

#[test]
fn rows_are_bounded() {
    let text: String = (0..=255u8)
        .flat_map(|func| (0x30..0x38).map(move |addr| (addr, func)))
        .enumerate()
        .map(|(i, (addr, func))| line(10 * i as u64, addr, 0xff, func, &[]))
        .collect();
    let report = report(&[&text]);
    assert_eq!(report.totals.exchanges, 2048);
    assert_eq!(report.functions.len(), MAX_ROWS);
    assert_eq!(report.other.unwrap().exchanges, 2048 - MAX_ROWS as u64);
}

#[test]
fn requests_and_buses_are_bounded() {
    let text: String =
        (0..5000u32).map(|i| line(u64::from(i), 0xff, 0, 0x05, &i.to_be_bytes())).collect();
    let one = report(&[&text]);
    assert_eq!(one.totals.requests_not_followed, 5000 - MAX_REQUESTS as u64);
    let mut stats = Stats::new();
    let mut pairer = Pairer::new();
    for i in 0..100 {
        for record in read_hex_text("test", "F7 01 03 FF 0A 5C") {
            let bus = format!("bus{i}").into();
            pairer.push(k485_proto::record::Record { bus, ..record.unwrap() });
        }
    }
    while let Some(seen) = pairer.pull() {
        stats.push(&seen);
    }
    let report = stats.finish();
    assert_eq!(report.buses.len(), MAX_BUSES);
    assert_eq!((&*report.buses[63].name, report.buses[63].frames), ("(others)", 37));
}

#[test]
fn orders() {
    let slow = poll(0, 1, 5) + &poll(100, 1, 5) + &poll(200, 2, 90) + &line(400, 3, 0, 0xa2, &[]);
    let mut report = report(&[&(slow + &line(600, 1, 0xff, 0x0a, &[]))]);
    let mut order = |order| {
        report.sort(order);
        report.functions.iter().map(|row| row.addr.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(order(Order::Count), [1, 2, 3]);
    assert_eq!(order(Order::Latency), [2, 1, 3]);
    assert_eq!(order(Order::Errors), [3, 1, 2]);
    assert_eq!(order(Order::Name), [1, 2, 3]);
}

/// Counts of a report that are sums over its captures.
fn sums(report: &Report) -> (Totals, BTreeMap<(u8, u8), [u64; 8]>) {
    let rows = report.functions.iter().map(|row| {
        let latencies = row.latency.as_ref().map_or(0, |latency| latency.count);
        let periods = row.period.as_ref().map_or(0, |period| period.count);
        let figures = [
            row.exchanges,
            row.answered,
            row.timeouts,
            row.errors,
            row.retries.unwrap_or(0),
            row.late + row.unsolicited + row.unfinished + row.request_not_seen,
            latencies,
            periods,
        ];
        ((row.addr.unwrap(), row.func.unwrap()), figures)
    });
    (report.totals.clone(), rows.collect())
}

fn capture() -> impl Strategy<Value = String> {
    let part = (1u8..5, 0usize..4, 1u64..3000).prop_map(|(addr, what, gap)| (addr, what, gap));
    proptest::collection::vec(part, 0..30).prop_map(|parts| {
        let mut ms = 0;
        let mut text = String::new();
        for (addr, what, gap) in parts {
            ms += gap;
            text += &match what {
                0 => poll(ms, addr, 4),
                1 => line(ms, addr, 0, 0xa2, &[]),
                2 => line(ms, addr, 0x14, 0x05, &[]),
                _ => format!("({}.{:03}) 12 34\n", ms / 1000, ms % 1000),
            };
            ms += 5;
        }
        text
    })
}

proptest! {
    /// Two captures together have the sums of the two.
    #[test]
    fn captures_add_up(a in capture(), b in capture()) {
        let (mut totals, mut rows) = sums(&report(&[&a]));
        let (more, others) = sums(&report(&[&b]));
        totals.frames += more.frames;
        totals.requests += more.requests;
        totals.responses += more.responses;
        totals.unknown_direction += more.unknown_direction;
        totals.frame_bytes += more.frame_bytes;
        totals.exchanges += more.exchanges;
        totals.noise_places += more.noise_places;
        totals.noise_bytes += more.noise_bytes;
        for (key, figures) in others {
            let row = rows.entry(key).or_default();
            row.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        }
        prop_assert_eq!(sums(&report(&[&a, &b])), (totals, rows));
    }
}
