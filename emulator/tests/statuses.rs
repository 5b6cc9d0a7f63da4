//! Every status that a box gives, brought about by what is done to filament, motors, sensors and
//! buffer, or by what is asked: no reply is told to it.

use k485_emulator::device::boxes::BoxConfig;
use k485_emulator::hand::{Buffer, Part, Sensor, Shows};
use k485_emulator::plant::Geometry;
use k485_emulator::{Hand, SpoolSpec, World};
use k485_proto::address::Address;
use k485_proto::crc::crc8;
use k485_proto::message::kind::hex_bytes;
use k485_proto::record::Time;
use k485_proto::slot::Slot;

/// A box at address 1, of which the plant is under hands.
struct Bench {
    world: World,
    now: Time,
}

impl Bench {
    /// With filament before the hub in A and B.
    fn new() -> Bench {
        Bench::with(Geometry::default())
    }

    fn with(geometry: Geometry) -> Bench {
        let config = BoxConfig { address: Some(Address(1)), ..BoxConfig::default() };
        let mut world = World::new(Time(0), vec![config], 1);
        world.plant_mut().path_mut(0).geometry = geometry;
        let mut bench = Bench { world, now: Time(0) };
        bench.place("T1A", 285.0);
        bench.place("T1B", 285.0);
        bench.wait(1_000);
        bench
    }

    fn place(&mut self, slot: &str, tip: f64) {
        let slot: Slot = slot.parse().unwrap();
        self.act(Hand::Place { slot, spool: SpoolSpec::default(), tip });
    }

    fn act(&mut self, hand: Hand) {
        self.world.act(&hand).unwrap();
    }

    fn wait(&mut self, ms: i64) {
        self.now = Time(self.now.0 + ms * Time::MILLISECOND);
        self.world.advance(self.now);
    }

    fn hear(&mut self, bare: &str, crc: u8) {
        let bytes = hex_bytes(bare).unwrap();
        let mut frame = vec![0xf7];
        frame.extend(&bytes);
        frame.push(crc8(&bytes[1..]) ^ crc);
        self.world.said();
        self.world.heard(&frame, self.now);
    }

    /// The STATUS of the reply to a bare frame, however long it takes.
    fn ask(&mut self, bare: &str) -> u8 {
        self.hear(bare, 0);
        self.status(bare)
    }

    fn status(&mut self, bare: &str) -> u8 {
        for _ in 0..120_000 {
            if let Some((_, said)) = self.world.said().into_iter().next() {
                return said.bytes[3];
            }
            self.wait(1);
        }
        panic!("{bare}: no reply in two minutes");
    }

    /// STATUS and state that 0A then tells.
    fn state(&mut self) -> (u8, u8) {
        self.hear("0103ff0a", 0);
        self.wait(100);
        let (_, said) = self.world.said().into_iter().next().expect("a reply to 0A");
        (said.bytes[3], said.bytes[8])
    }
}

fn slot(text: &str) -> Slot {
    text.parse().unwrap()
}

fn block(part: Part) -> Hand {
    Hand::Block { unit: 1, part, on: true }
}

fn dark(text: &str, sensor: Sensor) -> Hand {
    Hand::Sensor { slot: slot(text), sensor, shows: Shows::Off }
}

#[test]
fn what_is_asked_wrongly() {
    let mut bench = Bench::new();
    for (bare, status) in
        [("0103ff0f", 0x01), ("0105ff060101", 0x01), ("0104ff12ff", 0x01), ("0106ff10030000", 0x01)]
    {
        assert_eq!(bench.ask(bare), status, "{bare}");
    }
    bench.hear("0103ff0a", 1);
    assert_eq!(bench.status("wrong CRC"), 0x02);
    assert_eq!(bench.ask("0105ff040100"), 0x00);
    for bare in ["0105ff110101", "0106ff10010000", "0104ff0701", "0105ff0d0102", "0104ff1301"] {
        assert_eq!(bench.ask(bare), 0x03, "{bare} while it prints");
    }
}

#[test]
fn what_stops_a_load() {
    // The hub sensor sees nothing.
    let mut bench = Bench::new();
    bench.act(dark("T1A", Sensor::Hub));
    assert_eq!(bench.ask("0106ff10010000"), 0x05);
    assert_eq!(bench.state(), (0x05, 4));

    // Nothing is in the slot.
    let mut bench = Bench::new();
    assert_eq!(bench.ask("0106ff10040000"), 0x08);
    assert_eq!(bench.state(), (0x08, 4));

    // The gear slips: the hub is reached, and the wheel stands.
    for hand in [Hand::Slip { unit: 1, on: true }, block(Part::Hub), block(Part::Wheel)] {
        let mut bench = Bench::new();
        if hand != block(Part::Wheel) {
            // What the feeder pushes turns the wheel, too.
            bench.act(Hand::Jam { slot: slot("T1A"), at: Some(320.0) });
        }
        bench.act(hand);
        assert_eq!(bench.ask("0106ff10010000"), 0x09);
        assert_eq!(bench.state(), (0x09, 4));
    }
}

