use std::collections::VecDeque;

use super::*;
use k485_proto::address::Address;
use k485_proto::frame::Frame;
use k485_proto::status::Status;

use crate::auto::AutoConfig;
use crate::device::boxes::{BoxConfig, Timings};
use crate::device::motor::MotorConfig;
use crate::spool::SpoolSpec;

fn ms(ms: i64) -> Time {
    Time(ms * Time::MILLISECOND)
}

/// Two boxes, a motor. The first has filament before its hub.
fn world(addresses: [Option<u8>; 2], seed: u64) -> World {
    let config = |(unit, address): (u8, Option<u8>)| BoxConfig {
        uniid: [b'1' + unit; 12],
        address: address.map(Address),
        ..BoxConfig::default()
    };
    let boxes = [(0, addresses[0]), (1, addresses[1])].map(config).to_vec();
    let mut world = World::new(Time(0), boxes, seed);
    world.add_motor(MotorConfig::default());
    let slot = "T1A".parse().unwrap();
    world.act(&Hand::Place { slot, spool: SpoolSpec::default(), tip: 290.0 }).unwrap();
    world
}

fn frame(addr: u8, status: u8, func: u8, data: &[u8]) -> Vec<u8> {
    Frame::to_vec(Address(addr), Status(status), func, data).unwrap()
}

const ONLINE: [u8; 6] = [0xf7, 0x01, 0x03, 0x00, 0xa2, 0xda];

#[test]
fn a_reply_takes_its_turnaround_and_its_bytes_their_time() {
    let mut bus = Bus::new(world([Some(1), Some(2)], 1), BusConfig::default());
    let host = bus.connect();
    bus.say(host, &ONLINE, ms(1000));
    bus.advance(ms(1200));
    let heard = bus.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!((heard[0].bytes.len(), heard[0].bytes[4]), (20, 0xa2));
    // 6 bytes, 1.5 ms, 20 bytes at 230,400 baud.
    let took = heard[0].at.since(ms(1000));
    assert!((2_500_000..3_800_000).contains(&took), "{took}");

    let mut bus =
        Bus::new(world([Some(1), Some(2)], 1), BusConfig { fast: true, ..BusConfig::default() });
    let host = bus.connect();
    bus.say(host, &ONLINE, ms(1000));
    let heard = bus.heard();
    assert_eq!((heard.len(), heard[0].at), (1, ms(1000)));
}

#[test]
fn every_endpoint_hears_the_others_and_itself_only_with_an_echo() {
    for (fast, echo) in [(false, false), (false, true), (true, false), (true, true)] {
        let config = BusConfig { fast, echo, ..BusConfig::default() };
        let mut bus = Bus::new(world([Some(1), Some(2)], 1), config);
        let (host, sniffer) = (bus.connect(), bus.connect());
        bus.say(host, &ONLINE, ms(1000));
        bus.advance(ms(1100));
        let heard = bus.heard();
        let of = |endpoint| heard.iter().filter(move |heard| heard.endpoint == endpoint);
        let all: Vec<u8> = of(sniffer).flat_map(|heard| heard.bytes.clone()).collect();
        assert_eq!((&all[..6], all.len()), (&ONLINE[..], 26));
        let own: Vec<u8> = of(host).flat_map(|heard| heard.bytes.clone()).collect();
        assert_eq!(own, if echo { &all[..] } else { &all[6..] });
    }
}

#[test]
fn two_who_talk_at_once_spoil_both() {
    let mut bus = Bus::new(world([Some(1), Some(2)], 1), BusConfig::default());
    let (host, sniffer) = (bus.connect(), bus.connect());
    bus.say(host, &ONLINE, ms(1000));
    // In the middle of the reply.
    let reply = bus.next_event().unwrap();
    bus.advance(reply);
    bus.say(host, &frame(2, 0, 0xa2, &[]), Time(reply.0 + 1_700_000));
    bus.advance(ms(1100));
    assert_eq!(bus.tally().collisions, 1);
    let heard: Vec<u8> = bus
        .heard()
        .into_iter()
        .filter(|heard| heard.endpoint == sniffer)
        .flat_map(|heard| heard.bytes)
        .collect();
    assert!(!heard.windows(4).any(|part| part == [0xf7, 2, 0x11, 0]), "box 2 understood it");
    assert!(heard.len() > 20, "{heard:02x?}");
}

