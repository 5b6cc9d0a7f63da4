//! A bus as far as its frames tell: boxes with their slots, motors, buffer, where filament is.
//!
//! A [`Portrait`] takes what a [`Pairer`](k485_proto::exchange::Pairer) gives and keeps what was told
//! last. What nobody asked is not known, and says so. Where a filament's tip is no frame tells: it is
//! inferred from the host's stages (to the hub, feed, end of the feed, push, pull back), between them
//! from the odometer, with the usual lengths of a path ([`PLACES`]). What is inferred is marked
//! `guess`.
//!
//! The JSON of a portrait has the keys of an emulated bus's picture, so that one page shows both.

mod filament;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k485_proto::address::{Address, Class};
use k485_proto::exchange::{Exchange, Observed, Outcome, Seen};
use k485_proto::frame::Hex;
use k485_proto::material;
use k485_proto::message::codes::BoxState;
use k485_proto::message::{FieldType, Message, Value};
use k485_proto::record::Direction;
use k485_proto::slot::{Letter, SlotSet};
use k485_proto::status::Status;
use serde::Serialize;

pub use filament::{PLACES, Places};

/// The reply to GET_BOX_STATE that has changes of the slots in place of the state.
const UPDATE_STATE: Status = Status(0x30);

/// What is known of a bus.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Portrait {
    /// When it was told last, in seconds.
    time: Option<f64>,
    /// Whether the toolhead's sensor shows filament: no frame tells, the host's stages do.
    toolhead: Option<bool>,
    /// The printer's buffer.
    buffer: Option<BufferPortrait>,
    /// The boxes that have answered, by address.
    #[serde(serialize_with = "values")]
    boxes: BTreeMap<u8, BoxPortrait>,
    /// All others that have answered, by address.
    #[serde(serialize_with = "values")]
    devices: BTreeMap<u8, DevicePortrait>,
}

/// The buffer's switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct BufferPortrait {
    full: bool,
    empty: bool,
}

/// A box.
#[derive(Debug, Clone, Serialize)]
struct BoxPortrait {
    /// Its number, which is its address.
    #[serde(rename = "box")]
    unit: u8,
    address: u8,
    /// Whether it answered when it was asked last.
    answers: bool,
    /// What it is doing, as GET_BOX_STATE told it.
    state: Option<String>,
    /// The error that it told, 0 for none.
    error: u8,
    climate: Option<(i64, i64)>,
    odometer: Option<f32>,
    version: Option<String>,
    serial: Option<String>,
    uniid: Option<String>,
    geometry: Places,
    slots: [SlotPortrait; 4],
    /// The slot that the host named last.
    #[serde(skip)]
    named: Option<usize>,
    /// Where the odometer was when a feed began.
    #[serde(skip)]
    fed_from: Option<f32>,
}

/// A slot.
#[derive(Debug, Clone, Default, Serialize)]
struct SlotPortrait {
    slot: char,
    inlet: Option<bool>,
    hub: Option<bool>,
    tag: Option<String>,
    spool: Option<SpoolPortrait>,
    /// Where its filament is, from the inlet outwards: tail and tip, in mm from the inlet.
    filament: Vec<(f64, f64)>,
    /// Whether a stage that moves it is under way.
    moves: bool,
    /// Nobody measured where the filament is.
    guess: bool,
}

/// What a tag and the box's own measure tell of a spool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct SpoolPortrait {
    material: Option<String>,
    colour: Option<String>,
    serial: Option<String>,
    remain: Option<u8>,
}

/// What is no box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum DevicePortrait {
    Motor { address: u8, errors: i64, warnings: i64 },
    Belt { address: u8, adc: Option<i64> },
    Rack { address: u8, tag: Option<String> },
}

fn values<S: serde::Serializer, T: Serialize>(
    map: &BTreeMap<u8, T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(map.values())
}

impl Portrait {
    /// Nothing is known yet.
    #[must_use]
    pub fn new() -> Portrait {
        Portrait::default()
    }

    /// Takes what was seen, in its order.
    pub fn see(&mut self, seen: &Seen) {
        if let Some(time) = seen.time() {
            self.time = Some(time.0 as f64 / 1e9);
        }
        match seen {
            Seen::Frame(frame) => self.frame(frame),
            Seen::Exchange(exchange) => self.exchange(exchange),
            Seen::Lone(_) | Seen::Noise(_) | Seen::Gap(_) => {}
        }
    }

    fn exchange(&mut self, exchange: &Exchange) {
        let Some(request) = exchange.request.as_deref() else { return };
        let Some(device) = self.boxes.get_mut(&request.frame().addr().0) else { return };
        match exchange.outcome {
            Outcome::Timeout => {
                device.answers = false;
                device.stand();
            }
            Outcome::Answered => device.answers = true,
            _ => {}
        }
    }

    fn frame(&mut self, frame: &Observed) {
        match frame.dir {
            Some(Direction::Request) => self.request(frame),
            Some(Direction::Response) if !frame.implausible => self.reply(frame),
            _ => {}
        }
    }

