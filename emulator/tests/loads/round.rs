//! One world's tale: rounds of a load and an unload, every second one with trouble.

use k485_emulator::device::boxes::BoxConfig;
use k485_emulator::hand::{Sensor, Shows};
use k485_emulator::plant::{Geometry, SLOTS};
use k485_emulator::{Hand, Rng, SpoolSpec, World};
use k485_link::Faults;
use k485_proto::dialect::K2;
use k485_proto::record::Time;
use k485_proto::slot::{Letter, Slot};

use crate::common::{Bench, Event};
use crate::host::{FLUSH, Host, Load, MS, Stop, address, uniid};
use crate::trouble::{self, Trouble};

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Tale {
    pub(crate) lines: Vec<String>,
    /// What does not hold, and where it ended.
    pub(crate) wrong: Option<String>,
    pub(crate) clean: u32,
    pub(crate) troubled: u32,
    /// Rounds whose load or unload did not work.
    pub(crate) spoiled: u32,
    /// All bytes that the host has heard.
    pub(crate) heard: Vec<u8>,
}

/// How far the odometer may be off, beside the buffer's travel, in mm: what a hub motor does in the
/// 20 ms of a look, and at the toolhead in the host's own.
const LEEWAY: f64 = 8.0;

struct Story {
    bench: Bench,
    rng: Rng,
    boxes: usize,
    tale: Tale,
}

pub(crate) fn play(seed: u64, rounds: u32) -> Tale {
    let mut story = Story::new(seed);
    story.settle();
    for round in 0..rounds {
        if let Err(wrong) = story.round(round) {
            story.tale.wrong = Some(format!("round {round}: {wrong}"));
            break;
        }
    }
    story.tale.heard = story.bench.heard;
    story.tale
}

impl Story {
    fn new(seed: u64) -> Story {
        let mut rng = Rng::new(seed);
        let boxes = 1 + rng.below(4) as usize;
        let preload = rng.below(4) == 0;
        let configs = (0..boxes).map(|unit| BoxConfig {
            uniid: uniid(unit),
            address: Some(address(unit)),
            preload,
            ..BoxConfig::default()
        });
        let mut world = World::new(Time(0), configs.collect(), rng.next_u64());
        let ends = [60.0, 75.0, 100.0].map(|end| end + f64::from(rng.below(20)));
        for unit in 0..boxes {
            let hub = 100.0 + f64::from(rng.below(300));
            let joint = hub + 100.0 + f64::from(rng.below(1_200));
            world.plant_mut().path_mut(unit).geometry = Geometry {
                hub,
                wheel: hub + 25.0,
                joint,
                toolhead: joint + ends[0],
                cutter: joint + ends[0].max(ends[1]) + 5.0,
                extruder: joint + ends[2] + 20.0,
                ..Geometry::default()
            };
        }
        let mut bench = Bench::new(world, none());
        for unit in 0..boxes {
            for slot in 0..SLOTS {
                let tip = bench.world.plant().path(unit).geometry.hub - 20.0;
                let slot = slot_of(unit, slot);
                bench.hand(&Hand::Place { slot, spool: SpoolSpec::default(), tip });
            }
        }
        Story { bench, rng, boxes, tale: Tale::default() }
    }

