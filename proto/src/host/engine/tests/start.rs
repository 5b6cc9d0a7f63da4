//! The start, boxes that come and go, the heartbeat, the motors.

use super::*;
use crate::host::engine::{Online, printer_params};

#[test]
fn a_start_without_a_table_asks_twice_then_assigns_and_greets() {
    let mut bench = Bench::new(Config::default(), vec![Slave::new(7)]);
    bench.run(12_000);
    assert_eq!(
        bench.words(),
        [
            "01 a3",
            "02 a3",
            "03 a3",
            "04 a3",
            "01 a3",
            "02 a3",
            "03 a3",
            "04 a3",
            "fe a0 01 07 07 07 07 07 07 07 07 07 07 07 07",
            "01 04 00 01",
            "01 14",
            "01 15",
            "01 08 00",
            "01 0d 0f 00",
        ]
    );
    let asked = bench.times("03 a3");
    assert!((200..300).contains(&(asked[1] - asked[0])), "{asked:?}");
    let assigned = bench.times("fe a0 01 07 07 07 07 07 07 07 07 07 07 07 07")[0];
    let greeted = bench.times("01 04 00 01")[0];
    assert!((4_200..5_700).contains(&(greeted - assigned)), "{assigned} {greeted}");
    let (address, uniid) = (Address(1), [7; 12]);
    assert_eq!(bench.events[0], Event::Assigned { address, uniid });
    let ready = bench.events.iter().find(|event| matches!(event, Event::Ready { .. }));
    assert_eq!(
        format!("{}", ready.unwrap()),
        "box1 is ready, version 1.1.3, serial number 10000000000000000A1"
    );
}

#[test]
fn a_start_with_a_table_assigns_at_once() {
    let saved = [Some([1; 12]), Some([2; 12]), None, None];
    let slaves = vec![Slave::new(1), Slave::new(2)];
    let mut bench = Bench::new(Config { saved, ..Config::default() }, slaves);
    bench.run(600);
    assert_eq!(
        bench.words(),
        [
            "fe a0 01 01 01 01 01 01 01 01 01 01 01 01 01",
            "fe a0 02 02 02 02 02 02 02 02 02 02 02 02 02",
            "03 a3",
            "04 a3",
            "03 a3",
            "04 a3",
        ]
    );
    assert_eq!(bench.host.table()[1].online, Online::Online);
}

#[test]
fn a_cycle_takes_two_seconds_while_boxes_are_missing_and_one_when_all_are_there() {
    let mut bench = Bench::ready();
    bench.run(21_000);
    let asks = |bench: &Bench, func| {
        bench.all.iter().filter(|(_, raw)| Frame::from_bytes(raw).unwrap().func() == func).count()
    };
    assert!((9..=11).contains(&asks(&bench, 0xa1)), "{}", asks(&bench, 0xa1));
    // Each box once in 4.2 s.
    assert!((9..=11).contains(&asks(&bench, 0x0a)), "{}", asks(&bench, 0x0a));
    bench.slaves.extend([Slave::new(3), Slave::new(4)]);
    bench.slaves[2].address = Address(3);
    bench.run(6_000);
    bench.slaves[3].address = Address::UNASSIGNED;
    bench.run(20_000);
    bench.slaves[2].address = Address::UNASSIGNED;
    bench.run(20_000);
    assert!(bench.host.table().iter().all(|row| row.online == Online::Online));
    bench.forget();
    bench.run(20_000);
    assert_eq!(asks(&bench, 0xa1), 0);
    assert!((70..=80).contains(&asks(&bench, 0xa2)), "{}", asks(&bench, 0xa2));
}

#[test]
fn a_box_that_was_restarted_gets_its_address_back_and_is_greeted_again() {
    let mut bench = Bench::ready();
    bench.slaves[1].address = Address::UNASSIGNED;
    bench.run(8_000);
    assert_eq!(bench.slaves[1].address, Address(2));
    assert!(bench.words().contains(&"02 0d 0f 00"));
    assert!(!bench.words().contains(&"01 0d 0f 00"));
}

#[test]
fn a_box_that_is_unplugged_is_lost_after_four_questions_and_comes_back() {
    let config = Config { heartbeat_ms: 2_000, ..Config::default() };
    let mut bench = Bench::new(config, vec![Slave::new(1), Slave::new(2)]);
    bench.run(20_000);
    bench.forget();
    bench.slaves[1].plugged = false;
    bench.run(30_000);
    assert!(bench.events.contains(&Event::Lost(Address(2))), "{:?}", bench.events);
    assert_eq!(bench.keys(), [831]);
    assert!(bench.host.is_ready(Address(1)));
    bench.slaves[1].plugged = true;
    bench.slaves[1].address = Address::UNASSIGNED;
    bench.run(10_000);
    assert!(bench.host.is_ready(Address(2)));
}