#[test]
fn what_stops_a_feed() {
    // A slow motor needs more than 25 s.
    let mut bench = Bench::with(Geometry { hub_speed: 20.0, ..Geometry::default() });
    bench.place("T1A", 400.0);
    assert_eq!(bench.ask("0106ff10010400"), 0x00);
    bench.wait(27_000);
    assert_eq!(bench.state(), (0x0a, 4));
    assert_eq!(bench.ask("0106ff10010500"), 0x0a);
    assert_eq!(bench.ask("0106ff10010500"), 0x00, "once");

    // A tube that has no end: 3 m.
    let mut bench =
        Bench::with(Geometry { joint: 90_000.0, extruder: 99_000.0, ..Geometry::default() });
    bench.place("T1A", 400.0);
    assert_eq!(bench.ask("0106ff10010400"), 0x00);
    bench.wait(21_000);
    assert_eq!(bench.state(), (0x0b, 4));
    assert_eq!(bench.ask("0106ff10010500"), 0x0b);

    // Something is in its way: half a second.
    let mut bench = Bench::new();
    bench.place("T1A", 400.0);
    bench.act(Hand::Jam { slot: slot("T1A"), at: Some(700.0) });
    assert_eq!(bench.ask("0106ff10010400"), 0x00);
    bench.wait(4_000);
    assert_eq!(bench.state(), (0x0c, 4));
    assert_eq!(bench.ask("0106ff10010500"), 0x0c);

    // The buffer is never full; neither this nor the next is latched.
    let mut bench = Bench::new();
    bench.place("T1A", 400.0);
    bench.act(Hand::HoldBuffer { at: Buffer::Middle });
    assert_eq!(bench.ask("0106ff10010600"), 0x0d);
    assert_eq!(bench.state(), (0x00, 0));

    // Nothing moves.
    let mut bench = Bench::new();
    bench.place("T1A", 400.0);
    bench.act(Hand::Jam { slot: slot("T1A"), at: None });
    assert_eq!(bench.ask("0106ff10010703"), 0x0e);
    assert_eq!(bench.state(), (0x00, 0));
}

#[test]
fn what_stops_an_unload() {
    // The buffer is never empty.
    let mut bench = Bench::new();
    bench.place("T1A", 1_500.0);
    bench.act(Hand::HoldBuffer { at: Buffer::Full });
    assert_eq!(bench.ask("0105ff110100"), 0x13);
    assert_eq!(bench.state(), (0x13, 4));

    // The filament does not come.
    let mut bench = Bench::new();
    bench.place("T1A", 1_200.0);
    bench.act(Hand::Jam { slot: slot("T1A"), at: None });
    assert_eq!(bench.ask("0105ff110101"), 0x14);
    assert_eq!(bench.state(), (0x14, 4));

    // The motor does not turn.
    let mut bench = Bench::new();
    bench.place("T1A", 1_200.0);
    bench.act(block(Part::Hub));
    assert_eq!(bench.ask("0105ff110101"), 0x19);
    assert_eq!(bench.state(), (0x19, 4));

    // A tube of more than 40 s.
    let mut bench =
        Bench::with(Geometry { joint: 90_000.0, extruder: 99_000.0, ..Geometry::default() });
    bench.place("T1A", 7_000.0);
    assert_eq!(bench.ask("0105ff110101"), 0x1a);
    assert_eq!(bench.state(), (0x1a, 4));

    // Two are in the hub, and none is named.
    let mut bench = Bench::new();
    bench.place("T1A", 400.0);
    bench.place("T1B", 400.0);
    assert_eq!(bench.ask("0105ff110000"), 0x15);
    assert_eq!(bench.state(), (0x15, 4));
    assert_eq!(bench.ask("0105ff040001"), 0x00);
    assert_eq!(bench.ask("0105ff110001"), 0x00, "one after the other");

    // The slot is empty; its filament ended behind the inlet.
    let mut bench = Bench::new();
    assert_eq!(bench.ask("0105ff110401"), 0x16);
    assert_eq!(bench.state(), (0x16, 4));
    let mut bench = Bench::new();
    bench.place("T1A", 1_200.0);
    bench.act(dark("T1A", Sensor::Inlet));
    assert_eq!(bench.ask("0105ff110001"), 0x17);
}

#[test]
fn what_the_state_tells() {
    // A hand at a slot.
    let mut bench = Bench::new();
    bench.act(Hand::Insert { slot: slot("T1D"), spool: SpoolSpec::default() });
    bench.wait(500);
    assert_eq!(bench.ask("0103ff0a"), 0x30);

    // The spool ends in a print.
    let mut bench = Bench::new();
    bench.place("T1A", 1_500.0);
    assert_eq!(bench.ask("0105ff040100"), 0x00);
    assert_eq!(bench.state(), (0x00, 2));
    bench.act(Hand::RunOut { slot: slot("T1A"), left: 0.0 });
    bench.act(Hand::Extruder { speed: 20.0 });
    bench.wait(2_000);
    assert_eq!(bench.ask("0103ff0a"), 0x30);
    assert_eq!(bench.state(), (0x50, 2));
}
