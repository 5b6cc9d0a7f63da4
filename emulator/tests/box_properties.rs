//! What holds for a box whatever it hears, and whatever hands do: it never panics, it never hangs,
//! and the same seed gives the same bytes.

use k485_emulator::device::boxes::{BoxConfig, BoxDevice};
use k485_emulator::device::{Device, Said};
use k485_emulator::plant::{Plant, Port, SLOTS, SensorFault, Spool};
use k485_proto::address::Address;
use k485_proto::frame::Frame;
use k485_proto::message::boxes;
use k485_proto::record::Time;
use k485_proto::status::Status;
use proptest::prelude::*;

/// Something that happens to a box.
#[derive(Debug, Clone)]
enum Act {
    /// Bytes off the line.
    Bytes(Vec<u8>),
    /// A whole frame to the box.
    Ask {
        func: u8,
        data: Vec<u8>,
    },
    /// Time, in microseconds.
    Wait(u32),
    Insert {
        slot: usize,
        tip: f64,
    },
    PullOut(usize),
    RunOut(usize),
    Break {
        slot: usize,
        at: f64,
    },
    Cut,
    Extrude(f64),
    Speed(f64),
    Hold(f64),
    Stuck {
        slot: usize,
        stuck: bool,
    },
    Jam {
        slot: usize,
        at: f64,
    },
    HubFault {
        slot: usize,
        fault: u8,
    },
    Slip(bool),
}

/// A request that moves or sets something, right in its length and mostly in its arguments.
fn command() -> impl Strategy<Value = Act> {
    let mask = prop_oneof![9 => prop::sample::select(vec![1_u8, 2, 4, 8]), 1 => 0_u8..16];
    let of = |func: u8, parts: &[u8]| Act::Ask { func, data: parts.to_vec() };
    prop_oneof![
        6 => (mask.clone(), 0_u8..9, 0_u8..5).prop_map(move |(m, s, p)| of(0x10, &[m, s, p])),
        3 => (mask.clone(), 0_u8..3).prop_map(move |(m, s)| of(0x11, &[m, s])),
        1 => mask.clone().prop_map(move |m| of(0x13, &[m])),
        2 => (mask.clone(), 0_u8..2).prop_map(move |(m, s)| of(0x04, &[m, s])),
        2 => (mask, 0_u8..4).prop_map(move |(m, s)| of(0x0d, &[m, s])),
        1 => (0_u8..3).prop_map(move |action| of(0x07, &[action])),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let func = prop_oneof![
        2 => prop::sample::select(boxes::FUNCTIONS.iter().map(|f| f.code).collect::<Vec<_>>()),
        1 => 0xa0_u8..=0xa3,
    ];
    let byte = prop_oneof![3 => 0_u8..9, 1 => any::<u8>()];
    let slot = 0..SLOTS;
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Act::Bytes),
        8 => command(),
        2 => (func, prop::collection::vec(byte, 0..4))
            .prop_map(|(func, data)| Act::Ask { func, data }),
        6 => (0_u32..3_000_000).prop_map(Act::Wait),
        2 => (slot.clone(), prop_oneof![Just(5.0), 0.0..1500.0])
            .prop_map(|(slot, tip)| Act::Insert { slot, tip }),
        1 => slot.clone().prop_map(Act::PullOut),
        1 => slot.clone().prop_map(Act::RunOut),
        1 => (slot.clone(), 0.0..1500.0).prop_map(|(slot, at)| Act::Break { slot, at }),
        1 => Just(Act::Cut),
        1 => (-50.0..50.0).prop_map(Act::Extrude),
        1 => (-20.0..20.0).prop_map(Act::Speed),
        1 => (0.0..20.0).prop_map(Act::Hold),
        1 => (slot.clone(), any::<bool>()).prop_map(|(slot, stuck)| Act::Stuck { slot, stuck }),
        1 => (slot.clone(), 0.0..1500.0).prop_map(|(slot, at)| Act::Jam { slot, at }),
        1 => (slot, 0_u8..3).prop_map(|(slot, fault)| Act::HubFault { slot, fault }),
        1 => any::<bool>().prop_map(Act::Slip),
    ]
}

struct Bench {
    plant: Plant,
    device: BoxDevice,
    now: Time,
    said: Vec<Said>,
    /// Into how many pieces a wait is cut.
    cuts: i64,
}

impl Bench {
    fn new(seed: u64, cuts: i64) -> Bench {
        let config = BoxConfig { address: Some(Address(1)), ..BoxConfig::default() };
        let mut plant = Plant::new(Time(0), 1);
        plant.place(port(1), Spool::default(), 280.0);
        let device = BoxDevice::new(config, seed);
        Bench { plant, device, now: Time(0), said: Vec::new(), cuts }
    }

    fn wait(&mut self, nanos: i64) {
        let end = self.now.0 + nanos;
        for cut in 1..=self.cuts {
            let to = Time(self.now.0 + (end - self.now.0) * cut / self.cuts);
            self.device.advance(to, &mut self.plant);
        }
        self.now = Time(end);
        self.said.append(&mut self.device.said());
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.device.heard(bytes, self.now, &mut self.plant);
        self.said.append(&mut self.device.said());
    }