#[test]
fn the_vendor_s_heartbeat_waits_an_hour_and_keeps_the_bus() {
    let mut bench = Bench::ready();
    bench.rules = vec![(0x0a, &[], None, 1)];
    bench.run(3_600_000);
    assert!(bench.all.len() < 20, "{}", bench.all.len());
    bench.run(20_000);
    assert!(bench.all.len() > 30);
}

#[test]
fn a_loader_is_told_to_go_on_before_it_is_greeted() {
    let mut slave = Slave::new(1);
    slave.loader = true;
    let mut bench = Bench::new(Config::default(), vec![slave]);
    bench.run(10_000);
    let words = bench.words();
    let told = words.iter().position(|word| *word == "ff 0b 01").unwrap();
    let greeted = words.iter().position(|word| *word == "01 04 00 01").unwrap();
    assert!(told < greeted);
    assert_eq!(words.iter().filter(|word| **word == "ff 0b 01").count(), 1);
}

#[test]
fn a_hardware_status_that_is_too_short_ends_the_polling() {
    let mut bench = Bench::new(Config::default(), vec![Slave::new(1)]);
    bench.rules = vec![(0x15, &[], Some((0, &[0])), 1)];
    bench.run(30_000);
    assert!(bench.events.iter().any(|event| matches!(event, Event::Broken { .. })));
    assert!(!bench.host.is_ready(Address(1)));
    assert!(bench.all.iter().all(|(_, raw)| raw[4] != 0x0a));
}

#[test]
fn changes_at_slots_are_told() {
    let mut bench = Bench::ready();
    bench.rules = vec![(0x0a, &[], Some((0x30, &[0, 1, 0, 2])), 1)];
    bench.run(6_000);
    let texts: Vec<String> = bench.events.iter().map(|event| format!("{event}")).collect();
    let told = texts.iter().filter(|text| text.contains("filament")).count();
    assert_eq!(told, 2, "{texts:?}");
}

#[test]
fn motors_come_before_boxes_and_silent_ones_are_gone_on_without() {
    let config = Config { motors: Some(printer_params()), ..Config::default() };
    let mut bench = Bench::new(config, vec![Slave::new(1)]);
    bench.run(75_000);
    let words = bench.words();
    assert_eq!(words[..5], ["ff 0e 01", "81 0e 02", "82 0e 02", "83 0e 02", "84 0e 02"]);
    assert_eq!(words.iter().filter(|word| **word == "84 0e 02").count(), 4);
    assert_eq!(words.iter().filter(|word| **word == "83 11 02").count(), 3);
    assert_eq!(words.iter().filter(|word| **word == "81 06 02 09").count(), 3);
    assert_eq!(bench.keys(), [801, 801]);
    let saved = words.iter().position(|word| *word == "84 06 03").unwrap();
    let assigned = words.iter().position(|word| *word == "01 a3").unwrap();
    assert_eq!(saved + 1, assigned);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever is heard, and whenever: no panic, and the host goes on.
    #[test]
    fn nothing_that_is_heard_stops_it(
        heard in proptest::collection::vec((0..3_000_i64, 0..4_usize, proptest::prelude::any::<[u8; 12]>()), 1..200),
        motors in proptest::prelude::any::<bool>(),
    ) {
        let config = Config {
            motors: motors.then(printer_params),
            heartbeat_ms: 2_000,
            ..Config::default()
        };
        let mut host = Host::new(config, Time(0));
        let (mut now, mut sent) = (Time(0), 0);
        for (ms, kind, bytes) in heard {
            let until = Time(now.0 + ms * MS);
            while now <= until {
                match host.poll(now) {
                    Step::Send => {
                        sent += 1;
                        host.sent(now);
                        let request = Frame::from_bytes(host.request()).unwrap();
                        // Its own reply's head, with anything in it.
                        let (addr, func) = (request.addr(), request.func());
                        let status = Status(if kind == 1 { 0 } else { bytes[0] });
                        let raw = match kind {
                            0 => bytes.to_vec(),
                            1 | 2 => Frame::to_vec(addr, status, func, &bytes[1..]).unwrap(),
                            _ => continue,
                        };
                        host.heard(&raw, now);
                    }
                    Step::Wait(time) => {
                        assert!(time > now, "{time} {now}");
                        now = time;
                    }
                    Step::Done => unreachable!(),
                }
                let _ = (host.take_events(), host.take_wants());
                let _ = host.start(Job::Load("T1A".parse().unwrap()), now);
            }
            host.toolhead(kind == 2);
        }
        now = Time(now.0 + 60_000 * MS);
        assert!(sent > 0);
        assert!(matches!(host.poll(now), Step::Send | Step::Wait(_)));
    }
}