/// Two boxes without an address introduce themselves, each at its own random moment; now and then at
/// the same one.
#[test]
fn introductions_collide_now_and_then() {
    let (mut whole, mut collided) = (0, 0);
    for seed in 0..400 {
        let config = |unit: u8| BoxConfig {
            uniid: [unit; 12],
            // A tenth of the real window, so that fewer tries do.
            timings: Timings { introduction: 100, ..Timings::default() },
            ..BoxConfig::default()
        };
        let world = World::new(Time(0), vec![config(1), config(2)], seed);
        let mut bus = Bus::new(world, BusConfig::default());
        let host = bus.connect();
        bus.say(host, &frame(0xfe, 0, 0xa1, &[0xfe, 0xfe]), ms(500));
        bus.advance(ms(3000));
        let heard = bus.heard();
        if bus.tally().collisions > 0 {
            collided += 1;
        } else {
            assert_eq!(heard.len(), 2);
            whole += 1;
        }
    }
    assert!(collided > 0 && collided < 20 && whole > 380, "{collided} of {}", whole + collided);
}

/// A host that says one thing after the other, each when the one before was answered.
struct Script {
    asks: VecDeque<Vec<u8>>,
    answers: std::sync::Arc<std::sync::Mutex<Vec<Vec<u8>>>>,
    next: Option<Time>,
}

impl Guest for Script {
    fn heard(&mut self, bytes: &[u8], at: Time) {
        self.answers.lock().unwrap().push(bytes.to_vec());
        self.next = Some(Time(at.0 + 300 * Time::MILLISECOND));
    }

    fn say(&mut self, now: Time) -> Option<Vec<u8>> {
        self.next.take_if(|next| *next <= now)?;
        self.asks.pop_front()
    }

    fn next_event(&self) -> Option<Time> {
        self.next
    }

    fn toolhead(&mut self, _: bool, _: Time) {}
}

#[test]
fn with_auto_a_load_and_an_unload_come_to_their_ends() {
    let mut bus = Bus::new(world([Some(1), Some(2)], 3), BusConfig::default())
        .with_auto(Auto::new(AutoConfig::default()));
    let answers = std::sync::Arc::default();
    let stage = |stage, param| frame(1, 0xff, 0x10, &[1, stage, param]);
    let mut asks: Vec<Vec<u8>> = vec![frame(1, 0xff, 0x04, &[0, 1]), stage(0, 0), stage(4, 0)];
    asks.extend((0..8).map(|_| stage(5, 0)));
    asks.extend([stage(6, 0), frame(1, 0xff, 0x05, &[])]);
    // The extruder pulls meanwhile.
    asks.extend((0..12).map(|_| frame(2, 0xff, 0x0a, &[])));
    asks.extend([stage(7, 3), frame(1, 0xff, 0x05, &[]), frame(1, 0xff, 0x04, &[1, 0])]);
    asks.extend((0..40).map(|_| frame(2, 0xff, 0x0a, &[])));
    asks.extend([
        frame(1, 0xff, 0x04, &[0, 1]),
        frame(1, 0xff, 0x11, &[1, 0]),
        frame(1, 0xff, 0x11, &[1, 1]),
        frame(1, 0xff, 0x08, &[1]),
    ]);
    let count = asks.len();
    let next = Some(ms(2000));
    let script = Script { asks: asks.into(), answers: std::sync::Arc::clone(&answers), next };
    bus.invite(Box::new(script));
    let mut toolhead = Vec::new();
    for second in 0..200 {
        bus.advance(ms(second * 1000));
        toolhead.extend(bus.toolhead_changes().into_iter().map(|change| change.filament));
    }
    let answers = answers.lock().unwrap();
    assert_eq!(answers.len(), count, "{:02x?}", answers.last());
    let errors = answers.iter().filter(|answer| answer[3] != 0).collect::<Vec<_>>();
    // The feed that stands still at the extruder ends with 0C, once.
    assert!(errors.iter().all(|answer| answer[3] == 0x0c), "{errors:02x?}");
    let states: Vec<u8> =
        answers.iter().filter(|answer| answer[4] == 5).map(|answer| answer[5]).collect();
    assert_eq!(states, [1, 0], "the buffer is full, and then no longer");
    assert_eq!(toolhead, [true, false]);
    assert_eq!(answers.last().unwrap()[5], 0, "the hub is empty");
}

