//! What is in the slots, from all places of a trace that tell it: the box's `get_status`, replies
//! to GET_RFID on the bus, and a person.

use std::collections::BTreeMap;

use k485_proto::frame::Frame;
use k485_proto::material::{Colour, MaterialCode, TagRecord};
use k485_proto::message::tag;
use k485_proto::record::Time;
use k485_proto::slot::{Letter, Slot};
use serde_json::Value;

/// The function GET_RFID.
const GET_RFID: u8 = 0x02;
/// How many changes of one slot are kept; what comes behind them is not.
const MOST: usize = 4096;

/// What is in a slot, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spool {
    /// The material's code.
    pub material: Option<MaterialCode>,
    /// The filament's colour.
    pub colour: Option<Colour>,
}

/// The spools of a trace, at every time of it.
#[derive(Debug, Clone, Default)]
pub struct Spools {
    told: BTreeMap<Slot, Vec<(Option<Time>, Spool)>>,
    fixed: BTreeMap<Slot, Spool>,
}

impl Spools {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Spools {
        Spools::default()
    }

    /// What a person says; it counts more than what any trace tells.
    pub fn fix(&mut self, slot: Slot, spool: Spool) {
        self.fixed.insert(slot, spool);
    }

    /// What was in a slot at a time. What is not known of it does not wipe out what was.
    pub fn tell(&mut self, time: Option<Time>, slot: Slot, spool: Spool) {
        let told = self.told.entry(slot).or_default();
        let before = told.last().map(|(_, spool)| spool.clone()).unwrap_or_default();
        let spool = Spool {
            material: spool.material.or(before.material),
            colour: spool.colour.or(before.colour),
        };
        if spool != before && told.len() < MOST {
            told.push((time, spool));
        }
    }

    /// What is in a slot at a time: what was told last before it, or else first after it.
    #[must_use]
    pub fn at(&self, slot: Slot, time: Option<Time>) -> Spool {
        let told = self.told.get(&slot).map(Vec::as_slice).unwrap_or_default();
        let before = told.iter().rev().find(|(at, _)| *at <= time).or(told.first());
        let told = before.map(|(_, spool)| spool.clone()).unwrap_or_default();
        let fixed = self.fixed.get(&slot).cloned().unwrap_or_default();
        Spool { material: fixed.material.or(told.material), colour: fixed.colour.or(told.colour) }
    }

    /// The slots of which something is known, with what was known last.
    pub fn known(&self) -> impl Iterator<Item = (Slot, Spool)> + use<'_> {
        Slot::all()
            .map(|slot| (slot, self.at(slot, Some(Time(i64::MAX)))))
            .filter(|(_, spool)| *spool != Spool::default())
    }

    /// The box's `get_status`: `{"T1": {"color_value": ["0ffffff", …], "material_type": […]}}`. From
    /// community documents of the K2's API; slots that it does not know have `-1`.
    pub fn status(&mut self, time: Option<Time>, status: &Value) {
        for slot in Slot::all() {
            let device = &status[format!("T{}", slot.device)];
            let field = |name: &str| device[name][slot.letter.index()].as_str();
            self.tell(
                time,
                slot,
                Spool {
                    material: field("material_type").and_then(material),
                    colour: field("color_value").and_then(colour),
                },
            );
        }
    }

    /// A frame: what a box answers to GET_RFID.
    pub fn frame(&mut self, time: Option<Time>, frame: &[u8]) {
        let Ok(frame) = Frame::from_bytes(frame) else { return };
        let device = frame.addr().0;
        if frame.func() != GET_RFID || !(1..=4).contains(&device) {
            return;
        }
        for (letter, body) in tag::entries(frame.data()).0 {
            if let (Some(letter), Ok(record)) = (Letter::from_char(letter), TagRecord::parse(body))
            {
                self.tell(
                    time,
                    Slot { device, letter },
                    Spool {
                        material: material(record.material()),
                        colour: colour(record.colour()),
                    },
                );
            }
        }
    }
}

/// A material's code; none are the words of boxes without one.
fn material(text: &str) -> Option<MaterialCode> {
    text.parse().ok().filter(|_| !text.bytes().all(|byte| byte == b'0'))
}

/// A colour in any of the ways that people and programs write it: `0ff1e1e`, `ff1e1e`, `#ff1e1e`.
#[must_use]
pub fn colour(text: &str) -> Option<Colour> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    let digits = if digits.len() == 7 { digits.strip_prefix('0')? } else { digits };
    format!("0{digits}").parse().ok()
}

#[cfg(test)]
mod tests {
    use k485_proto::address::Address;
    use k485_proto::status::Status;

    use super::*;

    fn slot(text: &str) -> Slot {
        text.parse().unwrap()
    }

    fn spool(material: &str, colour: &str) -> Spool {
        Spool { material: Some(material.parse().unwrap()), colour: super::colour(colour) }
    }

    #[test]
    fn a_status_a_tag_and_a_person() {
        let mut spools = Spools::new();
        let status = serde_json::json!({ "state": "connect", "T2": {
            "color_value": ["0ffffff", "-1", "none", 3],
            "material_type": ["101001", "-1", "000000", "unknown"],
        } });
        spools.status(Some(Time(5)), &status);
        assert_eq!(spools.known().collect::<Vec<_>>(), [(slot("T2A"), spool("101001", "ffffff"))]);
        // A tag of 40 characters: material at 11, colour at 17.
        let record = format!("{:0<11}0P100207a92ac{:0<16}", "1", "");
        let data = format!("A:none;B:{record};");
        let frame = Frame::to_vec(Address(2), Status::OK, GET_RFID, data.as_bytes()).unwrap();
        spools.frame(Some(Time(6)), &frame);
        assert_eq!(spools.at(slot("T2B"), None), spool("0P1002", "7a92ac"));
        spools.fix(slot("T2B"), Spool { material: None, colour: colour("#000000") });
        assert_eq!(spools.at(slot("T2B"), None), spool("0P1002", "000000"));
    }

    #[test]
    fn the_spool_of_its_time() {
        let mut spools = Spools::new();
        let at = |spools: &Spools, time| spools.at(slot("T1A"), Some(Time(time)));
        spools.tell(Some(Time(10)), slot("T1A"), spool("101001", "ffffff"));
        spools.tell(Some(Time(20)), slot("T1A"), Spool::default());
        spools.tell(Some(Time(30)), slot("T1A"), spool("101001", "000000"));
        for (time, expected) in [(0, "ffffff"), (15, "ffffff"), (25, "ffffff"), (30, "000000")] {
            assert_eq!(at(&spools, time), spool("101001", expected), "{time}");
        }
    }

    #[test]
    fn colours_in_many_spellings() {
        for text in ["0ff1e1e", "ff1e1e", "#ff1e1e", "#FF1E1E"] {
            assert_eq!(colour(text), Some([0xff, 0x1e, 0x1e].into()), "{text}");
        }
        for text in ["", "-1", "1ff1e1e", "ff1e1", "ff1e1g", "#"] {
            assert_eq!(colour(text), None, "{text}");
        }
    }
}
