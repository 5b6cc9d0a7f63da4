//! The world that a transcript shows: which boxes, with which identity, in which program, which
//! slots filled, which motors with which parameters, which belt modules.

use std::collections::{BTreeMap, VecDeque};

use k485_emulator::device::belt::BeltConfig;
use k485_emulator::device::boxes::BoxConfig;
use k485_emulator::device::motor::MotorConfig;
use k485_emulator::hand::Hand;
use k485_emulator::world::World;
use k485_proto::address::Address;
use k485_proto::frame::Frame;
use k485_proto::record::Time;
use k485_proto::slot::{Slot, SlotSet};

use crate::script::Line;

/// How long before the transcript everything was switched on and filament put in: preloading is
/// over then.
pub(crate) const BEFORE: i64 = 200 * Time::SECOND;

#[derive(Debug, Clone, Copy, Default)]
struct Shown {
    uniid: Option<[u8; 12]>,
    /// Whether the transcript assigns its address.
    assigned: bool,
    loader: bool,
    /// Which inlets see filament, in the last answer of the kind.
    inlets: Option<u8>,
}

/// The world at `begin`, at which the transcript begins, and how many boxes have no address.
pub(crate) fn world(lines: &VecDeque<Line>, seed: u64, begin: Time) -> (World, usize) {
    let mut boxes: BTreeMap<u8, Shown> = BTreeMap::new();
    let mut motors: BTreeMap<u8, BTreeMap<u8, Vec<u8>>> = BTreeMap::new();
    let mut belts: BTreeMap<u8, BeltConfig> = BTreeMap::new();
    for line in lines {
        let (request, reply) = (line.frame(), line.reply.as_deref());
        let Some(reply) = reply.and_then(|reply| Frame::from_bytes(reply).ok()) else { continue };
        let (addr, data) = (reply.addr().0, reply.data());
        match (addr, reply.func()) {
            (1..=4, 0xa0 | 0xa2 | 0xa3) => {
                let shown = boxes.entry(addr).or_default();
                shown.assigned |= reply.func() == 0xa0;
                if let [_, program, uniid @ ..] = data {
                    shown.uniid = uniid.try_into().ok();
                    shown.loader |= *program == 1;
                }
            }
            (1..=4, 0x08) if request.data() == [0] => {
                boxes.entry(addr).or_default().inlets = data.first().copied();
            }
            (1..=4, _) => {
                boxes.entry(addr).or_default();
            }
            (0x80..=0x88, 0x06) => {
                // The first value that the host read and was content with.
                let params = motors.entry(addr).or_default();
                if let [2, id] = request.data() {
                    params.entry(*id).or_insert_with(|| data.to_vec());
                }
            }
            (0x80..=0x88, _) => {
                motors.entry(addr).or_default();
            }
            (0x21 | 0x22, func) => {
                let address = Address(addr);
                let belt =
                    belts.entry(addr).or_insert(BeltConfig { address, ..Default::default() });
                let word = |at: usize| {
                    data.get(at..at + 4).map(|word| u32::from_be_bytes(word.try_into().unwrap()))
                };
                match (func, word(0), word(1), word(5), word(9)) {
                    (0x02, _, Some(place), Some(idle), Some(full)) => {
                        belt.calibration = [place, idle, full];
                    }
                    (0x06, Some(adc), ..) => belt.adc = adc,
                    _ => {}
                }
            }
            _ => {}
        }
    }
    let start = Time(begin.0 - BEFORE);
    let config = |(number, shown): (&u8, &Shown)| BoxConfig {
        uniid: shown.uniid.unwrap_or([*number; 12]),
        // A transcript that begins later shows boxes that have their addresses.
        address: (!shown.assigned).then_some(Address(*number)),
        loader_ms: if shown.loader { u32::MAX } else { 0 },
        power_on: start,
        ..BoxConfig::default()
    };
    let mut world = World::new(start, boxes.iter().map(config).collect(), seed);
    for (addr, params) in motors {
        let params = params.into_iter().collect();
        world.add_motor(MotorConfig { address: Address(addr), params, ..Default::default() });
    }
    for belt in belts.into_values() {
        world.add_belt(belt);
    }
    world.advance(Time(start.0 + Time::SECOND));
    for (unit, shown) in boxes.values().enumerate() {
        for letter in SlotSet(shown.inlets.unwrap_or(0x0f)).letters() {
            let slot = Slot { device: unit as u8 + 1, letter };
            world.act(&Hand::Insert { slot, spool: Default::default() }).expect("a slot");
        }
    }
    world.advance(begin);
    world.said();
    let unassigned = boxes.values().filter(|shown| shown.assigned).count();
    (world, unassigned)
}
