//! A scene's world.

use k485_link::Rng;
use k485_link::fault::Faults;
use k485_proto::address::Address;
use k485_proto::frame::HEAD;
use k485_proto::message::motors::{Errors, Warnings};
use k485_proto::message::params;
use k485_proto::record::Time;

use super::parts::SlotScene;
use super::words::{Loader, SlotTag};
use super::{BoxScene, ClimateScene, MotorScene, Scene, SpoolScene, Timeline};
use crate::bus::BusConfig;
use crate::device::belt::BeltConfig;
use crate::device::boxes::{BoxConfig, Climate, Timings};
use crate::device::motor::MotorConfig;
use crate::hand::Hand;
use crate::plant::{Geometry, Port, Spool};
use crate::spool::SpoolSpec;
use crate::world::World;

/// Keeps the chance of identities apart from that of the devices.
const IDENTITIES: u64 = 0x4944;
/// Keeps the chance of faults apart from that of the devices.
const FAULTS: u64 = 0x4641;

impl Scene {
    /// The world as it is at the start. The timeline has what happens in it later.
    #[must_use]
    pub fn build(&self, start: Time) -> World {
        let layout = &self.layout;
        let boxes = layout.boxes.iter().enumerate();
        let boxes = boxes.map(|(unit, one)| self.box_config(unit, one, start)).collect();
        let mut world = World::new(start, boxes, layout.seed);
        let printer = world.plant_mut().printer_mut();
        printer.travel = layout.printer.travel;
        printer.slack = layout.printer.slack;
        printer.nozzle = layout.printer.nozzle;
        printer.beyond = layout.printer.beyond;
        for (unit, one) in layout.boxes.iter().enumerate() {
            let geometry = one.geometry.over(&layout.geometry);
            let parked = parked(&geometry, &one.timings.over(&layout.timings));
            world.plant_mut().path_mut(unit).geometry = geometry;
            for (slot, content) in one.slots().into_iter().enumerate() {
                let Some(content) = content else { continue };
                let tip = content.tip.unwrap_or(parked);
                world.plant_mut().place(Port { unit, slot }, content.spool(), tip);
            }
        }
        for motor in &layout.motors {
            self.add_motor(&mut world, motor);
        }
        for belt in &layout.belts {
            let [place, loose, tight] = belt.calibration;
            world.add_belt(BeltConfig {
                address: Address(belt.address.unwrap_or_default()),
                hardware: belt.hardware,
                software: belt.software.0.clone(),
                calibration: [place, loose, tight],
                adc: belt.adc,
            });
        }
        if let Some(rack) = &layout.rack {
            world.add_rack(rack.spec().tag().ok().flatten());
        }
        for (unit, _) in layout.boxes.iter().enumerate().filter(|(_, one)| one.plug_at.is_some()) {
            // There is such a box.
            let _ = world.act(&Hand::Unplug { unit: unit + 1 });
        }
        world.advance(start);
        world
    }

    /// What happens later.
    #[must_use]
    pub fn timeline(&self, start: Time) -> Timeline {
        Timeline::new(&self.layout, &self.filters, start)
    }

