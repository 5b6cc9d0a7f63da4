//! Loads, unloads and changes.

use super::*;
use crate::host::engine::{Trouble, What};
use crate::slot::Slot;

fn slot(name: &str) -> Slot {
    name.parse().unwrap()
}

fn load(name: &str) -> Job {
    Job::Load(slot(name))
}

/// Why the job failed.
fn failed(bench: &Bench) -> Trouble {
    let trouble = |event: &Event| match event {
        Event::Failed { trouble, .. } => Some(*trouble),
        _ => None,
    };
    bench.events.iter().rev().find_map(trouble).expect("a failure")
}

#[test]
fn a_load_goes_as_the_vendor_s_does() {
    let mut bench = Bench::ready();
    bench.job(load("T1A"), 60);
    assert_eq!(
        bench.words(),
        [
            "01 08 01",
            "01 08 00",
            "02 08 01",
            "02 08 00",
            "01 04 00 01",
            "01 0f 01",
            "02 0f 01",
            "01 08 00",
            "01 10 01 00 00",
            "01 10 01 04 00",
            "01 10 01 05 00",
            "01 10 01 05 00",
            "01 10 01 06 00",
            "01 10 01 07 03",
            "01 05",
            "01 04 01 00",
            "01 0f 00",
            "02 0f 00",
            "01 0e 01",
            "01 0e 01",
            "01 0e 01",
            "01 0e 01",
            "01 0e 01",
        ],
    );
    let polls = bench.times("01 10 01 05 00");
    assert!((2_000..3_100).contains(&(polls[1] - polls[0])), "{polls:?}");
    // The sensor ends the pause between polls.
    let end = bench.times("01 10 01 06 00")[0];
    assert!(end - polls[1] < 1_100, "{end} {polls:?}");
    assert_eq!(bench.host.loaded(), Some(slot("T1A")));
    assert_eq!(bench.events.last(), Some(&Event::Done(load("T1A"))));
    // The odometer did not move in the flush.
    assert_eq!(bench.keys(), [845]);
    let wants = bench.host.take_wants();
    assert_eq!(wants[0].what, What::Heat { celsius: 220.0 });
}

#[test]
fn a_second_job_waits_and_a_box_that_is_not_there_gets_none() {
    let mut bench = Bench::ready();
    let now = bench.now;
    assert_eq!(bench.host.start(load("T3A"), now), Err(Trouble::NotReady(3)));
    bench.host.start(load("T1A"), now).unwrap();
    assert_eq!(bench.host.start(load("T1B"), now), Err(Trouble::Busy(load("T1A"))));
}

#[test]
fn a_buffer_that_stays_full_begins_the_load_again_once() {
    let mut bench = Bench::ready();
    bench.rules = vec![(0x05, &[], Some((0, &[1])), 99)];
    bench.trips = 1;
    bench.job(load("T1A"), 200);
    let words = bench.words();
    assert_eq!(words.iter().filter(|word| **word == "01 05").count(), 12);
    assert_eq!(words.iter().filter(|word| **word == "01 10 01 07 03").count(), 12);
    let again = words.iter().rposition(|word| *word == "01 10 01 00 00").unwrap();
    assert_eq!(
        words[again - 9..again],
        [
            "01 05",
            "01 08 01",
            "01 08 00",
            "01 04 00 01",
            "01 11 00 00",
            "01 11 00 00",
            "01 11 00 00",
            "01 11 00 00",
            "01 11 01 01",
        ]
    );
    assert_eq!(failed(&bench), Trouble::BufferFull);
}

#[test]
fn an_unload_and_a_change_go_as_the_vendor_s_do() {
    let mut bench = Bench::ready();
    bench.job(Job::Unload(slot("T1A")), 60);
    assert_eq!(bench.words(), ["01 0e 01", "01 04 00 01", "01 07 00", "01 11 01 01"]);
    bench.forget();
    bench.job(Job::Change { from: slot("T1A"), to: slot("T2B") }, 90);
    assert_eq!(
        bench.words()[..13],
        [
            "01 04 00 01",
            "01 08 00",
            "01 11 01 00",
            "01 11 01 00",
            "01 11 01 00",
            "01 11 01 00",
            "01 11 01 01",
            "02 04 00 01",
            "01 0f 01",
            "02 0f 01",
            "02 08 00",
            "02 10 02 00 00",
            "02 10 02 04 00",
        ]
    );
    assert_eq!(bench.host.loaded(), Some(slot("T2B")));
}

