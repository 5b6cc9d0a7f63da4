//! What was learned as a scene with its comments.

use std::collections::BTreeMap;

use k485_link::fault::{Draft, Value as FaultValue};
use k485_proto::record::Time;

use super::facts::BoxFacts;
use super::speeds::median;
use super::{Learned, Learner, MotorFacts, TO_HUB};
use crate::hand::Hand;
use crate::plant::Geometry;
use crate::scene::{
    BeltScene, BoxScene, FailedPart, Firmware, Layout, LetterWord, MotorScene, Notes, SerialNumber,
    SlotScene, SlotTag, SpoolScene, Uniid, Version2Text, VersionText,
};
use crate::table::{Length, List, Parsed};

use k485_proto::slot::{Letter, Slot};

/// From the toolhead's sensor to cutter and extruder, and from the joint to the sensor; the
/// default's.
const BEHIND: (f64, f64) = (15.0, 40.0);
const BEFORE: f64 = 110.0;
/// Where 10/00 leaves a tip behind the wheel.
const PAST_HUB: f64 = 15.0 + 3.2 * 154.0;
/// By so much more than the others a function's answers must take to be told.
const SLOWER: i64 = Time::MILLISECOND;

impl Learner {
    /// The scene as it was at the start, with what happened since.
    #[must_use]
    pub fn finish(&self) -> Learned {
        let mut layout = Layout::default();
        let mut notes = Notes::default();
        notes.add("", "Learned from recorded exchanges. Comments say how things are known;");
        notes.add("", "what has none was told by the device itself.");
        self.line(&mut layout, &mut notes);
        // Boxes are numbered by their place in the file, events name them by it.
        let places: BTreeMap<u8, usize> =
            self.boxes.keys().enumerate().map(|(place, addr)| (*addr, place)).collect();
        for (n, (addr, facts)) in self.boxes.iter().enumerate() {
            let one = filament_box(n + 1, *addr, facts, self.firmware, &mut notes);
            layout.boxes.push(one);
        }
        self.geometry(&mut layout, &mut notes);
        for (n, facts) in self.boxes.values().enumerate() {
            slots(n + 1, facts, self.way_to_hub(), &mut layout, &mut notes);
        }
        if self.printer.first_slack > 0.0 {
            layout.printer.slack = self.printer.first_slack.min(layout.printer.travel);
            notes.add("printer.slack", "inferred from pushes and the buffer's states before");
        }
        for (n, (addr, facts)) in self.motors.iter().enumerate() {
            layout.motors.push(motor(n + 1, *addr, facts, &mut notes));
        }
        for addr in &self.belts {
            layout.belts.push(BeltScene { address: Some(*addr), ..BeltScene::default() });
        }
        if let Some(tag) = &self.rack {
            layout.rack = Some(SpoolScene { tag: tag.clone(), ..SpoolScene::default() });
        }
        let mut events: Vec<_> = self.events.iter().collect();
        // In order of time; those that wait for something stay in theirs.
        events.sort_by_key(|(event, _)| event.due.at.map(|at| at.0));
        for (event, why) in events {
            let mut event = event.clone();
            renumber(&mut event.hand, &places);
            layout.events.0.push(event);
            notes.add(format!("event.{}", layout.events.0.len()), why.clone());
        }
        Learned { layout, notes }
    }

    /// How far tips are from the hub, in mm at a feeder's default speed.
    fn way_to_hub(&self) -> Option<f64> {
        let took = (!self.to_hub.is_empty()).then(|| median(&self.to_hub))?;
        Some(((took - TO_HUB) as f64 / 1e9 * Geometry::default().feeder_speed).round())
    }

