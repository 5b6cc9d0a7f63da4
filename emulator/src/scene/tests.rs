//! Reading, its errors at their places, writing, and what is built of it.

use k485_proto::address::Address;
use k485_proto::dialect::K2;
use k485_proto::exchange::{Pairer, Seen};
use k485_proto::frame::Frame;
use k485_proto::record::{Direction, Origin, Record, Time, Verdict};
use k485_proto::slot::Letter;
use k485_proto::status::Status;

use super::*;
use crate::hand::Hand;

fn scene(text: &str) -> Scene {
    Scene::from_toml(text, &K2).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// The errors of a text, a line each.
fn errors(text: &str) -> Vec<String> {
    let errors = Scene::from_toml(text, &K2).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

fn error(text: &str) -> String {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.into_iter().next().unwrap_or_default()
}

const TWO: &str = r#"
title = "two boxes"
seed = 7

[geometry]
toolhead = 2000.0
cutter = 2015.0
extruder = 2040.0

[climate]
temperature = 24
temperature_drift = 2.0

[[box]]
address = 1
uniid = "690630021853331152353832"
firmware = "1.1.0"
serial = "10000843215B625AHSC"
failed = ["eeprom", "rfid_left"]
odometer = -12.5
A = { material = "PETG", colour = "ff8000" }
B = { tag = "unreadable", tip = 1.0 }

[box.climate]
humidity = 40

[box.timings]
hub_run = 3100

[box.C]
length = 100.0

[[box]]

[[motor]]
address = 0x81
errors = [3]

[[belt]]
address = 0x21

[rack]
material = "PLA"

[[fault]]
kind = "drop"
when = "func==0x0a"
probability = 0.5

[[event]]
at = "12.5s"
do = "break"
slot = "T1A"
at_mm = 900.0

[[event]]
when = "func==EXTRUDE_PROCESS && stage==feed_start"
after = "1s"
nth = 2
do = "hold_buffer"
buffer = "full"
"#;

#[test]
fn identities_by_chance_have_no_head_in_them() {
    // With seed 1 the fourth one's second half would be F7 01 AC ..., for which box 1 waits.
    let scene = scene("[[box]]\n[[box]]\n[[box]]\n[[box]]\n");
    let world = scene.build(Time(0));
    let identity = |unit| world.filament_box(unit).unwrap().config().uniid;
    for unit in 0..4 {
        assert!(!identity(unit).contains(&0xf7), "{:02x?}", identity(unit));
        assert!((0..unit).all(|other| identity(other) != identity(unit)));
    }
}

#[test]
fn a_scene_is_read_built_and_written() {
    let scene = scene(TWO);
    let world = scene.build(Time(0));
    let one = world.filament_box(0).unwrap();
    assert_eq!(one.address(), Address(1));
    assert_eq!(&one.config().version, b"110");
    assert_eq!(one.config().timings.hub_run, 3100);
    assert_eq!(one.config().climate.map(|c| (c.temperature, c.humidity)), Some((24, 40)));
    assert_eq!(one.config().failed, [true, false, false, false, true, false]);
    let two = world.filament_box(1).unwrap();
    assert_eq!(two.address(), Address::UNASSIGNED);
    assert_ne!(two.config().uniid, one.config().uniid);
    assert_eq!(two.config().timings.hub_run, 3199);
    assert_eq!(two.config().climate.map(|c| c.humidity), Some(30));
    let path = world.plant().path(0);
    assert_eq!(path.geometry.extruder, 2040.0);
    assert!(path.spool(0).is_some_and(|spool| spool.tag.is_some()));
    assert!(path.spool(1).is_some_and(|spool| spool.tag.is_none()));
    assert_eq!(path.pieces(1)[0].tip, 1.0);
    assert!(path.pieces(0)[0].tip < path.geometry.hub);
    assert!(path.spool(3).is_none());
    assert_eq!(world.devices().count(), 5);
    assert_eq!(scene.rules().len(), 1);

    let text = scene.to_toml(&Notes::default());
    let again = Scene::from_toml(&text, &K2).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
    assert_eq!(again.layout, scene.layout, "{text}");
}

#[test]
fn the_odometer_starts_where_the_scene_says() {
    let mut world = scene("[[box]]\naddress = 1\nodometer = -500.25\n").build(Time(0));
    let request = Frame::to_vec(Address(1), Status(0xff), 0x0e, &[1]).unwrap();
    world.heard(&request, Time(Time::SECOND));
    world.advance(Time(2 * Time::SECOND));
    let said = world.said();
    let reply = Frame::from_bytes(&said[0].1.bytes).unwrap().data().to_vec();
    let mm = f32::from_be_bytes(reply.try_into().unwrap());
    assert!((mm + 500.25).abs() < 0.01, "{mm}");
}

#[test]
fn a_box_that_prints_prints() {
    let world =
        scene("[[box]]\naddress = 1\nprinting = \"B\"\nB = { tip = 1500.0 }\n").build(Time(0));
    let state = world.filament_box(0).unwrap().state();
    assert_eq!(state, k485_proto::message::codes::BoxState::PRINTING);
    assert!(world.plant().path(0).in_hub(Letter::B.index()));
}

#[test]
fn errors_are_told_with_their_places() {
    assert_eq!(error("sed = 1\n"), "1:1: unknown key \"sed\"; did you mean seed?");
    assert_eq!(error("seed = \"a\"\n"), "1:8: seed is a whole number, not a text");
    assert_eq!(error("[[box]]\naddress = 5\n"), "2:11: address is from 1 to 4, not 5");
    assert_eq!(
        error("[[box]]\nadress = 1\n"),
        "2:1: unknown key \"adress\"; did you mean address?"
    );
    assert_eq!(error("[climate]\nhumidity = 101\n"), "2:12: humidity is from 0 to 100, not 101");
    assert_eq!(error("[box]\n"), "1:1: box is a list of tables: write [[box]]");
    assert!(error("[[box]]\nuniid = \"12\"\n").starts_with("2:9: uniid: \"12\" is no identity"));
    assert!(error("[[box]]\nfailed = [\"epprom\"]\n").ends_with("did you mean eeprom?"));
    assert!(error("[[box]]\nA = { colour = \"red\" }\n").starts_with("2:5: no colour"));
    assert!(error("[[box]]\nA = { tip = 9000.0 }\n").contains("behind the extruder"));
    let joint = "T1A is behind the joint already, where there is room for one";
    assert_eq!(error("[[box]]\nA = { tip = 1500 }\nB = { tip = 1500 }\n"), format!("3:5: {joint}"));
    assert_eq!(
        error("[[box]]\nA = { tip = 1500 }\n[[box]]\nD = { tip = 1351 }\n"),
        format!("4:5: {joint}")
    );
    assert!(error("[[box]]\n[[box]]\n[[box]]\n[[box]]\n[[box]]\n").contains("too many"));
    assert!(
        error("[geometry]\nhub = 900.0\n").starts_with("1:1: wheel (325 mm) is not behind hub")
    );
    assert!(error("[[motor]]\n").starts_with("1:1: address is missing"));
    assert!(error("[[fault]]\nkind = \"dro\"\n").starts_with("2:8: "));
    assert!(
        error("[[fault]]\nkind = \"drop\"\nprobabilty = 1\n")
            .ends_with("did you mean probability?")
    );
    assert!(error("[[fault]]\nkind = \"drop\"\nwhen = \"adr==1\"\n").starts_with("3:8: "));
    assert!(error("title = \n").starts_with("1:"));
    let two = "[[box]]\naddress = 2\n[[box]]\naddress = 2\n";
    assert_eq!(error(two), "4:11: box 1 has this address already (line 2); give each its own");
    let both = errors("sed = 1\n[[box]]\nadress = 1\n");
    assert_eq!(both.len(), 2, "{both:?}");
}

#[test]
fn events_say_what_is_wrong_with_them() {
    let event = |rest: &str| error(&format!("[[box]]\n[[event]]\n{rest}"));
    assert!(event("at = \"1s\"\n").starts_with("2:1: do is missing"));
    assert!(event("at = \"1s\"\ndo = \"cutt\"\n").ends_with("did you mean cut?"));
    assert!(event("at = \"1\"\ndo = \"cut\"\n").starts_with("3:6: at: \"1\" is no length of time"));
    assert!(event("do = \"cut\"\n").contains("at or when is missing"));
    assert!(event("at = \"1s\"\nnth = 2\ndo = \"cut\"\n").contains("nth goes with a filter"));
    assert!(event("at = \"1s\"\ndo = \"insert\"\n").contains("slot is missing"));
    assert!(event("at = \"1s\"\ndo = \"insert\"\nslot = \"T9A\"\n").starts_with("5:8: "));
    assert!(event("at = \"1s\"\ndo = \"insert\"\nslot = \"T2A\"\n").contains("there is no box 2"));
    assert!(
        event("at = \"1s\"\ndo = \"insert\"\nslto = \"T1A\"\nslot = \"T1A\"\n").ends_with("slot?")
    );
    assert!(event("when = \"fnc==1\"\ndo = \"cut\"\n").starts_with("3:8: when: "));
    let spool = "at = \"1s\"\ndo = \"insert\"\nslot = \"T1A\"\nspool = { lenght = 1.0 }\n";
    assert!(event(spool).ends_with("did you mean length?"));
}

/// Every hand's declaration is what the hand itself takes.
#[test]
fn hands_take_what_they_are_declared_to_take() {
    for info in HANDS {
        let mut text =
            String::from("[[box]]\n[[motor]]\naddress = 0x80\n[[belt]]\naddress = 0x21\n[rack]\n");
        text += &format!("[[event]]\nat = \"1s\"\ndo = \"{}\"\n", info.name);
        for arg in info.args {
            let value = match (arg.key.shape)() {
                crate::table::Shape::Integer(least, _) => least.max(0).to_string(),
                crate::table::Shape::Number(_, most) => format!("{:?}", most.min(5.0)),
                crate::table::Shape::Boolean => "true".to_owned(),
                crate::table::Shape::Word(words) => format!("\"{}\"", words[0]),
                crate::table::Shape::Table(_) => "{ material = \"PLA\" }".to_owned(),
                _ => "\"T1A\"".to_owned(),
            };
            let value = match arg.key.name {
                "box" => "1".to_owned(),
                _ => value,
            };
            text += &format!("{} = {value}\n", arg.key.name);
        }
        let scene = scene(&text);
        let again = Scene::from_toml(&scene.to_toml(&Notes::default()), &K2).unwrap();
        assert_eq!(again.layout.events, scene.layout.events);
    }
    // The names that serde knows are those that are declared.
    let wrong = serde_json::from_str::<Hand>("{\"do\":\"Q\"}").unwrap_err().to_string();
    for info in HANDS {
        assert!(wrong.contains(&format!("`{}`", info.name)), "{}", info.name);
    }
    assert_eq!(wrong.matches('`').count(), 2 * (HANDS.len() + 1), "{wrong}");
}

fn seen(addr: u8, func: u8, data: &[u8], at: i64) -> Seen {
    let mut pairer = Pairer::new();
    pairer.push(Record {
        time: Some(Time(at)),
        bus: "".into(),
        dir: Some(Direction::Request),
        offset: 0,
        bytes: Frame::to_vec(Address(addr), Status(0xff), func, data).unwrap(),
        origin: Origin::Wire,
        verdict: Verdict::Frame,
        call: None,
    });
    pairer.pull().unwrap()
}

#[test]
fn a_timeline_gives_hands_when_they_are_due() {
    let text = "[[box]]\n[box.climate]\ntemperature_drift = 60.0\nhumidity_drift = -0.0000001\n\
        [[event]]\nat = \"10s\"\ndo = \"cut\"\n\
        [[event]]\nwhen = \"func==0x05\"\nnth = 2\nafter = \"1s\"\ndo = \"free_buffer\"\n";
    let mut timeline = scene(text).timeline(Time(0));
    assert_eq!(timeline.next_event(), Some(Time(10 * Time::SECOND)));
    assert!(timeline.due(Time(9 * Time::SECOND)).is_empty());
    assert_eq!(timeline.due(Time(10 * Time::SECOND)), [Hand::Cut]);
    timeline.observe(&seen(1, 5, &[], 0), Time(11 * Time::SECOND));
    assert_eq!(timeline.next_event(), Some(Time(30 * Time::SECOND)));
    timeline.observe(&seen(1, 5, &[], 0), Time(12 * Time::SECOND));
    assert!(timeline.due(Time(12 * Time::SECOND)).is_empty());
    assert_eq!(timeline.due(Time(13 * Time::SECOND)), [Hand::FreeBuffer]);
    timeline.observe(&seen(1, 5, &[], 0), Time(14 * Time::SECOND));
    let hands = timeline.due(Time(151 * Time::SECOND));
    let temperatures: Vec<_> = hands
        .iter()
        .map(|hand| match hand {
            Hand::Climate { temperature, humidity: Some(30), .. } => temperature.unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(temperatures, [26, 27, 28]);
}

#[test]
fn a_timeline_counts_from_the_first_request_when_it_is_to() {
    let s = |n: i64| Time(n * Time::SECOND);
    let text = "[[box]]\n[box.climate]\ntemperature_drift = 60.0\n\
        [[event]]\nat = \"10s\"\ndo = \"cut\"\n";
    let mut timeline = scene(text).timeline(s(5)).from_first_request();
    assert!(timeline.next_event().is_none() && timeline.due(s(100)).is_empty());
    timeline.begin(s(100));
    timeline.begin(s(105));
    assert_eq!(timeline.next_event(), Some(s(110)));
    assert_eq!(timeline.due(s(129)), [Hand::Cut]);
    assert_eq!(timeline.due(s(130)).len(), 1, "half a degree");
}

#[test]
fn the_schema_names_every_key() {
    let schema = json_schema();
    let keys = |pointer: &str| {
        let object = schema.pointer(pointer).and_then(serde_json::Value::as_object);
        object.unwrap_or_else(|| panic!("{pointer}")).keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(keys("/properties").len(), Layout::info().keys.len());
    let boxes = keys("/properties/box/items/properties");
    assert!(boxes.contains(&"uniid".to_owned()) && boxes.contains(&"D".to_owned()), "{boxes:?}");
    // Nothing in a scene can hold what a device says.
    let all = schema.to_string();
    for word in ["reply", "response\":{", "bytes\":{\"type\":\"string"] {
        assert!(!all.contains(&format!("\"{word}")), "{word}");
    }
}
