//! A short transcript of our own, played on a bus that is as it should be and on some that are not:
//! what finds fault with nothing would prove nothing. These run everywhere.

use k485_emulator::hand::{Hand, Shows};
use libtest_mimic::{Failed, Trial};

use crate::{play, report};

/// A start with a saved table, a greeting and a load, in the vendor's order.
const LOAD: &str = "
 0.000000 H> f7fe1000a00101010101010101010101010122
 0.010000 S< f7011100a0010001010101010101010101010173
 0.050000 H> f7010300a2da
 0.055000 S< f7011100a201000101010101010101010101011e
 0.075000 H> f7fe0500a1fefef8
 5.000000 H> f70105ff04000190
 5.005000 S< f701030004a1
 5.025000 H> f70103ff1501
 5.030000 S< f701090015000000000000c1
 5.050000 H> f70104ff0800db
 5.055000 S< f7010400080fdd
 5.075000 H> f70104ff0801dc
 5.080000 S< f70104000800f0
 7.000000 H> f70106ff10010000c3
 8.000000 S< f701040010000f
 8.020000 H> f70106ff1001040097
 8.025000 S< f701030010cd
 8.045000 H> f70106ff1001050082
 8.050000 S< f701070010c47c8000f8
10.050000 H> f70106ff10010600bd
10.055000 S< f701030010cd
14.400000 H> f70106ff10010703a1
14.405000 S< f701030010cd
19.000000 H> f70103ff0571
19.005000 S< f7010400050019
19.025000 H> f70105ff04010082
19.030000 S< f701030004a1
";

const SLOT: k485_proto::slot::Slot =
    k485_proto::slot::Slot { device: 1, letter: k485_proto::slot::Letter::A };

pub(crate) fn trials() -> Vec<Trial> {
    let spoilt: [(&str, Option<Hand>); 6] = [
        ("as_it_should_be", None),
        ("a_box_unplugged", Some(Hand::Unplug { unit: 1 })),
        ("a_slot_empty", Some(Hand::PullOut { slot: SLOT })),
        ("a_jam", Some(Hand::Jam { slot: SLOT, at: Some(900.0) })),
        ("a_dead_toolhead_sensor", Some(Hand::Toolhead { shows: Shows::Off })),
        ("a_gear_that_slips", Some(Hand::Slip { unit: 1, on: true })),
    ];
    let trial = |(name, hand): (&'static str, Option<Hand>)| {
        Trial::test(format!("own::{name}"), move || run(name, hand.as_ref()))
    };
    spoilt.into_iter().map(trial).collect()
}

fn run(name: &str, hand: Option<&Hand>) -> Result<(), Failed> {
    for auto in [false, true] {
        let tally = play(LOAD, 1, auto, |world| {
            if let Some(hand) = hand {
                world.act(hand).expect("a hand");
            }
        })?;
        report(name, &tally);
        let faults = tally.faults().count();
        match (hand, faults) {
            (None, 0) => {}
            (None, _) => return Err(format!("{name}: {faults} faults").into()),
            (Some(_), 0) => return Err(format!("{name}: not found").into()),
            (Some(_), _) => {}
        }
    }
    Ok(())
}
