use super::*;
use k485_proto::frame::Frame;
use k485_proto::status::Status;

use crate::spool::SpoolSpec;

fn ms(ms: i64) -> Time {
    Time(ms * Time::MILLISECOND)
}

fn slot(text: &str) -> Slot {
    text.parse().unwrap()
}

/// A world with two boxes, and a host that asks.
struct Bench {
    world: World,
    now: i64,
}

impl Bench {
    fn new() -> Bench {
        let config = |unit: u8| BoxConfig {
            uniid: [unit; 12],
            address: Some(Address(unit)),
            ..BoxConfig::default()
        };
        let mut world = World::new(Time(0), vec![config(1), config(2)], 7);
        world.plant_mut().printer_mut().slack = 10.0;
        world.add_motor(MotorConfig::default());
        world.advance(ms(1000));
        Bench { world, now: 1000 }
    }

    fn wait(&mut self, time: i64) {
        self.now += time;
        self.world.advance(ms(self.now));
    }

    /// The reply to a request, waited for so long at most.
    fn ask(&mut self, addr: u8, status: u8, func: u8, data: &[u8]) -> Option<Vec<u8>> {
        self.world.said();
        let request = Frame::to_vec(Address(addr), Status(status), func, data).unwrap();
        self.world.heard(&request, ms(self.now));
        for _ in 0..20_000 {
            if let Some((_, said)) = self.world.said().into_iter().next() {
                return Some(said.bytes);
            }
            self.wait(1);
        }
        None
    }

    fn act(&mut self, hand: &Hand) {
        self.world.act(hand).unwrap();
    }
}

#[test]
fn every_device_answers_its_own_address() {
    let mut bench = Bench::new();
    for (addr, status, func, data) in
        [(1, 0xff, 0x0a, &[][..]), (2, 0xff, 0x0a, &[]), (0x81, 0, 0x0c, &[0x0b])]
    {
        let reply = bench.ask(addr, status, func, data).unwrap();
        assert_eq!((reply[1], reply[4]), (addr, func));
    }
    assert!(bench.ask(3, 0xff, 0x0a, &[]).is_none());
}

#[test]
fn hands_reach_the_plant_and_the_boxes_see_it() {
    let mut bench = Bench::new();
    bench.act(&Hand::Insert { slot: slot("T2C"), spool: SpoolSpec::default() });
    bench.wait(10_000);
    assert_eq!(bench.ask(2, 0xff, 0x08, &[0]).unwrap()[5], 0x04);
    assert_eq!(bench.ask(1, 0xff, 0x08, &[0]).unwrap()[5], 0x00);
    assert!(bench.world.state().boxes[1].slots[2].inlet);
    bench.act(&Hand::PullOut { slot: slot("T2C") });
    bench.wait(1_000);
    assert_eq!(bench.ask(2, 0xff, 0x08, &[0]).unwrap()[5], 0x00);
    bench.act(&Hand::Motor { address: 0x81, errors: 1 << 11, warnings: 0 });
    assert_eq!(bench.ask(0x81, 0, 0x0c, &[0x0b]).unwrap()[5..9], [0, 8, 0, 0]);
}

#[test]
fn what_cannot_be_done_is_told() {
    let mut bench = Bench::new();
    let mut error = |hand| bench.world.act(&hand).unwrap_err().to_string();
    let clear = Hand::Clear { slot: slot("T3A") };
    assert_eq!(error(clear), "there is no box 3: this bus has 2");
    let motor = Hand::Motor { address: 0x84, errors: 0, warnings: 0 };
    assert!(error(motor).starts_with("there is no motor at "));
    let still = Hand::Extrude { mm: 3.0, speed: Some(0.0) };
    assert!(error(still).starts_with("speed cannot be 0: "));
    let far = Hand::Break { slot: slot("T1A"), at: f64::NAN };
    assert!(error(far).starts_with("at cannot be NaN: "));
}

#[test]
fn an_unplugged_box_is_silent_and_comes_back_without_an_address() {
    let mut bench = Bench::new();
    bench.act(&Hand::Unplug { unit: 1 });
    assert!(bench.ask(1, 0, 0xa2, &[]).is_none());
    assert_eq!(bench.world.address(DeviceId(0)), None);
    assert!(bench.ask(2, 0, 0xa2, &[]).is_some());
    // What is put in meanwhile is there at the start, so it is not preloaded.
    bench.act(&Hand::Insert { slot: slot("T1A"), spool: SpoolSpec::default() });
    bench.act(&Hand::Plug { unit: 1 });
    bench.wait(3_000);
    assert_eq!(bench.world.address(DeviceId(0)), Some(Address::UNASSIGNED));
    assert!(bench.ask(1, 0, 0xa2, &[]).is_none());
    assert!(bench.ask(0xfe, 0, 0xa1, &[0xfe, 0xfe]).is_some());
}

