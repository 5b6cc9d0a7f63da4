//! Vectors that all start from the same state.

use std::error::Error;
use std::path::Path;

use k485_emulator::device::Device;
use k485_emulator::plant::Spool;

use crate::Tally;
use crate::vector::{Part, Vector, read, show};
use crate::world::{World, port};

type Outcome = Result<Tally, Box<dyn Error>>;

/// How long the firmware was waited for before it counted as silent, in ms.
const SILENT: i64 = 250;
/// How long a 0A behind a request was waited for.
const SILENT_AFTER: i64 = 60;
/// From an answer to the next request.
const PAUSE: i64 = 11;

/// A function and its answer to address management's random delay.
const INTRODUCTION: u8 = 0xa1;

/// Asks each vector of a file in a copy of the state.
fn each(folder: &Path, name: &str, world: &World) -> Outcome {
    let mut tally = Tally::default();
    for (i, vector) in read(folder, name)?.iter().enumerate() {
        let mut world = world.clone();
        tally.add(&format!("{i}"), one(&mut world, vector));
    }
    Ok(tally)
}

fn one(world: &mut World, vector: &Vector) -> Option<String> {
    let sent = world.now;
    let wait = if vector.note.contains("600 ms") { 600 } else { SILENT };
    let differs = world.ask(vector, wait);
    if differs.is_some() || !vector.asked_after {
        return differs;
    }
    // Silence was waited for to its end.
    let next = if vector.replies.is_empty() { sent + wait } else { world.now + PAUSE };
    world.advance(next);
    world.device.said();
    world.tell("f70103ff0a5c");
    world.advance(world.now + SILENT_AFTER);
    let said: Vec<u8> = world.device.said().into_iter().flat_map(|said| said.bytes).collect();
    let wanted = vector.after.clone().unwrap_or_default();
    (said != wanted).then(|| {
        let request = show(vector.bytes());
        format!("{request}: then 0A {} instead of {}", show(&said), show(&wanted))
    })
}

pub(crate) fn lengths_assigned(folder: &Path) -> Outcome {
    each(folder, "func_len_assigned.json", &World::assigned())
}

pub(crate) fn lengths_unassigned(folder: &Path) -> Outcome {
    let mut world = World::new();
    world.advance(3_000);
    each(folder, "func_len_unassigned.json", &world)
}

/// A box in the state of the vector: with or without an address.
fn start(vector: &Vector) -> World {
    if vector.text("box") == "assigned" {
        return World::assigned();
    }
    let mut world = World::new();
    world.advance(3_000);
    world
}

/// As [`World::ask`], but a random delay is only held against its bounds.
fn ask_address(world: &mut World, vector: &mut Vector) -> Option<String> {
    if vector.bytes().get(4) == Some(&INTRODUCTION) && !vector.replies.is_empty() {
        vector.ms = None;
        return world.ask(vector, 1_000);
    }
    world.ask(vector, SILENT)
}

pub(crate) fn addresses(folder: &Path) -> Outcome {
    let mut tally = Tally::default();
    for (i, mut vector) in read(folder, "addresses.json")?.into_iter().enumerate() {
        let mut world = start(&vector);
        tally.add(&format!("{i}"), ask_address(&mut world, &mut vector));
    }
    Ok(tally)
}

pub(crate) fn addressing(folder: &Path) -> Outcome {
    let mut tally = Tally::default();
    let mut world = World::new();
    for (i, mut vector) in read(folder, "addressing.json")?.into_iter().enumerate() {
        // Some follow on what the one before has done.
        let follows =
            !vector.text("after").is_empty() || vector.number("seq").is_some_and(|n| n > 0.0);
        if !follows {
            world = start(&vector);
        }
        tally.add(&format!("{i}"), ask_address(&mut world, &mut vector));
        world.advance(world.now + PAUSE);
        world.device.said();
    }
    Ok(tally)
}

pub(crate) fn framing(folder: &Path) -> Outcome {
    let mut tally = Tally::default();
    let start = World::assigned();
    for (i, vector) in read(folder, "framing.json")?.iter().enumerate() {
        let mut world = start.clone();
        for part in &vector.request {
            match part {
                Part::Bytes(bytes) => world.hear(bytes),
                Part::Gap(gap) => world.advance(world.now + gap),
            }
        }
        world.advance(world.now + SILENT);
        let said: Vec<Vec<u8>> = world.device.said().into_iter().map(|said| said.bytes).collect();
        let differs = (said != vector.replies).then(|| {
            let texts = |replies: &[Vec<u8>]| {
                replies.iter().map(|reply| show(reply)).collect::<Vec<_>>().join(" ")
            };
            format!("{}: [{}] instead of [{}]", vector.note, texts(&said), texts(&vector.replies))
        });
        tally.add(&format!("{i}"), differs);
    }
    Ok(tally)
}

pub(crate) fn idle_empty(folder: &Path) -> Outcome {
    each(folder, "state_idle_empty.json", &World::without_preloading())
}

/// Four spools, each before the hub.
fn full() -> World {
    let mut world = World::without_preloading();
    world.fill(4);
    world.drain();
    world
}

pub(crate) fn idle_full(folder: &Path) -> Outcome {
    each(folder, "state_idle_full.json", &full())
}

pub(crate) fn hub_a(folder: &Path) -> Outcome {
    let mut world = full();
    world.plant.place(port(0), Spool::default(), 1500.0);
    // When the wheel is read (every 20 ms) decides whether 10/07 takes one look or two.
    world.advance(world.now / 20 * 20 + 29);
    each(folder, "state_hub_A.json", &world)
}

pub(crate) fn print_a(folder: &Path) -> Outcome {
    let mut world = full();
    world.tell("f70105ff04010082");
    world.advance(world.now + 300);
    world.drain();
    each(folder, "state_print_A.json", &world)
}

pub(crate) fn error_08(folder: &Path) -> Outcome {
    let mut world = full();
    world.plant.clear(port(0));
    world.advance(world.now + 1_000);
    world.drain();
    world.tell("f70106ff10010000c3");
    world.advance(world.now + 300);
    world.drain();
    each(folder, "state_error08.json", &world)
}

pub(crate) fn preloading(folder: &Path) -> Outcome {
    let mut world = World::assigned();
    world.insert(0);
    world.advance(3_200);
    world.drain();
    // Motors are noticed every 100 ms; this is how the firmware's state lay to that.
    world.advance(3_590);
    world.tell("f70103ff0a5c");
    world.device.said();
    each(folder, "state_preloading_on_insert.json", &world)
}
