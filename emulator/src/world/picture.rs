//! A world as a plain picture: what a control program or a page shows.

use serde::Serialize;

use k485_proto::address::Address;
use k485_proto::key::Key;
use k485_proto::material::{self, Colour, TagRecord};
use k485_proto::message::FieldType;
use k485_proto::message::codes::BoxState;
use k485_proto::slot::Letter;
use k485_proto::status::Status;

use super::{Player, World};
use crate::plant::{Drive, Geometry, Piece, SensorFault, Spool};

/// Everything at one moment. Lengths are in mm, the time in seconds of the world's clock.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Picture {
    /// When, in seconds.
    pub time: f64,
    /// Whether the toolhead's sensor shows filament.
    pub toolhead: bool,
    /// The printer's buffer.
    pub buffer: BufferPicture,
    /// How fast the extruder turns, in mm/s.
    pub extruder: f64,
    /// Whether the toolhead's sensor shows the same whatever is there.
    pub toolhead_forced: bool,
    /// How far it is from the extruder's gears to the nozzle.
    pub nozzle: f64,
    /// How far the filament in the extruder reaches beyond its gears.
    pub beyond: f64,
    /// What was cut off, as mm before the gears, while it is there.
    pub stub: Option<f64>,
    /// The boxes in their order.
    pub boxes: Vec<BoxPicture>,
    /// The addresses of all other devices.
    pub others: Vec<u8>,
    /// The same devices, with what there is to tell of them.
    pub devices: Vec<DevicePicture>,
}

/// A device that is no box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DevicePicture {
    /// A motor.
    Motor {
        /// Its address.
        address: u8,
        /// The protection's errors: bit n is key781+n.
        errors: u32,
        /// The protection's warnings: bit n is key795+n.
        warnings: u32,
    },
    /// A belt module.
    Belt {
        /// Its address.
        address: u8,
        /// What its sensor reads.
        adc: u32,
    },
    /// The rack's tag reader.
    Rack {
        /// Its address.
        address: u8,
        /// The tag of the spool on it.
        tag: Option<String>,
    },
}

impl DevicePicture {
    /// Its address.
    #[must_use]
    pub fn address(&self) -> u8 {
        match self {
            DevicePicture::Motor { address, .. }
            | DevicePicture::Belt { address, .. }
            | DevicePicture::Rack { address, .. } => *address,
        }
    }
}

/// The buffer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BufferPicture {
    /// How much slack it has.
    pub slack: f64,
    /// How much it can have.
    pub travel: f64,
    /// Its full switch.
    pub full: bool,
    /// Its empty switch.
    pub empty: bool,
    /// Whether something holds it.
    pub held: bool,
}

/// A box.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BoxPicture {
    /// Its number, from 1.
    #[serde(rename = "box")]
    pub unit: usize,
    /// Whether it is plugged in.
    pub plugged: bool,
    /// Its address; 254 while it has none.
    pub address: u8,
    /// What it is doing, as GET_BOX_STATE tells it.
    pub state: String,
    /// The latched error, 0 for none.
    pub error: u8,
    /// What the latched error means.
    pub trouble: Option<TroublePicture>,
    /// Its firmware's version, as in `1.1.3`.
    pub version: String,
    /// Its serial number.
    pub serial: String,
    /// Its identity, in hex.
    pub uniid: String,
    /// What its measuring wheel counted, as the box tells it: mm since it was cleared, falling while
    /// filament is fed.
    pub odometer: f32,
    /// What its hub motor does.
    pub motor: DrivePicture,
    /// Which of its parts cannot turn.
    pub blocked: Vec<&'static str>,
    /// Where things are on its slots' paths.
    pub geometry: GeometryPicture,
    /// What it measures: degrees and percent.
    pub climate: Option<(i8, i8)>,
    /// Whether its hub gear slips.
    pub slips: bool,
    /// The slots A to D.
    pub slots: Vec<SlotPicture>,
}