    /// Turnaround, and functions that take longer.
    fn line(&self, layout: &mut Layout, notes: &mut Notes) {
        let calls = self.latencies.calls();
        if !calls.is_empty() {
            let list: Vec<String> = calls
                .iter()
                .map(|(func, ns)| format!("{func:02X} {}", Length(ns / 100_000 * 100_000)))
                .collect();
            notes
                .add("bus", "the capture has the times of calls, in which the host's own time is;");
            notes.add(
                "bus",
                format!("the bus's is not in it. Medians by function: {}", list.join(", ")),
            );
        }
        let turnarounds = self.latencies.turnarounds();
        let Some(least) = turnarounds.values().min().copied() else { return };
        layout.bus.turnaround = Parsed(Length(least / 10_000 * 10_000));
        notes.add("bus.turnaround", "the median of the function that is answered fastest");
        for (func, ns) in turnarounds.iter().filter(|(_, ns)| **ns - least >= SLOWER) {
            let more = Length((ns - least) / 10_000 * 10_000).to_string();
            let mut draft = Draft::default();
            for (key, text) in [
                ("kind", "delay".to_owned()),
                ("time", more),
                ("when", format!("func==0x{func:02x}")),
                ("direction", "response".to_owned()),
            ] {
                // The fields of a delay.
                let _ = draft.set(key, FaultValue::Text(text));
            }
            layout.faults.0.push(draft);
            let n = layout.faults.0.len();
            notes
                .add(format!("fault.{n}"), format!("{func:02X} is answered later than the others"));
        }
    }

    /// Distances and the hub motor's speed.
    fn geometry(&self, layout: &mut Layout, notes: &mut Notes) {
        for (n, facts) in self.boxes.values().enumerate() {
            let path = format!("box.{}.geometry", n + 1);
            let mut why = Vec::new();
            let own = &mut layout.boxes[n].geometry;
            if let Some(speed) = facts.speed().filter(|speed| (1.0..10_000.0).contains(speed)) {
                own.set("hub_speed", |geometry| geometry.hub_speed = speed);
                why.push("the speed is the odometer's while it fed");
            }
            let wheel = Geometry::default().wheel;
            if let Some(mm) = facts.toolhead().filter(|mm| (300.0..50_000.0).contains(mm)) {
                let toolhead = (wheel + mm).round();
                own.set("toolhead", |geometry| geometry.toolhead = toolhead);
                own.set("joint", |geometry| geometry.joint = toolhead - BEFORE);
                own.set("cutter", |geometry| geometry.cutter = toolhead + BEHIND.0);
                own.set("extruder", |geometry| geometry.extruder = toolhead + BEHIND.1);
                why.push(
                    "toolhead is as far as the box had fed when the host ended the feed (10/06);",
                );
                why.push("joint, cutter and extruder are as far from it as by default");
            }
            for line in why {
                notes.add(&path, line);
            }
        }
    }
}

fn filament_box(
    n: usize,
    addr: u8,
    facts: &BoxFacts,
    firmware: Option<Firmware>,
    notes: &mut Notes,
) -> BoxScene {
    let path = |key: &str| format!("box.{n}.{key}");
    let mut one = BoxScene { address: Some(addr), ..BoxScene::default() };
    one.uniid = facts.uniid.map(|uniid| Parsed(Uniid(uniid)));
    if let Some(firmware) = firmware {
        one.firmware = Parsed(firmware);
        notes.add(path("firmware"), "the dialect in which the capture was read");
    }
    let printable = |bytes: &[u8]| bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
    if let Some(version) = facts.version.filter(|version| printable(version)) {
        match &version {
            own if *own == one.firmware.0.version() => {}
            b"110" if firmware.is_none() => one.firmware = Parsed(Firmware::Box110),
            _ => one.version = Some(Parsed(VersionText(version))),
        }
    } else {
        notes.add(path("address"), "its version was not asked: the default's");
    }
    let serial = facts.serial.clone();
    let serial = serial.filter(|text| printable(text.as_bytes()) && text.len() <= 19);
    one.serial = serial.map(|text| Parsed(SerialNumber(text)));
    let parts = [
        FailedPart::Eeprom,
        FailedPart::Humidity,
        FailedPart::Wheel,
        FailedPart::Buffer,
        FailedPart::RfidLeft,
        FailedPart::RfidRight,
    ];
    let failed = parts.into_iter().zip(facts.failed).filter(|(_, failed)| *failed);
    one.failed = List(failed.map(|(part, _)| Parsed(part)).collect());
    if let Some(slot) = facts.first_printing.flatten() {
        one.printing = Some(Parsed(LetterWord(Letter::ALL[slot])));
        notes.add(path("printing"), "the host had set it to print from there");
    }
    if let Some(mm) = facts.first_odometer {
        one.odometer = (mm * 100.0).round() / 100.0;
        notes.add(path("odometer"), "its first reading, and what it had fed before that");
    }
    if let Some((_, temperature, humidity)) = facts.first_climate {
        one.climate.set("temperature", |climate| climate.temperature = temperature);
        one.climate.set("humidity", |climate| climate.humidity = humidity);
    }
    if let Some((temperature, humidity)) = facts.first_drift.filter(|drift| *drift != (0.0, 0.0)) {
        one.climate.set("temperature_drift", |climate| climate.temperature_drift = temperature);
        one.climate.set("humidity_drift", |climate| climate.humidity_drift = humidity);
        notes.add(path("climate"), "the drift is that of the readings before");
    }
    one
}

