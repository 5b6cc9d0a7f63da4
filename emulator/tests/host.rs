//! The vendor's host, as an engine, with emulated boxes: both without I/O, in virtual time.

use k485_emulator::device::boxes::BoxConfig;
use k485_emulator::hand::Hand;
use k485_emulator::world::World;
use k485_proto::address::Address;
use k485_proto::host::ask::Step;
use k485_proto::host::engine::{Config, Event, Host, Job, What};
use k485_proto::key::Key;
use k485_proto::record::Time;
use k485_proto::slot::Slot;

const MS: i64 = Time::MILLISECOND;
/// A byte's time on the wire at 230400 baud, in ns.
const BYTE: i64 = 43_403;

/// A host and a world on one wire, with somebody who does at the printer what the host wants.
struct Bus {
    host: Host,
    world: World,
    now: Time,
    /// What is on its way to the host.
    coming: Vec<(Time, Vec<u8>)>,
    events: Vec<(Time, Event)>,
}

impl Bus {
    /// Two boxes, filled, and a host with or without their identities.
    fn new(seed: u64, saved: bool) -> Bus {
        let config = |number: u8| BoxConfig { uniid: [number; 12], ..BoxConfig::default() };
        let mut world = World::new(Time(0), vec![config(1), config(2)], seed);
        // What is there when a box starts was not inserted.
        world.advance(Time(1_000 * MS));
        for slot in Slot::all().filter(|slot| slot.device <= 2) {
            world.act(&Hand::Insert { slot, spool: Default::default() }).unwrap();
        }
        // Preloading takes its time.
        let now = Time(120_000 * MS);
        world.advance(now);
        world.said();
        let saved = if saved { [Some([1; 12]), Some([2; 12]), None, None] } else { [None; 4] };
        let host = Host::new(Config { saved, heartbeat_ms: 2_000, ..Config::default() }, now);
        Bus { host, world, now, coming: Vec::new(), events: Vec::new() }
    }

    fn run(&mut self, ms: i64) {
        let end = Time(self.now.0 + ms * MS);
        while self.now < end {
            self.host.toolhead(self.world.toolhead());
            let step = self.host.poll(self.now);
            self.events.extend(self.host.take_events().into_iter().map(|event| (self.now, event)));
            for want in self.host.take_wants() {
                let hand = match want.what {
                    What::Extrude { mm } => {
                        let speed = f64::from(mm.abs()) * 1_000.0 / f64::from(want.takes_ms);
                        Hand::Extrude { mm: f64::from(mm), speed: Some(speed) }
                    }
                    What::Cut => Hand::Cut,
                    What::Heat { .. } | What::Clean => continue,
                };
                self.world.act(&hand).unwrap();
            }
            match step {
                Step::Send => {
                    let raw = self.host.request().to_vec();
                    self.now = Time(self.now.0 + raw.len() as i64 * BYTE);
                    self.world.heard(&raw, self.now);
                    self.host.sent(self.now);
                }
                Step::Wait(until) => {
                    let coming = self.coming.iter().map(|(time, _)| *time).min();
                    let next = [Some(until), self.world.next_event(), coming, Some(end)];
                    // The toolhead sensor is looked at every few ms.
                    let look = Time(self.now.0 + 10 * MS);
                    self.now = next.into_iter().flatten().fold(look, Time::min).max(self.now);
                    self.world.advance(self.now);
                }
                Step::Done => unreachable!("the host never ends"),
            }
            for (_, said) in self.world.said() {
                let time = said.at.max(self.now).0 + said.bytes.len() as i64 * BYTE;
                self.coming.push((Time(time), said.bytes));
            }
            let now = self.now;
            for (_, bytes) in self.coming.extract_if(.., |(time, _)| *time <= now) {
                self.host.heard(&bytes, now);
            }
        }
    }

    fn job(&mut self, job: Job) {
        self.host.start(job, self.now).unwrap();
        for _ in 0..300 {
            self.run(1_000);
            if self.host.job().is_none() {
                break;
            }
        }
        let last = self.events.iter().rev().map(|(_, event)| event);
        let ended = last.into_iter().find(|e| matches!(e, Event::Done(_) | Event::Failed { .. }));
        assert_eq!(ended, Some(&Event::Done(job)), "{}", self.story());
        // A job that goes well shows no message.
        let messages = self.events.iter().filter(|(_, e)| matches!(e, Event::Message { .. }));
        assert_eq!(messages.count(), 0, "{}", self.story());
    }

    fn story(&self) -> String {
        let line = |(time, event): &(Time, Event)| format!("\n{time} {event}");
        self.events.iter().map(line).collect()
    }
}

fn slot(name: &str) -> Slot {
    name.parse().unwrap()
}

#[test]
fn boxes_are_assigned_greeted_and_polled() {
    for seed in 0..4 {
        let mut bus = Bus::new(seed, false);
        bus.run(30_000);
        assert!(bus.host.is_ready(Address(1)) && bus.host.is_ready(Address(2)), "{}", bus.story());
        let changes = bus.events.iter().filter(|(_, e)| matches!(e, Event::Changed { .. })).count();
        assert_eq!(changes, 8, "{}", bus.story());
    }
}

#[test]
fn loads_unloads_and_changes_go_well() {
    let mut bus = Bus::new(7, true);
    bus.run(30_000);
    bus.job(Job::Load(slot("T1A")));
    bus.job(Job::Change { from: slot("T1A"), to: slot("T2B") });
    bus.job(Job::Change { from: slot("T2B"), to: slot("T2C") });
    bus.job(Job::Unload(slot("T2C")));
    bus.job(Job::Load(slot("T2A")));
    bus.run(60_000);
    assert!(!bus.events.iter().any(|(_, event)| matches!(event, Event::Lost(_))));
}

#[test]
fn an_empty_slot_is_told_and_a_restarted_box_comes_back() {
    let mut bus = Bus::new(3, true);
    bus.run(30_000);
    bus.world.act(&Hand::PullOut { slot: slot("T1B") }).unwrap();
    bus.host.start(Job::Load(slot("T1B")), bus.now).unwrap();
    bus.run(10_000);
    assert!(bus.events.iter().any(|(_, event)| matches!(event, Event::Failed { .. })));
    bus.world.act(&Hand::Unplug { unit: 1 }).unwrap();
    bus.run(40_000);
    let lost = Event::Lost(Address(1));
    assert!(bus.events.iter().any(|(_, event)| *event == lost), "{}", bus.story());
    bus.world.act(&Hand::Plug { unit: 1 }).unwrap();
    bus.run(20_000);
    assert!(bus.host.is_ready(Address(1)), "{}", bus.story());
}

#[test]
fn a_hub_gear_that_slips_ends_the_load_with_its_key() {
    let mut bus = Bus::new(5, true);
    bus.run(30_000);
    bus.world.act(&Hand::Slip { unit: 2, on: true }).unwrap();
    bus.host.start(Job::Load(slot("T2D")), bus.now).unwrap();
    bus.run(200_000);
    let (key, address) = (Key(836), Address(2));
    let message = Event::Message { key, address };
    assert!(bus.events.iter().any(|(_, event)| *event == message), "{}", bus.story());
    assert_eq!(bus.host.job(), None);
}