/// A latched error, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TroublePicture {
    /// The STATUS that tells it.
    pub code: u8,
    /// The vendor's name, or the code in hex.
    pub name: String,
    /// What is wrong, in one sentence.
    pub meaning: String,
    /// What the printer shows for it, such as `key849`; first the usual one.
    pub keys: Vec<KeyPicture>,
}

/// A message of the printer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyPicture {
    /// Its key, such as `key849`.
    pub key: String,
    /// What it says.
    pub meaning: Option<&'static str>,
}

/// What a motor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DrivePicture {
    /// It stands still.
    Stop,
    /// Towards the printer.
    Forward,
    /// Towards the spool.
    Reverse,
}

/// Where things are, in mm from a slot's inlet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GeometryPicture {
    /// The hub sensor.
    pub hub: f64,
    /// The measuring wheel and the hub gear.
    pub wheel: f64,
    /// Where all paths meet, and the buffer begins.
    pub buffer: f64,
    /// The toolhead's filament sensor.
    pub toolhead: f64,
    /// The cutter.
    pub cutter: f64,
    /// The extruder's gears.
    pub extruder: f64,
}

/// A slot and its path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SlotPicture {
    /// Its letter.
    pub slot: char,
    /// The inlet sensor.
    pub inlet: bool,
    /// The hub sensor.
    pub hub: bool,
    /// The spool's tag, where there is a spool with one.
    pub tag: Option<String>,
    /// The filament in the path, from the inlet outwards: tail and tip, in mm from the inlet.
    pub filament: Vec<(f64, f64)>,
    /// Whether something holds it or stands in its way.
    pub jammed: bool,
    /// Where a tip cannot pass, in mm from the inlet.
    pub jam_at: Option<f64>,
    /// Sensors that show the same whatever is there: `inlet`, `hub`.
    pub forced: Vec<&'static str>,
    /// What the slot's feeder does.
    pub feeder: DrivePicture,
    /// The spool, where there is one whose filament is in the inlet.
    pub spool: Option<SpoolPicture>,
}

/// A spool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpoolPicture {
    /// The material's name or code, where the spool has a tag.
    pub material: Option<String>,
    /// The colour as `rrggbb`, where the spool has a tag that tells one.
    pub colour: Option<String>,
    /// The spool's serial number on its tag.
    pub serial: Option<String>,
    /// How long the filament was when it was put in.
    pub length: f64,
    /// How much of it is still outside the inlet.
    pub left: f64,
    /// What a box takes for the rest, in percent.
    pub remain: u8,
}

pub(super) fn of(world: &World) -> Picture {
    let printer = world.plant.printer();
    let devices: Vec<_> = world.players.iter().filter_map(device).collect();
    Picture {
        time: world.now.0 as f64 / 1e9,
        toolhead: world.toolhead(),
        buffer: BufferPicture {
            slack: printer.slack,
            travel: printer.travel,
            full: printer.full(),
            empty: printer.empty(),
            held: printer.held,
        },
        extruder: printer.speed,
        toolhead_forced: world.toolhead.is_some(),
        nozzle: printer.nozzle,
        beyond: printer.beyond,
        stub: printer.stub,
        boxes: world.players.iter().filter_map(|player| filament_box(world, player)).collect(),
        others: devices.iter().map(DevicePicture::address).collect(),
        devices,
    }
}

fn device(player: &Player) -> Option<DevicePicture> {
    Some(match player {
        Player::Box { .. } => return None,
        Player::Motor { address, device } => {
            let (errors, warnings) = device.protection_words();
            DevicePicture::Motor { address: address.0, errors, warnings }
        }
        Player::Belt(device) => {
            DevicePicture::Belt { address: device.config().address.0, adc: device.config().adc }
        }
        Player::Rack(device) => {
            let tag = device.tag().map(|tag| String::from_utf8_lossy(&tag).into_owned());
            DevicePicture::Rack { address: Address::RACK.0, tag }
        }
    })
}

