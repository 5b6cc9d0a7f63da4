//! What holds for a whole bus, whatever is asked, whatever hands do and whatever spoils the wire:
//! nothing panics, nothing hangs for ever, and the same seed gives the same bytes.
//!
//! `K485_WORLD_CASES=N` tries more than the usual number of tales.

mod common;

use common::Bench;
use k485_emulator::device::belt::BeltConfig;
use k485_emulator::device::boxes::BoxConfig;
use k485_emulator::device::motor::MotorConfig;
use k485_emulator::hand::{Buffer, Part, Sensor, Shows};
use k485_emulator::plant::SLOTS;
use k485_emulator::{Hand, SpoolSpec, World};
use k485_link::Faults;
use k485_link::fault::{Rule, chaos};
use k485_proto::address::Address;
use k485_proto::crc::crc8;
use k485_proto::dialect::K2;
use k485_proto::frame::Frame;
use k485_proto::message::boxes;
use k485_proto::record::Time;
use k485_proto::slot::{Letter, Slot};
use k485_proto::status::Status;
use proptest::prelude::*;

/// How many boxes there are.
const BOXES: usize = 2;
/// Who else is on the bus, with a question that each answers.
const OTHERS: [(u8, u8, u8, &[u8]); 3] =
    [(0x81, 0x00, 0x0c, &[0x0b]), (0x21, 0x00, 0x06, &[]), (0x11, 0xff, 0x02, &[])];

/// Something that happens.
#[derive(Debug, Clone)]
enum Act {
    Bytes(Vec<u8>),
    Ask {
        addr: u8,
        status: u8,
        func: u8,
        data: Vec<u8>,
    },
    /// In microseconds.
    Wait(u32),
    Hand(Hand),
    /// Rules that strike from now on.
    Chaos {
        level: u8,
        seed: u64,
    },
    Rule {
        text: &'static str,
        seed: u64,
    },
}

fn slot() -> impl Strategy<Value = Slot> {
    (1..=BOXES as u8, 0..SLOTS).prop_map(|(device, slot)| slot_of(device, slot))
}

fn slot_of(device: u8, slot: usize) -> Slot {
    Slot { device, letter: Letter::ALL[slot] }
}