#[test]
fn what_a_hub_holds_goes_back_first() {
    let mut bench = Bench::ready();
    bench.slaves[1].hub = 0x04;
    bench.job(load("T1A"), 90);
    assert_eq!(
        bench.words()[4..11],
        [
            "02 04 00 01",
            "02 11 00 00",
            "02 11 00 00",
            "02 11 00 00",
            "02 11 00 00",
            "02 11 04 01",
            "01 04 00 01",
        ]
    );
    assert_eq!(bench.host.loaded(), Some(slot("T1A")));
}

/// What a load ends with, and which keys it shows, when answers are spoiled.
fn spoiled(rules: Vec<Rule>) -> (Bench, Option<Trouble>) {
    let mut bench = Bench::ready();
    bench.rules = rules;
    bench.slaves[0].odometer = f32::NAN;
    bench.job(load("T1A"), 300);
    let trouble = match bench.events.last() {
        Some(Event::Failed { trouble, .. }) => Some(*trouble),
        _ => None,
    };
    (bench, trouble)
}

#[test]
fn errors_at_the_hub_are_tried_once_more() {
    for (status, keys) in [(5, vec![]), (8, vec![839]), (9, vec![]), (3, vec![840]), (1, vec![834])]
    {
        let (bench, trouble) = spoiled(vec![(0x10, &[1, 0], Some((status, &[4])), 1)]);
        assert_eq!(trouble, None, "{status}");
        assert_eq!(bench.keys(), keys, "{status}");
        let at = bench.words().iter().position(|word| *word == "01 10 01 00 00").unwrap();
        assert_eq!(
            bench.words()[at..at + 4],
            ["01 10 01 00 00", "01 04 00 01", "01 11 01 01", "01 10 01 00 00"]
        );
    }
    let (bench, trouble) = spoiled(vec![(0x10, &[1, 0], Some((5, &[4])), 2)]);
    assert!(trouble.is_some());
    assert_eq!(bench.keys(), [835]);
}

#[test]
fn errors_of_a_feed() {
    for (stage, status, times, ok, keys) in [
        (&[1, 4], 0x05, 1, false, vec![835]),
        (&[1, 5], 0x0a, 1, true, vec![]),
        (&[1, 5], 0x0c, 1, true, vec![]),
        (&[1, 5], 0x0a, 99, false, vec![836]),
        (&[1, 5], 0x0b, 1, false, vec![844]),
        (&[1, 6], 0x0d, 1, false, vec![864]),
        (&[1, 7], 0x0e, 1, true, vec![]),
    ] {
        let mut bench = Bench::ready();
        bench.trips = if times > 1 { 99 } else { 2 };
        bench.slaves[0].odometer = f32::NAN;
        bench.rules = vec![(0x10, stage, Some((status, &[])), times)];
        bench.job(load("T1A"), 300);
        let done = bench.events.last() == Some(&Event::Done(load("T1A")));
        assert_eq!(done, ok, "{stage:?} {status} {:?}", bench.events.last());
        assert_eq!(bench.keys(), keys, "{stage:?} {status}");
        if times > 1 {
            let feeds = bench.words().iter().filter(|word| **word == "01 10 01 04 00").count();
            assert_eq!(feeds, 4);
        }
    }
}

#[test]
fn a_box_silent_at_the_hub_is_sent_to_ten_times_and_told_once() {
    let mut bench = Bench::ready();
    bench.rules = vec![(0x10, &[1, 0], None, 99)];
    bench.job(load("T1A"), 300);
    let sent = bench.times("01 10 01 00 00");
    assert_eq!(sent.len(), 10);
    assert!((15_000..15_050).contains(&(sent[1] - sent[0])), "{sent:?}");
    assert!((150_000..170_000).contains(&(sent[9] + 15_000 - sent[0])), "{sent:?}");
    assert_eq!(bench.keys(), [831]);
    assert_eq!(failed(&bench), Trouble::Silent("EXTRUDE_PROCESS"));
    bench.run(10_000);
    assert!(bench.words().contains(&"01 0d 0f 00"), "{:?}", bench.words());
}

#[test]
fn errors_of_an_unload() {
    for (status, keys) in [
        (0x05, vec![835]),
        (0x13, vec![]),
        (0x14, vec![865]),
        (0x15, vec![850]),
        (0x16, vec![]),
        (0x17, vec![]),
        (0x19, vec![865]),
        (0x1a, vec![849]),
    ] {
        let mut bench = Bench::ready();
        bench.rules = vec![(0x11, &[], Some((status, &[])), 1)];
        bench.job(Job::Unload(slot("T1A")), 60);
        assert_eq!(bench.keys(), keys, "{status:02x}");
        let done = matches!(bench.events.last(), Some(Event::Done(_)));
        assert_eq!(done, status == 0x16, "{status:02x}");
        assert_eq!(bench.times("01 11 01 01").len(), 1);
    }
}