#[test]
fn a_guest_that_is_always_due_does_not_stop_the_clock() {
    struct Chatter;
    impl Guest for Chatter {
        fn heard(&mut self, _: &[u8], _: Time) {}
        fn say(&mut self, _: Time) -> Option<Vec<u8>> {
            None
        }
        fn next_event(&self) -> Option<Time> {
            Some(Time(0))
        }
        fn toolhead(&mut self, _: bool, _: Time) {}
    }
    let mut bus = Bus::new(world([Some(1), Some(2)], 1), BusConfig::default());
    bus.invite(Box::new(Chatter));
    bus.advance(ms(20));
    assert_eq!(bus.now(), ms(20));
}

#[test]
fn the_number_of_an_endpoint_that_left_is_given_out_anew() {
    let mut bus = Bus::new(world([Some(1), Some(2)], 1), BusConfig::default());
    let (a, b) = (bus.connect(), bus.connect());
    bus.disconnect(a);
    bus.say(b, &ONLINE, ms(10));
    bus.advance(ms(100));
    assert!(bus.heard().iter().all(|heard| heard.endpoint == b));
    assert_eq!(bus.connect(), a);
}

#[test]
fn a_scene_acts_on_what_the_bus_carries_and_faults_spoil_it() {
    use crate::scene::Scene;
    use k485_proto::dialect::K2;

    let text = "[[box]]\naddress = 1\n\
        [[event]]\nwhen = \"func==0xa2 && request\"\nafter = \"1s\"\ndo = \"toolhead\"\nshows = \"on\"\n\
        [[fault]]\nkind = \"drop\"\nwhen = \"func==0x0a && response\"\n";
    let scene = Scene::from_toml(text, &K2).unwrap();
    let mut bus = Bus::new(scene.build(Time(0)), scene.bus())
        .with_timeline(scene.timeline(Time(0)), scene.dialect())
        .with_faults(scene.faults());
    let host = bus.connect();
    bus.say(host, &ONLINE, ms(1000));
    bus.advance(ms(1500));
    assert_eq!(bus.heard().len(), 1);
    assert!(bus.toolhead_changes().is_empty());
    bus.advance(ms(2100));
    assert_eq!(bus.toolhead_changes().len(), 1);
    bus.say(host, &frame(1, 0xff, 0x0a, &[]), ms(3000));
    bus.advance(ms(4000));
    assert!(bus.heard().is_empty(), "the reply was dropped");
    let struck: Vec<u64> =
        bus.faults().unwrap().counts().map(|(_, counts)| counts.struck).collect();
    assert_eq!(struck, [1]);
}

#[test]
fn a_busy_box_answers_when_it_is_done() {
    use crate::scene::Scene;
    use k485_proto::dialect::K2;

    let text = "[[box]]\naddress = 1\n\
        [[fault]]\nkind = \"busy\"\nwhen = \"func==0x05 && request\"\ntime = \"800ms\"\n";
    let scene = Scene::from_toml(text, &K2).unwrap();
    let mut bus = Bus::new(scene.build(Time(0)), scene.bus()).with_faults(scene.faults());
    let host = bus.connect();
    bus.say(host, &frame(1, 0xff, 0x05, &[]), ms(1000));
    bus.advance(ms(1700));
    assert!(bus.heard().is_empty(), "it is at work");
    bus.advance(ms(1900));
    assert_eq!(bus.heard().len(), 1, "what waited is answered");
    // Another request is answered at once again.
    bus.say(host, &ONLINE, ms(3000));
    bus.advance(ms(3050));
    assert_eq!(bus.heard().len(), 1);
}