#[test]
fn an_extrusion_takes_its_time_and_ends() {
    let mut bench = Bench::new();
    bench.act(&Hand::Place { slot: slot("T1A"), spool: SpoolSpec::default(), tip: 1500.0 });
    bench.act(&Hand::Toolhead { shows: Shows::Truth });
    assert!(bench.world.toolhead());
    bench.act(&Hand::Extrude { mm: 10.0, speed: Some(5.0) });
    bench.wait(1_000);
    assert!((bench.world.plant().printer().slack - 5.0).abs() < 0.1);
    assert!(bench.world.next_event().is_some());
    bench.wait(5_000);
    assert_eq!(bench.world.plant().printer().speed, 0.0);
    assert!((bench.world.plant().printer().beyond - 10.0).abs() < 0.01);
    bench.act(&Hand::Toolhead { shows: Shows::Off });
    assert!(!bench.world.toolhead());
}

#[test]
fn a_picture_is_plain_json() {
    let bench = Bench::new();
    let json = serde_json::to_value(bench.world.state()).unwrap();
    assert_eq!(json["boxes"][1]["address"], 2);
    assert_eq!(json["others"][0], 0x81);
    assert_eq!(json["devices"][0]["kind"], "motor");
    assert_eq!(json["buffer"]["slack"], 10.0);
}

/// Else the boxes would wait for ever for a buffer that nothing empties.
#[test]
fn hands_leave_no_slack_behind() {
    for hand in [Hand::PullOut { slot: slot("T1A") }, Hand::Clear { slot: slot("T1A") }] {
        let mut bench = Bench::new();
        bench.act(&Hand::Place { slot: slot("T1A"), spool: SpoolSpec::default(), tip: 1500.0 });
        bench.act(&Hand::HoldBuffer { at: Buffer::Full });
        bench.act(&Hand::FreeBuffer);
        assert!(bench.world.plant().printer().full());
        bench.act(&hand);
        assert!(bench.world.plant().printer().empty(), "{hand:?}");
    }
}

#[test]
fn what_hands_do_before_the_start_was_there() {
    let config = BoxConfig { address: Some(Address(1)), ..BoxConfig::default() };
    let mut world = World::new(ms(60_000), vec![config], 7);
    for text in ["T1A", "T1B"] {
        let place = Hand::Place { slot: slot(text), spool: SpoolSpec::default(), tip: 290.0 };
        world.act(&place).unwrap();
    }
    world.advance(ms(60_000));
    let mut bench = Bench { world, now: 60_000 };
    bench.wait(1_000);
    let state = |bench: &mut Bench| bench.ask(1, 0xff, 0x0a, &[]).unwrap();
    assert_eq!(state(&mut bench)[3..5], [0x00, 0x0a], "nothing to tell");
    // From now on it is seen to be put in, whoever does it.
    let place = Hand::Place { slot: slot("T1C"), spool: SpoolSpec::default(), tip: 290.0 };
    bench.act(&place);
    bench.wait(1_000);
    assert_eq!(state(&mut bench)[3..9], [0x30, 0x0a, 0, 0, 1, 0]);
}

#[test]
fn behind_the_joint_there_is_room_for_one_filament_of_all_boxes() {
    let mut world = World::new(ms(0), vec![BoxConfig::default(); 2], 7);
    let place = |text, tip| Hand::Place { slot: slot(text), spool: SpoolSpec::default(), tip };
    world.act(&place("T1A", 1500.0)).unwrap();
    for text in ["T1B", "T2A"] {
        let error = world.act(&place(text, 1500.0)).unwrap_err();
        assert!(error.to_string().starts_with("T1A is behind the joint already"), "{error}");
    }
    world.act(&place("T2A", 1350.0)).unwrap();
    world.act(&place("T1A", 1400.0)).unwrap();
    world.act(&Hand::Clear { slot: slot("T1A") }).unwrap();
    world.act(&place("T2A", 1500.0)).unwrap();
}