fn filament_box(world: &World, player: &Player) -> Option<BoxPicture> {
    let Player::Box { device, unit, plugged } = player else { return None };
    let path = world.plant.path(*unit);
    let slot = |letter: Letter| {
        let slot = letter.index();
        let tag = path.spool(slot).and_then(|spool| spool.tag);
        SlotPicture {
            slot: letter.as_char(),
            inlet: path.inlet(slot),
            hub: path.in_hub(slot),
            tag: tag.map(|tag| String::from_utf8_lossy(&tag).into_owned()),
            filament: path.pieces(slot).iter().map(|Piece { tip, tail }| (*tail, *tip)).collect(),
            jammed: path.stuck[slot] || path.jam[slot].is_some(),
            jam_at: path.jam[slot],
            forced: [("inlet", path.inlet_faults[slot]), ("hub", path.hub_faults[slot])]
                .into_iter()
                .filter(|(_, fault)| *fault != SensorFault::Works)
                .map(|(name, _)| name)
                .collect(),
            feeder: drive(path.feeders[slot]),
            spool: path.spool(slot).map(|spool| spool_of(spool, path.pieces(slot))),
        }
    };
    let Geometry { hub, wheel, joint, toolhead, cutter, extruder, .. } = path.geometry;
    let config = device.config();
    let blocked = [("hub", path.hub_blocked), ("wheel", path.wheel_blocked)];
    Some(BoxPicture {
        unit: unit + 1,
        plugged: *plugged,
        address: device.address().0,
        state: state_name(device.state()),
        error: device.error(),
        trouble: (device.error() != 0).then(|| trouble(device.error())),
        version: config.version.map(|digit| char::from(digit).to_string()).join("."),
        serial: config.serial.clone(),
        uniid: config.uniid.iter().map(|byte| format!("{byte:02x}")).collect(),
        odometer: device.odometer(),
        motor: drive(path.hub),
        blocked: blocked.into_iter().filter(|(_, is)| *is).map(|(name, _)| name).collect(),
        geometry: GeometryPicture { hub, wheel, buffer: joint, toolhead, cutter, extruder },
        climate: config.climate.map(|climate| (climate.temperature, climate.humidity)),
        slips: path.hub_slips,
        slots: Letter::ALL.into_iter().map(slot).collect(),
    })
}

fn drive(drive: Drive) -> DrivePicture {
    match drive {
        Drive::Stop => DrivePicture::Stop,
        Drive::Forward => DrivePicture::Forward,
        Drive::Reverse => DrivePicture::Reverse,
    }
}

fn spool_of(spool: &Spool, pieces: &[Piece]) -> SpoolPicture {
    let record = spool.tag.as_ref().and_then(|tag| TagRecord::parse(tag).ok());
    let colour = record.and_then(|record| record.colour().parse::<Colour>().ok());
    let hex = |colour: Colour| colour.rgb().iter().map(|part| format!("{part:02x}")).collect();
    SpoolPicture {
        material: record.map(|record| {
            let code = record.material();
            material::name(code).unwrap_or(code).to_owned()
        }),
        colour: colour.map(hex),
        serial: record.map(|record| record.serial().to_owned()),
        length: spool.length,
        left: pieces.first().map_or(0.0, |piece| (-piece.tail).max(0.0)),
        remain: spool.remain,
    }
}

fn trouble(error: u8) -> TroublePicture {
    let status = Status(error);
    let info = status.info();
    let key = |number: u16| KeyPicture {
        key: format!("key{number}"),
        meaning: Key(number).info().map(|info| info.meaning),
    };
    TroublePicture {
        code: error,
        name: status.to_string(),
        meaning: info.map_or_else(|| "nobody knows".to_owned(), |info| info.meaning.to_owned()),
        keys: info.into_iter().flat_map(|info| info.observed_keys()).map(key).collect(),
    }
}

/// The state's name, or its number.
fn state_name(state: BoxState) -> String {
    let named = BoxState::CODES.iter().find(|(value, _)| *value == u32::from(state.0));
    named.map_or_else(|| state.0.to_string(), |(_, name)| (*name).to_owned())
}
