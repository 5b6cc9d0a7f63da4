//! Learning: whatever was recorded makes a scene, and what was learned is what was there.

use k485_emulator::learn::Learner;
use k485_emulator::scene::Scene;
use k485_proto::address::Address;
use k485_proto::dialect::hi::HI;
use k485_proto::dialect::k1::K1;
use k485_proto::dialect::{Dialect, K2};
use k485_proto::exchange::{Exchange, Pairer, Seen};
use k485_proto::frame::Frame;
use k485_proto::record::{Direction, Origin, Record, Time, Verdict};
use k485_proto::status::Status;
use proptest::prelude::*;

type Said = (u8, u8, u8, Vec<u8>);

fn record((addr, status, func, data): &Said, dir: Direction, time: Option<i64>) -> Record {
    Record {
        time: time.map(Time),
        bus: "".into(),
        dir: Some(dir),
        offset: 0,
        bytes: Frame::to_vec(Address(*addr), Status(*status), *func, data).expect("a frame"),
        origin: Origin::Wire,
        verdict: Verdict::Frame,
        call: None,
    }
}

/// Exchanges of requests and replies, with their times where there are any.
fn exchanges(
    dialect: &'static Dialect,
    said: &[(Said, Option<Said>, Option<i64>)],
) -> Vec<Exchange> {
    let mut pairer = Pairer::with_dialect(dialect);
    for (request, reply, time) in said {
        pairer.push(record(request, Direction::Request, *time));
        if let Some(reply) = reply {
            let time = time.map(|time| time.saturating_add(3_000_000));
            pairer.push(record(reply, Direction::Response, time));
        }
    }
    pairer.finish();
    let all = std::iter::from_fn(|| pairer.pull());
    all.filter_map(|seen| match seen {
        Seen::Exchange(exchange) => Some(exchange),
        _ => None,
    })
    .collect()
}

fn learn(said: &[(Said, Option<Said>, Option<i64>)]) -> String {
    learn_in(&K2, said)
}

fn learn_in(dialect: &'static Dialect, said: &[(Said, Option<Said>, Option<i64>)]) -> String {
    let mut learner = Learner::new();
    exchanges(dialect, said).iter().for_each(|exchange| learner.push(exchange));
    learner.finish().to_toml()
}

fn scene(text: &str) -> Scene {
    Scene::from_toml(text, &K2).unwrap_or_else(|errors| panic!("{errors:?}\n{text}"))
}

fn ask(addr: u8, func: u8, data: &[u8]) -> Said {
    (addr, if func >= 0xa0 { 0 } else { 0xff }, func, data.to_vec())
}

#[test]
fn the_dialect_says_whose_box_it_is() {
    let s = |n: i64| Some(n * Time::SECOND);
    let version = |text: &str| (1, 0, 0x14, format!("{text}10000843215B625AHSC").into_bytes());
    let said = |text: &str| {
        [
            (ask(1, 0x14, &[]), Some(version(text)), s(0)),
            (ask(1, 0x05, &[]), Some((1, 0, 0x05, vec![1])), s(1)),
            (ask(1, 0x05, &[]), Some((1, 0, 0x05, vec![0])), s(2)),
        ]
    };
    for (dialect, version, firmware, own) in [
        (&K2, "113", "1.1.3", None),
        (&K2, "110", "1.1.0", None),
        (&K1, "110", "k1", None),
        (&HI, "113", "hi", None),
        (&HI, "120", "hi", Some("120")),
    ] {
        let text = learn_in(dialect, &said(version));
        let scene = scene(&text);
        let one = &scene.layout.boxes[0];
        assert_eq!(one.firmware.0.to_string(), firmware, "{text}");
        assert_eq!(one.version.as_ref().map(|version| version.0.to_string()).as_deref(), own);
        // What is no buffer on a Hi lets no extruder turn.
        assert_eq!(scene.layout.events.0.is_empty(), firmware == "hi", "{text}");
    }
}

#[test]
fn what_was_fed_was_there() {
    let s = |n: i64| Some(n * Time::SECOND);
    let text = learn(&[
        (ask(1, 0x10, &[4, 0, 0]), Some((1, 0, 0x10, vec![0])), s(0)),
        (ask(1, 0x08, &[1]), Some((1, 0, 0x08, vec![4])), s(1)),
        (ask(2, 0x10, &[1, 0, 0]), Some((2, 8, 0x10, vec![4])), s(2)),
    ]);
    let scene = scene(&text);
    let filled = |n: usize| scene.layout.boxes[n].slots().map(|slot| slot.is_some());
    assert_eq!(filled(0), [false, false, true, false], "{text}");
    assert_eq!(filled(1), [false; 4], "it had none: {text}");
}