fn hand() -> impl Strategy<Value = Hand> {
    let unit = || 1..=BOXES;
    let shows = prop::sample::select(vec![Shows::Truth, Shows::On, Shows::Off]);
    let sensor = prop::sample::select(vec![Sensor::Inlet, Sensor::Hub]);
    let part = prop::sample::select(vec![Part::Hub, Part::Wheel]);
    let buffer = prop::sample::select(vec![Buffer::Full, Buffer::Middle, Buffer::Empty]);
    let spool = SpoolSpec::default;
    let place = || 0.0..1_500.0;
    prop_oneof![
        2 => slot().prop_map(move |slot| Hand::Insert { slot, spool: spool() }),
        2 => (slot(), place())
            .prop_map(move |(slot, tip)| Hand::Place { slot, spool: spool(), tip }),
        1 => slot().prop_map(|slot| Hand::PullOut { slot }),
        1 => slot().prop_map(|slot| Hand::Clear { slot }),
        1 => (slot(), 0.0..300.0).prop_map(|(slot, left)| Hand::RunOut { slot, left }),
        1 => (slot(), place()).prop_map(|(slot, at)| Hand::Break { slot, at }),
        1 => (slot(), prop::option::of(place())).prop_map(|(slot, at)| Hand::Jam { slot, at }),
        1 => (unit(), any::<bool>()).prop_map(|(unit, on)| Hand::Slip { unit, on }),
        1 => (unit(), part, any::<bool>())
            .prop_map(|(unit, part, on)| Hand::Block { unit, part, on }),
        1 => (slot(), sensor, shows.clone())
            .prop_map(|(slot, sensor, shows)| Hand::Sensor { slot, sensor, shows }),
        1 => (-80.0..80.0, prop::option::of(1.0..40.0))
            .prop_map(|(mm, speed)| Hand::Extrude { mm, speed }),
        1 => (-20.0..20.0).prop_map(|speed| Hand::Extruder { speed }),
        1 => Just(Hand::Cut),
        1 => shows.prop_map(|shows| Hand::Toolhead { shows }),
        1 => buffer.prop_map(|at| Hand::HoldBuffer { at }),
        1 => Just(Hand::FreeBuffer),
        1 => unit().prop_map(|unit| Hand::Unplug { unit }),
        1 => unit().prop_map(|unit| Hand::Plug { unit }),
        1 => unit().prop_map(|unit| Hand::Reset { unit }),
        1 => (any::<u32>(), any::<u32>()).prop_map(|(errors, warnings)| Hand::Motor {
            address: 0x81,
            errors,
            warnings
        }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let addr = prop_oneof![
        6 => 1..=BOXES as u8,
        1 => prop::sample::select(vec![0x81_u8, 0x21, 0x11, 0xfe, 0xff, 0xea, 0xeb, 0x03]),
    ];
    let func = prop_oneof![
        4 => prop::sample::select(vec![0x10_u8, 0x11, 0x13, 0x04, 0x0d, 0x0a, 0x07]),
        2 => prop::sample::select(boxes::FUNCTIONS.iter().map(|f| f.code).collect::<Vec<_>>()),
        1 => 0xa0_u8..=0xa3,
        1 => any::<u8>(),
    ];
    let status = prop_oneof![3 => Just(0xff_u8), 1 => Just(0), 1 => any::<u8>()];
    let byte = || prop_oneof![3 => 0_u8..9, 1 => any::<u8>()];
    let rules = vec![
        "reset p=0.3",
        "slow_boot 2s p=0.3",
        "busy 1s p=0.3",
        "offline 2s p=0.3",
        "babble 1s gap=5ms p=0.3",
        "echo",
        "duplicate 3",
        "split 130ms p=0.5",
        "flip_address p=0.5",
    ];
    prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Act::Bytes),
        10 => (addr, status, func, prop::collection::vec(byte(), 0..4))
            .prop_map(|(addr, status, func, data)| Act::Ask { addr, status, func, data }),
        8 => (0_u32..4_000_000).prop_map(Act::Wait),
        6 => hand().prop_map(Act::Hand),
        1 => (0_u8..6, any::<u64>()).prop_map(|(level, seed)| Act::Chaos { level, seed }),
        1 => (prop::sample::select(rules), any::<u64>())
            .prop_map(|(text, seed)| Act::Rule { text, seed }),
    ]
}

fn bench(seed: u64) -> Bench {
    let config = |unit: usize| BoxConfig {
        uniid: [unit as u8; 12],
        address: Some(Address(unit as u8 + 1)),
        ..BoxConfig::default()
    };
    let mut world = World::new(Time(0), (0..BOXES).map(config).collect(), seed);
    world.add_motor(MotorConfig::default());
    world.add_belt(BeltConfig::default());
    world.add_rack(Some([b'0'; 40]));
    Bench::new(world, Faults::new(Vec::new(), &K2, 0))
}

fn play(bench: &mut Bench, act: &Act) {
    match act {
        Act::Bytes(bytes) => bench.send(bytes),
        Act::Ask { addr, status, func, data } => {
            let frame = Frame::to_vec(Address(*addr), Status(*status), *func, data);
            bench.send(&frame.expect("short data"));
        }
        Act::Wait(micros) => bench.wait(i64::from(*micros) * 1_000),
        Act::Hand(hand) => bench.hand(hand),
        Act::Chaos { level, seed } => {
            bench.faults = Faults::new(chaos(*level, &K2), &K2, *seed);
        }
        Act::Rule { text, seed } => {
            let rule = Rule::parse(text, &K2).expect("a rule");
            bench.faults = Faults::new(vec![rule], &K2, *seed);
        }
    }
}

/// The first reply to a request; `None` when there is none in a second and a half.
fn ask(bench: &mut Bench, addr: u8, status: u8, func: u8, data: &[u8]) -> Option<Vec<u8>> {
    bench.frames.clear();
    bench.send(&Frame::to_vec(Address(addr), Status(status), func, data).expect("short data"));
    for _ in 0..30 {
        bench.wait(50 * Time::MILLISECOND);
        let fits = |frame: &&Vec<u8>| frame[1] == addr && frame[4] == func;
        if let Some(frame) = bench.frames.iter().find(fits) {
            return Some(frame.clone());
        }
    }
    bench.silence();
    None
}

