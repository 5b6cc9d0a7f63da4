//! Vectors that follow on each other: what hands did between them is read off their states.

use std::error::Error;
use std::path::Path;

use k485_emulator::device::Device;
use k485_emulator::plant::{Drive, SLOTS, SensorFault, Spool};

use crate::Tally;
use crate::vector::{Vector, read};
use crate::world::{World, port};

type Outcome = Result<Tally, Box<dyn Error>>;

/// How long silence was waited for at most, in ms.
const SILENT: i64 = 100;
/// From an answer to what hands do next.
const PAUSE: i64 = 11;
/// A tip that is so far from where it should be was put there by hand, in mm.
const BY_HAND: f64 = 12.0;

/// One story's world.
struct Story {
    world: World,
    printing: bool,
    /// Whether something holds the buffer all the time.
    hold: bool,
}

impl Story {
    fn new(world: World) -> Story {
        Story { world, printing: false, hold: false }
    }

    /// Brings the plant to where the vector's state has it.
    fn hands(&mut self, vector: &Vector) {
        let plant = &mut self.world.plant;
        let still = !plant.is_moving();
        let mut gripped = false;
        for slot in 0..SLOTS {
            let wanted = vector.state["pos"][slot].as_f64();
            let tip = plant.path(0).pieces(slot).first().map(|piece| piece.tip);
            match (wanted, tip) {
                (None, Some(_)) => plant.clear(port(slot)),
                (Some(wanted), None) if wanted <= 5.0 => plant.insert(port(slot), Spool::default()),
                (Some(wanted), tip) => {
                    let away = tip.is_none_or(|tip| (tip - wanted).abs() > BY_HAND);
                    if away && still {
                        plant.place(port(slot), Spool::default(), wanted);
                    }
                }
                (None, None) => {}
            }
            gripped |= wanted.is_some_and(|wanted| wanted >= 1500.0);
        }
        let Some(buffer) = vector.number("buf") else { return };
        let middle = buffer > 0.01 && buffer < 19.99;
        let printer = plant.printer_mut();
        if (printer.slack - buffer).abs() > 0.1 {
            printer.slack = buffer;
        }
        // The switches' edges did not reach the firmware while it printed, and a buffer in its
        // middle stood still there while no extruder held the filament.
        printer.held = self.hold || self.printing || (middle && !gripped);
    }

    fn ask(&mut self, vector: &Vector) -> Option<String> {
        let at = vector.number("t").unwrap_or_default() as i64;
        self.world.advance(at.min(self.world.now + PAUSE));
        // Hands act as soon as nothing goes on of itself, else when the vector is asked.
        if self.world.device.next_event().is_none() {
            self.hands(vector);
        }
        self.world.advance(at);
        self.hands(vector);
        self.world.device.said();
        let differs = self.world.ask(vector, SILENT);
        if let [.., 4, _, mode, _] = vector.bytes() {
            self.printing = *mode == 0;
        }
        differs
    }
}

pub(crate) fn insert(folder: &Path) -> Outcome {
    let mut story = Story::new(World::assigned());
    let mut tally = Tally::default();
    for vector in read(folder, "scenario_insert_off.json")? {
        let differs = story.ask(&vector);
        tally.add(&place(&vector), differs);
    }
    Ok(tally)
}

pub(crate) fn load(folder: &Path) -> Outcome {
    let mut story = Story::new(World::assigned());
    let mut tally = Tally::default();
    for vector in read(folder, "scenario_load.json")? {
        if tally.count == 1 {
            story.world.insert(0);
        }
        let differs = story.ask(&vector);
        tally.add(&place(&vector), differs);
    }
    Ok(tally)
}

pub(crate) fn motion(folder: &Path) -> Outcome {
    let mut tally = Tally::default();
    let mut story = Story::new(World::new());
    let mut name = String::new();
    for vector in read(folder, "motion.json")? {
        if vector.text("scenario") != name {
            name = vector.text("scenario").to_owned();
            story = begin(&name);
        }
        if vector.note == "inlet lost" && story.world.now < 14_500 {
            // A hand takes the sensor's light away a moment before.
            story.world.advance(14_563);
            story.world.plant.path_mut(0).inlet_faults[0] = SensorFault::Dark;
            story.world.advance(14_563);
        }
        if vector.note == "inlet back" {
            story.world.advance(story.world.now + PAUSE);
            story.world.plant.path_mut(0).inlet_faults[0] = SensorFault::Works;
            story.world.advance(story.world.now);
        }
        let differs = story.ask(&vector);
        tally.add(&place(&vector), differs);
    }
    Ok(tally)
}

/// Two spools before the hub, and what is broken.
fn begin(name: &str) -> Story {
    let mut world = World::without_preloading();
    world.fill(2);
    world.drain();
    let mut story = Story::new(world);
    let path = story.world.plant.path_mut(0);
    match name {
        "err 05 hub not reached" => path.hub_faults[0] = SensorFault::Dark,
        "err 09 odometer not moving" => path.wheel_blocked = true,
        "3000 mm" => path.geometry.extruder = 10_000.0,
        "11/01 filament stuck" => path.stuck[0] = true,
        "11/00 buffer never empty" => story.hold = true,
        _ => {}
    }
    story
}

pub(crate) fn print_buffer(folder: &Path) -> Outcome {
    let mut tally = Tally::default();
    let mut world = World::new();
    for vector in read(folder, "print_buffer.json")? {
        let buffer = vector.note.split("buffer ").nth(1).unwrap_or_default();
        if vector.note.starts_with("enter") {
            world = World::without_preloading();
            // Nothing told the firmware that its hub motor turned.
            world.plant.path_mut(0).hub_blocked = true;
            world.plant.place(port(0), Spool::default(), 1500.0);
            world.advance(11_000);
            world.drain();
        }
        world.advance(world.now + PAUSE);
        let slack = match buffer {
            text if text.starts_with("empty") => Some(0.0),
            text if text.starts_with("middle") => Some(10.0),
            text if text.starts_with("full") => Some(20.0),
            _ => None,
        };
        if let Some(slack) = slack {
            world.plant.printer_mut().hold(slack);
        }
        world.advance(world.now);
        world.advance(vector.number("t").unwrap_or_default() as i64);
        world.device.said();
        let mut differs = world.ask(&vector, SILENT);
        let runs = world.plant.path(0).hub == Drive::Forward;
        if differs.is_none()
            && !vector.note.starts_with("enter")
            && (vector.state["hub"][0] == "on") != runs
        {
            differs = Some(format!("{}: the hub motor runs: {runs}", vector.note));
        }
        tally.add(&place(&vector), differs);
    }
    Ok(tally)
}

fn place(vector: &Vector) -> String {
    format!("{} at {} ({})", vector.text("scenario"), vector.state["t"], vector.note)
}