#[test]
fn what_boxes_say_is_learned() {
    let s = |n: i64| Some(n * Time::SECOND);
    let tag = "1012402766000000102550000330000101000000";
    let text = learn(&[
        (ask(2, 0x14, &[]), Some((2, 0, 0x14, b"11010000843215B625AHSC".to_vec())), s(0)),
        (ask(2, 0x08, &[0]), Some((2, 0, 0x08, vec![0x03])), s(1)),
        (ask(2, 0x02, &[3]), Some((2, 0, 0x02, format!("A:{tag};B:unknown;").into_bytes())), s(2)),
        (ask(2, 0x03, &[3]), Some((2, 0, 0x03, vec![36, 100, 255, 255])), s(3)),
        (ask(2, 0x15, &[]), Some((2, 0, 0x15, vec![0x10, 0x21, 0x30, 0x40, 0x50, 0x60])), s(4)),
        (ask(2, 0x0a, &[]), Some((2, 0, 0x0a, vec![24, 40, 0, 0])), s(5)),
        (ask(2, 0x0a, &[]), Some((2, 0x30, 0x0a, vec![2, 0, 1, 0])), s(10)),
        (ask(2, 0x0a, &[]), Some((2, 0, 0x0a, vec![25, 40, 0, 0])), s(20)),
    ]);
    let scene = scene(&text);
    let one = &scene.layout.boxes[0];
    assert_eq!(one.address, Some(2));
    assert_eq!(one.serial.as_ref().map(|serial| serial.0.0.as_str()), Some("10000843215B625AHSC"));
    assert_eq!(one.firmware.0.to_string(), "1.1.0");
    assert_eq!(one.failed.0.len(), 1);
    assert!(text.contains(&format!("tag = \"{tag}\"")), "{text}");
    assert!(text.contains("tag = \"unreadable\""), "{text}");
    // A was pulled out and C put in, between 5 and 10 s; it is box 1 by its place.
    assert!(text.contains("do = \"pull_out\"\nslot = \"T1A\""), "{text}");
    assert!(text.contains("do = \"insert\"\nslot = \"T1C\""), "{text}");
    assert!(text.contains("do = \"climate\""), "{text}");
    assert_eq!(scene.layout.events.0.len(), 3, "{text}");
}

#[test]
fn without_times_events_wait_for_what_they_followed() {
    let text = learn(&[
        (ask(1, 0x08, &[0]), Some((1, 0, 0x08, vec![0])), None),
        (ask(1, 0x05, &[]), Some((1, 0, 0x05, vec![2])), None),
        (ask(1, 0x05, &[]), Some((1, 0, 0x05, vec![2])), None),
        (ask(1, 0x08, &[0]), Some((1, 0, 0x08, vec![1])), None),
    ]);
    assert!(text.contains("when = \"exchange && addr==0x01 && func==0x05\"\nnth = 2\n"), "{text}");
    scene(&text);
}

fn said() -> impl Strategy<Value = (Said, Option<Said>, Option<i64>)> {
    let addr = prop_oneof![4 => 1..=4_u8, 1 => any::<u8>()];
    let funcs = prop::sample::select(
        &[
            0x02, 0x03, 0x04, 0x05, 0x08, 0x0a, 0x0c, 0x0e, 0x0f, 0x10, 0x11, 0x13, 0x14, 0x15,
            0xa0, 0xa2, 0xa3,
        ][..],
    );
    let data = || prop::collection::vec(any::<u8>(), 0..24);
    let status = prop_oneof![3 => Just(0), 1 => Just(0x30), 1 => any::<u8>()];
    let time = prop_oneof![
        4 => (0..1_000_000_000_000_i64).prop_map(Some),
        1 => any::<i64>().prop_map(Some),
        1 => Just(None),
    ];
    (addr, funcs, data(), data(), status, any::<bool>(), time).prop_map(
        |(addr, func, asked, told, status, replied, time)| {
            let reply = replied.then_some((addr, status, func, told));
            (ask(addr, func, &asked), reply, time)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn anything_recorded_makes_a_scene(said in prop::collection::vec(said(), 0..60), half in 0..60_usize) {
        let all = exchanges(&K2, &said);
        let mut learner = Learner::new();
        for (n, exchange) in all.iter().enumerate() {
            if n == half {
                learner.start_here();
            }
            learner.push(exchange);
        }
        let text = learner.finish().to_toml();
        prop_assert_eq!(&text, &learner.finish().to_toml());
        let errors = Scene::from_toml(&text, &K2).err().unwrap_or_default();
        prop_assert!(errors.is_empty(), "{:?}\n{}", errors, text);
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]a-z_\"=.0-9{},\n -]{0,200}") {
        let _ = Scene::from_toml(&text, &K2);
    }
}