    /// A stage that begins: what it moves.
    fn request(&mut self, frame: &Observed) {
        let Some(device) = self.boxes.get_mut(&frame.frame().addr().0) else { return };
        let message = frame.message();
        let stages = ["EXTRUDE_PROCESS", "RETRUDE_PROCESS", "EXTRUDE_PROCESS_MODEL2"];
        if !stages.contains(&name(&message)) {
            return;
        }
        device.name(&message);
        if let Some(slot) = device.named {
            device.slots[slot].moves = true;
        }
    }

    fn reply(&mut self, frame: &Observed) {
        let addr = frame.frame().addr();
        let message = frame.message();
        let asked = frame.request.as_deref().map(Observed::message);
        match frame.dialect.class(addr) {
            Some(Class::Box) => self.box_reply(addr, frame, &message, asked.as_ref()),
            Some(class) => self.other_reply(addr, class, &message),
            None => {}
        }
    }

    fn box_reply(
        &mut self,
        addr: Address,
        frame: &Observed,
        message: &Message<'_>,
        asked: Option<&Message<'_>>,
    ) {
        // Factory access and boxes without an address are no box of a number.
        if !(1..=4).contains(&addr.0) {
            return;
        }
        let device = self.boxes.entry(addr.0).or_insert_with(|| BoxPortrait::new(addr.0));
        device.answers = true;
        let status = frame.frame().status();
        let asked_number = |field: &str| number(asked?, field);
        match name(message) {
            "GET_BOX_STATE" if status == UPDATE_STATE => device.changes(message),
            "GET_BOX_STATE" => device.told_state(message, status),
            "GET_FILAMENT_SENSOR_STATE" => {
                if let (Some(sensors), Some(slots)) = (asked_number("sensors"), slots(message)) {
                    device.sensors(sensors == 1, slots);
                }
            }
            "GET_RFID" => device.tags(message),
            "GET_REMAIN_LEN" => device.remains(message),
            "GET_BUFFER_STATE" => {
                if let Some(switches) = number(message, "buffer") {
                    let (full, empty) = (switches & 1 != 0, switches & 2 != 0);
                    self.buffer = Some(BufferPortrait { full, empty });
                }
            }
            "MEASURING_WHEEL" => match asked_number("action") {
                Some(0) if status == Status::OK => device.odometer = Some(0.0),
                _ => device.wheel(message),
            },
            "GET_VERSION_SN" => {
                device.version = text(message, "version");
                device.serial = text(message, "serial");
            }
            "ONLINE_CHECK" | "SET_SLAVE_ADDR" | "GET_ADDR_TABLE" => {
                device.uniid = text(message, "uniid");
            }
            "SET_BOX_MODE" if status == Status::OK => {
                let state = match asked_number("mode") {
                    Some(0) => BoxState::PRINTING,
                    _ => BoxState::IDLE,
                };
                device.state = Some(state_name(state.0.into()));
                device.error = 0;
                device.stand();
            }
            "EXTRUDE_PROCESS" => {
                let stage = asked_number("stage");
                device.extruded(stage, message, status);
                match stage {
                    // The host ends a feed when its toolhead sensor sees the filament.
                    Some(6 | 7) if status == Status::OK => self.toolhead = Some(true),
                    Some(0 | 4) if status == Status::OK => self.toolhead = Some(false),
                    _ => {}
                }
            }
            "RETRUDE_PROCESS" => {
                let stage = asked_number("stage");
                device.retruded(stage, status);
                if status == Status::OK {
                    self.toolhead = Some(false);
                }
            }
            _ => {}
        }
    }

    fn other_reply(&mut self, addr: Address, class: Class, message: &Message<'_>) {
        let address = addr.0;
        match class {
            Class::Motor => {
                let told = (number(message, "errors"), number(message, "warnings"));
                let entry = self.devices.entry(address);
                let entry =
                    entry.or_insert(DevicePortrait::Motor { address, errors: 0, warnings: 0 });
                if let (DevicePortrait::Motor { errors, warnings, .. }, (Some(new), _)) =
                    (entry, told)
                    && name(message) == "PROTECTION"
                {
                    (*errors, *warnings) = (new, told.1.unwrap_or(0));
                }
            }
            Class::Belt => {
                let adc = number(message, "adc");
                let entry = self.devices.entry(address);
                let entry = entry.or_insert(DevicePortrait::Belt { address, adc: None });
                if let DevicePortrait::Belt { adc: old, .. } = entry {
                    *old = adc.or(*old);
                }
            }
            Class::Rack => {
                let tag = message.get("tag").and_then(|tag| part(tag, "raw"));
                self.devices.insert(address, DevicePortrait::Rack { address, tag });
            }
            _ => {}
        }
    }
}

