//! A world as a plain picture: what a control program or a page shows.

use serde::Serialize;

use k485_proto::message::FieldType;
use k485_proto::message::codes::BoxState;
use k485_proto::slot::Letter;

use super::{Player, World};
use crate::plant::Piece;

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
    /// How far the filament in the extruder reaches beyond its gears.
    pub beyond: f64,
    /// What was cut off, as mm before the gears, while it is there.
    pub stub: Option<f64>,
    /// The boxes in their order.
    pub boxes: Vec<BoxPicture>,
    /// The addresses of all other devices.
    pub others: Vec<u8>,
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
    /// What it measures: degrees and percent.
    pub climate: Option<(i8, i8)>,
    /// Whether its hub gear slips.
    pub slips: bool,
    /// The slots A to D.
    pub slots: Vec<SlotPicture>,
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
}

pub(super) fn of(world: &World) -> Picture {
    let printer = world.plant.printer();
    let other = |player: &Player| match player {
        Player::Box { .. } => None,
        Player::Motor { address, .. } => Some(address.0),
        Player::Belt(device) => Some(device.config().address.0),
        Player::Rack(_) => Some(k485_proto::address::Address::RACK.0),
    };
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
        beyond: printer.beyond,
        stub: printer.stub,
        boxes: world.players.iter().filter_map(|player| filament_box(world, player)).collect(),
        others: world.players.iter().filter_map(other).collect(),
    }
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
        }
    };
    Some(BoxPicture {
        unit: unit + 1,
        plugged: *plugged,
        address: device.address().0,
        state: state_name(device.state()),
        error: device.error(),
        climate: device.config().climate.map(|climate| (climate.temperature, climate.humidity)),
        slips: path.hub_slips,
        slots: Letter::ALL.into_iter().map(slot).collect(),
    })
}

/// The state's name, or its number.
fn state_name(state: BoxState) -> String {
    let named = BoxState::CODES.iter().find(|(value, _)| *value == u32::from(state.0));
    named.map_or_else(|| state.0.to_string(), |(_, name)| (*name).to_owned())
}
