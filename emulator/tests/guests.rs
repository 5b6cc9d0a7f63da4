//! The vendor's host as a guest of a bus, in virtual time.

// How long the day took is told, not asserted.
#![allow(clippy::print_stderr)]

use std::sync::{Arc, Mutex};

use k485_emulator::device::boxes::BoxConfig;
use k485_emulator::guest::HostGuest;
use k485_emulator::{Bus, BusConfig, Hand, SpoolSpec, World};
use k485_proto::host::engine::{Config, Event, Job};
use k485_proto::record::Time;
use k485_proto::slot::Slot;

fn slot(text: &str) -> Slot {
    text.parse().unwrap()
}

/// A bus of so many boxes, each with filament before its hub in every slot, and a host.
fn bus(boxes: u8, config: BusConfig, jobs: Vec<Job>) -> (Bus, Arc<Mutex<Vec<String>>>) {
    let device = |number| BoxConfig { uniid: [number; 12], ..BoxConfig::default() };
    let mut world = World::new(Time(0), (1..=boxes).map(device).collect(), 7);
    for slot in Slot::all().filter(|slot| slot.device <= boxes) {
        world.act(&Hand::Place { slot, spool: SpoolSpec::default(), tip: 290.0 }).unwrap();
    }
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let host = Config { heartbeat_ms: 2_000, settle_ms: 500, ..Config::default() };
    let guest = HostGuest::new(host, &config, Time(0))
        .with_jobs(jobs, Vec::new(), 1_000)
        .with_events(move |event: &Event, at| told.lock().unwrap().push(format!("{at} {event}")));
    let mut bus = Bus::new(world, config);
    bus.invite(Box::new(guest));
    (bus, events)
}

fn seconds(seconds: i64) -> Time {
    Time(seconds * Time::SECOND)
}

#[test]
fn a_host_inside_assigns_loads_changes_and_unloads() {
    for fast in [false, true] {
        let jobs = vec![
            Job::Load(slot("T1A")),
            Job::Change { from: slot("T1A"), to: slot("T2B") },
            Job::Unload(slot("T2B")),
        ];
        let (mut bus, events) = bus(2, BusConfig { fast, ..BusConfig::default() }, jobs);
        let mut toolhead = Vec::new();
        for second in 0..400 {
            bus.advance(seconds(second));
            toolhead.extend(bus.toolhead_changes().iter().map(|change| change.filament));
        }
        let events = events.lock().unwrap();
        let done = events.iter().filter(|event| event.ends_with("is done")).count();
        assert_eq!(done, 3, "{events:#?}");
        assert!(!events.iter().any(|event| event.contains("failed")), "{events:#?}");
        assert_eq!(toolhead, [true, false, true, false], "{events:#?}");
    }
}

/// Says how long it takes; nothing is asserted about that, since the machine may be busy.
#[test]
fn a_day_of_polling_four_boxes() {
    let (mut bus, events) = bus(4, BusConfig::default(), Vec::new());
    let began = std::time::Instant::now();
    bus.advance(seconds(86_400));
    let tally = bus.tally();
    eprintln!("24 h of polling 4 boxes: {:.1} s, {tally:?}", began.elapsed().as_secs_f64());
    // Every second a box, beside address management.
    assert!(tally.answers > 80_000, "{tally:?}");
    let lost = events.lock().unwrap().iter().filter(|event| event.contains("not answer")).count();
    assert_eq!(lost, 0);
}