    fn ask(&mut self, func: u8, data: &[u8]) {
        let mut bytes = Vec::new();
        Frame::emit(self.device.address(), Status::REQUEST, func, data, &mut bytes).unwrap();
        self.hear(&bytes);
    }

    fn act(&mut self, act: &Act) {
        let plant = &mut self.plant;
        match act {
            Act::Bytes(bytes) => return self.hear(bytes),
            Act::Ask { func, data } => return self.ask(*func, data),
            Act::Wait(micros) => return self.wait(i64::from(*micros) * 1_000),
            Act::Insert { slot, tip } => plant.place(port(*slot), Spool::default(), *tip),
            Act::PullOut(slot) => plant.pull_out(port(*slot)),
            Act::RunOut(slot) => plant.run_out(port(*slot), 20.0),
            Act::Break { slot, at } => plant.break_at(port(*slot), *at),
            Act::Cut => plant.cut(),
            Act::Extrude(mm) => plant.extrude(*mm),
            Act::Speed(speed) => plant.printer_mut().speed = *speed,
            Act::Hold(slack) => plant.printer_mut().hold(*slack),
            Act::Stuck { slot, stuck } => plant.path_mut(0).stuck[*slot] = *stuck,
            Act::Jam { slot, at } => plant.path_mut(0).jam[*slot] = Some(*at),
            Act::HubFault { slot, fault } => {
                plant.path_mut(0).hub_faults[*slot] = match fault {
                    0 => SensorFault::Works,
                    1 => SensorFault::Dark,
                    _ => SensorFault::Lit,
                };
            }
            Act::Slip(slips) => plant.path_mut(0).hub_slips = *slips,
        }
        self.wait(0);
    }

    /// No filament is where other filament is, and none is back to front.
    fn check(&self) -> Result<(), TestCaseError> {
        for slot in 0..SLOTS {
            let pieces = self.plant.path(0).pieces(slot);
            for piece in pieces {
                prop_assert!(piece.tail <= piece.tip + 1e-6, "{pieces:?}");
            }
            for pair in pieces.windows(2) {
                prop_assert!(pair[0].tip <= pair[1].tail + 1e-6, "{pieces:?}");
            }
        }
        let printer = self.plant.printer();
        prop_assert!((0.0..=printer.travel).contains(&printer.slack), "{printer:?}");
        Ok(())
    }

    /// Takes out all filament, mends everything, clears what is latched, and loads slot A.
    fn recover(&mut self) -> Result<(), TestCaseError> {
        for slot in 0..SLOTS {
            self.plant.clear(port(slot));
            let path = self.plant.path_mut(0);
            path.stuck[slot] = false;
            path.jam[slot] = None;
            path.hub_faults[slot] = SensorFault::Works;
        }
        self.plant.path_mut(0).hub_slips = false;
        *self.plant.printer_mut() = Default::default();
        // Until what runs has ended, and the line is read to its end.
        let mut answered = false;
        for _ in 0..1_000 {
            self.wait(2 * Time::SECOND);
            self.said.clear();
            self.ask(boxes::communication_test::FUNCTION.code, &[0x41]);
            answered = self.said.iter().any(|said| said.bytes.ends_with(&[0x42, last(0x42)]));
            if answered {
                break;
            }
        }
        prop_assert!(answered, "the box hangs: {:?}", self.device);
        for (func, data) in [(0x10, vec![1, 3, 0]), (0x04, vec![0, 1]), (0x0d, vec![0, 0])] {
            self.ask(func, &data);
            self.wait(500 * Time::MILLISECOND);
        }
        self.plant.insert(port(0), Spool::default());
        self.wait(30 * Time::SECOND);
        self.said.clear();
        self.ask(0x10, &[1, 0, 0]);
        self.wait(10 * Time::SECOND);
        let status = self.said.first().map(|said| said.bytes[3]);
        prop_assert_eq!(status, Some(0), "a load does not work: {:?}", self.device);
        prop_assert!(self.plant.path(0).in_hub(0));
        Ok(())
    }
}

/// The CRC of the reply to 55 that carries this byte.
fn last(byte: u8) -> u8 {
    k485_proto::crc::crc8(&[4, 0, 0x55, byte])
}

fn port(slot: usize) -> Port {
    Port { unit: 0, slot }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_box_goes_on(acts in prop::collection::vec(act(), 0..20)) {
        let mut bench = Bench::new(1, 1);
        for act in &acts {
            bench.act(act);
            bench.check()?;
        }
        bench.recover()?;
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_however_time_is_cut(
        acts in prop::collection::vec(act(), 0..20),
        seed in any::<u64>(),
        cuts in 2_i64..7,
    ) {
        let mut whole = Bench::new(seed, 1);
        let mut cut = Bench::new(seed, cuts);
        for act in acts.iter().chain([&Act::Wait(3_000_000)]) {
            whole.act(act);
            cut.act(act);
        }
        prop_assert_eq!(whole.said, cut.said);
    }
}