/// A bus of a box without an address and one at 1, with this fault.
fn with_fault(text: &str) -> Bus {
    use crate::scene::Scene;
    use k485_proto::dialect::K2;

    let text = format!(
        "[bus]\nfast = true\n[[box]]\naddress = 1\nuniid = \"010101010101010101010101\"\n\
         [[motor]]\naddress = 0x81\nerrors = [2]\n[[fault]]\n{text}"
    );
    let scene = Scene::from_toml(&text, &K2).unwrap();
    Bus::new(scene.build(Time(0)), scene.bus()).with_faults(scene.faults())
}

/// What an endpoint hears within so many ms of what another one says, as STATUS and what follows.
fn replies(bus: &mut Bus, ears: [EndpointId; 2], said: &[u8], at: i64, wait: i64) -> Vec<Vec<u8>> {
    bus.say(ears[0], said, ms(at));
    bus.advance(ms(at + wait));
    let heard = bus.heard();
    // The other one hears the request, whatever becomes of it.
    assert!(heard.iter().any(|heard| heard.endpoint == ears[1] && heard.bytes == said));
    heard.into_iter().filter(|heard| heard.endpoint == ears[0]).map(|heard| heard.bytes).collect()
}

#[test]
fn who_is_offline_hears_nothing_that_goes_to_all_either() {
    let mut bus = with_fault(
        "kind = \"offline\"\ntime = \"5s\"\ndevice = \"unassigned\"\nafter = 1\ntimes = 1\n",
    );
    // The box has lost its address: only FE and its number are left to it.
    bus.act(&Hand::Reset { unit: 1 }, ms(500)).unwrap();
    let ears = [bus.connect(), bus.connect()];
    let ask = frame(0xfe, 0, 0xa1, &[0xfe, 0xfe]);
    assert_eq!(replies(&mut bus, ears, &ask, 1_000, 1_000).len(), 1);
    assert!(replies(&mut bus, ears, &ask, 2_000, 1_500).is_empty(), "struck");
    let mut assign = vec![2];
    assign.extend([1; 12]);
    let assign = frame(0xfe, 0, 0xa0, &assign);
    assert!(replies(&mut bus, ears, &assign, 4_000, 500).is_empty());
    assert_eq!(bus.world().filament_box(0).unwrap().address(), Address::UNASSIGNED);
    // It has lived on, and hears again.
    assert_eq!(replies(&mut bus, ears, &assign, 7_100, 500).len(), 3);
}

#[test]
fn a_box_that_starts_slowly_is_in_its_loader() {
    let mut bus =
        with_fault("kind = \"slow_boot\"\nwhen = \"addr==box1\"\ntime = \"3s\"\ntimes = 1\n");
    let ears = [bus.connect(), bus.connect()];
    let state = frame(1, 0xff, 0x0a, &[]);
    assert!(replies(&mut bus, ears, &state, 1_000, 100).is_empty(), "it starts anew");
    let ask = frame(0xfe, 0, 0xa1, &[0xfe, 0xfe]);
    let told = replies(&mut bus, ears, &ask, 1_100, 1_100);
    assert_eq!(told[0][5..7], [1, 1], "a box, in its loader");
    let assign: Vec<u8> = [1].into_iter().chain([1; 12]).collect();
    let assign = frame(0xfe, 0, 0xa0, &assign);
    assert_eq!(replies(&mut bus, ears, &assign, 2_300, 50)[0][5..7], [1, 1]);
    assert!(replies(&mut bus, ears, &state, 2_400, 100).is_empty(), "a loader knows no 0A");
    // Its time is over.
    assert_eq!(replies(&mut bus, ears, &state, 4_100, 100).len(), 1);
    let online = replies(&mut bus, ears, &ONLINE, 4_300, 100);
    assert_eq!(online[0][5..7], [1, 0]);
    // A start without the fault is as ever.
    bus.act(&Hand::Reset { unit: 1 }, ms(5_000)).unwrap();
    let state = frame(0xfe, 0xff, 0x0a, &[]);
    assert_eq!(replies(&mut bus, ears, &state, 5_100, 100).len(), 1);
}