/// Mends and clears everything; then every device answers, and every box loads slot A.
fn recover(bench: &mut Bench) -> Result<(), TestCaseError> {
    bench.faults = Faults::new(Vec::new(), &K2, 0);
    bench.ahead.clear();
    for hand in [Hand::Extruder { speed: 0.0 }, Hand::Toolhead { shows: Shows::Truth }] {
        bench.hand(&hand);
    }
    for unit in 1..=BOXES {
        bench.hand(&Hand::Plug { unit });
        for slot in (0..SLOTS).map(|slot| slot_of(unit as u8, slot)) {
            bench.hand(&Hand::Clear { slot });
            bench.hand(&Hand::Unjam { slot });
            for sensor in [Sensor::Inlet, Sensor::Hub] {
                bench.hand(&Hand::Sensor { slot, sensor, shows: Shows::Truth });
            }
        }
    }
    bench.hand(&Hand::FreeBuffer);
    bench.hand(&Hand::Extrude { mm: 500.0, speed: None });
    for (addr, status, func, data) in OTHERS {
        // What is on the wire still may spoil the first question.
        let answers = (0..5).any(|_| ask(bench, addr, status, func, data).is_some());
        prop_assert!(answers, "{addr:02x} is silent");
    }
    for unit in 0..BOXES {
        recover_box(bench, unit)?;
    }
    Ok(())
}

fn recover_box(bench: &mut Bench, unit: usize) -> Result<(), TestCaseError> {
    let addr = unit as u8 + 1;
    let mut answered = false;
    for _ in 0..600 {
        let reply = ask(bench, addr, 0xff, 0x55, &[0x41]);
        answered = reply.is_some_and(|bytes| bytes.ends_with(&[0x42, crc8(&[4, 0, 0x55, 0x42])]));
        if answered {
            break;
        }
        // It may have lost its address, or taken another one.
        let data = [&[addr][..], &[unit as u8; 12]].concat();
        for from in [0xfe, 0xea].into_iter().chain(0x01..=0x09) {
            bench.send(&Frame::to_vec(Address(from), Status::OK, 0xa0, &data).expect("short"));
            bench.wait(20 * Time::MILLISECOND);
        }
    }
    prop_assert!(answered, "box {} hangs: {:?}", unit + 1, bench.world.filament_box(unit));
    for (func, data) in [(0x10, &[1, 3, 0][..]), (0x04, &[0, 1]), (0x0d, &[0, 0])] {
        ask(bench, addr, 0xff, func, data);
    }
    let slot = slot_of(addr, 0);
    bench.hand(&Hand::Insert { slot, spool: SpoolSpec::default() });
    bench.wait(30 * Time::SECOND);
    bench.frames.clear();
    bench.send(&Frame::to_vec(Address(addr), Status::REQUEST, 0x10, &[1, 0, 0]).expect("short"));
    bench.wait(12 * Time::SECOND);
    let status = bench.frames.iter().find(|frame| frame[4] == 0x10).map(|frame| frame[3]);
    let device = bench.world.filament_box(unit);
    prop_assert_eq!(status, Some(0), "a load does not work: {:?}", device);
    prop_assert!(bench.world.plant().path(unit).in_hub(0));
    // The next box's filament must find the hub's way free.
    bench.hand(&Hand::Clear { slot });
    Ok(())
}

fn cases() -> u32 {
    let asked = std::env::var("K485_WORLD_CASES");
    asked.map_or(24, |text| text.parse().unwrap_or_else(|_| panic!("K485_WORLD_CASES={text}")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_bus_goes_on(acts in prop::collection::vec(act(), 0..40)) {
        let mut bench = bench(1);
        for act in &acts {
            play(&mut bench, act);
        }
        recover(&mut bench)?;
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes(
        acts in prop::collection::vec(act(), 0..40),
        seed in any::<u64>(),
    ) {
        let heard = || {
            let mut bench = bench(seed);
            for act in acts.iter().chain([&Act::Wait(3_000_000)]) {
                play(&mut bench, act);
            }
            bench.heard
        };
        prop_assert_eq!(heard(), heard());
    }
}
