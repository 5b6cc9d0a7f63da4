//! What may go wrong in a round.

use k485_emulator::hand::{Buffer, Part, Sensor, Shows};
use k485_emulator::plant::Geometry;
use k485_emulator::{Hand, Rng};
use k485_link::fault::{self, Rule};
use k485_proto::dialect::K2;
use k485_proto::slot::Slot;

/// One trouble, by hands or by rules.
#[derive(Debug)]
pub(crate) enum Trouble {
    Hands(Vec<Hand>),
    HostRestarts,
    Rules(Vec<Rule>),
}

/// Rules of which one, or more, spoils the wire for a round. The last ones are worse.
const RULES: [&str; 18] = [
    "drop dir=request times=1",
    "drop dir=response times=2",
    "drop if func==0x10 && stage==feed_poll p=0.5",
    "drop if func==0x11 times=1",
    "delay 30ms jitter=300ms p=0.5",
    "delay 16s dir=response times=1",
    "duplicate 3 gap=5ms p=0.3",
    "truncate p=0.2",
    "split 100ms p=0.5",
    "split 130ms p=0.2",
    "flip_data p=0.3",
    "flip_address p=0.2",
    "wrong_status p=0.1",
    "wrong_function p=0.2",
    "noise_before 20 p=0.5",
    "echo p=0.3",
    "babble 3s gap=20ms p=0.05",
    "offline 5s p=0.05",
];

/// What befalls boxes.
const BEFALLS: [&str; 4] =
    ["reset p=0.03", "slow_boot 4s p=0.02", "busy 3s p=0.05", "offline 60s p=0.02"];

pub(crate) fn any(slot: Slot, unit: usize, geometry: &Geometry, rng: &mut Rng) -> Trouble {
    let unit = unit + 1;
    let somewhere = f64::from(rng.below(geometry.extruder as u32));
    let hand = |hand| Trouble::Hands(vec![hand]);
    match rng.below(20) {
        0 => Trouble::HostRestarts,
        1 => hand(Hand::Reset { unit }),
        2 => hand(Hand::Unplug { unit }),
        3 => Trouble::Hands(vec![Hand::Unplug { unit }, Hand::Plug { unit }]),
        4 => hand(Hand::PullOut { slot }),
        5 => hand(Hand::RunOut { slot, left: f64::from(rng.below(300)) }),
        6 => hand(Hand::Jam { slot, at: Some(somewhere) }),
        7 => hand(Hand::Jam { slot, at: None }),
        8 => hand(Hand::Slip { unit, on: true }),
        9 => hand(Hand::Block { unit, part: Part::Hub, on: true }),
        10 => hand(Hand::Block { unit, part: Part::Wheel, on: true }),
        11 => hand(Hand::Break { slot, at: somewhere }),
        12 => {
            let at = [Buffer::Full, Buffer::Middle, Buffer::Empty][rng.below(3) as usize];
            hand(Hand::HoldBuffer { at })
        }
        13 => {
            let sensor = [Sensor::Inlet, Sensor::Hub][rng.below(2) as usize];
            let shows = [Shows::On, Shows::Off][rng.below(2) as usize];
            hand(Hand::Sensor { slot, sensor, shows })
        }
        14 => {
            let shows = [Shows::On, Shows::Off][rng.below(2) as usize];
            hand(Hand::Toolhead { shows })
        }
        15 => Trouble::Rules(fault::chaos(1 + rng.below(5) as u8, &K2)),
        16 => Trouble::Rules(vec![rule(BEFALLS[rng.below(BEFALLS.len() as u32) as usize])]),
        _ => {
            let some = (0..1 + rng.below(3)).map(|_| RULES[rng.below(RULES.len() as u32) as usize]);
            Trouble::Rules(some.map(rule).collect())
        }
    }
}

fn rule(text: &str) -> Rule {
    Rule::parse(text, &K2).unwrap_or_else(|error| panic!("{text}: {error}"))
}