#[test]
fn an_echo_is_heard_by_whoever_spoke_and_spoils_nothing() {
    for fast in [true, false] {
        let mut bus = with_fault("kind = \"echo\"\n");
        bus.config.fast = fast;
        bus.wire = Wire::new((!fast).then_some(230_400));
        let ears = [bus.connect(), bus.connect()];
        let heard = replies(&mut bus, ears, &ONLINE, 1_000, 100);
        assert_eq!((&heard[0][..], heard[1].len(), heard.len()), (&ONLINE[..], 20, 2), "{fast}");
        assert_eq!(bus.tally().collisions, 0);
    }
}

#[test]
fn a_box_babbles_before_anybody_answered() {
    let mut bus =
        with_fault("kind = \"babble\"\nwhen = \"addr==0x03\"\ntime = \"300ms\"\ngap = \"50ms\"\n");
    let ears = [bus.connect(), bus.connect()];
    bus.say(ears[0], &frame(3, 0xff, 0x05, &[]), ms(1_000));
    bus.advance(ms(2_000));
    let noise = bus.heard().iter().filter(|heard| heard.endpoint == ears[0]).count();
    assert!(noise > 2, "{noise}");
}

#[test]
fn the_copies_of_a_reply_are_one_stretch_for_a_receiver() {
    let mut bus = Bus::new(world([None, Some(2)], 1), BusConfig::default());
    let host = bus.connect();
    let assign: Vec<u8> = [1].into_iter().chain([b'1'; 12]).collect();
    bus.say(host, &frame(0xfe, 0, 0xa0, &assign), ms(1_000));
    bus.advance(ms(1_100));
    let went_on: Vec<bool> = bus.heard().iter().map(|heard| heard.goes_on).collect();
    assert_eq!(went_on, [true, true, false]);
    // Also where somebody talks into them.
    bus.say(host, &frame(1, 0, 0xa0, &assign), ms(2_000));
    bus.advance(ms(2_003));
    bus.say(host, &ONLINE, ms(2_003));
    bus.advance(ms(2_100));
    assert!(!bus.heard().last().unwrap().goes_on);
}

#[test]
fn an_idle_box_reads_whatever_is_in_front_of_its_frame() {
    let mut bus = Bus::new(world([Some(1), Some(2)], 1), BusConfig::default());
    let host = bus.connect();
    let mut said = vec![0x55; 1_500];
    said.extend(ONLINE);
    bus.say(host, &said, ms(1_000));
    bus.advance(ms(1_200));
    assert_eq!(bus.heard().len(), 1);
    bus.say(host, &ONLINE.repeat(300), ms(2_000));
    bus.advance(ms(3_000));
    assert_eq!(bus.heard().len(), 300);
}

#[test]
fn other_devices_are_reset_and_busy_too() {
    let errors = frame(0x81, 0, 0x0c, &[0x0b]);
    let mut bus = with_fault("kind = \"reset\"\nwhen = \"addr==motor1\"\nafter = 1\n");
    let ears = [bus.connect(), bus.connect()];
    assert_eq!(replies(&mut bus, ears, &errors, 1_000, 100)[0][5], 4);
    assert_eq!(replies(&mut bus, ears, &errors, 2_000, 100)[0][5], 0, "nothing is latched");

    let mut bus =
        with_fault("kind = \"busy\"\nwhen = \"addr==motor1\"\ntime = \"1s\"\ntimes = 1\n");
    let ears = [bus.connect(), bus.connect()];
    assert!(replies(&mut bus, ears, &errors, 1_000, 900).is_empty());
    bus.advance(ms(2_100));
    assert_eq!(bus.heard().len(), 2, "both hear it, later");
}
