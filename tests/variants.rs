//! Boxes of other families, emulated: what a host of theirs hears is read back with `--dialect auto`.

mod common;

use common::{file, folder, k485};
use k485_emulator::{Bus, Hand, SpoolSpec, scene::Scene};
use k485_proto::address::Address;
use k485_proto::dialect::K2;
use k485_proto::frame::Frame;
use k485_proto::record::Time;
use k485_proto::status::Status;
use serde_json::Value;

/// A box at 1 with this firmware, and the conversation of a host with it.
struct Talk {
    bus: Bus,
    now: Time,
    /// All that was on the wire, in order.
    wire: Vec<u8>,
}

impl Talk {
    fn new(firmware: &str) -> Talk {
        let text = format!(
            "[bus]\nfast = true\n[[box]]\naddress = 1\nfirmware = \"{firmware}\"\nA = {{}}\n"
        );
        let scene = Scene::from_toml(&text, &K2).expect("a scene");
        Talk { bus: Bus::new(scene.build(Time(0)), scene.bus()), now: Time(0), wire: Vec::new() }
    }

    /// Asks, and waits for so many seconds at most, or for a reply.
    fn ask(&mut self, addr: u8, func: u8, data: &[u8], seconds: i64) {
        let host = self.bus.connect();
        let frame = Frame::to_vec(Address(addr), Status::REQUEST, func, data).expect("short");
        self.wire.extend_from_slice(&frame);
        self.bus.say(host, &frame, self.now);
        let end = Time(self.now.0 + seconds * Time::SECOND);
        loop {
            let heard = self.bus.heard();
            self.wire.extend(heard.iter().flat_map(|heard| &heard.bytes));
            if !heard.is_empty() || self.now >= end {
                break;
            }
            self.wait(10);
        }
        self.bus.disconnect(host);
        self.wait(10);
    }

    fn wait(&mut self, ms: i64) {
        self.now = Time(self.now.0 + ms * Time::MILLISECOND);
        self.bus.advance(self.now);
    }

    fn load(&mut self) {
        self.ask(1, 0x14, &[], 1);
        self.ask(1, 0x10, &[1, 0, 0], 20);
        self.ask(1, 0x10, &[1, 4, 0], 1);
        while !self.bus.world().toolhead() {
            self.wait(100);
            assert!(self.now.0 < 60 * Time::SECOND, "the filament never comes");
        }
        self.ask(1, 0x10, &[1, 6, 0], 5);
        self.ask(1, 0x05, &[], 1);
    }

    /// What the binary makes of it: stderr, and the frames as JSON.
    fn read(&self) -> (String, Vec<Value>) {
        let folder = folder();
        let path = file(&folder, "wire.bin", &self.wire);
        let run = k485(["decode", "--dialect", "auto", "--to", "json", &path]);
        assert_eq!(run.code, Some(0), "{}", run.err);
        let lines = run.out.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        (run.err, lines.collect())
    }
}

/// The replies of a function, as form, STATUS, and the fields' names.
fn replies(lines: &[Value], function: &str) -> Vec<String> {
    let responses = lines.iter().map(|line| &line["response"]);
    let own = responses.filter(|response| response["function"] == function);
    let told = |response: &Value| {
        let fields = response["fields"].as_object().expect("fields");
        let names = fields
            .keys()
            .filter(|name| !["_name", "_set", "_mask"].iter().any(|end| name.ends_with(end)));
        let names: Vec<&str> = names.map(String::as_str).collect();
        let [form, status] = ["form", "status_name"].map(|key| response[key].as_str().expect(key));
        format!("{form} {status} {}", names.join(" ")).trim_end().to_owned()
    };
    own.map(told).collect()
}

#[test]
fn a_hi_answers_as_its_dialect_says() {
    let mut talk = Talk::new("hi");
    for _ in 0..6 {
        talk.ask(1, 0x0a, &[], 1);
        talk.ask(0x41, 0x0a, &[], 1);
    }
    talk.load();
    talk.bus.act(&Hand::Extrude { mm: 12.0, speed: None }, talk.now).unwrap();
    talk.ask(1, 0x10, &[1, 7, 3], 5);
    let spool = SpoolSpec::default();
    talk.bus.act(&Hand::Insert { slot: "T1B".parse().unwrap(), spool }, talk.now).unwrap();
    talk.wait(1_000);
    talk.ask(1, 0x0a, &[], 1);
    // At work, which is not the empty slot that a K2 means by the same status.
    talk.ask(1, 0x04, &[0, 1], 1);
    talk.ask(1, 0x07, &[1], 1);
    talk.ask(1, 0x10, &[1, 0, 0], 1);
    talk.wait(60_000);
    talk.ask(1, 0x11, &[8, 1], 1);
    let (err, lines) = talk.read();
    assert!(err.contains("dialect: hi, because 6 polls went to 0x41"), "{err}");
    assert_eq!(replies(&lines, "GET_CUT_STATE"), ["State OK cut"]);
    let mut states = vec!["State OK humidity ran state temperature"; 6];
    states.push("Changes UPDATE_STATE a b c d");
    assert_eq!(replies(&lines, "GET_BOX_STATE"), states);
    let stages = ["ToHub OK state", "FeedStart OK", "FeedEnd OK", "Push OK odometer"];
    let stages: Vec<&str> = stages.into_iter().chain(["ToHub BUSY state"]).collect();
    assert_eq!(replies(&lines, "EXTRUDE_PROCESS"), stages);
    assert_eq!(replies(&lines, "SET_BOX_MODE"), ["Error BUSY"]);
    assert_eq!(replies(&lines, "CTRL_CONNECTION_MOTOR_ACTION"), ["Error BUSY"]);
    assert_eq!(replies(&lines, "RETRUDE_PROCESS"), ["Error RETRUDE_ERR5"]);
}

#[test]
fn a_k1_kit_answers_as_its_dialect_says() {
    let mut talk = Talk::new("k1");
    talk.load();
    talk.ask(1, 0x04, &[1, 0], 1);
    for (func, data) in [(0x02, &[1][..]), (0x0c, &[]), (0x0a, &[]), (0x08, &[1])] {
        talk.ask(1, func, data, 1);
    }
    talk.ask(1, 0x04, &[0, 1], 1);
    talk.ask(1, 0x11, &[1, 0], 10);
    talk.ask(1, 0x11, &[1, 1], 60);
    let (err, lines) = talk.read();
    assert!(err.contains("dialect: k1, because 1 load ended without stage 07"), "{err}");
    assert_eq!(replies(&lines, "GET_VERSION_SN"), ["Version OK serial version"]);
    assert_eq!(replies(&lines, "GET_RFID"), ["Tags OK tags"]);
    assert_eq!(replies(&lines, "GET_BOX_MODE"), ["Code OK mode"]);
    assert_eq!(replies(&lines, "GET_BUFFER_STATE"), ["State OK buffer"]);
    assert_eq!(replies(&lines, "GET_FILAMENT_SENSOR_STATE"), ["Slots OK slots"]);
    assert_eq!(replies(&lines, "GET_BOX_STATE"), ["State OK humidity ran state temperature"]);
    assert_eq!(
        replies(&lines, "EXTRUDE_PROCESS"),
        ["ToHub OK state", "FeedStart OK", "FeedEnd OK"]
    );
    assert_eq!(replies(&lines, "RETRUDE_PROCESS"), ["Done OK", "Done OK"]);
    // All of it reads as a K2's too, which is what the dialect says of the kit.
    let misfits = lines.iter().filter(|line| !line["response"]["misfit"].is_null()).count();
    assert_eq!(misfits, 0);
}
