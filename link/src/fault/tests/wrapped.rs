//! A link under faults, on a wire inside the process.

use std::time::Duration;

use super::*;
use crate::{Clock, Event, Hear, Link, memory};

const LONG: Duration = Duration::from_secs(10);

/// A host's link under rules, and the devices' end.
fn pair(rules: &[&str]) -> (Faulty<memory::End>, memory::End) {
    let clock = Clock::new();
    let (host, devices) = memory::pair(clock, Some(230_400));
    (Faulty::new(host, faults(rules), Request, clock), devices)
}

/// Reads until so many bytes are there.
#[track_caller]
fn hear(link: &mut impl Hear, count: usize) -> Vec<u8> {
    let mut got = Vec::new();
    let mut buf = [0; 7];
    while got.len() < count {
        match link.read(&mut buf, LONG).unwrap() {
            Event::Bytes { n, .. } => got.extend_from_slice(&buf[..n]),
            other => panic!("{other:?} after {got:02x?}"),
        }
    }
    got
}

#[test]
fn both_ways_are_spoiled() {
    let (mut host, mut devices) = pair(&["drop dir=request times=1", "truncate 4 dir=response"]);
    host.send(&ASK).unwrap();
    host.send(&ASK).unwrap();
    assert_eq!(hear(&mut devices, 6), ASK);
    devices.send(&ANSWER).unwrap();
    assert_eq!(hear(&mut host, 4), ANSWER[..4]);
    assert_eq!(host.read(&mut [0; 8], Duration::ZERO).unwrap(), Event::Idle);
    let struck: Vec<u64> = host.faults().counts().map(|(_, counts)| counts.struck).collect();
    assert_eq!(struck, [1, 1]);
}

#[test]
fn what_is_late_is_late() {
    let (mut host, mut devices) = pair(&["delay 30ms dir=response", "split 30ms at=2 dir=request"]);
    let sent = host.send(&ASK).unwrap();
    assert_eq!(hear(&mut devices, 2), ASK[..2]);
    // The rest is sent while the host waits for its answer.
    assert_eq!(host.read(&mut [0; 8], Duration::from_millis(60)).unwrap(), Event::Idle);
    assert_eq!(hear(&mut devices, 4), ASK[2..]);
    devices.send(&ANSWER).unwrap();
    let mut buf = [0; 16];
    let Event::Bytes { n: 10, time } = host.read(&mut buf, LONG).unwrap() else {
        panic!("ten bytes");
    };
    assert!(time.since(sent) >= 90 * Time::MILLISECOND, "{}", time.since(sent));
}

#[test]
fn an_echo_is_heard_and_what_befalls_devices_is_told() {
    let (mut host, mut devices) = pair(&["echo", "reset"]);
    host.send(&ASK).unwrap();
    assert_eq!(hear(&mut host, 6), ASK);
    assert_eq!(hear(&mut devices, 6), ASK);
    let effects = host.faults_mut().effects();
    assert_eq!(effects.len(), 1);
    assert_eq!((effects[0].device, effects[0].what), (Address(1), Befalls::Reset));
}

#[test]
fn what_is_on_its_way_is_heard_before_the_end() {
    let (mut host, mut devices) = pair(&["delay 1h dir=response", "drop p=0"]);
    devices.send(&ANSWER).unwrap();
    devices.send(&ANSWER[..5]).unwrap();
    drop(devices);
    assert_eq!(hear(&mut host, 15), [&ANSWER[..5], &ANSWER].concat());
    assert_eq!(host.read(&mut [0; 8], LONG).unwrap(), Event::Closed);
}
