//! The example scenes do what they say, in virtual time.

use std::path::Path;

use k485_emulator::World;
use k485_emulator::scene::{Scene, Timeline};
use k485_proto::address::Address;
use k485_proto::dialect::K2;
use k485_proto::exchange::Pairer;
use k485_proto::frame::Frame;
use k485_proto::record::{Direction, Origin, Record, Time, Verdict};
use k485_proto::status::Status;

struct Stage {
    world: World,
    timeline: Timeline,
    pairer: Pairer,
    ms: i64,
}

impl Stage {
    fn new(name: &str) -> Stage {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenes").join(name);
        let text = std::fs::read_to_string(path).expect("an example");
        let scene = Scene::from_toml(&text, &K2).expect("a scene");
        Stage {
            world: scene.build(Time(0)),
            timeline: scene.timeline(Time(0)),
            pairer: Pairer::new(),
            ms: 0,
        }
    }

    fn now(&self) -> Time {
        Time(self.ms * Time::MILLISECOND)
    }

    /// Lets so many milliseconds pass.
    fn wait(&mut self, ms: i64) {
        for _ in 0..ms {
            self.ms += 1;
            self.world.advance(self.now());
            for hand in self.timeline.due(self.now()) {
                self.world.act(&hand).expect("it can be done");
            }
        }
    }

    fn seen(&mut self, bytes: &[u8], dir: Direction) {
        self.pairer.push(Record {
            time: Some(self.now()),
            bus: "".into(),
            dir: Some(dir),
            offset: 0,
            bytes: bytes.to_vec(),
            origin: Origin::Wire,
            verdict: Verdict::Frame,
            call: None,
        });
        while let Some(seen) = self.pairer.pull() {
            self.timeline.observe(&seen, self.now());
        }
    }

    /// STATUS and data of the reply, waited for 20 s at most.
    fn ask(&mut self, addr: u8, status: u8, func: u8, data: &[u8]) -> (u8, Vec<u8>) {
        let request = Frame::to_vec(Address(addr), Status(status), func, data).expect("a frame");
        self.seen(&request, Direction::Request);
        let now = self.now();
        self.world.heard(&request, now);
        for _ in 0..20_000 {
            if let Some((_, said)) = self.world.said().into_iter().next() {
                self.seen(&said.bytes, Direction::Response);
                let frame = Frame::from_bytes(&said.bytes).expect("a frame");
                return (frame.status().0, frame.data().to_vec());
            }
            self.wait(1);
        }
        panic!("no reply to {func:02x}");
    }
}

#[test]
fn a_jam_ends_the_feed_until_it_is_freed() {
    let mut stage = Stage::new("jam.toml");
    stage.wait(500);
    assert_eq!(stage.ask(1, 0xff, 0x10, &[1, 0, 0]).0, 0);
    assert_eq!(stage.ask(1, 0xff, 0x10, &[1, 4, 0]).0, 0);
    stage.wait(5_000);
    assert_eq!(stage.ask(1, 0xff, 0x10, &[1, 5, 0]).0, 0x0c);
    stage.wait(60_000);
    assert_eq!(stage.ask(1, 0xff, 0x04, &[0, 1]).0, 0);
    assert_eq!(stage.ask(1, 0xff, 0x10, &[1, 4, 0]).0, 0);
    stage.wait(3_000);
    assert_eq!(stage.ask(1, 0xff, 0x10, &[1, 6, 0]).0, 0);
    assert!(stage.world.toolhead());
}

#[test]
fn a_spool_runs_out_in_a_print() {
    let mut stage = Stage::new("run-out.toml");
    stage.wait(5_000);
    assert_eq!(stage.ask(1, 0xff, 0x0a, &[]), (0, vec![25, 30, 0, 2]));
    stage.wait(20_000);
    // The inlet's change is told once, then what it means for the print.
    let (first, _) = stage.ask(1, 0xff, 0x0a, &[]);
    let (second, data) = stage.ask(1, 0xff, 0x0a, &[]);
    assert_eq!((first, second, data[3]), (0x30, 0x50, 2));
}

#[test]
fn a_motor_reports_an_error_for_a_while() {
    let mut stage = Stage::new("motor-error.toml");
    let words = |stage: &mut Stage| stage.ask(0x82, 0, 0x0c, &[0x0b]).1;
    assert_eq!(words(&mut stage), [0; 8]);
    stage.wait(11_000);
    assert_eq!(words(&mut stage)[..4], [0, 8, 0, 0]);
    stage.wait(60_000);
    assert_eq!(words(&mut stage), [0; 8]);
}

#[test]
fn two_boxes_wait_for_their_addresses() {
    let mut stage = Stage::new("two-boxes.toml");
    stage.wait(500);
    let uniid = *b"\x69\x06\x30\x02\x18\x53\x33\x11\x52\x35\x38\x32";
    let mut data = vec![1];
    data.extend(uniid);
    let (_, reply) = stage.ask(0xfe, 0, 0xa0, &data);
    assert_eq!(reply[2..], uniid);
    let (_, text) = stage.ask(1, 0xff, 0x02, &[7]);
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("A:10124027660000001"), "{text}");
    assert!(text.ends_with("C:unknown;"), "{text}");
    // An hour of virtual time: the climate drifts.
    stage.world.said();
    stage.ms += 3_599_000;
    stage.wait(1_000);
    assert_eq!(stage.ask(1, 0xff, 0x0a, &[]).1[..2], [25, 36]);
}
