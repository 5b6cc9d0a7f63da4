//! The search on buses of every speed, through the model of the line.

use super::*;
use k485_link::uart::{Line, Noise, heard};
use k485_proto::dialect::K2;
use k485_proto::message::kind::hex_bytes;
use proptest::prelude::*;

/// The polls of an idle host with two boxes, of a second.
const IDLE: [&str; 6] = [
    "f7010300a2da",
    "f7011100a2010069063002185333115235383244",
    "f7020300a2da",
    "f7021100a2010069063002185333115235383244",
    "f70103ff0a5c",
    "f70107000a19240000e7",
];

/// Runs a search on a bus until it is sure, or for so many tries.
fn search(mut listen: impl FnMut(&Try) -> Vec<u8>, tries: usize) -> BaudHunt {
    let mut hunt = BaudHunt::new(BAUDS[0], DWELL, &K2);
    for _ in 0..tries {
        let Some(next) = hunt.next_try() else { break };
        let bytes = listen(&next);
        hunt.heard(next.baud, &bytes);
    }
    hunt
}

/// What a UART at the try's speed reads of those polls at another.
fn polls(baud: u32, next: &Try) -> Vec<u8> {
    let frame = |text: &str| heard(Line::new(baud, next.baud), &hex_bytes(text).unwrap());
    IDLE.iter().flat_map(|text| frame(text)).collect()
}

#[test]
fn every_speed_is_found_at_its_first_try() {
    for baud in BAUDS {
        let hunt = search(|next| polls(baud, next), BAUDS.len());
        let found = hunt.verdict().unwrap_or_else(|| panic!("{baud}: {hunt:?}"));
        assert_eq!((found.baud, found.sure, found.frames), (baud, true, 6));
        assert_eq!((found.share_percent, found.next_frames), (100.0, 0));
        let tries = BAUDS.iter().position(|other| *other == baud).unwrap() + 1;
        assert_eq!(hunt.scores().count(), tries, "{baud}");
    }
}

#[test]
fn a_bus_where_nobody_answers_is_found_by_one_poll_again_and_again() {
    let poll = hex_bytes("f7fe0500a1fefef8").unwrap();
    let hunt = search(|next| heard(Line::new(115_200, next.baud), &poll), 40);
    let found = hunt.verdict().expect("found");
    assert_eq!((found.baud, found.distinct, found.sure), (115_200, 1, true));
}

#[test]
fn frames_are_found_among_much_noise() {
    let mut noise = Noise::new(3);
    let listen = |next: &Try| {
        let mut line = Line::new(230_400, next.baud);
        let mut out = Vec::new();
        for text in IDLE {
            noise.wander(&mut line, Duration::from_millis(40), &mut out);
            line.idle(Duration::from_millis(1), &mut out);
            line.bytes(&hex_bytes(text).unwrap(), &mut out);
        }
        line.idle(Duration::from_millis(1), &mut out);
        out
    };
    let found = search(listen, 3).verdict().expect("found");
    assert_eq!((found.baud, found.sure), (230_400, true));
    assert!(found.share_percent < 20.0, "{found}");
}

#[test]
fn one_false_frame_in_noise_does_not_win() {
    let mut noise = Noise::new(11);
    let hunt = search(
        |next| {
            let mut out = Vec::new();
            let mut line = Line::new(1, next.baud);
            noise.wander(&mut line, Duration::from_millis(100), &mut out);
            // At one speed there is a whole frame in it, each time the same.
            if next.baud == 460_800 {
                out.extend(hex_bytes("f70103ff0a5c").unwrap());
            }
            out
        },
        60,
    );
    assert_eq!(hunt.verdict(), None);
    assert_eq!(hunt.rounds(), 4);
    // And is looked at first, twice as long.
    assert_eq!(hunt.order[0], 460_800);
}

#[test]
fn silence_is_listened_to_for_longer_before_the_next_speed() {
    let mut hunt = BaudHunt::new(BAUDS[0], DWELL, &K2);
    let bauds: Vec<u32> = (0..6).map(|_| hunt.next_try().unwrap().baud).collect();
    assert_eq!(bauds, [230_400, 230_400, 230_400, 115_200, 460_800, 250_000]);
    assert_eq!(hunt.verdict(), None);
}

#[test]
fn a_speed_that_the_port_has_not_is_left_out() {
    let mut hunt = BaudHunt::new(500_000, DWELL, &K2);
    let first = hunt.next_try().unwrap();
    assert_eq!(first.baud, 500_000);
    hunt.cannot(500_000);
    let first = hunt.next_try().unwrap();
    assert_eq!(first.baud, 230_400);
    hunt.heard(230_400, &[0; 9]);
    assert_eq!(hunt.next_try().unwrap().baud, 115_200);
    hunt.cannot(115_200);
    let rest: Vec<u32> = (0..9).map(|_| hunt.next_try().unwrap().baud).collect();
    assert_eq!(
        rest,
        [460_800, 250_000, 921_600, 1_000_000, 57_600, 38_400, 19_200, 9_600, 125_000]
    );
}

/// The frames of the sample capture, half a minute of a printer that loads filament.
fn sample() -> Vec<Vec<u8>> {
    let text = include_str!("../../../../captures/sample-load.hex");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.filter_map(|line| line.split_once(')'));
    lines
        .map(|(_, digits)| hex_bytes(&digits.split_whitespace().collect::<String>()).unwrap())
        .collect()
}

/// Real traffic at speeds that are not tried, and on swapped wires: however long it goes on, no
/// speed is taken for its own.
#[test]
fn wrongly_read_traffic_is_never_taken_for_right() {
    let frames = sample();
    let near = |bus: u32| BAUDS.iter().any(|baud| baud.abs_diff(bus) * 100 < baud * 8);
    let strange: Vec<u32> = (1..=60).map(|n| n * 27_000).filter(|bus| !near(*bus)).collect();
    let straight = strange.iter().map(|bus| (*bus, Line::new as fn(u32, u32) -> Line));
    let swapped = BAUDS.iter().map(|bus| (*bus, Line::swapped as fn(u32, u32) -> Line));
    for (bus, line) in straight.chain(swapped) {
        let listen = |next: &Try| {
            frames.iter().flat_map(|frame| heard(line(bus, next.baud), frame)).collect()
        };
        let hunt = search(listen, 36);
        assert_eq!(hunt.verdict(), None, "{bus} {:?}", hunt.verdict());
    }
}

#[test]
fn the_sample_is_found_at_every_speed() {
    let frames = sample();
    for bus in BAUDS {
        let listen = |next: &Try| {
            frames.iter().flat_map(|frame| heard(Line::new(bus, next.baud), frame)).collect()
        };
        let found = search(listen, 30).verdict().expect("found");
        assert_eq!((found.baud, found.sure), (bus, true));
    }
}

proptest! {
    /// Random bytes, a second of them at full speed, are never taken for a bus.
    #[test]
    fn random_bytes_are_no_bus(bytes in proptest::collection::vec(any::<u8>(), 0..20_000)) {
        let mut hunt = BaudHunt::new(BAUDS[0], DWELL, &K2);
        hunt.heard(230_400, &bytes);
        prop_assert!(!hunt.is_sure());
    }
}