impl BoxPortrait {
    fn new(unit: u8) -> BoxPortrait {
        let slot = |letter: Letter| SlotPortrait {
            slot: letter.as_char(),
            guess: true,
            ..SlotPortrait::default()
        };
        BoxPortrait {
            unit,
            address: unit,
            answers: true,
            state: None,
            error: 0,
            climate: None,
            odometer: None,
            version: None,
            serial: None,
            uniid: None,
            geometry: PLACES,
            slots: Letter::ALL.map(slot),
            named: None,
            fed_from: None,
        }
    }

    /// Takes the slot that a request names.
    fn name(&mut self, message: &Message<'_>) {
        let named = slots(message).and_then(SlotSet::single);
        self.named = named.map(Letter::index).or(self.named);
    }

    /// Nothing moves.
    fn stand(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.moves = false);
    }

    fn told_state(&mut self, message: &Message<'_>, status: Status) {
        let Some(state) = number(message, "state") else { return };
        self.state = Some(state_name(state));
        self.error = if state == i64::from(BoxState::ERROR.0) { status.0 } else { 0 };
        let climate = (number(message, "temperature"), number(message, "humidity"));
        self.climate = climate.0.zip(climate.1);
        if [BoxState::IDLE, BoxState::ERROR].iter().any(|still| i64::from(still.0) == state) {
            self.stand();
        }
    }

    /// What happened at the slots.
    fn changes(&mut self, message: &Message<'_>) {
        for (slot, letter) in self.slots.iter_mut().zip(["a", "b", "c", "d"]) {
            match number(message, letter) {
                Some(1 | 3) => slot.sensed_inlet(true),
                Some(2) => slot.sensed_inlet(false),
                _ => {}
            }
        }
    }

    fn sensors(&mut self, hub: bool, set: SlotSet) {
        for (slot, letter) in self.slots.iter_mut().zip(Letter::ALL) {
            let on = set.0 & letter.mask() != 0;
            if hub { slot.sensed_hub(on) } else { slot.sensed_inlet(on) }
        }
    }

    fn tags(&mut self, message: &Message<'_>) {
        let Some(tags) = message.get("tags") else { return };
        for slot in &mut self.slots {
            let Some(told) = group(tags, &slot.slot.to_string()) else { continue };
            let raw = part(told, "raw").unwrap_or_default();
            let remain = slot.spool.take().and_then(|spool| spool.remain);
            slot.tag = None;
            match raw.as_str() {
                // The box will know later, or was not asked for this slot.
                "busy" => {}
                "none" => slot.sensed_inlet(false),
                _ => {
                    let material = part(told, "material");
                    let named = material.as_deref().and_then(material::name);
                    let material = named.map(str::to_owned).or(material);
                    slot.tag = material.is_some().then_some(raw);
                    let colour = part(told, "colour").and_then(|colour| rgb(&colour));
                    let serial = part(told, "serial");
                    slot.spool = Some(SpoolPortrait { material, colour, serial, remain });
                }
            }
        }
    }

    fn remains(&mut self, message: &Message<'_>) {
        for (slot, letter) in self.slots.iter_mut().zip(["a", "b", "c", "d"]) {
            let percent = number(message, letter).and_then(|n| u8::try_from(n).ok());
            if let (Some(spool), Some(percent @ 0..=100)) = (&mut slot.spool, percent) {
                spool.remain = Some(percent);
            }
        }
    }

    fn wheel(&mut self, message: &Message<'_>) {
        if let Some(Value::Float(mm)) = message.get("odometer") {
            self.odometer = mm.is_finite().then_some(*mm).or(self.odometer);
        }
    }
}

fn name(message: &Message<'_>) -> &'static str {
    message.function.map_or("", |function| function.name)
}

fn number(message: &Message<'_>, field: &str) -> Option<i64> {
    message.get(field)?.as_number()
}

fn slots(message: &Message<'_>) -> Option<SlotSet> {
    let value = message.get("slot").or_else(|| message.get("slots"))?;
    match value {
        Value::Slots { set, .. } => Some(*set),
        _ => None,
    }
}

fn text(message: &Message<'_>, field: &str) -> Option<String> {
    Some(match message.get(field)? {
        Value::Text(text) => text.clone(),
        Value::Bytes(bytes) => Hex(bytes).to_string(),
        other => other.to_string(),
    })
}

fn group<'a>(value: &'a Value, part: &str) -> Option<&'a Value> {
    let Value::Group(parts) = value else { return None };
    parts.iter().find(|(name, _)| name == part).map(|(_, value)| value)
}

fn part(value: &Value, name: &str) -> Option<String> {
    match group(value, name)? {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// Six hex digits of a tag's colour.
fn rgb(colour: &str) -> Option<String> {
    let colour: material::Colour = colour.parse().ok()?;
    Some(colour.rgb().iter().map(|part| format!("{part:02x}")).collect())
}

/// The state's name, or its number.
fn state_name(state: i64) -> String {
    let named = BoxState::CODES.iter().find(|(value, _)| i64::from(*value) == state);
    named.map_or_else(|| state.to_string(), |(_, name)| (*name).to_owned())
}