    fn host(&mut self) -> Host<'_> {
        Host { bench: &mut self.bench, boxes: self.boxes }
    }

    fn round(&mut self, round: u32) -> Result<(), String> {
        let unit = self.rng.below(self.boxes as u32) as usize;
        let slot = self.rng.below(SLOTS as u32) as usize;
        if round.is_multiple_of(2) {
            self.tale.clean += 1;
            self.say(format!("round {round}: {}", slot_of(unit, slot)));
            return self.undisturbed(unit, slot);
        }
        self.tale.troubled += 1;
        let geometry = self.bench.world.plant().path(unit).geometry;
        let trouble = trouble::any(slot_of(unit, slot), unit, &geometry, &mut self.rng);
        let at = i64::from(self.rng.below(30_000)) * MS;
        self.say(format!("round {round}: {}, {} ms on: {trouble:?}", slot_of(unit, slot), at / MS));
        self.plan(trouble, at);
        let load = self.host().load(unit, slot);
        self.hold()?;
        let stopped = load.as_ref().err() == Some(&Stop::Restart);
        let unload = match stopped {
            true => Err(Stop::Restart),
            false => self.host().unload(unit, 1 << slot),
        };
        self.hold()?;
        self.tale.spoiled += u32::from(load.is_err() || unload.is_err());
        self.say(format!("  load {:?}, unload {unload:?}", load.map(|_| ())));
        self.mend()
    }

    fn say(&mut self, line: String) {
        self.tale.lines.push(format!("{} s {line}", self.bench.now.0 / Time::SECOND));
    }

    /// What the trouble does comes so much later.
    fn plan(&mut self, trouble: Trouble, after: i64) {
        let mut at = Time(self.bench.now.0 + after);
        match trouble {
            Trouble::HostRestarts => self.bench.ahead.push((at, Event::HostRestarts)),
            Trouble::Rules(rules) => {
                let faults = Faults::new(rules, &K2, self.rng.next_u64());
                self.bench.armed = Some(faults);
                self.bench.ahead.push((at, Event::Faults));
            }
            Trouble::Hands(hands) => {
                for hand in hands {
                    self.bench.ahead.push((at, Event::Hand(hand)));
                    at = Time(at.0 + 3 * Time::SECOND);
                }
            }
        }
    }

    /// A load and an unload without trouble: all must be as it should.
    fn undisturbed(&mut self, unit: usize, slot: usize) -> Result<(), String> {
        let load = self.host().load(unit, slot).map_err(|stop| {
            let path = self.bench.world.plant().path(unit);
            let printer = self.bench.world.plant().printer();
            format!("the load: {stop:?}; {path:?}; {printer:?}")
        })?;
        self.hold()?;
        self.measure(unit, load)?;
        let path = self.bench.world.plant().path(unit);
        if !path.in_hub(slot) || !self.bench.world.toolhead() {
            return Err("loaded, and there is no filament".to_owned());
        }
        let unload = self.host().unload(unit, 1 << slot);
        unload.map_err(|stop| {
            let path = self.bench.world.plant().path(unit);
            let printer = self.bench.world.plant().printer();
            format!("the unload: {stop:?}; {path:?}; {printer:?}")
        })?;
        self.hold()?;
        if !self.bench.world.plant().path(unit).inlet(slot) {
            return Err("unloaded, and the inlet is empty".to_owned());
        }
        Ok(())
    }

    /// The odometer tells the way from the wheel to the extruder, or to what was cut off before
    /// it, but for the buffer; and what the extruder drew. It falls while filament is fed.
    fn measure(&self, unit: usize, load: Load) -> Result<(), String> {
        let geometry = self.bench.world.plant().path(unit).geometry;
        let travel = self.bench.world.plant().printer().travel;
        let near = |what: &str, told: f64, true_one: f64| {
            let fits = (told - true_one).abs() <= travel + LEEWAY;
            fits.then_some(()).ok_or(format!("{what}: {told} mm told, {true_one} mm long"))
        };
        let fed = f64::from(load.before - load.behind);
        near("the path", fed, geometry.extruder - load.stub - geometry.wheel)?;
        let flushed = f64::from(load.flush.0 - load.flush.1);
        near("the flush", flushed, FLUSH)
    }

    /// What must hold at any time.
    fn hold(&self) -> Result<(), String> {
        let plant = self.bench.world.plant();
        let mut behind_joint = Vec::new();
        for unit in 0..self.boxes {
            let path = plant.path(unit);
            for slot in 0..SLOTS {
                let pieces = path.pieces(slot);
                let twice = pieces.windows(2).any(|two| two[0].tip > two[1].tail + 1e-6);
                let end = path.geometry.extruder + 1e-6;
                let outside = pieces.iter().any(|one| one.tail > one.tip + 1e-6 || one.tip > end);
                if twice || outside {
                    return Err(format!("{}: {pieces:?}", slot_of(unit, slot)));
                }
                if pieces.iter().any(|piece| piece.tip > path.geometry.joint + 1e-6) {
                    behind_joint.push(slot_of(unit, slot).to_string());
                }
            }
        }
        let printer = plant.printer();
        let stub = printer.stub.unwrap_or(0.0);
        for unit in 0..self.boxes {
            let path = plant.path(unit);
            let end = path.geometry.extruder - stub + 1e-6;
            if (0..SLOTS).any(|slot| path.pieces(slot).iter().any(|piece| piece.tip > end)) {
                return Err(format!("in what was cut off ({stub} mm): box {}", unit + 1));
            }
        }
        if behind_joint.len() > 1 {
            return Err(format!("behind the joint: {}", behind_joint.join(", ")));
        }
        match (0.0..=printer.travel).contains(&printer.slack) {
            true => Ok(()),
            false => Err(format!("{printer:?}")),
        }
    }

    /// The hands mend what is broken, the host clears what is latched and unloads what is loaded.
    fn mend(&mut self) -> Result<(), String> {
        self.bench.faults = none();
        self.bench.armed = None;
        self.bench.ahead.clear();
        self.bench.restarted = false;
        let mut hands = vec![
            Hand::FreeBuffer,
            Hand::Toolhead { shows: Shows::Truth },
            Hand::Extruder { speed: 0.0 },
        ];
        for unit in 0..self.boxes {
            hands.push(Hand::Plug { unit: unit + 1 });
            for slot in (0..SLOTS).map(|slot| slot_of(unit, slot)) {
                hands.push(Hand::Unjam { slot });
                for sensor in [Sensor::Inlet, Sensor::Hub] {
                    hands.push(Hand::Sensor { slot, sensor, shows: Shows::Truth });
                }
            }
        }
        for hand in &hands {
            self.bench.hand(hand);
        }
        // What was sent before still comes.
        self.host().wait(5_000 * MS).map_err(|stop| format!("{stop:?}"))?;
        self.host().bring_up().map_err(|stop| format!("clearing: {stop:?}"))?;
        self.take_out_what_is_broken();
        let mut unload = || {
            for unit in 0..self.boxes {
                if self.host().in_hub(unit)? != 0 {
                    self.host().unload(unit, 0)?;
                }
            }
            self.host().bring_up()
        };
        unload().map_err(|stop| format!("unloading: {stop:?}"))?;
        self.put_in_what_is_missing();
        self.settle();
        self.host().bring_up().map_err(|stop| format!("filament is put in: {stop:?}"))?;
        self.hold()
    }

    /// Waits until the boxes have done what they do with filament that was put in.
    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 16 {
            self.bench.wait(Time::SECOND);
            let plant = self.bench.world.plant();
            quiet = if plant.is_moving() { 0 } else { quiet + 1 };
        }
    }

    fn take_out_what_is_broken(&mut self) {
        for unit in 0..self.boxes {
            for slot in 0..SLOTS {
                let pieces = self.bench.world.plant().path(unit).pieces(slot);
                // Of what no feeder holds, no box is rid.
                if pieces.iter().any(|piece| piece.tail > -1_000.0) {
                    self.bench.hand(&Hand::Clear { slot: slot_of(unit, slot) });
                }
            }
        }
    }

    fn put_in_what_is_missing(&mut self) {
        for unit in 0..self.boxes {
            for slot in 0..SLOTS {
                if self.bench.world.plant().path(unit).pieces(slot).is_empty() {
                    let slot = slot_of(unit, slot);
                    self.bench.hand(&Hand::Insert { slot, spool: SpoolSpec::default() });
                }
            }
        }
    }
}

fn none() -> Faults {
    Faults::new(Vec::new(), &K2, 0)
}

fn slot_of(unit: usize, slot: usize) -> Slot {
    Slot { device: unit as u8 + 1, letter: Letter::ALL[slot] }
}
