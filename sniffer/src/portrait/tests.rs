use super::*;
use k485_proto::exchange::Pairer;
use k485_proto::frame::Frame;
use serde_json::{Value as Json, json};

use crate::format::hex::read_hex_text;

/// What is heard, a frame a line.
#[derive(Default)]
struct Bus {
    text: String,
    ms: u64,
}

impl Bus {
    fn line(&mut self, addr: u8, status: u8, func: u8, data: &[u8]) {
        let frame = Frame::to_vec(Address(addr), Status(status), func, data).unwrap();
        self.ms += 2;
        let ms = self.ms;
        self.text += &format!("({}.{:03}) {}\n", ms / 1000, ms % 1000, Hex(&frame));
    }

    fn ask(&mut self, addr: u8, func: u8, data: &[u8], status: u8, reply: &[u8]) {
        self.line(addr, 0xff, func, data);
        self.line(addr, status, func, reply);
    }

    fn portrait(&self) -> Json {
        let mut pairer = Pairer::new();
        read_hex_text("test", &self.text).for_each(|record| pairer.push(record.unwrap()));
        pairer.finish();
        let mut portrait = Portrait::new();
        while let Some(seen) = pairer.pull() {
            portrait.see(&seen);
        }
        serde_json::to_value(portrait).unwrap()
    }
}

fn tip(portrait: &Json, slot: usize) -> f64 {
    portrait["boxes"][0]["slots"][slot]["filament"][0][1].as_f64().unwrap()
}

#[test]
fn a_box_is_what_it_told() {
    let mut bus = Bus::default();
    bus.ask(1, 0x0a, &[], 0, &[24, 38, 0, 0]);
    bus.ask(1, 0x14, &[], 0, b"11310000000000000000A1");
    bus.ask(1, 0x08, &[0], 0, &[0x03]);
    bus.ask(1, 0x08, &[1], 0, &[0x01]);
    bus.ask(1, 0x05, &[], 0, &[2]);
    // A broken tag, which is no markup for anybody.
    bus.ask(
        1,
        0x02,
        &[0x0f],
        0,
        b"A:A12240276A10000010ff8800033000<b>0000000;B:unknown;C:none;D:busy;",
    );
    bus.ask(1, 0x03, &[0x0f], 0, &[80, 100, 0, 0xff]);
    let portrait = bus.portrait();
    let first = &portrait["boxes"][0];
    assert_eq!(first["state"], "idle");
    assert_eq!(first["climate"], json!([24, 38]));
    assert_eq!((&first["version"], &first["error"]), (&json!("1.1.3"), &json!(0)), "{first}");
    let slots = &first["slots"];
    assert_eq!((&slots[0]["inlet"], &slots[0]["hub"]), (&json!(true), &json!(true)));
    assert_eq!((&slots[1]["inlet"], &slots[1]["hub"]), (&json!(true), &json!(false)));
    assert_eq!((&slots[2]["inlet"], &slots[2]["spool"]), (&json!(false), &Json::Null));
    assert_eq!(slots[0]["tag"], "A12240276A10000010ff8800033000<b>0000000");
    let spool = json!({"material": "PLA", "colour": "ff8800", "serial": "00<b>0", "remain": 80});
    assert_eq!(slots[0]["spool"], spool);
    assert_eq!(portrait["buffer"], json!({"full": false, "empty": true}));
}

#[test]
fn an_error_is_kept_until_the_box_tells_another_state() {
    let mut bus = Bus::default();
    bus.ask(2, 0x0a, &[], 0x14, &[24, 38, 0, 4]);
    let told = bus.portrait();
    assert_eq!(
        (&told["boxes"][0]["state"], &told["boxes"][0]["error"]),
        (&json!("error"), &json!(0x14))
    );
    bus.ask(2, 0x04, &[0, 1], 0, &[]);
    assert_eq!(bus.portrait()["boxes"][0]["error"], 0);
}

#[test]
fn a_load_takes_the_tip_from_stage_to_stage() {
    let mut bus = Bus::default();
    bus.ask(1, 0x08, &[0], 0, &[0x01]);
    let mut last = tip(&bus.portrait(), 0);
    bus.ask(1, 0x0e, &[1], 0, &0f32.to_be_bytes());
    bus.ask(1, 0x10, &[1, 0, 0], 0, &[3]);
    let mut farther = |bus: &Bus| {
        let portrait = bus.portrait();
        let now = tip(&portrait, 0);
        assert!(now > last, "{now} after {last}");
        last = now;
        portrait
    };
    farther(&bus);
    bus.ask(1, 0x10, &[1, 4, 0], 0, &[]);
    for mm in [-100f32, -500.0, -1200.0] {
        bus.ask(1, 0x10, &[1, 5, 0], 0, &mm.to_be_bytes());
        let portrait = farther(&bus);
        assert_eq!(portrait["boxes"][0]["slots"][0]["moves"], true);
        assert_ne!(portrait["toolhead"], true);
    }
    bus.ask(1, 0x10, &[1, 6, 0], 0, &[]);
    assert_eq!(farther(&bus)["toolhead"], true);
    bus.ask(1, 0x10, &[1, 7, 30], 0, &[]);
    assert_eq!(farther(&bus)["boxes"][0]["slots"][0]["moves"], false);
    bus.ask(1, 0x11, &[1, 0], 0, &[]);
    bus.ask(1, 0x11, &[1, 1], 0, &[]);
    let back = bus.portrait();
    assert!(tip(&back, 0) < PLACES.hub && back["toolhead"] == false);
}

#[test]
fn motors_are_told_apart() {
    let mut bus = Bus::default();
    bus.line(0x81, 0, 0x0c, &[1]);
    bus.line(0x81, 0, 0x0c, &[3, 0, 0, 0, 1, 0, 0, 0]);
    let portrait = bus.portrait();
    assert_eq!(
        portrait["devices"][0],
        json!({"kind": "motor", "address": 0x81, "errors": 3, "warnings": 1})
    );
}

#[test]
fn who_does_not_answer_any_more_is_said() {
    let mut bus = Bus::default();
    bus.ask(1, 0x0a, &[], 0, &[24, 38, 0, 0]);
    assert_eq!(bus.portrait()["boxes"][0]["answers"], true);
    bus.ms += 2_000;
    bus.line(1, 0, 0xa2, &[]);
    bus.ms += 2_000;
    bus.line(2, 0, 0xa2, &[]);
    let portrait = bus.portrait();
    assert_eq!(portrait["boxes"][0]["answers"], false, "{portrait}");
    // Box 2 never answered: it may not be there at all.
    assert_eq!(portrait["boxes"].as_array().unwrap().len(), 1);
}