/// What was in the slots.
fn slots(
    n: usize,
    facts: &BoxFacts,
    way_to_hub: Option<f64>,
    layout: &mut Layout,
    notes: &mut Notes,
) {
    let geometry = layout.boxes[n - 1].geometry.over(&layout.geometry);
    let mut mask = facts.first_inlets.unwrap_or(facts.fed);
    for moved in [facts.first_loaded, facts.first_in_hub, facts.first_printing.flatten()] {
        mask |= moved.map_or(0, |slot| 1 << slot);
    }
    for slot in (0..4).filter(|slot| mask >> slot & 1 != 0) {
        let letter = Letter::ALL[slot].as_char();
        let path = format!("box.{n}.{letter}");
        let mut content = SlotScene::default();
        match &facts.tags[slot] {
            Some(Ok(text)) => content.tag = Some(Parsed(SlotTag::Text(text.clone()))),
            Some(Err(())) => content.tag = Some(Parsed(SlotTag::Unreadable)),
            None => notes.add(&path, "its tag was not asked"),
        }
        if let Some(percent) = facts.remain[slot] {
            content.remain = percent;
        }
        if facts.first_loaded == Some(slot) || facts.first_printing.flatten() == Some(slot) {
            content.tip = Some(geometry.extruder);
            notes.add(&path, "it was loaded: its tip is in the extruder");
        } else if facts.first_in_hub == Some(slot) {
            content.tip = Some((geometry.wheel + PAST_HUB).min(geometry.joint));
            notes.add(&path, "it was in the hub");
        } else {
            if facts.first_inlets.is_none() {
                notes.add(&path, "it was fed later, so it was there");
            }
            if let Some(mm) = way_to_hub {
                content.tip = Some((geometry.hub - mm).max(5.0));
                notes.add(&path, "its tip is where 10/00 takes as long as it was seen to");
            }
        }
        *layout.boxes[n - 1].slot_mut(slot) = Some(content);
    }
    if facts.first_inlets.is_none() && mask == 0 {
        notes.add(format!("box.{n}.address"), "its slots were not asked: empty here");
    }
}

fn motor(n: usize, addr: u8, facts: &MotorFacts, notes: &mut Notes) -> MotorScene {
    let mut motor = MotorScene { address: Some(addr), ..MotorScene::default() };
    match facts.versions {
        Some([a, b, c, d, rest @ ..]) => {
            motor.firmware = [a, b, c, d];
            for (place, pair) in motor.versions.iter_mut().zip(rest.chunks_exact(2)) {
                *place = Parsed(Version2Text([pair[0], pair[1]]));
            }
        }
        None => notes.add(format!("motor.{n}"), "its versions were not asked"),
    }
    let bits = |word: u32| List((0..32).filter(|bit| word >> bit & 1 != 0).collect::<Vec<u8>>());
    if let Some((errors, warnings)) = facts.first {
        (motor.errors, motor.warnings) = (bits(errors), bits(warnings));
    }
    motor
}

/// Addresses become places.
fn renumber(hand: &mut Hand, places: &BTreeMap<u8, usize>) {
    let place = |addr: u8| places.get(&addr).copied().unwrap_or_default();
    let by_slot = |slot: &mut Slot| slot.device = place(slot.device) as u8 + 1;
    match hand {
        Hand::Insert { slot, .. } | Hand::PullOut { slot } => by_slot(slot),
        Hand::Climate { unit, .. } => *unit = place(*unit as u8) + 1,
        _ => {}
    }
}