    /// Its faults at work.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults::new(self.rules.clone(), self.dialect, self.layout.seed ^ FAULTS)
    }

    /// Its line.
    #[must_use]
    pub fn bus(&self) -> BusConfig {
        let bus = &self.layout.bus;
        BusConfig { baud: bus.baud, turnaround: bus.turnaround.0.0, fast: bus.fast, echo: bus.echo }
    }

    fn box_config(&self, unit: usize, one: &BoxScene, start: Time) -> BoxConfig {
        let layout = &self.layout;
        let climate = one.climate.over(&layout.climate);
        let mut failed = [false; 6];
        for part in &one.failed.0 {
            failed[part.0 as usize] = true;
        }
        BoxConfig {
            unit,
            power_on: start,
            uniid: one.uniid.map_or_else(|| identity(layout.seed, unit), |uniid| uniid.0.0),
            address: one.address.map(Address),
            loader_ms: match one.loader {
                None => 0,
                Some(loader) => match loader.0 {
                    Loader::UntilTold => u32::MAX,
                    Loader::For(length) => {
                        u32::try_from(length.0 / Time::MILLISECOND).unwrap_or(u32::MAX - 1)
                    }
                },
            },
            family: one.firmware.0.family(),
            version: one.version.map_or_else(|| one.firmware.0.version(), |version| version.0.0),
            serial: match &one.serial {
                Some(serial) => serial.0.0.clone(),
                None => format!("1000000000000000{}A1", unit + 1),
            },
            odometer: one.odometer,
            printing: one.printing.map(|letter| letter.0.0.index()),
            climate: at_start(&climate),
            failed,
            preload: one.preload,
            timings: one.timings.over(&layout.timings),
        }
    }

    fn add_motor(&self, world: &mut World, motor: &MotorScene) {
        let address = Address(motor.address.unwrap_or_default());
        let params = motor.params.iter();
        let [deviation, mean] = motor.offset;
        world.add_motor(MotorConfig {
            address,
            firmware: motor.firmware,
            versions: motor.versions.map(|version| version.0.0),
            params: params.filter_map(|p| Some((p.id, params::bytes(p.id, p.value)?))).collect(),
            calibrate_ms: motor.calibrate_ms,
            calibrates: motor.calibrates,
            offset: (deviation as f32, mean as f32),
            numbers: motor.numbers.map(|n| n as f32),
            counters: motor.counters,
        });
        let bits = |bits: &[u8]| bits.iter().fold(0, |word, bit| word | 1_u32 << bit);
        let (Errors(errors), Warnings(warnings)) =
            (Errors(bits(&motor.errors.0)), Warnings(bits(&motor.warnings.0)));
        // There is such a motor.
        let _ = world.act(&Hand::Motor { address: address.0, errors, warnings });
    }
}

/// Where preloading leaves a tip: pulled back behind the hub's sensor.
fn parked(geometry: &Geometry, timings: &Timings) -> f64 {
    let back = geometry.feeder_speed * f64::from(timings.overrun) / 1000.0;
    (geometry.hub - back).max(geometry.hub / 2.0)
}

/// What a box measures at the start.
fn at_start(climate: &ClimateScene) -> Option<Climate> {
    let ClimateScene { temperature, humidity, .. } = *climate;
    climate.answers.then_some(Climate { temperature, humidity })
}

/// An identity by chance, the same for the same seed.
fn identity(seed: u64, unit: usize) -> [u8; 12] {
    let mut rng = Rng::new(seed ^ IDENTITIES ^ (unit as u64) << 32);
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&rng.next_u64().to_be_bytes());
    bytes[8..].copy_from_slice(&rng.next_u64().to_be_bytes()[..4]);
    // A box takes a head inside another's reply for one, and with its own address behind it waits
    // for a frame that does not come. A scene that wants that writes such an identity.
    bytes.map(|byte| if byte == HEAD { !HEAD } else { byte })
}

impl SpoolScene {
    /// The spool that it describes.
    #[must_use]
    pub fn spec(&self) -> SpoolSpec {
        SpoolSpec {
            material: self.material.clone(),
            colour: self.colour.clone(),
            length: self.length,
            remain: self.remain,
            serial: self.serial.clone(),
            tag: self.tag.clone(),
        }
    }

    /// As programs write it.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::to_value(self.spec()).unwrap_or_default()
    }
}

impl SlotScene {
    /// The spool that it describes.
    #[must_use]
    pub fn spec(&self) -> SpoolSpec {
        let tag = self.tag.as_ref().and_then(|tag| match &tag.0 {
            SlotTag::Unreadable => None,
            SlotTag::Text(text) => Some(text.clone()),
        });
        SpoolSpec {
            material: self.material.clone(),
            colour: self.colour.clone(),
            length: self.length,
            remain: self.remain,
            serial: self.serial.clone(),
            tag,
        }
    }

    /// The spool for the plant.
    fn spool(&self) -> Spool {
        let mut spool = self.spec().spool().unwrap_or_default();
        if self.tag.as_ref().is_some_and(|tag| tag.0 == SlotTag::Unreadable) {
            spool.tag = None;
        }
        spool
    }
}
